package kms_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
	"github.com/fountainai/fountain/internal/telemetry"
)

const (
	issuer        = "http://127.0.0.1:8002"
	adminName     = "ada"
	adminPassword = "correct horse battery staple"
)

// house is a running kms with its environment.
type house struct {
	t      *testing.T
	config kms.Config
	clock  *clock.Fake
	client *api.ClientWithResponses
	http   *http.Client
	url    string
	dir    string
	log    *servicetest.Log
	stop   func() error
}

// each runs f against a fresh kms on every database.
func each(t *testing.T, f func(h *house)) {
	t.Helper()
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		t.Parallel() // beside the other database only: Each returns when both are done
		f(start(t, databaseOf(t, c)))
	})
}

// eachInTurn is each for tests that start processes: between fork and exec a child holds the locks of all open files.
func eachInTurn(t *testing.T, f func(h *house)) {
	t.Helper()
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) { f(start(t, databaseOf(t, c))) })
}

// databaseOf returns a configuration for the database that storetest has created.
func databaseOf(t *testing.T, c store.Config) kms.Config {
	t.Helper()
	out := kms.Config{Service: config.Service{DataDir: t.TempDir(), Issuer: issuer}}
	require.NoError(t, os.Chmod(out.DataDir, 0o700))
	if out.DatabaseURLFile = servicetest.DatabaseURLFile(t, c); out.DatabaseURLFile != "" {
		out.RootKeyFile = filepath.Join(out.DataDir, "root.key")
		keygen(t, out.RootKeyFile)
	}
	return out
}

// databaseOfSQLite returns a configuration for tests that do not depend on the database.
func databaseOfSQLite(t *testing.T) kms.Config {
	t.Helper()
	return databaseOf(t, store.Config{})
}

// start runs a kms until the test ends.
func start(t *testing.T, c kms.Config) *house {
	t.Helper()
	h := &house{t: t, config: c, clock: clock.NewFake(time.Now()), dir: c.DataDir, log: &servicetest.Log{}}
	if c.Clock != nil {
		h.clock = c.Clock.(*clock.Fake)
	}
	h.run()
	return h
}

// run starts the kms of the house, also again after a stop.
func (h *house) run() {
	h.t.Helper()
	c := h.config
	c.Clock, c.DrainDelay, c.Registerer, c.Log = h.clock, time.Nanosecond, nil, telemetry.NewLogger(h.log, slog.LevelDebug)
	running := servicetest.Start(h.t, &c.Service, func(ctx context.Context) error { return kms.Run(ctx, c) })
	running.WaitReady(h.t)
	h.stop = func() error { running.Stop(h.t); return nil }
	h.use(running.URL)
}

// use directs the house's clients to a kms.
func (h *house) use(url string) {
	h.t.Helper()
	var err error
	h.url, h.http = url, servicetest.Client(h.t, "kms")
	h.client, err = api.NewClientWithResponses(url+"/kms/v1", api.WithHTTPClient(h.http))
	require.NoError(h.t, err)
}

// bearer adds a token to a request.
func bearer(token string) api.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

// bootstrapToken reads the token file.
func (h *house) bootstrapToken() string {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.dir, "bootstrap.token"))
	require.NoError(h.t, err)
	return strings.TrimSpace(string(raw))
}

// bootstrap creates the first administrator.
func (h *house) bootstrap() *api.UserCreated {
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
	got, err := h.client.LoginUserWithResponse(h.t.Context(), nil, api.Login{Username: username, Password: password})
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200
}

// enrolToken reads the token file of a family service.
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

// token exchanges a key for a token for one service.
func (h *house) token(key *api.APIKeyWithSecret, resource string) string {
	h.t.Helper()
	got := h.ask(key.APIKey.ID, key.Key, resource)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200.AccessToken
}

func (h *house) ask(id, secret, resource string) *api.IssueTokenResult {
	h.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {secret}, "resource": {resource}}
	got, err := h.client.IssueTokenWithBodyWithResponse(h.t.Context(), "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
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

// withoutIfMatch removes the header that the generated client always sends.
func withoutIfMatch(_ context.Context, r *http.Request) error {
	r.Header.Del("If-Match")
	return nil
}
