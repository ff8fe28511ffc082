package audit_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var migrations = []fs.FS{audit.Migrations}

// opened opens a database and its chain.
func opened(t *testing.T, open func(t *testing.T) *store.DB) *store.DB {
	db := open(t)
	audittest.Open(t, db)
	return db
}

func event(action string) audit.Event {
	return audit.Event{Action: action, Actor: "usr_1", ActorKind: audit.User, Target: "key_1", Outcome: audit.OK, RequestID: "req_1"}
}

func appendEvents(t require.TestingT, db *store.DB, events ...audit.Event) {
	require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		return audit.Append(ctx, tx, events...)
	}))
}

func verify(t require.TestingT, db *store.DB) (checked, firstBreak int64) {
	checked, firstBreak, err := audit.Verify(context.Background(), db.Read(context.Background()))
	require.NoError(t, err)
	return checked, firstBreak
}

func TestAppend_isReadBackAsItWas(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		at := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
		e := event("createKey")
		e.At, e.Detail = at, map[string]string{"sid": "ses_1", "address": "192.0.2.1"}
		appendEvents(t, db, e)
		records, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{})
		require.NoError(t, err)
		e.At = at.UTC().Truncate(time.Microsecond)
		require.Len(t, records, 1)
		require.Equal(t, e, records[0].Event)
		require.EqualValues(t, 1, records[0].Seq)
		require.Len(t, records[0].Hash, 32)
	})
}

func TestAppend_goesWithItsTransaction(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		appendEvents(t, db, event("a"))
		refused := errors.New("refused")
		require.ErrorIs(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, audit.Append(ctx, tx, event("b")))
			return refused
		}), refused)
		appendEvents(t, db, event("c"))
		checked, firstBreak := verify(t, db)
		require.EqualValues(t, 2, checked)
		require.Zero(t, firstBreak)
	})
}

// A process remembers only a committed end of the chain: not one of a transaction that fails in a later step or in its commit.
func TestAppend_remembersNoEndThatWasRolledBack(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		replicas := []*store.DB{opened(t, open), opened(t, open)}
		refused, kept := errors.New("refused"), 0
		for i := range 12 {
			db := replicas[i/2%2]
			err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				if i%3 != 0 {
					tx.AtEnd(store.LastCommit, func(context.Context) error { return refused })
				}
				events := []audit.Event{event("a"), event("b")}
				return audit.Append(ctx, tx, events[:1+i%2]...)
			})
			if i%3 == 0 {
				require.NoError(t, err)
				kept += 1 + i%2
				continue
			}
			require.ErrorIs(t, err, refused)
		}
		checked, firstBreak := verify(t, replicas[0])
		require.EqualValues(t, kept, checked)
		require.Zero(t, firstBreak)
	})
}

// The events of several Append calls in one transaction are written as those of one call: in order, and all or none.
func TestAppend_writesWhatATransactionTellsAtOnce(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		for round := range 3 {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				for i := range 70 {
					require.NoError(t, audit.Append(ctx, tx, event(fmt.Sprintf("a%d_%d", round, 2*i)), event(fmt.Sprintf("a%d_%d", round, 2*i+1))))
				}
				return nil
			}))
		}
		records, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Limit: 1000})
		require.NoError(t, err)
		require.Len(t, records, 420)
		for i, r := range records { // newest first
			n := len(records) - 1 - i
			require.Equal(t, fmt.Sprintf("a%d_%d", n/140, n%140), r.Action)
		}
		checked, firstBreak := verify(t, db)
		require.EqualValues(t, 420, checked)
		require.Zero(t, firstBreak)
	})
}

// A transaction is rolled back if it continues after one of its events was refused, or appends an event after the others were written.
func TestAppend_letsNothingHappenWithoutItsEvent(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		refused := error(nil)
		err := db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, audit.Append(ctx, tx, event("a")))
			refused = audit.Append(ctx, tx, audit.Event{Action: "b"})
			return audit.Append(ctx, tx, event("c"))
		})
		require.Error(t, refused)
		require.ErrorIs(t, err, refused)
		err = db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tx.AtEnd(store.LastCommit, func(ctx context.Context) error { return audit.Append(ctx, tx, event("late")) })
			return audit.Append(ctx, tx, event("a"))
		})
		require.ErrorIs(t, err, audit.ErrLate)
		err = db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tx.AtEnd(store.LastCommit, func(ctx context.Context) error { return audit.Append(ctx, tx, event("late")) })
			return nil
		})
		require.ErrorContains(t, err, "a step right before the commit was added")
		checked, _ := verify(t, db)
		require.Zero(t, checked)
	})
}

// A transaction that conflicted is run again, one that panicked is not. Each attempt has only its own events.
func TestAppend_tellsOnceWhatIsTriedAgain(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		require.Panics(t, func() {
			_ = db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				require.NoError(t, audit.Append(ctx, tx, event("lost")))
				panic("in the middle")
			})
		})
		attempts := 0
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			attempts++
			if err := audit.Append(ctx, tx, event(fmt.Sprint("attempt", attempts))); err != nil || attempts > 1 || tx.Dialect() == store.SQLite {
				return err
			}
			_, err := tx.Exec(ctx, "DO $$ BEGIN RAISE EXCEPTION 'collided' USING ERRCODE = '40001'; END $$")
			return err
		}))
		require.Equal(t, map[store.Dialect]int{store.SQLite: 1, store.PostgreSQL: 2}[db.Dialect()], attempts)
		records, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Limit: 100})
		require.NoError(t, err)
		require.Len(t, records, 1)
		require.Equal(t, fmt.Sprint("attempt", attempts), records[0].Action)
		_, firstBreak := verify(t, db)
		require.Zero(t, firstBreak)
	})
}

func TestAppend_neverForksTheChain(t *testing.T) {
	const writers, each = 16, 8
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		replicas := []*store.DB{opened(t, open), opened(t, open)}
		var group sync.WaitGroup
		for w := range writers {
			group.Go(func() {
				for n := range each {
					ctx := context.Background()
					if w%4 < 2 { // these may assume that they know the end of the chain
						ctx = store.Brief(ctx)
					}
					err := replicas[w%2].Write(ctx, func(ctx context.Context, tx *store.Tx) error {
						if err := audit.Append(ctx, tx, event(fmt.Sprintf("w%d", w))); err != nil {
							return err
						}
						if n%4 == 3 { // two calls in one transaction, one of them with several events
							return audit.Append(ctx, tx, event("more"), event("more"))
						}
						return nil
					})
					if err != nil {
						t.Errorf("append: %v", err)
					}
				}
			})
		}
		group.Wait()
		checked, firstBreak := verify(t, replicas[1])
		require.EqualValues(t, writers*(each+each/4*2), checked)
		require.Zero(t, firstBreak)
	})
}

// Two replicas that record an identical event in the same microsecond after the same event compute the same hash for the same place. Both events are
// stored.
func TestAppend_keepsTheSameEventOfTwoReplicasTwice(t *testing.T) {
	const rounds, writers = 10, 8
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		replicas := []*store.DB{opened(t, open), opened(t, open)}
		same := event("same")
		same.At = time.UnixMicro(1_700_000_000_000_000)
		for range rounds {
			appendEvents(t, replicas[0], same)
			appendEvents(t, replicas[1], same)
			var group sync.WaitGroup
			for w := range writers {
				group.Go(func() {
					err := replicas[w%2].Write(context.Background(), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, same) })
					if err != nil {
						t.Errorf("append: %v", err)
					}
				})
			}
			group.Wait()
		}
		checked, firstBreak := verify(t, replicas[1])
		require.EqualValues(t, rounds*(writers+2), checked)
		require.Zero(t, firstBreak)
	})
}

// An event that was inserted after the end of the chain would hide the next one, so the append is refused.
func TestAppend_refusesWhereAnEventIsAlready(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		for n := range int64(2 * undisturbed) { // whether it assumes to know the end or not
			appendEvents(t, db, event("a"))
			exec(t, db, "INSERT INTO audit_events (seq, at, action, actor, target, body, hash) SELECT seq + 1, at, 'planted', actor, target, body, hash FROM audit_events ORDER BY seq DESC LIMIT 1")
			err := db.Write(store.Brief(t.Context()), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, event("b")) })
			require.ErrorIs(t, err, audit.ErrTampered)
			exec(t, db, "DELETE FROM audit_events WHERE action = 'planted'")
			checked, firstBreak := verify(t, db)
			require.EqualValues(t, n+1, checked)
			require.Zero(t, firstBreak)
		}
	})
}

// undisturbed is more than the number of appends after which the next one assumes that it knows the end of the chain.
const undisturbed = 20

// A transaction that is wrong about the end of the chain changes nothing and is run again.
func TestAppend_isRunAnewWhereItWasWrongAboutTheEnd(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, other := opened(t, open), opened(t, open)
		exec(t, db, "CREATE TABLE deeds (n BIGINT NOT NULL)")
		events := int64(0)
		for range undisturbed {
			appendEvents(t, db, event("a"))
			events++
		}
		for _, several := range []int{1, 3} {
			appendEvents(t, other, event("other"))
			runs := 0
			require.NoError(t, db.Write(store.Brief(t.Context()), func(ctx context.Context, tx *store.Tx) error {
				runs++
				if _, err := tx.Exec(ctx, "INSERT INTO deeds (n) VALUES (?)", several); err != nil {
					return err
				}
				return audit.Append(ctx, tx, slices.Repeat([]audit.Event{event("b")}, several)...)
			}))
			require.Equal(t, map[bool]int{true: 1, false: 2}[db == other], runs, "of one handle nobody else can have appended")
			events += int64(several) + 1
			for range undisturbed {
				appendEvents(t, db, event("a"))
				events++
			}
		}
		var deeds int64
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &deeds, "SELECT COUNT(*) FROM deeds"))
		require.EqualValues(t, 2, deeds)
		checked, firstBreak := verify(t, db)
		require.Equal(t, events, checked)
		require.Zero(t, firstBreak)
	})
}

// A head that was changed without the key is also detected by a transaction that assumes to know the end of the chain.
func TestAppend_refusesAChangedHeadWhereverItIs(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		for range undisturbed {
			appendEvents(t, db, event("a"))
		}
		var was struct {
			Seq  int64
			Hash []byte
			MAC  []byte `db:"mac"`
		}
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &was, "SELECT seq, hash, mac FROM audit_head"))
		for _, change := range []string{"seq = seq - 1", "hash = mac", "mac = hash"} {
			exec(t, db, "UPDATE audit_head SET "+change)
			err := db.Write(store.Brief(t.Context()), func(ctx context.Context, tx *store.Tx) error { return audit.Append(ctx, tx, event("b")) })
			require.ErrorIs(t, err, audit.ErrTampered, change)
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE audit_head SET seq = ?, hash = ?, mac = ?", was.Seq, was.Hash, was.MAC)
				return err
			}))
		}
		appendEvents(t, db, event("b"))
		checked, firstBreak := verify(t, db)
		require.EqualValues(t, undisturbed+1, checked)
		require.Zero(t, firstBreak)
	})
}

func TestAppend_linksMoreEventsThanOneStatementTakes(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		events := make([]audit.Event, 1203)
		for i := range events {
			events[i] = event("bulk")
		}
		appendEvents(t, db, events...)
		appendEvents(t, db)
		checked, firstBreak := verify(t, db)
		require.EqualValues(t, len(events), checked)
		require.Zero(t, firstBreak)
	})
}

// The chain is changed with plain SQL, as an attacker with access to the database could do it.
func TestVerify_findsTheFirstTouchedEvent(t *testing.T) {
	const count = 7
	for name, c := range map[string]struct {
		statements []string
		want       int64
	}{
		"nothing":             {nil, 0},
		"body changed":        {[]string{"UPDATE audit_events SET body = (SELECT body FROM audit_events WHERE seq = 2) WHERE seq = 4"}, 4},
		"action changed":      {[]string{"UPDATE audit_events SET action = 'other' WHERE seq = 3"}, 3},
		"actor changed":       {[]string{"UPDATE audit_events SET actor = 'usr_2' WHERE seq = 3"}, 3},
		"target changed":      {[]string{"UPDATE audit_events SET target = '' WHERE seq = 1"}, 1},
		"time changed":        {[]string{"UPDATE audit_events SET at = at + 1 WHERE seq = 7"}, 7},
		"hash changed":        {[]string{"UPDATE audit_events SET hash = (SELECT hash FROM audit_events WHERE seq = 4) WHERE seq = 5"}, 5},
		"first removed":       {[]string{"DELETE FROM audit_events WHERE seq = 1"}, 1},
		"one removed":         {[]string{"DELETE FROM audit_events WHERE seq = 4"}, 4},
		"removed, gap closed": {[]string{"DELETE FROM audit_events WHERE seq = 4", "UPDATE audit_events SET seq = 4 WHERE seq = 5", "UPDATE audit_events SET seq = 5 WHERE seq = 6"}, 4},
		"two swapped": {[]string{"UPDATE audit_events SET seq = 99 WHERE seq = 2", "UPDATE audit_events SET seq = 2 WHERE seq = 5",
			"UPDATE audit_events SET seq = 5 WHERE seq = 99"}, 2},
		"tail removed":                 {[]string{"DELETE FROM audit_events WHERE seq >= 6"}, 6},
		"all removed":                  {[]string{"DELETE FROM audit_events"}, 1},
		"head turned back":             {[]string{"UPDATE audit_head SET seq = 5, hash = (SELECT hash FROM audit_events WHERE seq = 5)"}, 7},
		"head hash changed":            {[]string{"UPDATE audit_head SET hash = (SELECT hash FROM audit_events WHERE seq = 5)"}, 7},
		"head turned back, other hash": {[]string{"UPDATE audit_head SET seq = 5"}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
				db := opened(t, open)
				for i := range count {
					appendEvents(t, db, event(fmt.Sprintf("action%d", i)))
				}
				require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					for _, s := range c.statements {
						if _, err := tx.Exec(ctx, s); err != nil {
							return err
						}
					}
					return nil
				}))
				checked, firstBreak := verify(t, db)
				require.Equal(t, c.want, firstBreak)
				if c.want == 0 {
					require.EqualValues(t, count, checked)
				} else {
					require.Less(t, checked, c.want)
				}
			})
		})
	}
}

func TestVerify_findsEveryFlippedBit(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: migrations})
	require.NoError(t, err)
	defer db.Close()
	audittest.Open(t, db)
	for range 3 {
		appendEvents(t, db, event("a"))
	}
	rapid.Check(t, func(t *rapid.T) {
		column := rapid.SampledFrom([]string{"body", "hash"}).Draw(t, "column")
		bit := rapid.IntRange(0, 32*8-1).Draw(t, "bit") // bodies are longer than that
		seq := rapid.Int64Range(1, 3).Draw(t, "seq")
		flip := func() {
			require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				var value []byte
				if err := tx.Get(ctx, &value, "SELECT "+column+" FROM audit_events WHERE seq = ?", seq); err != nil {
					return err
				}
				value[bit/8] ^= 1 << (bit % 8)
				_, err := tx.Exec(ctx, "UPDATE audit_events SET "+column+" = ? WHERE seq = ?", value, seq)
				return err
			}))
		}
		flip()
		_, firstBreak := verify(t, db)
		require.Equal(t, seq, firstBreak)
		flip()
		_, firstBreak = verify(t, db)
		require.Zero(t, firstBreak)
	})
}

func TestList_filtersAndPagesNewestFirst(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 10 {
			e := event([]string{"read", "write"}[i%2])
			e.At, e.Actor, e.Target = start.Add(time.Duration(i)*time.Minute), fmt.Sprintf("usr_%d", i%3), fmt.Sprintf("key_%d", i)
			appendEvents(t, db, e)
		}
		seqs := func(query audit.Query) (seqs []int64) {
			records, _, err := audit.List(t.Context(), db.Read(t.Context()), query)
			require.NoError(t, err)
			for _, r := range records {
				seqs = append(seqs, r.Seq)
			}
			return seqs
		}
		require.Equal(t, []int64{10, 9, 8}, seqs(audit.Query{Limit: 3}))
		require.Equal(t, []int64{7, 6, 5}, seqs(audit.Query{Limit: 3, Before: 8}))
		require.Equal(t, []int64{9, 7, 5, 3, 1}, seqs(audit.Query{Action: "read"}))
		require.Equal(t, []int64{8, 2}, seqs(audit.Query{Action: "write", Actor: "usr_1"}))
		require.Equal(t, []int64{4}, seqs(audit.Query{Target: "key_3"}))
		require.Equal(t, []int64{4, 3}, seqs(audit.Query{From: start.Add(2 * time.Minute), To: start.Add(4 * time.Minute)}))
		require.Empty(t, seqs(audit.Query{Actor: "nobody"}))
	})
}

func TestAppend_storesAnyTextAndRefusesHalfEvents(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := opened(t, open)
		e := event("login")
		e.Target = "nul\x00 and broken \xff\xfe"
		e.Detail = map[string]string{"name": "\x00\xff"}
		appendEvents(t, db, e)
		_, firstBreak := verify(t, db)
		require.Zero(t, firstBreak)

		for name, broken := range map[string]func(*audit.Event){
			"no action":     func(e *audit.Event) { e.Action = "" },
			"no actor kind": func(e *audit.Event) { e.ActorKind = "" },
			"no outcome":    func(e *audit.Event) { e.Outcome = "" },
			"too large":     func(e *audit.Event) { e.Detail = map[string]string{"x": strings.Repeat("x", 20<<10)} },
		} {
			e := event("login")
			broken(&e)
			require.Error(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				return audit.Append(ctx, tx, e)
			}), name)
		}
		checked, firstBreak := verify(t, db)
		require.EqualValues(t, 1, checked)
		require.Zero(t, firstBreak)
	})
}
