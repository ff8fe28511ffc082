package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/store"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func newDoctor(free uint64) *Doctor {
	return &Doctor{
		Clock: clock.NewFake(now), Version: "1.2.3", Digest: func(word string) string { return "digest of " + word }, Client: http.DefaultClient,
		Free: func(string) (uint64, error) { return free, nil },
	}
}

// only returns the findings of one check that are not ok.
func (r Report) only(check string) (out []Finding) {
	for _, f := range r {
		if f.Check == check && f.Level != OK {
			out = append(out, f)
		}
	}
	return out
}

func TestExamine_tellsADiskThatFills(t *testing.T) {
	for free, want := range map[uint64]Level{store.SpareDisk - 1: Error, store.SpareDisk: Warning, 1 << 30: OK} {
		d := newDoctor(free)
		d.Examine(t.Context(), Place{Word: "gateway", Service: config.Service{DataDir: t.TempDir()}})
		require.Equal(t, want, d.Report().Worst(), "%d: %+v", free, d.Report())
	}
	d := newDoctor(0)
	d.Free = func(string) (uint64, error) { return 0, os.ErrPermission }
	d.Examine(t.Context(), Place{Word: "gateway", Service: config.Service{DataDir: t.TempDir()}})
	require.Equal(t, Warning, d.Report().Worst())
}

// certificate writes a self-signed pair with this validity period, and returns its files.
func certificate(t *testing.T, from, until time.Time) config.TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kms"}, NotBefore: from, NotAfter: until, DNSNames: []string{"kms"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	c := config.TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), CAFile: filepath.Join(dir, "cert.pem")}
	require.NoError(t, os.WriteFile(c.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644))
	require.NoError(t, os.WriteFile(c.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	return c
}

func TestExamine_tellsCertificatesThatEnd(t *testing.T) {
	day := 24 * time.Hour
	for name, tt := range map[string]struct {
		from, until time.Time
		want        Level
	}{
		"good":                     {now.Add(-day), now.Add(90 * day), OK},
		"ends soon":                {now.Add(-80 * day), now.Add(10 * day), Warning},
		"short-lived by intention": {now.Add(-day), now.Add(day), OK},
		"ended":                    {now.Add(-90 * day), now.Add(-time.Second), Error},
		"not good yet":             {now.Add(day), now.Add(90 * day), Error},
	} {
		d := newDoctor(1 << 40)
		d.Examine(t.Context(), Place{Word: "kms", Service: config.Service{TLS: certificate(t, tt.from, tt.until)}})
		require.Equal(t, tt.want, d.Report().Worst(), "%s: %+v", name, d.Report())
	}
	good := certificate(t, now.Add(-day), now.Add(90*day))
	other := certificate(t, now.Add(-day), now.Add(90*day))
	require.NoError(t, os.Chmod(other.KeyFile, 0o644))
	for name, c := range map[string]config.TLS{
		"a key of another":  {CertFile: good.CertFile, KeyFile: other.KeyFile},
		"no file":           {CertFile: good.CertFile, KeyFile: "/none"},
		"no authority":      {CAFile: good.KeyFile},
		"authority missing": {CAFile: "/none"},
	} {
		d := newDoctor(1 << 40)
		d.Examine(t.Context(), Place{Word: "kms", Service: config.Service{TLS: c}})
		require.Len(t, d.Report().only(Certificate), 1, name)
		require.Equal(t, Error, d.Report().Worst(), name)
	}
	d := newDoctor(1 << 40)
	d.Examine(t.Context(), Place{Word: "kms", Service: config.Service{TLS: other}})
	require.Len(t, d.Report().only(Modes), 1, "others can read the key")
}

// running is a service that responds.
func running(t *testing.T, health, ready string, status int, off time.Duration) Place {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now.Add(off).Format(http.TimeFormat))
		switch r.URL.Path {
		case "/gateway/v1/health":
			fmt.Fprint(w, health)
		case "/gateway/v1/ready":
			w.WriteHeader(status)
			fmt.Fprint(w, ready)
		case "/gateway/v1/services":
			fmt.Fprint(w, `{"items":[{"name":"kms","status":"down","targets":1},{"name":"search","status":"ready","targets":2,"targetsReady":1,"targetsSkewed":1},{"name":"notes","status":"down","targets":1,"adopted":true}]}`)
		}
	}))
	t.Cleanup(server.Close)
	return Place{Word: "gateway", URL: server.URL}
}

func TestExamine_tellsWhatARunningServiceSays(t *testing.T) {
	const health, good = `{"status":"ok","service":"gateway","version":"1.2.3"}`, `{"status":"ready","contractDigest":"digest of gateway"}`
	examine := func(p Place) Report {
		d := newDoctor(1 << 40)
		d.Examine(t.Context(), p)
		return d.Report()
	}
	r := examine(running(t, health, good, 200, 0))
	require.Empty(t, append(r.only(Version), r.only(Clock)...))
	require.Len(t, r.only(Running), 3, "%+v", r)
	require.Len(t, r.only(Contract), 1)
	require.Equal(t, Error, r.Worst(), "a service of the family is down")

	r = examine(running(t, `{"version":"1.2.2"}`, `{"contractDigest":"digest of an older one"}`, 200, 0))
	require.Len(t, r.only(Version), 1)
	require.Len(t, r.only(Contract), 2)
	for _, off := range []time.Duration{16 * time.Second, -16 * time.Second} {
		require.Len(t, examine(running(t, health, good, 200, off)).only(Clock), 1)
	}
	for detail, do := range map[string]string{
		"its database file is damaged": restoreAdvice, "the disk of its database is full": "room", "the search engine does not answer": "engine",
		"its database does not answer": "database server", "something new": "log",
	} {
		r = examine(running(t, health, `{"detail":"`+detail+`"}`, 503, 0))
		require.Len(t, r.only(Running), 1)
		require.Contains(t, r.only(Running)[0].What, detail)
		require.Contains(t, r.only(Running)[0].Do, do)
		require.Equal(t, Error, r.Worst())
	}
	require.Equal(t, Warning, examine(Place{Word: "gateway", URL: "http://127.0.0.1:1"}).Worst(), "it does not run")
	strange := httptest.NewTLSServer(http.NotFoundHandler())
	defer strange.Close()
	require.Len(t, examine(Place{Word: "gateway", URL: strange.URL}).only(Certificate), 1, "nobody trusts it")
	long := running(t, `{"version":"`+string(make([]byte, 0))+"\\u001b[31m"+`"}`, good, 200, 0)
	require.NotContains(t, examine(long).only(Version)[0].What, "\x1b", "what others say moves no terminal")
}

func TestTogether_tellsServicesOfDifferentBackups(t *testing.T) {
	for want, restored := range map[Level]map[string]string{
		OK: {"kms": "bak_1", "sequence": "bak_1"}, Warning: {"kms": "bak_1", "sequence": "bak_2", "search": ""},
	} {
		d := newDoctor(1)
		d.restored = restored
		d.Together()
		require.Equal(t, want, d.Report().Worst(), "%+v", d.Report())
	}
}
