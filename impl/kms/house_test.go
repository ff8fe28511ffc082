package kms_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
	"github.com/fountainai/fountain/internal/telemetry"
)

const (
	issuer        = "http://127.0.0.1:8002"
	adminName     = "ada"
	adminPassword = "correct horse battery staple"
)

// house is a running kms and everything around it.
type house struct {
	t      *testing.T
	config kms.Config
	clock  *clock.Fake
	client *api.ClientWithResponses
	http   *http.Client
	url    string
	dir    string
	log    *buffer
	stop   func() error
}

// each runs f against a fresh kms on every database.
func each(t *testing.T, f func(h *house)) {
	t.Helper()
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) { f(start(t, databaseOf(t, c))) })
}

// databaseOf returns a configuration on the database that storetest has made.
func databaseOf(t *testing.T, c store.Config) kms.Config {
	t.Helper()
	out := kms.Config{Service: config.Service{DataDir: t.TempDir(), Issuer: issuer}}
	require.NoError(t, os.Chmod(out.DataDir, 0o700))
	if c.URL != "" {
		out.DatabaseURLFile = filepath.Join(t.TempDir(), "url")
		require.NoError(t, os.WriteFile(out.DatabaseURLFile, []byte(c.URL), 0o600))
		out.RootKeyFile = filepath.Join(out.DataDir, "root.key")
		keygen(t, out.RootKeyFile)
	}
	return out
}

// databaseOfSQLite returns a configuration for tests that say nothing about the database.
func databaseOfSQLite(t *testing.T) kms.Config {
	t.Helper()
	return databaseOf(t, store.Config{})
}

// start runs a kms until the test ends.
func start(t *testing.T, c kms.Config) *house {
	t.Helper()
	h := &house{t: t, config: c, clock: clock.NewFake(time.Now()), dir: c.DataDir, log: &buffer{}}
	if c.Clock != nil {
		h.clock = c.Clock.(*clock.Fake)
	}
	h.run()
	return h
}

// run starts the kms of the house, again after a stop.
func (h *house) run() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(h.t, err)
	ready, ended := make(chan struct{}), make(chan error, 1)
	c := h.config
	c.Listener, c.Clock, c.DrainDelay, c.Registerer = listener, h.clock, time.Nanosecond, nil
	c.Log = telemetry.NewLogger(h.log, slog.LevelDebug)
	c.OnReady = func() { close(ready) }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- kms.Run(ctx, c) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		require.FailNow(h.t, "kms ended before it was ready", "%v", err)
	}
	once := sync.OnceValue(func() error { cancel(); return <-ended })
	h.stop = once
	h.t.Cleanup(func() { require.NoError(h.t, once()) })
	h.url = "http://" + listener.Addr().String()
	h.http = &http.Client{Transport: &checked{t: h.t, contract: document(h.t)}}
	h.client, err = api.NewClientWithResponses(h.url+"/kms/v1", api.WithHTTPClient(h.http))
	require.NoError(h.t, err)
}

var document = func() func(t *testing.T) *contract.Contract {
	load := sync.OnceValues(func() (*contract.Contract, error) { return contract.Load("kms") })
	return func(t *testing.T) *contract.Contract {
		t.Helper()
		c, err := load()
		require.NoError(t, err)
		return c
	}
}()

// checked holds every answer against the contract.
type checked struct {
	t        *testing.T
	contract *contract.Contract
}

func (c *checked) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	match, err := c.contract.Match(r.Method, r.URL.EscapedPath())
	if err != nil {
		return answer, nil // no operation: nothing to check against
	}
	if err := match.Operation.CheckResponse(answer.StatusCode, answer.Header, body); err != nil {
		c.t.Errorf("%s answered %d, which is not what the contract says: %v\n%s", match.Operation.ID, answer.StatusCode, err, body)
	}
	return answer, nil
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// bearer sends a token.
func bearer(token string) api.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

// bootstrapToken reads the token's file.
func (h *house) bootstrapToken() string {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.dir, "bootstrap.token"))
	require.NoError(h.t, err)
	return strings.TrimSpace(string(raw))
}

// bootstrap makes the first administrator.
func (h *house) bootstrap() *api.User {
	h.t.Helper()
	got, err := h.client.BootstrapAdminWithResponse(h.t.Context(), api.AdminBootstrap{
		Token: h.bootstrapToken(), Username: adminName, Password: adminPassword,
	})
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	return got.JSON201
}

// login signs in and returns the tokens.
func (h *house) login(username, password string) *api.TokenResponse {
	h.t.Helper()
	got, err := h.client.LoginUserWithResponse(h.t.Context(), api.Login{Username: username, Password: password})
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200
}

// enrolToken reads the token that lies for a family service.
func (h *house) enrolToken(name string) string {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.dir, "enrol", name, "token"))
	require.NoError(h.t, err)
	return strings.TrimSpace(string(raw))
}

// enrol enrols a family service.
func (h *house) enrol(name string) *api.APIKeyWithSecret {
	h.t.Helper()
	got, err := h.client.EnrolServiceWithResponse(h.t.Context(), api.Enrol{Token: h.enrolToken(name)})
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	return got.JSON201
}

// token trades a key for a token for one service.
func (h *house) token(key *api.APIKeyWithSecret, resource string) string {
	h.t.Helper()
	got := h.ask(key.APIKey.ID, key.Key, resource)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200.AccessToken
}

func (h *house) ask(id, secret, resource string) *api.IssueTokenResult {
	h.t.Helper()
	got, err := h.client.IssueTokenWithFormdataBodyWithResponse(h.t.Context(), api.TokenRequest{
		GrantType: "client_credentials", ClientID: &id, ClientSecret: &secret, Resource: &resource,
	})
	require.NoError(h.t, err)
	return got
}

// code returns the code of a problem.
func code(body []byte) string {
	for _, name := range []string{`"code":"`, `"error":"`} {
		if _, rest, found := strings.Cut(string(body), name); found {
			word, _, _ := strings.Cut(rest, `"`)
			return word
		}
	}
	return fmt.Sprintf("no code in %q", body)
}

// withoutIfMatch takes the header away that the generated client always sends.
func withoutIfMatch(_ context.Context, r *http.Request) error {
	r.Header.Del("If-Match")
	return nil
}
