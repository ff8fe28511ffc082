package kms_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// fails runs a kms that must not start and returns its error.
func fails(t *testing.T, c kms.Config) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	c.Listener, c.DrainDelay = listener, time.Nanosecond
	c.OnReady = func() { t.Error("it became ready") }
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = kms.Run(ctx, c)
	require.NoError(t, ctx.Err(), "it must say so itself")
	require.Error(t, err)
	return err
}

func content(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(raw)
}

// K9: with a wrong root key the kms does not start and changes nothing.
func TestRun_wrongRootKeyTouchesNothing(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		require.Equal(t, http.StatusCreated, h.put("app.db", "kept", raised, nil).StatusCode())
		require.NoError(t, h.stop())
		keyFile := filepath.Join(h.dir, "root.key")
		right := content(t, keyFile)
		count := func() (n int64) {
			db := h.database()
			defer db.Close()
			require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, `SELECT (SELECT COUNT(*) FROM keysets) + (SELECT COUNT(*) FROM signing_keys)
				+ (SELECT COUNT(*) FROM settings) + (SELECT COUNT(*) FROM enrolment_tokens) + (SELECT COUNT(*) FROM audit_events)`))
			return n
		}
		before := count()
		require.NoError(t, os.Remove(keyFile))
		keygen(t, keyFile)
		require.ErrorContains(t, fails(t, h.config), "not the root key")
		require.NoError(t, os.Remove(keyFile))
		require.ErrorContains(t, fails(t, h.config), "does not exist")
		require.NoFileExists(t, keyFile, "a database with content never gets a new root key")
		require.Equal(t, before, count())
		require.NoError(t, os.WriteFile(keyFile, []byte(right), 0o600))
		h.run()
		raised = h.again()
		require.Equal(t, "kept", h.get("app.db", raised).JSON200.Value)
	})
}

// again raises the administrator of an existing house with a prover of its own.
func (h *house) again() string {
	h.t.Helper()
	h.offline(func(db *store.DB) { // as if twofactor's key had never been used
		require.NoError(h.t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM api_keys WHERE owner_id IN (SELECT id FROM services WHERE name = 'twofactor')")
			return err
		}))
	})
	return h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
}

func TestRun_rootKeyIsMadeOnlyForAnEmptySQLite(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		cfg := databaseOf(t, c)
		if c.URL == "" {
			h := start(t, cfg)
			info, err := os.Stat(filepath.Join(h.dir, "root.key"))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode())
			return
		}
		require.NoError(t, os.Remove(cfg.RootKeyFile))
		require.ErrorContains(t, fails(t, cfg), "does not exist")
		require.NoFileExists(t, cfg.RootKeyFile)
	})
}

func TestRun_refusesARootKeyThatOthersRead(t *testing.T) {
	c := databaseOfSQLite(t)
	open, err := os.MkdirTemp("", "open-") // the parent of t.TempDir is not accessible to others, which would be sufficient already
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(open)) })
	require.NoError(t, os.Chmod(open, 0o755))
	c.RootKeyFile = filepath.Join(open, "root.key")
	keygen(t, c.RootKeyFile)
	require.NoError(t, os.Chmod(c.RootKeyFile, 0o644))
	require.ErrorContains(t, fails(t, c), "root key")
}

func TestRun_issuerIsFixedAtTheFirstStart(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		require.NoError(t, h.stop())
		other := h.config
		other.Issuer = "https://other.example"
		err := fails(t, other)
		require.ErrorContains(t, err, issuer)
		require.ErrorContains(t, err, "https://other.example")
		other.Issuer = ""
		h.config = other
		h.run() // it remembers
		got, err := h.client.GetServerMetadataWithResponse(t.Context())
		require.NoError(t, err)
		require.Equal(t, issuer, got.JSON200.Issuer)
		require.Equal(t, issuer+"/kms/v1/oauth2/token", got.JSON200.TokenEndpoint)
	})
}

func TestRun_demandsAnIssuerAtTheFirstStart(t *testing.T) {
	c := databaseOfSQLite(t)
	c.Issuer = ""
	require.ErrorContains(t, fails(t, c), "ISSUER")
}

func TestConfig_namesEveryFaultAtOnce(t *testing.T) {
	err := (&kms.Config{Service: config.Service{Issuer: "ftp://x", Addr: "nowhere"}, PublicURL: "https://u:p@host", SigningKeySetAge: 29 * time.Second}).Validate()
	for _, want := range []string{"DATA_DIR", "ISSUER", "PUBLIC_URL", "ADDR", "SIGNING_KEY_SET_AGE"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "u:p")
}

// A restored backup makes nothing valid again that was created before the restore mark.
func TestRestoreMark_endsAllThatIsOlder(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		tokens := h.login(adminName, adminPassword)
		key := h.ownKey(admin.ID, raised, "elements:read")
		enrolment := h.enrolToken("search")
		reports := h.register("reports", raised, "elements:read")
		twofactor := h.token(h.enrol("sequence"), "kms")
		_ = twofactor
		h.clock.Advance(time.Second)
		h.offline(func(db *store.DB) {
			require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				return kmsdb.Settings{}.MarkRestored(ctx, tx, h.clock.Now())
			}))
		})
		require.Equal(t, "session_ended", code(h.refresh(*tokens.RefreshToken).Body))
		require.EqualValues(t, "REVOKED", h.verify(key.Key, tokens.AccessToken).Code)
		require.Equal(t, "invalid_client", code(h.ask(key.APIKey.ID, key.Key, "sequence").Body))
		require.Equal(t, "invalid_token", code(h.rotate(key.APIKey.ID, tokens.AccessToken, 60).Body), "its session is over")
		again := h.login(adminName, adminPassword).AccessToken
		shown, err := h.client.GetAPIKeyWithResponse(t.Context(), key.APIKey.ID, nil, bearer(again))
		require.NoError(t, err)
		require.EqualValues(t, "revoked", shown.JSON200.Status)
		require.Equal(t, "state_conflict", code(h.rotate(key.APIKey.ID, again, 60).Body))
		require.Equal(t, http.StatusUnauthorized, h.tryEnrol(enrolment).StatusCode())
		require.Equal(t, http.StatusUnauthorized, h.tryEnrol(reports.Enrolment.Token).StatusCode())
		for _, service := range []string{"twofactor", "search", "sequence"} { // each gets a new one
			require.NotEmpty(t, h.token(h.enrol(service), "kms"))
		}
		require.NoFileExists(t, filepath.Join(h.dir, "bootstrap.token"), "bootstrap stays closed")
		got, err := h.client.BootstrapAdminWithResponse(t.Context(), api.AdminBootstrap{Token: "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", Username: "eve", Password: adminPassword})
		require.NoError(t, err)
		require.Equal(t, "bootstrap_closed", code(got.Body))
		h.login(adminName, adminPassword)
	})
}

func TestRestoreMark_endsBootstrapTokensAndProofKeys(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	token := h.bootstrapToken()
	mark := func(db *store.DB) {
		require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			return kmsdb.Settings{}.MarkRestored(ctx, tx, h.clock.Now())
		}))
	}
	h.clock.Advance(time.Second)
	h.offline(mark)
	got, err := h.client.BootstrapAdminWithResponse(t.Context(), api.AdminBootstrap{Token: token, Username: adminName, Password: adminPassword})
	require.NoError(t, err)
	require.Equal(t, "invalid_bootstrap_token", code(got.Body))
	h.bootstrap()
	p := h.prover()
	h.clock.Advance(time.Second)
	h.offline(mark)
	access := h.login(adminName, adminPassword).AccessToken
	require.Equal(t, "invalid_proof", code(p.trade(access, p.sign(p.claimsFor(access)), "kms").Body))
}

func TestRun_answersHealthAndNotReadyWhileTheDatabaseIsAway(t *testing.T) {
	address := servicetest.FreeAddress(t)
	c := databaseOf(t, store.Config{URL: "postgres://fountain@" + address + "/kms?sslmode=disable"})
	c.DrainDelay = time.Nanosecond
	running := servicetest.Start(t, &c.Service, func(ctx context.Context) error { return kms.Run(ctx, c) })
	client, err := api.NewClientWithResponses(running.URL+"/kms/v1", api.WithHTTPClient(servicetest.Client(t, "kms")))
	require.NoError(t, err)
	health, err := client.GetKmsHealthWithResponse(t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, health.StatusCode())
	ready, err := client.GetKmsReadinessWithResponse(t.Context())
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, ready.StatusCode())
	login, err := client.LoginUserWithResponse(t.Context(), nil, api.Login{Username: adminName, Password: adminPassword})
	require.NoError(t, err)
	require.Equal(t, "not_ready", code(login.Body))
	require.NotEmpty(t, login.HTTPResponse.Header.Get("Retry-After"))
	running.Stop(t)
}
