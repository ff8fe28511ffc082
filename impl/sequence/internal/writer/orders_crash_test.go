package writer_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/searchsync"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/seal"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const (
	reorderChildVariable = "FOUNTAIN_SEQUENCE_TEST_REORDER_CHILD"
	turned               = 450 // elements of which the order changes: three steps of each kind
	orderWriters         = 4
	orderTransactions    = 12 // of one order: one that takes it, three that stage it, one that shows it, six that settle it and the last
)

// orderChild is a replica that changes the order of the first elements repeatedly: in turn a reorder of all and a move over most of them. At the same time writers append and
// revise, and a reader requires the old or the new order at every moment. It prints each order before it asks for it and when it was acknowledged, and each transaction of it.
func orderChild(where string) {
	var c database.Config
	if err := json.Unmarshal([]byte(where), &c); err != nil {
		panic(err)
	}
	c.Migrations, c.Log = migrations, slog.New(slog.DiscardHandler)
	db, err := database.Open(context.Background(), c)
	if err != nil {
		panic(err)
	}
	key, err := seal.FromDataKey(dataKey)
	if err != nil {
		panic(err)
	}
	audittest.Open(audittest.Process{}, db)
	w := writer.New(writer.Options{
		DB: db, Keys: idempotency.New(key, key, clock.System), Clock: clock.System, Log: c.Log, Registerer: prometheus.NewRegistry(),
		Enqueue: searchsync.Enqueue, Committed: func(string) {},
	})
	w.Between(func() { fmt.Println("step") })
	for n := range orderWriters {
		go writeOn(w, n)
	}
	o := &orderTeller{w: w, db: db}
	o.orders.Store(&orders{was: o.read()})
	go o.watch()
	o.turn()
}

// writeOn appends, and revises both what it has appended and elements that are moved, until the process is killed.
func writeOn(w *writer.Writer, n int) {
	for round := 0; ; round++ {
		done := patiently(w, create(lines, ""))
		if n%2 == 0 {
			patiently(w, writer.Request{Revise: &domain.Revise{
				Ref: done.Elements[0].Ref, Expected: etag.Exactly(1), Data: []byte(`{"text":"revised"}`), Actor: author,
			}})
		} else {
			patiently(w, writer.Request{Restate: &domain.Restate{
				Ref: domain.Ref{Group: lines, ID: fmt.Sprintf("line%d", rand.IntN(turned))}, Status: domain.Status([]string{"active", "omitted"}[round%2]), Actor: author,
			}})
		}
	}
}

// patiently makes a change, and repeats it when it waited too long, as can happen on a slow machine. Nothing was changed then.
func patiently(w *writer.Writer, r writer.Request) store.Done {
	for {
		done, err := w.Do(context.Background(), r)
		if err == nil {
			return done
		}
		if !errors.Is(err, database.ErrUnavailable) {
			panic(err)
		}
	}
}

// orders are the order that was acknowledged last, and the one that was asked for after it, if any.
type orders struct {
	n         int // of the look at them
	was, will []string
}

type orderTeller struct {
	w      *writer.Writer
	db     *database.DB
	orders atomic.Pointer[orders]
}

func (o *orderTeller) read() []string {
	all, err := store.New(o.db).List(context.Background(), lines, "", 0, turned)
	if err != nil {
		panic(err)
	}
	out := make([]string, len(all))
	for i, e := range all {
		out[i] = e.ID
	}
	return out
}

// watch panics when it reads an order that is neither of the two. It checks nothing when more than one change was made between its reads.
func (o *orderTeller) watch() {
	for {
		before := o.orders.Load()
		seen := o.read()
		after := o.orders.Load()
		known := [][]string{before.was, before.will, after.was, after.will}
		if after.n-before.n <= 2 && !slices.ContainsFunc(known, func(one []string) bool { return slices.Equal(one, seen) }) {
			panic("an order was read that is neither the one before nor the one after")
		}
	}
}

func (o *orderTeller) turn() {
	for n := 0; ; n++ {
		was := o.orders.Load().was
		will := slices.Clone(was)
		var r writer.Request
		if n%2 == 0 {
			rand.Shuffle(len(will), func(i, j int) { will[i], will[j] = will[j], will[i] })
			r = writer.Request{Reorder: &domain.Reorder{Group: lines, Order: will, Actor: author}}
		} else {
			r = moveFirst(was[turned-1-rand.IntN(100)], was[rand.IntN(100)])
			will = slices.DeleteFunc(will, func(id string) bool { return id == r.Move.ID })
			will = slices.Insert(will, slices.Index(will, r.Move.Before), r.Move.ID)
		}
		o.orders.Store(&orders{n: 2*n + 1, was: was, will: will})
		fmt.Println("asked", strings.Join(will, " "))
		patiently(o.w, r)
		o.orders.Store(&orders{n: 2*n + 2, was: will})
		fmt.Println("done")
	}
}

// TestDo_makesALongOrderOrNoneThroughKill kills a process in the middle of long reorders and moves, beside writers, round after round. What is read then, before anything is
// finished, is the old order or the one that was asked for, and the latter if it was acknowledged. Finishing what was left does not change it. Numbers, versions, feed and outbox are complete.
func TestDo_makesALongOrderOrNoneThroughKill(t *testing.T) {
	rounds := 3
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		rounds = 100
	}
	storetest.EachConfig(t, migrations, func(t *testing.T, c database.Config) {
		db, err := database.Open(t.Context(), c)
		require.NoError(t, err)
		ids := many(turned)
		w := newWriter(t, db, 0)
		_, err = w.Do(t.Context(), create(lines, ids...))
		require.NoError(t, err)
		w.Close()
		require.NoError(t, db.Close())
		count := map[string]int{}
		now := ids
		for round := range rounds {
			will, acknowledged := orderUntilKilled(t, c, &now, count)
			killed := time.Now()
			db, err := database.Open(t.Context(), c)
			require.NoError(t, err)
			awaitOrphans(t, db, killed)
			seen := first(t, db, turned)
			switch {
			case slices.Equal(seen, will):
				count["new"]++
				now = will
			case !acknowledged && slices.Equal(seen, now):
				count["old"]++
			default:
				t.Fatal("neither the order of before nor the one that was asked for")
			}
			left, err := store.New(db).Orders(t.Context())
			require.NoError(t, err)
			count["left to finish"] += int(left)
			requireFinished(t, db, now)
			require.NoError(t, db.Close())
			if (round+1)%10 == 0 || round+1 == rounds {
				t.Logf("%d rounds: %v", round+1, count)
			}
		}
	})
}

// requireFinished finishes what the killed process has left, and requires that nothing is missing or in another order.
func requireFinished(t *testing.T, db *database.DB, now []string) {
	w := newWriter(t, db, 0)
	require.NoError(t, w.FinishAllOrders(t.Context()))
	w.Settled()
	w.Close()
	require.Equal(t, now, first(t, db, turned))
	requireNothingLeft(t, db)
	var n int
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM elements"))
	requireWhole(t, db, lines, n)
	requireFeedGivesOrder(t, db)
}

// orderUntilKilled runs a child, kills it in the middle of its first orders, and returns the last order that was asked for, and whether it was acknowledged. now follows the acknowledged ones.
func orderUntilKilled(t *testing.T, c database.Config, now *[]string, count map[string]int) (will []string, acknowledged bool) {
	t.Helper()
	where, err := json.Marshal(map[string]any{"URL": c.URL, "Dir": c.Dir, "Name": c.Name})
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), reorderChildVariable+"="+string(where))
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	will = *now
	acknowledged = true
	steps := 1 + rand.IntN(2*orderTransactions)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 1 && fields[0] == "step":
			if steps--; steps == 0 {
				time.AfterFunc(rand.N(5*time.Millisecond), func() { _ = command.Process.Kill() })
			}
		case len(fields) == turned+1 && fields[0] == "asked":
			if acknowledged {
				*now = will
			}
			will, acknowledged = fields[1:], false
		case len(fields) == 1 && fields[0] == "done":
			acknowledged = true
			count["acknowledged"]++
		}
	}
	err = command.Wait()
	require.True(t, err != nil && command.ProcessState.ExitCode() == -1, "the child was not killed but ended: %s", stderr.String())
	return will, acknowledged
}
