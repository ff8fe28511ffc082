package writer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	"github.com/fountainai/fountain/internal/audit"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// many is a number of elements that takes an order several steps.
func many(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("line%d", i)
	}
	return out
}

func backwards(ids []string) writer.Request {
	order := slices.Clone(ids)
	slices.Reverse(order)
	return writer.Request{Reorder: &domain.Reorder{Group: lines, Order: order, Actor: author}}
}

func moveFirst(id, before string) writer.Request {
	return writer.Request{Move: &domain.Move{Ref: domain.Ref{Group: lines, ID: id}, Before: before, Actor: author}}
}

// first returns the ids of the group's first elements.
func first(t require.TestingT, db *database.DB, n int) []string {
	all, err := store.New(db).List(context.Background(), lines, "", 0, n)
	require.NoError(t, err)
	out := make([]string, len(all))
	for i, e := range all {
		out[i] = e.ID
	}
	return out
}

// longChange is a change to the order of 450 elements, which takes several transactions.
type longChange struct {
	request      writer.Request
	want         []string // the order that it makes
	changed      int      // numbers
	shown, steps int      // which transaction shows it, and how many there are
}

func longChanges(ids []string) map[string]longChange {
	turned := slices.Clone(ids)
	slices.Reverse(turned)
	last := len(ids) - 1
	forth := append(slices.Clone(ids[1:]), ids[0])
	return map[string]longChange{
		"reorder":    {backwards(ids), turned, 450, 5, 1 + 3 + 1 + 7},                                                   // begin, stage, show; twice three and the end
		"move back":  {moveFirst(ids[last], ids[0]), append([]string{ids[last]}, ids[:last]...), 450, 2, 1 + 1 + 3 + 1}, // begin, show; three and the end
		"move forth": {writer.Request{Move: &domain.Move{Ref: domain.Ref{Group: lines, ID: ids[0]}, After: ids[last], Actor: author}}, forth, 450, 2, 1 + 1 + 3 + 1},
	}
}

// TestDo_letsOthersPassALongReorder appends to the same group between any two transactions of a long reorder or move, and reads it. Reads show the old order before one of them and
// the new order after it. There is one entry in the audit trail, and search is notified of every element.
func TestDo_letsOthersPassALongReorder(t *testing.T) {
	for name, c := range longChanges(many(450)) {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
				db := open(t)
				w, other := newWriter(t, db, 0), newWriter(t, db, 0)
				ids := many(450)
				_, err := w.Do(t.Context(), create(lines, ids...))
				require.NoError(t, err)
				steps := 0
				w.Between(func() {
					steps++
					done, err := other.Do(context.Background(), create(lines, ""))
					require.NoError(t, err)
					require.EqualValues(t, 450+steps, done.Elements[0].Number)
					want := ids
					if steps > c.shown {
						want = c.want
					}
					require.Equal(t, want, first(t, db, 450), "before step %d", steps)
				})
				done, err := w.Do(t.Context(), c.request)
				require.NoError(t, err)
				require.Len(t, done.Numbers, c.changed)
				w.Settled()
				w.Close()
				require.Equal(t, c.steps, steps)
				requireWhole(t, db, lines, 450+steps)
				events, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{})
				require.NoError(t, err)
				require.Len(t, events, 1)
				require.Equal(t, strconv.Itoa(c.changed), events[0].Detail["changed"])
			})
		})
	}
}

// TestDo_makesOneLongReorderAfterTheOther lets replicas ask for long reorders and long moves of one group at the same time.
func TestDo_makesOneLongReorderAfterTheOther(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		writers := replicas(t, open)
		ids := many(250)
		_, err := writers[0].Do(t.Context(), create(lines, ids...))
		require.NoError(t, err)
		var group sync.WaitGroup
		for n := range 4 {
			group.Go(func() {
				w := writers[n%len(writers)]
				for _, r := range []writer.Request{backwards(ids), create(lines, ""), moveFirst(ids[n], ids[240+n])} {
					_, err := w.Do(context.Background(), r)
					for errors.Is(err, database.ErrUnavailable) { // on a slow machine the wait for the others can be over
						_, err = w.Do(context.Background(), r)
					}
					if err != nil {
						t.Errorf("change: %v", err)
					}
				}
			})
		}
		group.Wait()
		for _, w := range writers {
			w.Settled()
			w.Close()
		}
		db := open(t)
		requireWhole(t, db, lines, 254)
		requireFeedGivesOrder(t, db)
		requireNothingLeft(t, db)
	})
}

// TestDo_makesShortChangesOfAnOrderBesideALongMove moves and reorders elements of all parts of the group by another replica, while a long move is settled: elements whose rows are written, others, and the one that was
// moved. None of these changes waits.
func TestDo_makesShortChangesOfAnOrderBesideALongMove(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		writers := replicas(t, open)
		w, other := writers[0], writers[len(writers)-1]
		db := open(t)
		ids := many(450)
		_, err := w.Do(t.Context(), create(lines, ids...))
		require.NoError(t, err)
		want := append(slices.Clone(ids[1:]), ids[0])
		steps := 0
		w.Between(func() {
			if steps++; steps <= 2 { // those that show it
				return
			}
			require.Equal(t, want, first(t, db, 450), "before step %d", steps)
			for _, at := range [][2]int{{0, 1}, {198, 201}, {300, 250}, {447, 449}} { // the second before the first
				_, err := other.Do(context.Background(), moveFirst(want[at[1]], want[at[0]]))
				require.NoError(t, err)
				id := want[at[1]]
				anchor := want[at[0]]
				want = slices.DeleteFunc(want, func(other string) bool { return other == id })
				want = slices.Insert(want, slices.Index(want, anchor), id)
			}
			_, err := other.Do(context.Background(), writer.Request{Reorder: &domain.Reorder{Group: lines, Order: []string{want[449], want[0], want[200]}, Actor: author}})
			require.NoError(t, err)
			want[0], want[200], want[449] = want[449], want[0], want[200]
			require.Equal(t, want, first(t, db, 450), "before step %d", steps)
		})
		_, err = w.Do(t.Context(), writer.Request{Move: &domain.Move{Ref: domain.Ref{Group: lines, ID: ids[0]}, After: ids[449], Actor: author}})
		require.NoError(t, err)
		w.Settled()
		require.Greater(t, steps, 4)
		require.Equal(t, want, first(t, db, 450))
		requireWhole(t, db, lines, 450)
		requireFeedGivesOrder(t, db)
		requireNothingLeft(t, db)
	})
}

// requireFeedGivesOrder reconstructs the order of the group from its feed alone.
func requireFeedGivesOrder(t *testing.T, db *database.DB) {
	changes, err := store.New(db).Changes(t.Context(), lines.Scope, 0, 10_000_000)
	require.NoError(t, err)
	number := map[string]int64{}
	for _, c := range changes {
		if c.Kind == domain.Created {
			number[c.ID] = c.Number
		}
		for _, n := range c.Numbers {
			require.Equal(t, number[n.ID], n.From, "each reorder begins where the one before ended")
			number[n.ID] = n.To
		}
	}
	all, err := store.New(db).List(t.Context(), lines, "", 0, 10_000_000)
	require.NoError(t, err)
	for _, e := range all {
		require.Equal(t, number[e.ID], e.Number)
	}
}

func requireNothingLeft(t *testing.T, db *database.DB) {
	var rows int
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &rows, "SELECT (SELECT COUNT(*) FROM reorders) + (SELECT COUNT(*) FROM reorder_moves) + (SELECT COUNT(*) FROM shifts) + (SELECT COUNT(*) FROM elements WHERE number < 1)"))
	require.Zero(t, rows)
}

func TestDo_movesFarInSteps(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := newWriter(t, db, 0)
		ids := many(450)
		_, err := w.Do(t.Context(), create(lines, ids...))
		require.NoError(t, err)
		var steps atomic.Int64
		w.Between(func() { steps.Add(1) })
		_, err = w.Do(t.Context(), moveFirst(ids[199], ids[0]))
		require.NoError(t, err)
		require.Zero(t, steps.Load(), "two hundred places are one commit")
		done, err := w.Do(t.Context(), moveFirst(ids[200], ids[199]))
		require.NoError(t, err)
		require.Len(t, done.Numbers, 201)
		_, err = w.Do(t.Context(), moveFirst(ids[300], ids[1])) // waits for the rest of the one before
		require.NoError(t, err)
		w.Settled()
		w.Close()
		require.Equal(t, []string{ids[200], ids[199], ids[0], ids[300], ids[1]}, first(t, db, 5))
		requireWhole(t, db, lines, 450)
		requireFeedGivesOrder(t, db)
		requireNothingLeft(t, db)
	})
}

func TestDo_takesBackALongReorderThatFails(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := newWriter(t, db, 0)
		ids := many(450)
		_, err := w.Do(t.Context(), create(lines, ids...))
		require.NoError(t, err)
		var invalid *domain.InvalidItems
		_, err = w.Do(t.Context(), backwards(append(ids[:len(ids):len(ids)], "foreign")))
		require.ErrorAs(t, err, &invalid)
		ctx, leave := context.WithCancel(t.Context())
		steps := 0
		w.Between(func() {
			if steps++; steps == 3 { // one part is staged
				leave()
			}
		})
		_, err = w.Do(ctx, backwards(ids))
		require.Error(t, err)
		require.Equal(t, ids, first(t, db, 450))
		requireNothingLeft(t, db)
		for range 17 { // one more than there are places
			_, err = w.Do(ctx, backwards(ids))
			require.Error(t, err)
		}
		_, err = w.Do(t.Context(), backwards(ids))
		require.NoError(t, err)
		w.Settled()
		w.Close()
		requireWhole(t, db, lines, 450)
		requireNothingLeft(t, db)
	})
}

const killedVariable = "FOUNTAIN_SEQUENCE_TEST_KILL_STEP"

// TestDo_aLongReorderSurvivesAKillAtAnyStep kills a process directly before transactions of a reorder, before each of a move back and some of a move forth, and starts another one. The order is the old one or the new one, nothing is left
// over, and the next change to it works.
func TestDo_aLongReorderSurvivesAKillAtAnyStep(t *testing.T) {
	ids := many(450)
	changes := longChanges(ids)
	if where := os.Getenv(killedVariable); where != "" {
		reorderAndDie(t, where, changes)
	}
	kills := map[string][]int{"reorder": {4, 5, 6, 10}, "move back": {2, 3, 4, 5, 6}, "move forth": {3, 5}}
	storetest.EachConfig(t, migrations, func(t *testing.T, c database.Config) {
		db, err := database.Open(t.Context(), c)
		require.NoError(t, err)
		w := newWriter(t, db, 0)
		_, err = w.Do(t.Context(), create(lines, ids...))
		require.NoError(t, err)
		w.Close()
		require.NoError(t, db.Close())
		for name, change := range changes {
			for _, step := range kills[name] {
				child := exec.Command(os.Args[0], "-test.run", "^TestDo_aLongReorderSurvivesAKillAtAnyStep$")
				child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s %s %s", killedVariable, strings.ReplaceAll(name, " ", "_"), step, word(c.URL), word(c.Dir), c.Name))
				out, err := child.CombinedOutput()
				require.Equal(t, -1, child.ProcessState.ExitCode(), "%v %s", err, out)
				killed := time.Now()
				db, err := database.Open(t.Context(), c)
				require.NoError(t, err)
				awaitOrphans(t, db, killed)
				want := ids
				if step > change.shown {
					want = change.want
				}
				require.Equal(t, want, first(t, db, 450), "%s killed before %d", name, step)
				w := newWriter(t, db, 0)
				require.NoError(t, w.FinishAllOrders(t.Context()))
				w.Settled()
				require.Equal(t, want, first(t, db, 450), "%s killed before %d", name, step)
				requireNothingLeft(t, db)
				requireFeedGivesOrder(t, db)
				if step > change.shown { // back, for the next round
					_, err = w.Do(t.Context(), writer.Request{Reorder: &domain.Reorder{Group: lines, Order: ids, Actor: author}})
					require.NoError(t, err)
				}
				w.Settled()
				w.Close()
				requireWhole(t, db, lines, 450)
				require.NoError(t, db.Close())
			}
		}
	})
}

func word(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// reorderAndDie is the child.
func reorderAndDie(t *testing.T, where string, changes map[string]longChange) {
	var c database.Config
	var name string
	var step int
	_, err := fmt.Sscan(where, &name, &step, &c.URL, &c.Dir, &c.Name)
	require.NoError(t, err)
	c.URL, c.Dir, c.Migrations = strings.TrimPrefix(c.URL, "-"), strings.TrimPrefix(c.Dir, "-"), migrations
	db, err := database.Open(t.Context(), c)
	require.NoError(t, err)
	w := newWriter(t, db, 0)
	steps := 0
	w.Between(func() {
		if steps++; steps == step {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	})
	_, err = w.Do(t.Context(), changes[strings.ReplaceAll(name, "_", " ")].request)
	require.NoError(t, err)
	w.Settled()
	w.Close()
}

// TestFinishOrders_doesWhatADeadReplicaLeft leaves a reorder staged and not shown, with its process gone. The next change to the order does not wait for a sweep.
func TestFinishOrders_doesWhatADeadReplicaLeft(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := newWriter(t, db, 0)
		_, err := w.Do(t.Context(), create(lines, "a", "b"))
		require.NoError(t, err)
		old := time.Now().Add(-time.Hour).UnixMicro()
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			o := &store.Order{Group: lines, ID: "dead"}
			if err := store.BeginOrder(ctx, tx, o, time.UnixMicro(old)); err != nil {
				return err
			}
			return o.Stage(ctx, tx, time.UnixMicro(old), []domain.NumberChange{{ID: "a", From: 1, To: 2}, {ID: "b", From: 2, To: 1}})
		}))
		_, err = w.Do(t.Context(), moveFirst("b", "a"))
		require.NoError(t, err)
		require.Equal(t, []string{"b", "a"}, first(t, db, 2))
		requireNothingLeft(t, db)
	})
}
