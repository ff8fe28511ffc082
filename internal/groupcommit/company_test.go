package groupcommit_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/groupcommit"
	"github.com/fountainai/fountain/internal/store"
)

// After one commit with one caller and seven queued behind it, all eight share every commit, although each returns only after its own answer.
func TestCompany_waitsForThoseWhoWereAnswered(t *testing.T) {
	db := openSQLite(t)
	g := newGate()
	var sizes []int
	c := start(t, db, groupcommit.Options{Company: time.Hour, Observe: func(n int) { sizes = append(sizes, n) }}, g.number)
	var group sync.WaitGroup
	rounds := func(name string, n int) {
		group.Go(func() {
			for range n {
				mustDo(t, c, name)
				name += "."
			}
		})
	}
	rounds("first", 4)
	<-g.entered
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		rounds(name, 3)
	}
	for c.Waiting() < 7 {
		runtime.Gosched()
	}
	close(g.release)
	group.Wait()
	c.Close() // ends the wait for an eighth
	require.Equal(t, []int{1, 8, 8, 8}, sizes)
	requireGapFree(t, db, 25)
}

// The test would hang if a single caller waited for others.
func TestCompany_isNotAwaitedByWhoIsAlone(t *testing.T) {
	db := openSQLite(t)
	var sizes []int
	c := start(t, db, groupcommit.Options{Company: time.Hour, Observe: func(n int) { sizes = append(sizes, n) }}, number)
	for i := range 5 {
		mustDo(t, c, string(rune('a'+i)))
	}
	c.Close()
	require.Equal(t, []int{1, 1, 1, 1, 1}, sizes)
}

// Most callers of a shared commit do not return. The one that does is answered all the same, and the next commit does not wait.
func TestCompany_isAwaitedForABoundedTime(t *testing.T) {
	db := openSQLite(t)
	g := newGate()
	c := start(t, db, groupcommit.Options{Company: time.Millisecond}, g.number)
	var group sync.WaitGroup
	group.Go(func() { mustDo(t, c, "first") })
	<-g.entered
	for _, name := range []string{"a", "b", "c"} {
		group.Go(func() { mustDo(t, c, name) })
	}
	for c.Waiting() < 3 {
		runtime.Gosched()
	}
	close(g.release)
	group.Wait()
	for _, name := range []string{"x", "y", "z"} {
		mustDo(t, c, name)
	}
	c.Close()
	requireGapFree(t, db, 7)
}

// A caller whose return takes longer than one interval shares the commit of those who wait already.
func TestCompany_waitsLongerForTheFirst(t *testing.T) {
	db := openSQLite(t)
	g := newGate()
	const interval = time.Second
	var sizes []int
	c := start(t, db, groupcommit.Options{Company: interval, Observe: func(n int) { sizes = append(sizes, n) }}, g.number)
	var group sync.WaitGroup
	group.Go(func() {
		mustDo(t, c, "first")
		time.Sleep(interval + interval/4)
		mustDo(t, c, "again")
	})
	<-g.entered
	for _, name := range []string{"a", "b"} {
		group.Go(func() { mustDo(t, c, name) })
	}
	for c.Waiting() < 2 {
		runtime.Gosched()
	}
	close(g.release)
	group.Wait()
	c.Close()
	require.Equal(t, []int{1, 3}, sizes)
}

// While the committer waits for company, others can write to a database with one writer, and no request is applied before: what a request reads is
// the state at its commit.
func TestCompany_holdsNothingWhileItIsAwaited(t *testing.T) {
	db := openSQLite(t)
	g := newGate()
	c := start(t, db, groupcommit.Options{Company: time.Hour}, g.number)
	answered := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		defer close(answered)
		mustDo(t, c, "first")
	})
	<-g.entered
	group.Go(func() { mustDo(t, c, "waits") })
	for c.Waiting() < 1 {
		runtime.Gosched()
	}
	close(g.release)
	<-answered
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE counter SET value = value + 10")
		return err
	}))
	mustDo(t, c, "comes")
	group.Wait()
	c.Close()
	var last int64
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &last, "SELECT MIN(n) FROM numbers WHERE name <> 'first'"))
	require.EqualValues(t, 12, last)
}
