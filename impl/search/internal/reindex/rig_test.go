package reindex_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// testWait is much longer than any wait in a passing test.
const testWait = 2 * time.Minute

var (
	yes    = true
	before = reindex.Schema{Fields: []engine.Field{{Name: "text", Type: "string"}, {Name: "number", Type: "int64"}}}
	after  = reindex.Schema{Fields: []engine.Field{{Name: "text", Type: "string", Facet: &yes}, {Name: "number", Type: "int64"}}}
	plays  = owner.Name{Local: "plays"}
	change = audit.Event{Action: "startReindex", ActorKind: audit.System, Target: "plays", Outcome: audit.OK}
)

// inGoroutine is the test for a goroutine of its own: a failure ends only that goroutine.
type inGoroutine struct{ testing.TB }

// FailNow implements require.TestingT.
func (t inGoroutine) FailNow() {
	t.Fail()
	runtime.Goexit()
}

type noKeys struct{}

func (noKeys) Refresh(context.Context) error { return nil }

// localEngine returns an embedded engine in a directory.
func localEngine(t require.TestingT, dir string) (*engine.Engine, func()) {
	local, err := embedded.Open(embedded.Config{Dir: filepath.Join(dir, "engine"), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, local.WaitReady(context.Background()))
	client, err := tsclient.New("http://embedded", tsclient.InProcess(api.New(local, api.Options{Key: func(string) bool { return true }})), func() string { return "k" }, tsclient.Deadlines{})
	require.NoError(t, err)
	return engine.New(client, noKeys{}), func() { require.NoError(t, local.Close()) }
}

// rig is one process of the service without its HTTP server.
type rig struct {
	db      *store.DB
	rows    *searchstore.Store
	engine  *engine.Engine
	replica *reindex.Replica
	worker  *reindex.Worker
	writer  *reindex.Writer
	schemas *reindex.Schemas
}

func newRig(t require.TestingT, db *store.DB, e *engine.Engine) *rig {
	audittest.Open(t, db)
	r := &rig{db: db, engine: e, rows: searchstore.New(db, nil, clock.System)}
	r.replica = reindex.NewReplica(r.rows, clock.System)
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("FOUNTAIN_TEST_VERBOSE") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	r.worker = reindex.NewWorker(e, r.rows, r.replica, log, func() {})
	r.writer = reindex.NewWriter(e, r.rows, r.replica)
	r.schemas = &reindex.Schemas{Engine: e, Rows: r.rows, Wake: r.worker.Wake}
	_, err := r.replica.Beat(context.Background())
	require.NoError(t, err)
	return r
}

// run works until the returned function is called.
func (r *rig) run(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = r.worker.Run(ctx) })
	group.Go(func() { _ = r.replica.Run(ctx, func(err error) { t.Errorf("tell of writes: %v", err) }) })
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); group.Wait() }) }
	t.Cleanup(stop)
	return stop
}

func (r *rig) put(ctx context.Context, c *owner.Collection, item engine.Item) error {
	_, err := r.writer.Put(ctx, c, item)
	return err
}

// make creates the collection, with n documents numbered from 0.
func (r *rig) make(t *testing.T, n int) {
	t.Helper()
	r.makeAs(t, n, &owner.Collection{Name: plays, Owner: owner.Administrators})
}

func (r *rig) makeAs(t *testing.T, n int, c *owner.Collection) {
	t.Helper()
	ctx := t.Context()
	text, err := before.Text()
	require.NoError(t, err)
	c.Desired = text
	_, err = r.rows.Claim(ctx, c)
	require.NoError(t, err)
	_, err = r.engine.Create(ctx, before.Collection("plays", false))
	require.NoError(t, err)
	_, err = r.rows.Finish(ctx, c, nil, idempotency.Answer{}, audit.Event{Action: "createCollection", ActorKind: audit.System, Target: "plays", Outcome: audit.OK})
	require.NoError(t, err)
	for from := 0; from < n; from += 5000 {
		var items []engine.Item
		for i := from; i < min(n, from+5000); i++ {
			items = append(items, engine.Item{ID: "d" + strconv.Itoa(i), Document: document(0)})
		}
		outcomes, err := r.writer.Sync(ctx, r.collection(t), items)
		require.NoError(t, err)
		for _, o := range outcomes {
			require.NoError(t, o)
		}
	}
}

func document(number int) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"text":"word %d","number":%d}`, number, number))
}

func (r *rig) collection(t require.TestingT) *owner.Collection {
	c, err := r.rows.CollectionNow(context.Background(), plays)
	require.NoError(t, err)
	require.NotNil(t, c)
	return c
}

// start starts a reindex to the schema after.
func (r *rig) start(t *testing.T, keep time.Duration) *reindex.Reindex {
	t.Helper()
	c := r.collection(t)
	plan, err := r.schemas.Plan(t.Context(), c, after)
	require.NoError(t, err)
	require.False(t, reindex.Alterable(plan.Changes))
	begun, err := r.schemas.Reindex(t.Context(), c, plan, keep, change)
	require.NoError(t, err)
	return begun
}

// await waits until a reindex is in a state.
func (r *rig) await(t *testing.T, id string, state reindex.State) *reindex.Reindex {
	t.Helper()
	var now *reindex.Reindex
	eventually(t, func() bool {
		var err error
		now, err = r.rows.Reindex(t.Context(), r.collection(t), id)
		require.NoError(t, err)
		if now.State != state && (now.State == reindex.Failed || now.State == reindex.Aborted) {
			require.FailNow(t, "the reindex has ended", "%+v", now)
		}
		return now.State == state
	})
	return now
}

// eventually waits for a condition. It checks the condition in the test's own goroutine, so that the condition may end the test.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(testWait); !holds(); time.Sleep(10 * time.Millisecond) {
		require.Less(t, time.Now(), end, "what is waited for does not come")
	}
}

// number reads a document's number through the collection that readers use. It returns -1 if there is no document.
func (r *rig) number(t require.TestingT, id string) int {
	ctx := context.Background()
	c, err := r.rows.Collection(ctx, []owner.Name{plays}, func(*owner.Collection) bool { return true })
	require.NoError(t, err)
	docs, err := r.engine.Documents(ctx, c.Engine(), []string{id})
	require.NoError(t, err)
	text, there := docs[id]
	if !there {
		return -1
	}
	var doc struct{ Number int }
	require.NoError(t, json.Unmarshal(text, &doc))
	return doc.Number
}

// load writes its own documents without a pause. Each document gets the numbers 1, 2, 3 and so on; every seventh write deletes it.
type load struct {
	prefix string
	each   int // documents
	acked  func(id string, number int)
	tried  func(id string, number int)
}

func (l load) run(ctx context.Context, t require.TestingT, w *rig, c *owner.Collection) {
	for n := 1; ctx.Err() == nil; n++ {
		for i := range l.each {
			id, number := l.prefix+strconv.Itoa(i), n
			if (n+i)%7 == 0 {
				number = -1
			}
			l.tried(id, number)
			if ctx.Err() != nil {
				return
			}
			var err error
			switch {
			case number < 0:
				if err = w.writer.Remove(context.Background(), c, engine.Item{ID: id}); errors.Is(err, problem.NotFound) {
					err = nil
				}
			case n%3 == 0:
				var outcomes []engine.Outcome
				if outcomes, err = w.writer.Sync(context.Background(), c, []engine.Item{{ID: id, Document: document(number)}}); err == nil {
					err = outcomes[0]
				}
			default:
				err = w.put(context.Background(), c, engine.Item{ID: id, Document: document(number)})
			}
			require.NoError(t, err)
			l.acked(id, number)
		}
	}
}

func itemOf(id string, number int) engine.Item {
	return engine.Item{ID: id, Document: document(number)}
}
