package reindex_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/reindex"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// makeVersioned creates the collection with versions of its documents.
func (r *rig) makeVersioned(t *testing.T, n int) *owner.Collection {
	t.Helper()
	r.makeAs(t, n, &owner.Collection{Name: plays, Owner: owner.Administrators, Versioned: true})
	return r.collection(t)
}

// over returns an item that requires a version.
func over(id string, number int, version int64) engine.Item {
	item := itemOf(id, number)
	item.IfVersion = &version
	return item
}

func without(id string) engine.Item { return engine.Item{ID: id} }

// sync writes items, and returns the version or the problem code of each.
func (r *rig) sync(t require.TestingT, items ...engine.Item) []any {
	results, err := r.writer.SyncVersions(context.Background(), r.collection(t), items)
	require.NoError(t, err)
	told := make([]any, len(results))
	for i, one := range results {
		if told[i] = any(one.Version); one.Outcome != nil {
			told[i] = fmt.Sprint(problem.From(one.Outcome).Code, " ", one.Version)
		}
	}
	return told
}

func TestVersions_areOfTheDocumentsTurn(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		r := newRig(t, open(t), e)
		c := r.makeVersioned(t, 0)
		version := func(id string) int64 {
			v, err := r.rows.VersionOf(t.Context(), c, id)
			require.NoError(t, err)
			return v
		}
		require.Equal(t, []any{"version_conflict 0"}, r.sync(t, over("a", 1, 7)))
		require.Equal(t, -1, r.number(t, "a"))
		require.Zero(t, version("a"))

		first := r.sync(t, over("a", 1, 0), over("b", 1, 0), itemOf("c", 1))
		require.Len(t, first, 3)
		a := version("a")
		require.Positive(t, a)
		require.Equal(t, a, first[0])
		require.Equal(t, version("c"), first[2], "every write gives one")
		require.Equal(t, []any{fmt.Sprint("version_conflict ", a)}, r.sync(t, over("a", 2, 0)))
		require.Equal(t, 1, r.number(t, "a"))

		// In one request, an earlier item changes the version that a later one requires, and the last item wins.
		told := r.sync(t, over("a", 2, a), over("a", 3, a), itemOf("b", 2), over("b", 3, version("b")), itemOf("c", 2), itemOf("c", 3))
		now := version("a")
		require.Greater(t, now, a)
		require.Equal(t, []any{now, fmt.Sprint("version_conflict ", now), version("b"), fmt.Sprint("version_conflict ", version("b")), version("c"), version("c")}, told)
		require.Equal(t, []int{2, 2, 3}, []int{r.number(t, "a"), r.number(t, "b"), r.number(t, "c")})

		// A refusal of the engine does not change the version.
		bad := over("a", 0, now)
		bad.Document = []byte(`{"text":"no number"}`)
		require.Equal(t, []any{fmt.Sprint("validation_failed ", now)}, r.sync(t, bad))
		require.Equal(t, []any{version("a")}, []any{now})
		unmade := over("never", 0, 0)
		unmade.Document = bad.Document
		require.Equal(t, []any{"validation_failed 0"}, r.sync(t, unmade))

		// A deleted document has no version, and one that is created again gets a new one.
		gone := without("a")
		gone.IfVersion = &now
		require.Equal(t, []any{int64(0)}, r.sync(t, gone))
		require.Equal(t, -1, r.number(t, "a"))
		require.Equal(t, []any{"version_conflict 0"}, r.sync(t, over("a", 5, now)))
		again := r.sync(t, over("a", 5, 0))
		require.Greater(t, again[0], now)

		at, err := r.writer.Put(t.Context(), c, over("a", 6, again[0].(int64)))
		require.NoError(t, err)
		require.Equal(t, version("a"), at)
		_, err = r.writer.Patch(t.Context(), c, over("a", 7, again[0].(int64)))
		require.ErrorIs(t, err, problem.VersionConflict)
		require.Equal(t, 6, r.number(t, "a"))
		_, err = r.writer.Patch(t.Context(), c, itemOf("nothing", 7))
		require.ErrorIs(t, err, problem.NotFound)
		require.Zero(t, version("nothing"))

		// Rows of deleted documents expire, and all rows of a collection expire with it.
		kept := func() (n int) {
			require.NoError(t, r.rows.SweepVersions(t.Context()))
			require.NoError(t, r.db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM document_versions"))
			return n
		}
		change := func(statement string) {
			require.NoError(t, r.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { _, err := tx.Exec(ctx, statement); return err }))
		}
		require.Equal(t, 5, kept(), "a, b, c, and two that are not there")
		change("UPDATE document_versions SET settled_at = 0")
		require.Equal(t, 3, kept())
		change("DELETE FROM collections")
		require.Zero(t, kept())
	})
}

// increment adds one to a document's number, unless it has been written since it was read. It returns false on a conflict.
func (r *rig) increment(t require.TestingT, c *owner.Collection, id string) bool {
	_, version := r.incremented(t, c, id)
	return version > 0
}

// incremented is increment, but returns the number that it has written and its version. The version is 0 on a conflict.
func (r *rig) incremented(t require.TestingT, c *owner.Collection, id string) (number int, version int64) {
	version, err := r.rows.VersionOf(context.Background(), c, id) // before the document, as getDocument does
	require.NoError(t, err)
	number = r.number(t, id) + 1
	version, err = r.writer.Put(context.Background(), c, over(id, number, version))
	if errors.Is(err, problem.VersionConflict) {
		return number, 0
	}
	require.NoError(t, err)
	return number, version
}

// Of writers in two replicas that have read the same version, one wins. No increment of a counter is lost, whatever else is written.
func TestVersions_loseNoUpdateOfTwoReplicas(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		a, b := newRig(t, open(t), e), newRig(t, open(t), e)
		c := a.makeVersioned(t, 3)
		const rounds = 15
		var won, lost atomic.Int64
		var group sync.WaitGroup
		for i := range 4 {
			r := []*rig{a, b}[i%2]
			group.Go(func() {
				for n := 0; n < rounds; {
					if r.increment(inGoroutine{t}, c, "d0") {
						won.Add(1)
						n++
					} else {
						lost.Add(1)
					}
				}
			})
		}
		group.Go(func() { // others in the same requests
			for n := range rounds {
				b.sync(inGoroutine{t}, itemOf("d1", n), itemOf("d2", n))
			}
		})
		group.Wait()
		require.False(t, t.Failed())
		require.EqualValues(t, 4*rounds, won.Load())
		require.Equal(t, 4*rounds, a.number(t, "d0"))
		t.Logf("%d increments, %d conflicts", won.Load(), lost.Load())
	})
}

// torn is the storage of a process that dies between the write of a document and the record of it.
type torn struct {
	*searchstore.Store
	dead atomic.Bool
}

var errDead = errors.New("the process has died")

func (s *torn) SettleVersions(ctx context.Context, c *owner.Collection, l lease.Lease, fates map[string]reindex.Fate) error {
	if !s.dead.Load() {
		return s.Store.SettleVersions(ctx, c, l, fates)
	}
	for d := range fates {
		fates[d] = reindex.Unknown // its lease ends by itself
	}
	return errors.Join(errDead, s.Store.SettleVersions(ctx, c, l, fates))
}

// A document whose write was not recorded gets a version that nobody has seen. The same writer can repeat the write, and gets no conflict
// with its own first attempt.
func TestVersions_ofAWriteThatNobodyHasNoted(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		r := newRig(t, open(t), e)
		c := r.makeVersioned(t, 0)
		rows := &torn{Store: r.rows}
		w := reindex.NewWriter(e, rows, r.replica)
		die := func(items ...engine.Item) {
			rows.dead.Store(true)
			_, err := w.SyncVersions(t.Context(), c, items)
			require.ErrorIs(t, err, errDead)
			rows.dead.Store(false)
		}
		v := r.sync(t, itemOf("a", 1), itemOf("b", 1), itemOf("gone", 1))
		die(over("a", 2, v[0].(int64)))
		told := r.sync(t, over("a", 3, v[0].(int64)))
		now, err := r.rows.VersionOf(t.Context(), c, "a")
		require.NoError(t, err)
		require.Greater(t, now, v[0])
		require.Equal(t, []any{fmt.Sprint("version_conflict ", now)}, told)
		require.Equal(t, 2, r.number(t, "a"), "it was written")
		require.Greater(t, r.sync(t, over("a", 3, now))[0], now, "and goes on from there")

		marked := over("b", 2, v[1].(int64))
		marked.Mark = "job_1/1"
		del := without("gone")
		del.IfVersion, del.Mark = new(v[2].(int64)), "job_1/2"
		die(marked, del)
		again := r.sync(t, marked, del)
		require.Equal(t, 2, r.number(t, "b"))
		require.Equal(t, int64(0), again[1])
		require.Equal(t, again, r.sync(t, marked, del), "it was noted, and the job has not heard of it")
		other := marked
		other.Mark = "job_2/1"
		require.Equal(t, []any{fmt.Sprint("version_conflict ", again[0])}, r.sync(t, other))

		// The engine refuses the repeated write. The outcome of the first attempt remains unknown.
		v = r.sync(t, itemOf("twice", 1))
		first := over("twice", 2, v[0].(int64))
		first.Mark = "job_3/1"
		die(first)
		second := first
		second.Document = []byte(`{"text":"no number"}`)
		require.Equal(t, []any{fmt.Sprint("validation_failed ", v[0])}, r.sync(t, second))
		told = r.sync(t, over("twice", 3, v[0].(int64)))
		require.Contains(t, told[0], "version_conflict", "who has read the document before that must read again")
		require.Equal(t, 2, r.number(t, "twice"))

		die(itemOf("b", 5))
		require.Len(t, r.sync(t, itemOf("b", 6)), 1, "who asks for no version writes")
		require.Equal(t, 6, r.number(t, "b"))
	})
}

// A write that certainly did not reach the engine does not change the version.
func TestVersions_stayWhereTheEngineWasNotReached(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		local, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
		require.NoError(t, err)
		defer local.Close()
		require.NoError(t, local.WaitReady(t.Context()))
		door := httptest.NewServer(api.New(local, api.Options{Key: func(string) bool { return true }}))
		client, err := tsclient.New(door.URL, tsclient.OverHTTP(&http.Transport{DisableKeepAlives: true}), func() string { return "k" }, tsclient.Deadlines{})
		require.NoError(t, err)
		r := newRig(t, open(t), engine.New(client, noKeys{}))
		c := r.makeVersioned(t, 1)
		before, err := r.rows.VersionOf(t.Context(), c, "d0")
		require.NoError(t, err)
		door.Close()
		_, err = r.writer.SyncVersions(t.Context(), c, []engine.Item{over("d0", 1, before)})
		require.ErrorIs(t, err, problem.EngineUnavailable)
		after, err := r.rows.VersionOf(t.Context(), c, "d0")
		require.NoError(t, err)
		require.Equal(t, before, after)
		_, err = r.writer.SyncVersions(t.Context(), c, []engine.Item{over("d0", 1, before+1)})
		require.NoError(t, err, "a conflict needs no engine")
	})
}

// A deletion by filter keeps documents that were written since they matched, and deletes those that still match.
func TestVersions_deletionsByAFilterLookAgain(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		r := newRig(t, open(t), e)
		c := r.makeVersioned(t, 1200)
		meanwhile := &lookingAway{Store: r.rows, then: func() {
			r.sync(t, itemOf("d1", 5), itemOf("d2", 0), itemOf("new", 0))
		}}
		n, err := reindex.NewWriter(e, meanwhile, r.replica).DeleteWhere(t.Context(), c, "number:=0")
		require.NoError(t, err)
		require.EqualValues(t, 1200, n, "all but the one that fits no more, and the one that came")
		require.Equal(t, 5, r.number(t, "d1"))
		require.Equal(t, -1, r.number(t, "d2"))
		require.Equal(t, -1, r.number(t, "new"))
	})
}

// lookingAway runs a function before the first claim.
type lookingAway struct {
	*searchstore.Store
	once sync.Once
	then func()
}

func (s *lookingAway) ClaimVersions(ctx context.Context, c *owner.Collection, l lease.Lease, documents map[string]string, decide reindex.Decide) (map[string]int64, error) {
	s.once.Do(s.then)
	return s.Store.ClaimVersions(ctx, c, l, documents, decide)
}

const versionsVariable = "FOUNTAIN_SEARCH_TEST_VERSIONS"

// dieCounting increments counters with two writers each, and prints each acknowledged increment with its version. It is killed at some
// time.
func dieCounting(dir string) {
	var t audittest.Process
	ctx := context.Background()
	db, err := store.Open(ctx, databaseIn(dir))
	require.NoError(t, err)
	e, _ := localEngine(t, dir)
	r := newRig(t, db, e)
	require.NoError(t, r.rows.Alone(ctx))
	_, err = r.replica.Beat(ctx)
	require.NoError(t, err)
	c := r.collection(t)
	var told sync.Mutex
	for i := range 3 * writersEach {
		go func() {
			for {
				id := fmt.Sprintf("d%d", i/writersEach)
				number, version := r.incremented(t, c, id)
				told.Lock()
				fmt.Printf("%s %d %d.\n", id, number, version)
				told.Unlock()
			}
		}()
	}
	select {}
}

// kills returns how often the process is killed: 100 times with FOUNTAIN_PROVE.
func kills() int {
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		return 100
	}
	return 4
}

// answered holds what was acknowledged: the number of increments of each counter, and the document and number of each version.
type answered struct {
	counted map[string]int
	given   map[int64]string
	wrote   map[string]bool // the same documents and numbers
}

// writersEach is the number of writers per counter. Up to that many increments may be written but not acknowledged at a kill.
const writersEach = 2

// note records an acknowledgement. No version may occur twice, and no number of a counter: if two increments were acknowledged with the
// same number, one was lost.
func (a *answered) note(t *testing.T, id string, number int, version int64) {
	t.Helper()
	of := fmt.Sprint(id, " ", number)
	require.Empty(t, a.given[version], "a version was given twice")
	require.False(t, a.wrote[of], "an increment was lost")
	a.given[version], a.wrote[of] = of, true
	a.counted[id]++
}

// hold compares the engine and the versions with what was acknowledged. It returns how many increments of a document were written but not
// acknowledged.
func (a *answered) hold(t *testing.T, r *rig, c *owner.Collection, id string) (unanswered int) {
	t.Helper()
	is := r.number(t, id)
	require.GreaterOrEqual(t, is, a.counted[id], "an answered increment is lost")
	require.LessOrEqual(t, is, a.counted[id]+writersEach)
	version, err := r.rows.VersionOf(t.Context(), c, id)
	require.NoError(t, err)
	if of, known := a.given[version]; known && is == a.counted[id] {
		require.Equal(t, fmt.Sprint(id, " ", is), of, "the version is of another number than the engine has")
	}
	unanswered = is - a.counted[id]
	a.counted[id] = is
	for try := 0; ; try++ {
		require.Less(t, try, 2, "one look is enough to go on")
		if number, version := r.incremented(t, c, id); version > 0 {
			require.Equal(t, is+1, number)
			a.note(t, id, number, version)
			break
		}
	}
	require.Equal(t, is+1, r.number(t, id))
	version, err = r.rows.VersionOf(t.Context(), c, id)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprint(id, " ", is+1), a.given[version])
	return unanswered
}

// countUntilKilled runs dieCounting until it has printed that many lines, and kills it.
func (a *answered) countUntilKilled(t *testing.T, dir string, told int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), versionsVariable+"="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines, n := bufio.NewScanner(out), 0
	for lines.Scan() {
		var id string
		var number int
		var version int64
		if got, _ := fmt.Sscanf(lines.Text(), "%s %d %d.", &id, &number, &version); got != 3 || !strings.HasSuffix(lines.Text(), ".") {
			continue // cut
		}
		if version > 0 {
			a.note(t, id, number, version)
		}
		if n++; n == told {
			require.NoError(t, child.Process.Signal(syscall.SIGKILL))
		}
	}
	require.GreaterOrEqual(t, n, told)
	_ = child.Wait()
}

// A process is killed while its writers increment counters. Each acknowledged increment is there, and no others except those under way. No
// version was given twice, the engine has the document that belongs to each version, and the next process continues from what it reads.
func TestVersions_goOnAfterAKill(t *testing.T) {
	dir := t.TempDir()
	open := func() (*rig, func()) {
		db, err := store.Open(t.Context(), databaseIn(dir))
		require.NoError(t, err)
		e, closeEngine := localEngine(t, dir)
		r := newRig(t, db, e)
		require.NoError(t, r.rows.Alone(t.Context()))
		return r, func() { closeEngine(); require.NoError(t, db.Close()) }
	}
	r, done := open()
	r.makeVersioned(t, 3)
	done()
	all, unanswered := &answered{counted: map[string]int{}, given: map[int64]string{}, wrote: map[string]bool{}}, 0
	for k := range kills() {
		all.countUntilKilled(t, dir, 20+k%7)
		r, done := open()
		c := r.collection(t)
		for i := range 3 {
			unanswered += all.hold(t, r, c, fmt.Sprintf("d%d", i))
		}
		done()
	}
	t.Logf("%d kills, %d versions given and told, %d increments written and not answered", kills(), len(all.given), unanswered)
}

// A write that has lost its lease to another writer is not reported as done.
func TestVersions_aLateWriterIsTold(t *testing.T) {
	storetest.Each(t, searchstore.Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		e, closeEngine := localEngine(t, t.TempDir())
		defer closeEngine()
		r := newRig(t, open(t), e)
		c := r.makeVersioned(t, 1)
		claim := func(name string, last time.Duration) error {
			_, err := r.rows.ClaimVersions(t.Context(), c, lease.Lease{Name: name, Last: last}, map[string]string{"d0": ""}, func(map[string]reindex.Standing) []string { return []string{"d0"} })
			return err
		}
		settle := func(name string) error {
			return r.rows.SettleVersions(t.Context(), c, lease.Lease{Name: name}, map[string]reindex.Fate{"d0": reindex.Written})
		}
		require.NoError(t, claim("early", time.Minute))
		require.ErrorIs(t, claim("other", time.Minute), reindex.ErrWriting)
		require.NoError(t, settle("early"))
		require.NoError(t, claim("early", -time.Second))
		require.NoError(t, claim("late", time.Minute))
		require.ErrorIs(t, settle("early"), lease.ErrLost)
		require.NoError(t, settle("late"))
	})
}
