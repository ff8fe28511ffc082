package job_test

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
)

// testWait is much longer than any wait in a passing test.
const testWait = 2 * time.Minute

var (
	plays  = owner.Name{Local: "plays"}
	change = audit.Event{Action: "cancelJob", ActorKind: audit.System, Target: "plays", Outcome: audit.OK}
)

// shelf receives the documents. Several workers may share it.
type shelf struct {
	mu     sync.Mutex
	writes []string          // the ids in the order in which they were written
	docs   map[string]string // by id
	fail   func(engine.Item) error
	broken error
	before func() // of a write
}

func newShelf() *shelf { return &shelf{docs: map[string]string{}} }

// Sync implements job.Writer.
func (s *shelf) Sync(_ context.Context, _ *owner.Collection, items []engine.Item) ([]engine.Outcome, error) {
	if s.before != nil {
		s.before()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	outcomes := make([]engine.Outcome, len(items))
	for i, item := range items {
		if s.fail != nil {
			if outcomes[i] = s.fail(item); outcomes[i] != nil {
				continue
			}
		}
		s.writes = append(s.writes, item.ID)
		s.docs[item.ID] = string(item.Document)
	}
	return outcomes, nil
}

func (s *shelf) breakWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = err
}

// makeCollection creates the collection of the tests.
func makeCollection(t require.TestingT, rows *searchstore.Store) *owner.Collection {
	return makeCollectionOf(t, rows, owner.Administrators)
}

func makeCollectionOf(t require.TestingT, rows *searchstore.Store, whose string) *owner.Collection {
	ctx := context.Background()
	c := &owner.Collection{Name: plays, Owner: whose}
	_, err := rows.Claim(ctx, c)
	require.NoError(t, err)
	_, err = rows.Finish(ctx, c, nil, idempotency.Answer{}, audit.Event{Action: "createCollection", ActorKind: audit.System, Target: "plays", Outcome: audit.OK})
	require.NoError(t, err)
	c, err = rows.CollectionNow(ctx, plays)
	require.NoError(t, err)
	return c
}

func newRows(t require.TestingT, db *store.DB, c clock.Clock) *searchstore.Store {
	audittest.Open(t, db)
	return searchstore.New(db, nil, c)
}

func newWorker(rows *searchstore.Store, w job.Writer) *job.Worker {
	return job.NewWorker(rows, w, slog.New(slog.DiscardHandler), func() {})
}

// admin and press send jobs. press is not an administrator and needs a grant.
var (
	admin = job.SentBy(&auth.Principal{Kind: auth.KindUser, Subject: "usr_1", Roles: []string{"editor", "admin"}})
	press = job.SentBy(&auth.Principal{Kind: auth.KindService, Subject: "svc_1"})
)

// send accepts a job of n items whose documents contain text. The IDs are d0, d1, ...
func send(t require.TestingT, rows *searchstore.Store, c *owner.Collection, n int, text string) *job.Job {
	return sendAs(t, rows, c, admin, n, text)
}

func sendAs(t require.TestingT, rows *searchstore.Store, c *owner.Collection, who job.Sender, n int, text string) *job.Job {
	ctx := context.Background()
	s, err := job.NewSpool(ctx, rows, &job.Job{Name: c.Name, Claimed: c.Claimed, Sender: who, Whose: "tenant:red", Reach: job.Every})
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, s.Add(ctx, engine.Item{ID: "d" + strconv.Itoa(i), Document: []byte(fmt.Sprintf(`{"text":%q}`, text))}))
	}
	require.NoError(t, s.Accept(ctx))
	return s.Job
}

func read(t require.TestingT, rows *searchstore.Store, c *owner.Collection, id string) *job.Job {
	j, err := rows.Job(context.Background(), c, job.Every, id)
	require.NoError(t, err)
	return j
}

// count counts the rows of a table.
func count(t *testing.T, db *store.DB, table string) (n int) {
	t.Helper()
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM "+table))
	return n
}

// eventually waits for a condition.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(testWait); !holds(); time.Sleep(10 * time.Millisecond) {
		require.Less(t, time.Now(), end, "what is waited for does not come")
	}
}

var errAway = problem.New(problem.EngineUnavailable, "The search engine can't be used.")
