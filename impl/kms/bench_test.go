package kms_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/telemetry"
)

// measured is a kms with one administrator, their token and one of their keys.
type measured struct {
	address, dir, token, key, keyID string
}

func startMeasured(b *testing.B, log *slog.Logger) measured {
	b.Helper()
	dir := b.TempDir()
	c := kms.Config{Service: config.Service{DataDir: dir, Issuer: issuer, DrainDelay: time.Nanosecond, Log: log}}
	running := servicetest.Start(b, &c.Service, func(ctx context.Context) error { return kms.Run(ctx, c) })
	running.WaitReady(b)
	client, err := api.NewClientWithResponses(running.URL + "/kms/v1")
	require.NoError(b, err)
	token, err := os.ReadFile(filepath.Join(dir, "bootstrap.token"))
	require.NoError(b, err)
	_, err = client.BootstrapAdminWithResponse(b.Context(), api.AdminBootstrap{Token: strings.TrimSpace(string(token)), Username: adminName, Password: adminPassword})
	require.NoError(b, err)
	login, err := client.LoginUserWithResponse(b.Context(), nil, api.Login{Username: adminName, Password: adminPassword})
	require.NoError(b, err)
	made, err := client.CreateAPIKeyWithResponse(b.Context(), nil, api.APIKeyCreate{Name: "bench", Scopes: []string{"elements:read"}}, bearer(login.JSON200.AccessToken))
	require.NoError(b, err)
	require.Equal(b, http.StatusCreated, made.StatusCode(), string(made.Body))
	return measured{strings.TrimPrefix(running.URL, "http://"), dir, login.JSON200.AccessToken, made.JSON201.Key, made.JSON201.APIKey.ID}
}

// caller sends requests one after the other on one connection, with as little overhead as possible.
type caller struct {
	b      *testing.B
	conn   net.Conn
	reader *bufio.Reader
	raw    []byte
}

func newCaller(b *testing.B, address string, request *http.Request) *caller {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	require.NoError(b, err)
	b.Cleanup(func() { conn.Close() })
	var raw bytes.Buffer
	require.NoError(b, request.Write(&raw))
	return &caller{b, conn, bufio.NewReader(conn), raw.Bytes()}
}

// call returns the body of the answer, which must be 200.
func (c *caller) call() []byte {
	if _, err := c.conn.Write(c.raw); err != nil {
		c.b.Fatal(err)
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.b.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		c.b.Fatalf("%d %s %v", answer.StatusCode, body, err)
	}
	return body
}

// cpu returns the CPU time that the process has used: client, kernel and server together.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// turn is the number of calls in a row.
const turn = 100

// calls returns the CPU time of n calls.
func (c *caller) calls(n int) time.Duration {
	before := cpu()
	for range n {
		c.call()
	}
	return cpu() - before
}

func request(b *testing.B, address, path, contentType string, body []byte, token string) *http.Request {
	b.Helper()
	r, err := http.NewRequest(http.MethodPost, "http://"+address+path, bytes.NewReader(body))
	require.NoError(b, err)
	r.Header.Set("Content-Type", contentType)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// BenchmarkVerifyAPIKey compares the check of a known key with a bare chi handler that reads the same body and gives the same answer. CPU
// times are of client, kernel and server together; bare/kms is 1 if both are equal. The bare handler writes no log; logged is with the
// kms's access log, one line per request to a file, as `fountain serve` writes it.
func BenchmarkVerifyAPIKey(b *testing.B) {
	b.Run("silent", func(b *testing.B) { compareVerify(b, slog.New(slog.DiscardHandler)) })
	b.Run("logged", func(b *testing.B) {
		file, err := os.Create(filepath.Join(b.TempDir(), "log"))
		require.NoError(b, err)
		b.Cleanup(func() { file.Close() })
		log, end := telemetry.NewBatchedLogger(file, slog.LevelInfo)
		b.Cleanup(end)
		compareVerify(b, log)
	})
}

func compareVerify(b *testing.B, log *slog.Logger) {
	m := startMeasured(b, log)
	body, err := json.Marshal(api.APIKeyVerify{Key: m.key, Scopes: &[]string{"elements:read"}})
	require.NoError(b, err)
	answer := newCaller(b, m.address, request(b, m.address, "/kms/v1/keys/verify", "application/json", body, m.token)).call()
	require.Contains(b, string(answer), `"valid":true`)

	// The answer is decoded once and not per request: bare must do no more than necessary.
	var verdict api.APIKeyVerdict
	require.NoError(b, json.Unmarshal(answer, &verdict))
	router := chi.NewRouter()
	router.Post("/kms/v1/keys/verify", func(w http.ResponseWriter, r *http.Request) {
		var in api.APIKeyVerify
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(verdict)
	})
	server := httptest.NewServer(router)
	b.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")

	bare := newCaller(b, address, request(b, address, "/kms/v1/keys/verify", "application/json", body, m.token))
	ours := newCaller(b, m.address, request(b, m.address, "/kms/v1/keys/verify", "application/json", body, m.token))
	var bareCPU, oursCPU time.Duration
	b.ResetTimer()
	for done := 0; done < b.N; done += turn { // in turns, so that other load affects both
		bareCPU += bare.calls(turn)
		oursCPU += ours.calls(turn)
	}
	each := func(d time.Duration) float64 {
		return float64(d.Nanoseconds()) / 1000 / float64((b.N+turn-1)/turn*turn)
	}
	b.ReportMetric(each(bareCPU), "bare-cpu-us/op")
	b.ReportMetric(each(oursCPU), "kms-cpu-us/op")
	b.ReportMetric(float64(bareCPU)/float64(oursCPU), "bare/kms")
}

// BenchmarkIssueToken_clientCredentials measures issuing a token for an API key.
func BenchmarkIssueToken_clientCredentials(b *testing.B) {
	m := startMeasured(b, slog.New(slog.DiscardHandler))
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {m.keyID}, "client_secret": {m.key}, "resource": {"sequence"}}
	c := newCaller(b, m.address, request(b, m.address, "/kms/v1/oauth2/token", "application/x-www-form-urlencoded", []byte(form.Encode()), ""))
	b.ResetTimer()
	took := c.calls(b.N)
	b.ReportMetric(float64(b.N)/took.Seconds(), "tokens/cpu-s")
}

// service enrols the family's search service and returns its token for the kms.
func (m measured) service(b *testing.B) string {
	b.Helper()
	client, err := api.NewClientWithResponses("http://" + m.address + "/kms/v1")
	require.NoError(b, err)
	token, err := os.ReadFile(filepath.Join(m.dir, "enrol", "search", "token"))
	require.NoError(b, err)
	enrolled, err := client.EnrolServiceWithResponse(b.Context(), api.Enrol{Token: strings.TrimSpace(string(token))})
	require.NoError(b, err)
	require.Equal(b, http.StatusCreated, enrolled.StatusCode(), string(enrolled.Body))
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {enrolled.JSON201.APIKey.ID}, "client_secret": {enrolled.JSON201.Key}, "resource": {"kms"}}
	issued, err := client.IssueTokenWithBodyWithResponse(b.Context(), "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, issued.StatusCode(), string(issued.Body))
	return issued.JSON200.AccessToken
}

// BenchmarkGetSecret compares a service's reading of its secret, which is durable in the audit trail before the answer, with a bare chi handler that gives the
// same answer, and with the kms's own getKmsHealth, which passes the same entry checks but has no token, policy or record. CPU times are of client, kernel and
// server together; bare/kms and health/kms are 1 if both are equal. alone is one client, where each event has a commit of its own; together are 64 clients,
// whose events share commits.
func BenchmarkGetSecret(b *testing.B) {
	b.Run("alone", func(b *testing.B) { compareGetSecret(b, 1) })
	b.Run("together", func(b *testing.B) { compareGetSecret(b, 64) })
}

func compareGetSecret(b *testing.B, clients int) {
	const path = "/kms/v1/secrets/search.measured"
	m := startMeasured(b, slog.New(slog.DiscardHandler))
	token := m.service(b)
	client, err := api.NewClientWithResponses("http://" + m.address + "/kms/v1")
	require.NoError(b, err)
	put, err := client.PutSecretWithResponse(b.Context(), "search.measured", nil, api.SecretPut{Value: "a value of forty letters, more or less.."}, bearer(token))
	require.NoError(b, err)
	require.Equal(b, http.StatusCreated, put.StatusCode(), string(put.Body))
	get := func(address, path, token string) *http.Request {
		r := request(b, address, path, "application/json", nil, token)
		r.Method, r.Body = http.MethodGet, nil
		r.Header.Del("Content-Type")
		return r
	}
	var secret api.Secret
	require.NoError(b, json.Unmarshal(newCaller(b, m.address, get(m.address, path, token)).call(), &secret))
	router := chi.NewRouter()
	router.Get("/kms/v1/secrets/{secretName}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(secret)
	})
	server := httptest.NewServer(router)
	b.Cleanup(server.Close)
	address := strings.TrimPrefix(server.URL, "http://")

	var bare, health, ours []*caller
	for range clients {
		bare = append(bare, newCaller(b, address, get(address, path, token)))
		health = append(health, newCaller(b, m.address, get(m.address, "/kms/v1/health", "")))
		ours = append(ours, newCaller(b, m.address, get(m.address, path, token)))
	}
	var bareCPU, healthCPU, oursCPU time.Duration
	b.ResetTimer()
	done := 0
	for ; done < b.N; done += clients * turn {
		bareCPU += callsOf(bare)
		healthCPU += callsOf(health)
		oursCPU += callsOf(ours)
	}
	b.ReportMetric(float64(healthCPU.Nanoseconds())/1000/float64(done), "health-cpu-us/op")
	b.ReportMetric(float64(healthCPU)/float64(oursCPU), "health/kms")
	b.ReportMetric(float64(bareCPU.Nanoseconds())/1000/float64(done), "bare-cpu-us/op")
	b.ReportMetric(float64(oursCPU.Nanoseconds())/1000/float64(done), "kms-cpu-us/op")
	b.ReportMetric(float64(bareCPU)/float64(oursCPU), "bare/kms")
}

// callsOf returns the CPU time of one turn of each caller, all concurrently.
func callsOf(all []*caller) time.Duration {
	before := cpu()
	var group sync.WaitGroup
	for _, c := range all {
		group.Go(func() { c.calls(turn) })
	}
	group.Wait()
	return cpu() - before
}
