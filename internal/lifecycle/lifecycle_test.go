package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

func settings(t *testing.T) (config.Service, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	c := config.Service{
		Addr: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "data"), DrainDelay: time.Nanosecond,
		Log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	c.Complete("search")
	require.NoError(t, c.Validate())
	return c, log
}

func newService(t *testing.T, c config.Service) *Service {
	t.Helper()
	s, err := New("search", c)
	require.NoError(t, err)
	return s
}

var schema = Schema{Migrations: []fs.FS{fstest.MapFS{
	"00100_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (id BIGINT PRIMARY KEY);\n")},
}}}

func TestReady_givesTheFirstReason(t *testing.T) {
	c, log := settings(t)
	told := 0
	c.OnReady = func() { told++ }
	s := newService(t, c)
	var lost error
	s.Require(func() error { return lost })
	require.EqualError(t, s.Ready(t.Context()), "it is starting")
	require.NoError(t, s.Await(t.Context(), "the moon", func(context.Context) error {
		require.EqualError(t, s.Ready(t.Context()), "it waits for the moon")
		lost = errors.New("it has no credential")
		require.EqualError(t, s.Ready(t.Context()), "it has no credential", "what must hold all the time comes first")
		lost = nil
		return nil
	}))
	require.Error(t, s.Ready(t.Context()), "only Started ends the start")
	s.Started(t.Context(), "engine", "embedded")
	require.NoError(t, s.Ready(t.Context()))
	require.Equal(t, 1, told)
	require.Contains(t, log.String(), `"msg":"service is ready","engine":"embedded"`)
	lost = errors.New("it lost its credential")
	require.EqualError(t, s.Ready(t.Context()), "it lost its credential")
	s.draining.Store(true)
	require.EqualError(t, s.Ready(t.Context()), "it is stopping")
}

func TestRetry_pausesLongerAndWarnsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, began, tries := &bytes.Buffer{}, time.Now(), 0
		var at []time.Duration
		err := Retry(t.Context(), slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), "the moon", func(context.Context) error {
			at = append(at, time.Since(began))
			if tries++; tries < 9 {
				return errors.New("not up yet")
			}
			return nil
		})
		require.NoError(t, err)
		ms := time.Millisecond
		require.Equal(t, []time.Duration{0, 100 * ms, 300 * ms, 700 * ms, 1500 * ms, 3100 * ms, 6300 * ms, 11300 * ms, 16300 * ms}, at)
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		require.Len(t, lines, 8)
		for i, line := range lines {
			require.Equal(t, i >= 6, strings.Contains(line, `"level":"WARN"`), line)
			require.Contains(t, line, `"for":"the moon"`)
			require.Contains(t, line, `"error":"not up yet"`)
		}
	})
}

func TestRetry_endsForGoodAndWithItsContext(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	wrong := errors.New("wrong for ever")
	tries := 0
	err := Retry(t.Context(), log, "x", func(context.Context) error { tries++; return Fatal(wrong) })
	require.Equal(t, wrong, err, "itself, unwrapped")
	require.Equal(t, 1, tries)
	ctx, cancel := context.WithCancel(t.Context())
	err = Retry(ctx, log, "x", func(context.Context) error { cancel(); return errors.New("away") })
	require.Equal(t, context.Canceled, err)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, Retry(ctx, log, "x", func(context.Context) error { return errors.New("away") }), context.DeadlineExceeded)
	})
}

func TestEvery_repeatsWhateverFails(t *testing.T) {
	c, log := settings(t)
	s := newService(t, c)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		done := 0
		require.NoError(t, s.Every(time.Minute, "sweep", func(context.Context) error { done++; return errors.New("disk full") })(ctx))
		require.Equal(t, 3, done, "at once, and after one and two minutes")
	})
	require.Equal(t, 3, strings.Count(log.String(), `"msg":"periodic work failed","work":"sweep","error":"disk full"`))
	require.EqualValues(t, 3, testutil.ToFloat64(s.failures.WithLabelValues("sweep")))
	count, err := testutil.GatherAndCount(c.Registerer.(*prometheus.Registry), "fountain_background_failures_total")
	require.NoError(t, err)
	require.Equal(t, 1, count)
}

func TestUnlessUnavailable_waitsForNothingElse(t *testing.T) {
	require.NoError(t, UnlessUnavailable(nil))
	for err, waits := range map[error]bool{store.ErrUnavailable: true, store.ErrLocked: false, store.ErrNewer: false} {
		var f fatal
		require.Equal(t, !waits, errors.As(UnlessUnavailable(err), &f), "%v", err)
	}
}

func TestDatabase_refusesOneThatIsInUse(t *testing.T) {
	c, _ := settings(t)
	s, other := newService(t, c), newService(t, c)
	db, err := s.Database(t.Context(), schema)
	require.NoError(t, err)
	_, err = other.Database(t.Context(), schema)
	require.ErrorIs(t, err, store.ErrLocked)
	require.ErrorIs(t, Migrate(t.Context(), "search", c, schema), store.ErrLocked)
	require.NoError(t, s.closeDatabase())
	require.Error(t, db.Ping(t.Context()), "it is closed")
	require.NoError(t, other.closeDatabase(), "there is none to close")
	require.NoError(t, Migrate(t.Context(), "search", c, schema))
	require.FileExists(t, filepath.Join(c.DataDir, "search.db"))
}

func TestSchema_changesTheAddressOnly(t *testing.T) {
	c, _ := settings(t)
	got, err := Schema{Migrations: schema.Migrations, Address: func(url string) string { return url + "postgres://changed" }}.Database("search", c)
	require.NoError(t, err)
	require.Equal(t, store.Config{URL: "postgres://changed", Dir: c.DataDir, Name: "search", Migrations: schema.Migrations, Log: c.Log}, got)
	c.DatabaseURLFile = filepath.Join(c.DataDir, "nothing")
	_, err = schema.Database("search", c)
	require.Error(t, err)
}

// somebody is an Identity with a token.
type somebody struct{ lost error }

func (s *somebody) Ready() error                  { return s.lost }
func (s *somebody) Run(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (s *somebody) Token(_ context.Context, audience string) (string, error) {
	return "for-" + audience, s.lost
}
func (s *somebody) Forget(string)                                         {}
func (s *somebody) DataKey(context.Context, *store.DB) (*seal.Key, error) { return nil, s.lost }

func TestBearer_sendsTheTokenOrNothing(t *testing.T) {
	who := &somebody{}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://kms.test", nil)
	require.NoError(t, err)
	require.NoError(t, Bearer(who, "kms")(t.Context(), r))
	require.Equal(t, "Bearer for-kms", r.Header.Get("Authorization"))
	who.lost = errors.New("not enrolled")
	require.ErrorIs(t, Bearer(who, "kms")(t.Context(), r), who.lost)
}

// mount answers health, and readiness as the services do.
func mount(s *Service) func(chi.Router) {
	return func(r chi.Router) {
		r.Get(s.Contract.BasePath+"/health", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "well") })
		r.Get(s.Contract.BasePath+"/ready", func(w http.ResponseWriter, r *http.Request) {
			if err := s.Ready(r.Context()); err != nil {
				problem.Write(w, r, problem.New(problem.NotReady, err.Error()))
				return
			}
			_, _ = io.WriteString(w, "ready")
		})
	}
}

func TestServe_goesFromHealthToReadyToClosed(t *testing.T) {
	c, log := settings(t)
	listener, err := httpserver.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	ready, moon := make(chan struct{}), make(chan struct{})
	c.Listener, c.OnReady = listener, func() { close(ready) }
	kms := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"feed":"f","position":0,"items":[]}`)
	}))
	t.Cleanup(kms.Close)
	c.KMSURL = kms.URL
	s := newService(t, c)
	s.Identify(&somebody{}, kms.Client())
	var db *store.DB
	var order []string
	s.Cleanup("writer", func() error { order = append(order, "writer"); return db.Ping(context.Background()) })
	s.Go("work", func(ctx context.Context) (err error) {
		if db, err = s.Database(ctx, schema); err != nil {
			return err
		}
		<-moon
		s.Started(ctx)
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(ctx, Door{Keys: auth.StaticKeys{}, Mount: mount(s)})
	}()
	status := func(path string) int {
		answer, err := http.Get("http://" + listener.Addr().String() + s.Contract.BasePath + path)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		return answer.StatusCode
	}
	require.Equal(t, 200, status("/health"))
	require.Equal(t, 503, status("/ready"))
	require.Equal(t, 503, status("/collections"))
	close(moon)
	<-ready
	require.Equal(t, 200, status("/ready"))
	require.Equal(t, 401, status("/collections"), "it is open, for those who have a token")
	cancel()
	require.NoError(t, <-ended, "an asked-for end is no error")
	require.Equal(t, []string{"writer"}, order)
	require.Error(t, db.Ping(context.Background()), "closed, and after what stands on it")
	require.EqualError(t, s.Ready(t.Context()), "it is stopping")
	require.NotContains(t, log.String(), `"level":"WARN"`)
}

func TestServe_reportsWhatEndsIt(t *testing.T) {
	c, _ := settings(t)
	s := newService(t, c)
	wrong := errors.New("wrong for ever")
	s.Go("work", func(context.Context) error { return wrong })
	require.ErrorIs(t, s.Serve(t.Context(), Door{Revocations: auth.NoRevocations{}, Keys: auth.StaticKeys{}, Mount: mount(s)}), wrong)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	c, _ = settings(t)
	c.Addr = taken.Addr().String()
	s = newService(t, c)
	s.Go("work", func(context.Context) error { t.Error("a part ran"); return nil })
	require.ErrorContains(t, s.Serve(t.Context(), Door{Revocations: auth.NoRevocations{}, Keys: auth.StaticKeys{}, Mount: mount(s)}), "listen")
}

// A failed start ends at once: no requests arrive yet, so there is nothing to drain.
func TestServe_endsAFailedStartWithoutADelay(t *testing.T) {
	c, _ := settings(t)
	c.DrainDelay = time.Hour
	s := newService(t, c)
	wrong := errors.New("wrong for ever")
	s.Go("work", func(context.Context) error { return wrong })
	ended := make(chan error, 1)
	go func() {
		ended <- s.Serve(t.Context(), Door{Revocations: auth.NoRevocations{}, Keys: auth.StaticKeys{}, Mount: mount(s)})
	}()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, wrong)
	case <-time.After(10 * time.Second):
		t.Fatal("the error of the start waits for a drain")
	}
}

func TestServe_bearsADeadline(t *testing.T) {
	c, _ := settings(t)
	s := newService(t, c)
	s.Go("work", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	require.NoError(t, s.Serve(ctx, Door{Revocations: auth.NoRevocations{}, Keys: auth.StaticKeys{}, Mount: mount(s)}))
}

func TestNew_knowsTheFamilyOnly(t *testing.T) {
	c, _ := settings(t)
	_, err := New("nobody", c)
	require.Error(t, err)
}
