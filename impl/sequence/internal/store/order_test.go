package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/etag"
	database "github.com/fountainai/fountain/internal/store"
)

// staged is a long reorder that is under way, one transaction after the other.
type staged struct {
	*store.Order
	marked []domain.Ref
	named  int // elements that its plan names at most; 0: as many as everywhere
}

func write(t require.TestingT, db *database.DB, do func(ctx context.Context, tx *database.Tx) error) {
	require.NoError(t, db.Write(context.Background(), do))
}

func beginOrder(t require.TestingT, db *database.DB, g domain.Group) *staged {
	o := &staged{Order: &store.Order{Group: g, ID: "o"}}
	write(t, db, func(ctx context.Context, tx *database.Tx) error { return store.BeginOrder(ctx, tx, o.Order, noon) })
	return o
}

func (o *staged) mark(_ context.Context, _ *database.Tx, refs []domain.Ref) error {
	o.marked = append(o.marked, refs...)
	return nil
}

// stage returns a step for each transaction, up to and including the one that shows the order.
func (o *staged) stage(t require.TestingT, db *database.DB, c *store.Change) (steps []func(db *database.DB)) {
	s := store.New(db)
	if o.named > 0 {
		s.Named(o.named)
	}
	require.NoError(t, s.Plan(context.Background(), c))
	for _, part := range o.Parts(c) {
		steps = append(steps, func(db *database.DB) {
			write(t, db, func(ctx context.Context, tx *database.Tx) error { return o.Stage(ctx, tx, noon, part) })
		})
	}
	return append(steps, func(db *database.DB) {
		write(t, db, func(ctx context.Context, tx *database.Tx) error { return o.Show(ctx, tx, noon, noon, c) })
	})
}

// settle runs one of the transactions after that.
func (o *staged) settle(t require.TestingT, db *database.DB) (settled bool) {
	write(t, db, func(ctx context.Context, tx *database.Tx) (err error) {
		settled, err = o.Settle(ctx, tx, noon, o.mark)
		return err
	})
	return settled
}

func (o *staged) steps(t require.TestingT, db *database.DB, c *store.Change) []func(db *database.DB) {
	return append(o.stage(t, db, c), func(db *database.DB) {
		for !o.settle(t, db) {
		}
		require.Len(t, o.marked, len(c.Done.Numbers), "each is marked for search once it has its number")
	})
}

// Whatever happens between the transactions of a long reorder, and however often the service restarts, reads show the old order before one commit and the new order after it.
func TestOrder_isOneChangeToEverybodyElse(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			scope := fmt.Sprintf("run%d", run)
			g := domain.Group{Scope: scope, ElementType: "spokenWord"}
			m := &model{groups: map[domain.Group]map[string]*thing{}}
			var touched []domain.Ref // by changes that are not the long one
			do := func(changes ...*store.Change) {
				want := m.apply(changes)
				apply(rt, db, changes...)
				for i, c := range changes {
					require.Equal(rt, want[i], outcome(c.Err))
					touched = append(touched, c.Done.Touched...)
				}
			}
			besideOpen := false // the long one is a move, and is shown
			others := func() {
				if rapid.IntRange(0, 15).Draw(rt, "restart") == 0 {
					require.NoError(rt, db.Close())
					db = open(t)
				}
				for range rapid.IntRange(0, 2).Draw(rt, "others") {
					c := drawChange(rt, scope)
					if (c.Reorder != nil || c.Move != nil) && c.Group() == g && !besideOpen {
						apply(rt, db, c)
						require.ErrorIs(rt, c.Err, domain.ErrOrdering)
						continue
					}
					do(c)
				}
				require.Equal(rt, m.dump(g), list(rt, store.New(db), g))
				if rapid.IntRange(0, 5).Draw(rt, "reads") == 0 {
					requireReads(rt, db, g)
				}
				replay(rt, db, scope, m)
			}
			do(create(g, "a", "b", "c", "d", "e", "f"))
			names := rapid.Permutation([]string{"a", "b", "c", "d", "e", "f"}).Draw(rt, "order")
			order := reorder(g, names[:rapid.IntRange(2, 6).Draw(rt, "length")]...)
			if rapid.Bool().Draw(rt, "move") {
				move := &domain.Move{Ref: domain.Ref{Group: g, ID: names[0]}, Before: names[1], Actor: author}
				if rapid.Bool().Draw(rt, "behind") {
					move.Before, move.After = "", names[1]
				}
				order = &store.Change{Move: move}
			}
			o := beginOrder(rt, db, g)
			o.Steps(rapid.IntRange(1, 3).Draw(rt, "step"))
			if order.Move != nil && rapid.Bool().Draw(rt, "far") {
				o.named = 1
			}
			others()
			steps := o.stage(rt, db, order)
			var renumbered []domain.Ref
			for i, step := range steps {
				step(db)
				if i == len(steps)-1 {
					renumbered = m.renumbers(g, func() { require.Equal(rt, []string{"ok"}, m.apply([]*store.Change{order})) })
					besideOpen = order.Move != nil && len(renumbered) > 0
					touched = nil
				}
				others()
			}
			for !o.settle(rt, db) {
				others()
			}
			require.Subset(rt, append(touched, o.marked...), renumbered, "each is marked for search once it has its number")
			if len(touched) == 0 {
				require.ElementsMatch(rt, renumbered, o.marked)
			}
			do(reorder(g, "a", "b"))
			require.Equal(rt, m.dump(g), list(rt, store.New(db), g))
		})
	})
}

// renumbers returns the elements whose number changes while a function runs.
func (m *model) renumbers(g domain.Group, do func()) (out []domain.Ref) {
	before := map[string]int64{}
	for id, one := range m.groups[g] {
		before[id] = one.number
	}
	do()
	for id, one := range m.groups[g] {
		if before[id] != one.number {
			out = append(out, domain.Ref{Group: g, ID: id})
		}
	}
	return out
}

// requireReads compares each way of reading a number with the list.
func requireReads(t require.TestingT, db *database.DB, g domain.Group) {
	ctx, s := context.Background(), store.New(db)
	all, err := s.List(ctx, g, "", 0, 100)
	require.NoError(t, err)
	var ids, exported told
	var active int
	for i, e := range all {
		require.EqualValues(t, i+1, e.Number)
		one, err := s.Get(ctx, e.Ref)
		require.NoError(t, err)
		require.Equal(t, e, one)
		some, err := s.Current(ctx, []domain.Ref{e.Ref})
		require.NoError(t, err)
		require.Equal(t, []domain.Element{e}, some)
		page, err := s.List(ctx, g, "", int64(i), 1)
		require.NoError(t, err)
		require.Equal(t, []domain.Element{e}, page)
		ids = append(ids, e.ID)
		if e.Status == domain.Active {
			active++
		}
	}
	only, err := s.List(ctx, g, domain.Active, 0, 100)
	require.NoError(t, err)
	require.Len(t, only, active)
	require.NoError(t, s.Export(ctx, g.Scope, &onlyIDs{group: g, told: &exported}))
	require.Equal(t, ids, exported)
	last := domain.Ref{Group: g, ID: ids[len(ids)-1]}
	planned := &store.Change{Move: &domain.Move{Ref: last, Before: ids[0]}}
	require.NoError(t, s.Plan(ctx, planned))
	require.Len(t, planned.Done.Numbers, len(ids))
	for i, c := range planned.Done.Numbers[1:] {
		require.Equal(t, domain.NumberChange{ID: ids[i], From: int64(i) + 1, To: int64(i) + 2}, c)
	}
}

// onlyIDs is a Sink that records the ids of the elements of one group.
type onlyIDs struct {
	group domain.Group
	*told
}

func (o *onlyIDs) Element(e domain.Element) error {
	if e.Group == o.group {
		return o.told.Element(e)
	}
	return nil
}

func (o *onlyIDs) Version(domain.Version) error { return nil }

// A new version can be based on the number that an element is shown with, before the element's row has it, and on no other.
func TestOrder_isWhatVersionsAreMadeFrom(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		apply(t, db, create(lines, "a", "b"))
		o := beginOrder(t, db, lines)
		for _, step := range o.stage(t, db, reorder(lines, "b", "a")) {
			step(db)
		}
		stale, fresh := revise(lines, "a", 0, `{}`), revise(lines, "b", 0, `{}`)
		stale.Revise.Expected, fresh.Revise.Expected = etag.ParseMatch(`"1-1-active"`), etag.ParseMatch(`"1-1-active"`)
		apply(t, db, stale, fresh)
		require.Equal(t, "stale 1 2 active", outcome(stale.Err))
		require.NoError(t, fresh.Err)
		require.EqualValues(t, 1, fresh.Done.Elements[0].Number)
	})
}

// updatedAt is the time when the new number was shown, from that commit on and whenever the row is written. A later write to the element keeps its later time.
func TestOrder_dateOfAnElementIsWhenItWasShown(t *testing.T) {
	shown, later := noon.Add(time.Hour), noon.Add(2*time.Hour)
	for name, change := range map[string]func() *store.Change{
		"reorder": func() *store.Change { return reorder(lines, "d", "c", "b", "a") },
		"move": func() *store.Change {
			return &store.Change{Move: &domain.Move{Ref: domain.Ref{Group: lines, ID: "a"}, After: "d", Actor: author}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
				db := open(t)
				apply(t, db, create(lines, "a", "b", "c", "d", "e"))
				c := change()
				o := beginOrder(t, db, lines)
				o.Steps(1)
				steps := o.stage(t, db, c)
				for _, step := range steps[:len(steps)-1] {
					step(db)
				}
				dates := map[string]time.Time{"a": noon, "b": noon, "c": noon, "d": noon, "e": noon}
				requireDates(t, db, dates)
				write(t, db, func(ctx context.Context, tx *database.Tx) error { return o.Show(ctx, tx, shown, noon, c) })
				write(t, db, func(ctx context.Context, tx *database.Tx) error {
					return applyIn(ctx, tx, later, []*store.Change{revise(lines, "a", 1, `{}`), omit(lines, "c")})
				})
				dates = map[string]time.Time{"a": later, "b": shown, "c": later, "d": shown, "e": noon}
				for settled := false; !settled; settled = o.settle(t, db) {
					requireDates(t, db, dates)
				}
				requireDates(t, db, dates)
			})
		})
	}
}

func requireDates(t *testing.T, db *database.DB, want map[string]time.Time) {
	t.Helper()
	all, err := store.New(db).List(t.Context(), lines, "", 0, 100)
	require.NoError(t, err)
	got := map[string]time.Time{}
	for _, e := range all {
		got[e.ID] = e.UpdatedAt
		one, err := store.New(db).Get(t.Context(), e.Ref)
		require.NoError(t, err)
		require.Equal(t, e, one)
	}
	require.Equal(t, want, got)
}

// No transaction of the longest reorder writes more than a few rows for each element of a step. SQLite counts the rows, without those of triggers and indexes.
func TestOrder_writesFewRowsAtATime(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		if db.Dialect() != database.SQLite {
			return
		}
		ids := make([]string, domain.MaxMoved)
		for i := range ids {
			ids[i] = fmt.Sprintf("e%d", i)
		}
		apply(t, db, create(lines, ids...))
		most, transactions := int64(0), 0
		counted := func(do func(ctx context.Context, tx *database.Tx) error) {
			write(t, db, func(ctx context.Context, tx *database.Tx) error {
				var before, after int64
				err := errors.Join(tx.Get(ctx, &before, "SELECT total_changes()"), do(ctx, tx), tx.Get(ctx, &after, "SELECT total_changes()"))
				most = max(most, after-before)
				transactions++
				return err
			})
		}
		slices.Reverse(ids)
		change := reorder(lines, ids...)
		o := &store.Order{Group: lines, ID: "o"}
		counted(func(ctx context.Context, tx *database.Tx) error { return store.BeginOrder(ctx, tx, o, noon) })
		require.NoError(t, store.New(db).Plan(t.Context(), change))
		for _, part := range o.Parts(change) {
			counted(func(ctx context.Context, tx *database.Tx) error { return o.Stage(ctx, tx, noon, part) })
		}
		counted(func(ctx context.Context, tx *database.Tx) error { return o.Show(ctx, tx, noon, noon, change) })
		mark := func(_ context.Context, _ *database.Tx, refs []domain.Ref) error {
			require.LessOrEqual(t, len(refs), 200)
			return nil
		}
		for settled := false; !settled; {
			counted(func(ctx context.Context, tx *database.Tx) (err error) {
				settled, err = o.Settle(ctx, tx, noon, mark)
				return err
			})
		}
		require.LessOrEqual(t, most, int64(2*200+1), "rows of one transaction")
		require.Greater(t, transactions, 150)
		require.Equal(t, "1:e9999", numbered(t, store.New(db), lines)[0])
	})
}

// The same holds for the longest move. The transaction that shows it writes one row for a hundred numbers.
func TestOrder_showsALongMoveInFewRows(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		if db.Dialect() != database.SQLite {
			return
		}
		ids := make([]string, domain.MaxMoved)
		for i := range ids {
			ids[i] = fmt.Sprintf("e%d", i)
		}
		apply(t, db, create(lines, ids...))
		for _, move := range []domain.Move{ // forth and back
			{Ref: domain.Ref{Group: lines, ID: ids[0]}, After: ids[len(ids)-1], Actor: author},
			{Ref: domain.Ref{Group: lines, ID: ids[0]}, Before: ids[1], Actor: author},
		} {
			var rows []int64
			counted := func(do func(ctx context.Context, tx *database.Tx) error) {
				write(t, db, func(ctx context.Context, tx *database.Tx) error {
					var before, after int64
					err := errors.Join(tx.Get(ctx, &before, "SELECT total_changes()"), do(ctx, tx), tx.Get(ctx, &after, "SELECT total_changes()"))
					rows = append(rows, after-before)
					return err
				})
			}
			was := numbered(t, store.New(db), lines)
			change := &store.Change{Move: &move}
			o := beginOrder(t, db, lines)
			require.NoError(t, store.New(db).Plan(t.Context(), change))
			require.Empty(t, o.Parts(change))
			counted(func(ctx context.Context, tx *database.Tx) error { return o.Show(ctx, tx, noon, noon, change) })
			require.LessOrEqual(t, rows[0], int64(domain.MaxMoved/100+5))
			shown := numbered(t, store.New(db), lines)
			require.NotEqual(t, was, shown)
			for settled := false; !settled; {
				counted(func(ctx context.Context, tx *database.Tx) (err error) {
					settled, err = o.Settle(ctx, tx, noon, o.mark)
					return err
				})
			}
			require.Equal(t, shown, numbered(t, store.New(db), lines), "what it settles was shown")
			require.LessOrEqual(t, slices.Max(rows[1:]), int64(2*200+1))
			require.Len(t, rows, 1+50+1)
		}
	})
}

// A shown move whose answer was lost is not given up by its caller and not mistaken for one that is still being made. Another process settles it.
func TestOrder_ofAMoveThatWasShownIsNeverGivenUp(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		apply(t, db, create(lines, "a", "b", "c", "d"))
		o := beginOrder(t, db, lines)
		o.Steps(1)
		change := &store.Change{Move: &domain.Move{Ref: domain.Ref{Group: lines, ID: "a"}, After: "d", Actor: author}}
		for _, step := range o.stage(t, db, change) {
			step(db)
		}
		require.False(t, o.settle(t, db))
		late := time.UnixMicro(math.MaxInt64 / 2)
		write(t, db, func(ctx context.Context, tx *database.Tx) error {
			n, err := store.EndOrders(ctx, tx, late)
			require.Zero(t, n)
			return errors.Join(err, o.End(ctx, tx))
		})
		write(t, db, func(ctx context.Context, tx *database.Tx) error {
			gone, err := o.Remove(ctx, tx)
			require.True(t, gone, "there is nothing to take away")
			return err
		})
		require.Equal(t, []string{"1:b", "2:c", "3:d", "4:a"}, numbered(t, s, lines))
		requireReads(t, db, lines)
		beside := reorder(lines, "a", "b") // the one that was moved, and one whose row is written
		apply(t, db, beside)
		require.NoError(t, beside.Err)
		require.Equal(t, []string{"1:a", "2:c", "3:d", "4:b"}, numbered(t, s, lines))
		requireReads(t, db, lines)
		left, err := s.LeftOrders(t.Context(), late, domain.Group{}, 10)
		require.NoError(t, err)
		require.Equal(t, []*store.Order{{Group: lines, ID: "o", Shown: true}}, left)
		other := &staged{Order: left[0]}
		for !other.settle(t, db) {
		}
		require.Len(t, other.marked, 3, "and the one that the first process has marked")
		require.Equal(t, []string{"1:a", "2:c", "3:d", "4:b"}, numbered(t, s, lines))
		n, err := s.Orders(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		apply(t, db, reorder(lines, "b", "a"))
		require.Equal(t, []string{"1:b", "2:c", "3:d", "4:a"}, numbered(t, s, lines))
	})
}

// An order that a process left behind is removed when it was not shown, and settled when it was.
func TestOrder_isTakenAwayOrFinishedByOthers(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		seen := domain.Group{Scope: "lear", ElementType: "line"}
		apply(t, db, create(lines, "a", "b", "c"), create(seen, "a", "b", "c"))
		unseen := beginOrder(t, db, lines)
		unseen.stage(t, db, reorder(lines, "c", "b", "a"))[0](db)
		shown := beginOrder(t, db, seen)
		for _, step := range shown.stage(t, db, reorder(seen, "c", "b", "a")) {
			step(db)
		}
		require.ErrorIs(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error {
			return store.BeginOrder(ctx, tx, &store.Order{Group: lines, ID: "second"}, noon)
		}), domain.ErrOrdering)

		left, err := s.LeftOrders(t.Context(), time.UnixMicro(math.MaxInt64/2), domain.Group{}, 10)
		require.NoError(t, err)
		require.Equal(t, []*store.Order{{Group: seen, ID: "o", Shown: true}}, left, "one that is staged may go on")
		write(t, db, func(ctx context.Context, tx *database.Tx) error {
			n, err := store.EndOrders(ctx, tx, noon)
			require.Zero(t, n, "it is not silent")
			return err
		})
		write(t, db, func(ctx context.Context, tx *database.Tx) error {
			n, err := store.EndOrders(ctx, tx, noon.Add(time.Second))
			require.EqualValues(t, 1, n, "what was shown is never given up")
			return err
		})
		for _, late := range []func(ctx context.Context, tx *database.Tx) error{
			func(ctx context.Context, tx *database.Tx) error { return unseen.Stage(ctx, tx, noon, nil) },
			func(ctx context.Context, tx *database.Tx) error {
				return unseen.Show(ctx, tx, noon, noon, reorder(lines, "c", "b", "a"))
			},
		} {
			require.ErrorIs(t, db.Write(t.Context(), late), store.ErrOrderLost, "its process was not dead after all")
		}
		left, err = s.LeftOrders(t.Context(), time.UnixMicro(math.MaxInt64/2), domain.Group{}, 10)
		require.NoError(t, err)
		require.Len(t, left, 2)
		for gone := false; !gone; {
			write(t, db, func(ctx context.Context, tx *database.Tx) (err error) {
				gone, err = left[0].Remove(ctx, tx)
				return err
			})
		}
		for !shown.settle(t, db) {
		}
		require.Equal(t, []string{"1:a", "2:b", "3:c"}, numbered(t, s, lines))
		require.Equal(t, []string{"1:c", "2:b", "3:a"}, numbered(t, s, seen))
		n, err := s.Orders(t.Context())
		require.NoError(t, err)
		require.Zero(t, n)
		apply(t, db, reorder(lines, "b", "a"), reorder(seen, "a", "c"))
		require.Equal(t, []string{"1:b", "2:a", "3:c"}, numbered(t, s, lines))
	})
}

// A move over more elements than are listed one by one makes one entry of the feed and is shown by as few rows, however many elements are in between.
func TestOrder_tellsAFarMoveByItsRange(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		s := store.New(db)
		apply(t, db, create(lines, "a", "b", "c", "d", "e", "f"))
		for _, c := range []struct {
			move  domain.Move
			moved domain.NumberChange
			shift domain.Shift
			want  []string
		}{
			{
				domain.Move{Ref: domain.Ref{Group: lines, ID: "b"}, After: "f"}, domain.NumberChange{ID: "b", From: 2, To: 6}, domain.Shift{From: 3, To: 6, By: -1},
				[]string{"1:a", "2:c", "3:d", "4:e", "5:f", "6:b"},
			},
			{
				domain.Move{Ref: domain.Ref{Group: lines, ID: "f"}, Before: "a"}, domain.NumberChange{ID: "f", From: 5, To: 1}, domain.Shift{From: 1, To: 4, By: 1},
				[]string{"1:f", "2:a", "3:c", "4:d", "5:e", "6:b"},
			},
		} {
			before, err := s.Feed(t.Context(), lines.Scope)
			require.NoError(t, err)
			o := beginOrder(t, db, lines)
			o.named = 3
			change := &store.Change{Move: &c.move}
			for _, step := range o.stage(t, db, change) {
				step(db)
			}
			require.Equal(t, c.want, numbered(t, s, lines))
			told, err := s.Changes(t.Context(), lines.Scope, before.Last, 10)
			require.NoError(t, err)
			require.Len(t, told, 1)
			require.Equal(t, []domain.NumberChange{c.moved}, told[0].Numbers)
			require.Equal(t, &c.shift, told[0].Shift)
			var text []byte
			require.NoError(t, db.Read(t.Context()).Get(t.Context(), &text, "SELECT numbers FROM changes WHERE scope = ? AND position = ?", lines.Scope, told[0].Position))
			require.Error(t, json.Unmarshal(text, new([]domain.NumberChange)), "who does not know shifts is not to read half of it")
			for !o.settle(t, db) {
			}
			require.Equal(t, c.want, numbered(t, s, lines))
			require.Len(t, o.marked, int(c.shift.To-c.shift.From)+2)
		}
	})
}
