package verify

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeys_areFetchedOnceAndKept(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	token := i.token("k1", nil)
	for range 50 {
		p, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, "usr_1", p.Subject)
	}
	require.NoError(t, v.Ready(t.Context()))
	require.Equal(t, 1, i.fetched())
}

func TestKeys_fetchOnceForManyCallers(t *testing.T) {
	i := newIssuer(t, "k1")
	hold := make(chan struct{})
	i.set(func() { i.hold = hold })
	v, token, errs := i.verifier(), i.token("k1", nil), make(chan error, 50)
	for range cap(errs) {
		go func() {
			_, err := v.Verify(context.Background(), token)
			errs <- err
		}()
	}
	require.Eventually(t, func() bool { return i.fetched() == 1 }, 5*time.Second, time.Millisecond)
	close(hold)
	for range cap(errs) {
		require.NoError(t, <-errs)
	}
	require.Equal(t, 1, i.fetched())
}

func TestKeys_boundFetchesForUnknownKids(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	good, head := i.token("k1", nil), func(n int) string {
		return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"EdDSA","kid":"random%d","typ":"at+jwt"}`, n))
	}
	_, rest, _ := strings.Cut(good, ".")
	_, err := v.Verify(t.Context(), good)
	require.NoError(t, err)
	i.advance(time.Minute)
	for n := range 1000 {
		_, err := v.Verify(t.Context(), head(n)+"."+rest)
		require.Equal(t, "invalid_token", code(err))
		_, err = v.Verify(t.Context(), good)
		require.NoError(t, err, "valid tokens are not affected")
	}
	require.Equal(t, 2, i.fetched())
}

func TestKeys_findANewOneAndForgetAnOldOne(t *testing.T) {
	i := newIssuer(t, "k1", "k2")
	v := i.verifier()
	later := i.keys["k2"]
	i.set(func() { delete(i.keys, "k2") })
	_, err := v.Verify(t.Context(), i.token("k1", nil))
	require.NoError(t, err)
	i.advance(11 * time.Second)
	i.set(func() { i.keys["k2"] = later })
	old := i.token("k1", nil)
	_, err = v.Verify(t.Context(), i.token("k2", nil))
	require.NoError(t, err, "a rotation is no outage")
	i.set(func() { delete(i.keys, "k1") })
	i.advance(keysMaxAge)
	require.Eventually(t, func() bool { _, err := v.Verify(t.Context(), old); return code(err) == "invalid_token" }, 5*time.Second, time.Millisecond)
}

// After hours without a request, the verifier does not accept a key that was revoked meanwhile while it fetches the key
// set.
func TestKeys_afterIdleHoursTakeNoneThatIsGone(t *testing.T) {
	i := newIssuer(t, "k1", "k2")
	v := i.verifier()
	_, err := v.Verify(t.Context(), i.token("k1", nil))
	require.NoError(t, err)
	i.advance(3 * time.Hour)
	gone, good := i.token("k1", nil), i.token("k2", nil)
	i.set(func() { delete(i.keys, "k1") })
	_, err = v.Verify(t.Context(), gone)
	require.Equal(t, "invalid_token", code(err))
	_, err = v.Verify(t.Context(), good)
	require.NoError(t, err)
}

func TestKeys_standByTheirSetForADayWhileTheIssuerIsAway(t *testing.T) {
	i := newIssuer(t, "k1")
	v := i.verifier()
	_, err := v.Verify(t.Context(), i.token("k1", nil))
	require.NoError(t, err)
	i.set(func() { i.answer = func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) } })
	for range 23 {
		i.advance(time.Hour)
		_, err := v.Verify(t.Context(), i.token("k1", nil))
		require.NoError(t, err)
	}
	i.advance(time.Hour)
	_, err = v.Verify(t.Context(), i.token("k1", nil))
	require.Equal(t, "unavailable", code(err), "but not for ever")
	require.Equal(t, "1", err.(*Problem).Header.Get("Retry-After"))
	require.Error(t, v.Ready(t.Context()))
}

func TestKeys_refuseAnOddAnswer(t *testing.T) {
	elsewhere := newIssuer(t, "k1")
	for name, answer := range map[string]func(http.ResponseWriter){
		"not JSON":  func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") },
		"empty set": func(w http.ResponseWriter) { fmt.Fprint(w, `{"keys":[]}`) },
		"too large": func(w http.ResponseWriter) { fmt.Fprint(w, `{"keys":[`, strings.Repeat(" ", maxDocument), `]}`) },
		"too many":  func(w http.ResponseWriter) { fmt.Fprint(w, `{"keys":[{}`, strings.Repeat(",{}", maxKeys), `]}`) },
		"a secret": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"keys":[{"kty":"oct","alg":"HS256","kid":"k1","k":"AAAA"}]}`)
		},
		"short key": func(w http.ResponseWriter) {
			fmt.Fprint(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","kid":"k1","x":"AAAA"}]}`)
		},
		"no point": func(w http.ResponseWriter) {
			x := base64.RawURLEncoding.EncodeToString(append(make([]byte, 31), 1))
			fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","kid":"k1","x":%q,"y":%q}]}`, x, x)
		},
		"redirect": func(w http.ResponseWriter) { w.Header().Set("Location", elsewhere.URL+"/keys"); w.WriteHeader(302) },
	} {
		i := newIssuer(t, "k1")
		i.set(func() { i.answer = answer })
		_, err := i.verifier().Verify(t.Context(), i.token("k1", nil))
		require.Equal(t, "unavailable", code(err), name)
	}
	require.Zero(t, elsewhere.fetched())
}

func TestMetadata_ofAnotherIssuerIsRefused(t *testing.T) {
	for name, said := range map[string]map[string]any{
		"issuer": {"issuer": "https://evil.example"}, "no keys": {"jwks_uri": ""}, "keys in a file": {"jwks_uri": "file:///etc/passwd"}, "no token endpoint": {"token_endpoint": nil},
	} {
		i := newIssuer(t, "k1")
		i.set(func() { i.metadata = said })
		_, err := i.verifier().Verify(t.Context(), i.token("k1", nil))
		require.Equal(t, "unavailable", code(err), name)
		require.Zero(t, i.fetched(), name)
		_, err = i.verifier(func(c *Config) { c.JWKSURL = i.URL + "/keys" }).Verify(t.Context(), i.token("k1", nil))
		require.NoError(t, err, "with JWKSURL it is not asked")
	}
}

func TestMetadataURL_isWhereRFC8414HasIt(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://a.example":      "https://a.example/.well-known/oauth-authorization-server",
		"https://a.example/":     "https://a.example/.well-known/oauth-authorization-server",
		"https://a.example/team": "https://a.example/.well-known/oauth-authorization-server/team",
	} {
		require.Equal(t, want, metadataURL(issuer))
	}
}

func TestSetAge_followsTheAnswerWithinBounds(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": keysMaxAge, "no-cache": keysMaxAge, "max-age=x": keysMaxAge, "max-age": keysMaxAge, "max-age=-1": keysMaxAge, "max-age=99999999999999": keysMaxAge,
		"public, max-age=30": 30 * time.Second, `Max-Age="30", public`: 30 * time.Second, "s-maxage=5,max-age=60": time.Minute,
		"max-age=0": keysInterval, "max-age=300": keysMaxAge, "max-age=86400": keysMaxAge,
	} {
		require.Equal(t, want, setAge(header), header)
	}
}
