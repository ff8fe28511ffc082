package family_test

import (
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/impl/search"
	"github.com/fountainai/fountain/impl/sequence"
	"github.com/fountainai/fountain/impl/twofactor"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// recordings has the data of earlier releases. tests/upgrade describes how they were made, and opens those on SQLite.
const recordings = "../../tests/upgrade/testdata"

// recorded has the facts about a recording that the test checks.
type recorded struct {
	RecordedAt                                          time.Time
	AdminPassword, EditorPassword                       string
	LiveKey, RotatedKey, NewKey, RevokedKey, ServiceKey string
	RefreshToken                                        string
	Numbers                                             int
}

// restore loads a release's dump of a service into a fresh database, and returns the settings to connect to it.
func restore(t *testing.T, release, word, address string) (config.Service, *sql.DB) {
	t.Helper()
	file, err := os.Open(filepath.Join(recordings, release, word+".sql.gz"))
	require.NoError(t, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	dump, err := io.ReadAll(unzipped)
	require.NoError(t, err)
	var statements strings.Builder
	for line := range strings.Lines(string(dump)) {
		if !strings.HasPrefix(line, `\`) { // a command of psql
			statements.WriteString(line)
		}
	}
	db, err := sql.Open("pgx", address)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	_, err = db.Exec(statements.String())
	require.NoError(t, err)
	dir := t.TempDir()
	url := filepath.Join(dir, "url")
	require.NoError(t, os.WriteFile(url, []byte(address), 0o600))
	return config.Service{
		DataDir: filepath.Join(dir, "data"), DatabaseURLFile: url, Issuer: "http://fountain.test", KMSURL: "http://127.0.0.1:1", JWKSURL: "http://127.0.0.1:1/jwks",
		EnrolTokenFile: filepath.Join(dir, "token"),
	}, db
}

// onPostgres runs f with a release's database of a service.
func onPostgres(t *testing.T, word string, f func(t *testing.T, s config.Service, db *sql.DB)) {
	t.Run(word, func(t *testing.T) {
		storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
			if c.URL != "" { // SQLite is in tests/upgrade
				s, db := restore(t, "v0.1", word, c.URL)
				f(t, s, db)
			}
		})
	})
}

func TestUpgrade_postgresOfVersion01GoesOnWorking(t *testing.T) {
	var m recorded
	raw, err := os.ReadFile(filepath.Join(recordings, "v0.1", "postgres.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &m))
	counts := func(migrate func(context.Context, config.Service) error, query string, want int) func(*testing.T, config.Service, *sql.DB) {
		return func(t *testing.T, s config.Service, db *sql.DB) {
			require.NoError(t, migrate(t.Context(), s))
			var n int
			require.NoError(t, db.QueryRow(query).Scan(&n))
			require.Equal(t, want, n)
		}
	}
	onPostgres(t, "twofactor", counts(func(ctx context.Context, s config.Service) error {
		return twofactor.Migrate(ctx, twofactor.Config{Service: s})
	},
		"SELECT COUNT(*) FROM public.factors WHERE status = 'active'", 1))
	onPostgres(t, "search", counts(func(ctx context.Context, s config.Service) error {
		return search.Migrate(ctx, search.Config{Service: s})
	},
		"SELECT COUNT(*) FROM public.data_keys", 1))
	onPostgres(t, "sequence", counts(func(ctx context.Context, s config.Service) error {
		return sequence.Migrate(ctx, sequence.Config{Service: s, SearchURL: "http://127.0.0.1:1"})
	}, "SELECT COUNT(*) FROM public.elements", m.Numbers))
	onPostgres(t, "kms", func(t *testing.T, s config.Service, _ *sql.DB) {
		key, err := os.ReadFile(filepath.Join(recordings, "v0.1", "postgres-root.key"))
		require.NoError(t, err)
		root := filepath.Join(t.TempDir(), "root.key")
		require.NoError(t, os.WriteFile(root, key, 0o600))
		s.Clock, s.DrainDelay = clock.NewFake(m.RecordedAt.Add(time.Hour)), time.Nanosecond
		running := servicetest.Start(t, &s, func(ctx context.Context) error {
			return kms.Run(ctx, kms.Config{Service: s, RootKeyFile: root, EnrolDir: filepath.Join(s.DataDir, "enrol")})
		})
		running.WaitReady(t)
		c, err := api.NewClientWithResponses(running.URL + "/kms/v1")
		require.NoError(t, err)
		holdsTo(t, c, m)
	})
}

// holdsTo requires of a kms what was recorded of it.
func holdsTo(t *testing.T, c *api.ClientWithResponses, m recorded) {
	t.Helper()
	login := func(username, password string) *api.LoginUserResult {
		got, err := c.LoginUserWithResponse(t.Context(), nil, api.Login{Username: username, Password: password})
		require.NoError(t, err)
		return got
	}
	admin := login("ada", m.AdminPassword)
	require.Equal(t, http.StatusOK, admin.StatusCode(), string(admin.Body))
	require.Equal(t, http.StatusOK, login("grace", m.EditorPassword).StatusCode())
	require.Equal(t, http.StatusUnauthorized, login("edsger", m.EditorPassword).StatusCode(), "a disabled user stays out")
	refreshed, err := c.RefreshTokenWithResponse(t.Context(), api.Refresh{RefreshToken: m.RefreshToken})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, refreshed.StatusCode(), "a session goes on")
	for key, want := range map[string]api.APIKeyVerdictCode{m.LiveKey: "VALID", m.RotatedKey: "VALID", m.NewKey: "VALID", m.ServiceKey: "VALID", m.RevokedKey: "REVOKED"} {
		got, err := c.VerifyAPIKeyWithResponse(t.Context(), api.APIKeyVerify{Key: key}, func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+admin.JSON200.AccessToken)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, want, got.JSON200.Code)
	}
}
