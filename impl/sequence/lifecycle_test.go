package sequence

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
)

func TestValidate_namesEveryFault(t *testing.T) {
	err := (&Config{SearchURL: "ftp://x", Service: config.Service{Addr: "nonsense", KMSURL: "kms"}}).Validate()
	for _, name := range []string{"ADDR", "DATA_DIR", "ISSUER", "JWKS_URL", "KMS_URL", "SEARCH_URL"} {
		require.ErrorContains(t, err, name)
	}
	require.Error(t, Run(t.Context(), Config{}))
}

// lateIdentity is an identity whose kms becomes available later.
type lateIdentity struct {
	*family
	there atomic.Bool
	asked chan struct{} // gets a value at every vain question
}

func (l *lateIdentity) DataKey(ctx context.Context, db *database.DB) (*seal.Key, error) {
	if !l.there.Load() {
		select {
		case l.asked <- struct{}{}:
		default:
		}
		return nil, errors.New("nobody is there")
	}
	return l.family.DataKey(ctx, db)
}

func (l *lateIdentity) Ready() error {
	if !l.there.Load() {
		return errors.New("it waits for an enrolment token")
	}
	return nil
}

func TestRun_waitsForTheKmsAndSaysSo(t *testing.T) {
	f := newFamily(t)
	late := &lateIdentity{family: f, asked: make(chan struct{}, 1)}
	registry := prometheus.NewRegistry()
	cfg := f.settings(t, database.Config{})
	cfg.Registerer = registry
	i := f.launch(t, cfg, late)
	<-late.asked
	require.Equal(t, 200, i.send(t, "", http.MethodGet, "/health", nil).status)
	for path, who := range map[string]string{"/ready": "", linesPath: f.token(t, reader)} {
		r := i.send(t, who, http.MethodGet, path, nil)
		require.Equal(t, 503, r.status, path)
		code, _ := r.problem(t)
		require.Equal(t, "not_ready", code)
		require.NotEmpty(t, r.header.Get("Retry-After"))
	}
	i.notReady(t)
	late.there.Store(true)
	i.WaitReady(t)
	require.Equal(t, 200, i.send(t, "", http.MethodGet, "/ready", nil).status)
	i.create(t, linesPath, `{"data":{}}`)
	names := map[string]bool{}
	metrics, err := registry.Gather()
	require.NoError(t, err)
	for _, m := range metrics {
		names[m.GetName()] = true
	}
	for _, name := range []string{"fountain_sequence_commit_requests", "fountain_sequence_commit_waiting_requests", "fountain_sequence_search_waiting_elements",
		"fountain_sequence_search_oldest_waiting_seconds", "fountain_http_requests_total"} {
		require.True(t, names[name], name)
	}
	i.Stop(t)
}

func TestRun_endsWhenItsDatabaseIsTaken(t *testing.T) {
	f := newFamily(t)
	db := database.Config{Dir: t.TempDir()}
	f.start(t, db)
	cfg := f.settings(t, db)
	cfg.Addr = "127.0.0.1:0"
	require.ErrorIs(t, Run(t.Context(), cfg), database.ErrLocked)
	require.ErrorIs(t, Migrate(t.Context(), cfg), database.ErrLocked)
}

func TestMigrate_preparesADatabaseForRun(t *testing.T) {
	f := newFamily(t)
	db := database.Config{Dir: t.TempDir()}
	require.NoError(t, Migrate(t.Context(), f.settings(t, db)))
	require.FileExists(t, filepath.Join(db.Dir, "sequence.db"))
	i := f.start(t, db)
	i.create(t, linesPath, `{"data":{}}`)
}
