package audit_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// tamperings returns the number of attempts.
func tamperings() int {
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		return 5000
	}
	return 120
}

// stored is everything that an attacker with access to the database can read and write.
type stored struct {
	Events []storedEvent
	Head   storedHead
	Keys   []storedKey
}

type storedEvent struct {
	Seq, At               int64
	Action, Actor, Target string
	Body, Hash            []byte
	MAC                   []byte `db:"mac"`
}

type storedHead struct {
	Seq   int64
	KeyID int64 `db:"key_id"`
	Hash  []byte
	MAC   []byte `db:"mac"`
}

type storedKey struct {
	ID, First    int64
	Prev, Sealed []byte
}

func read(t *testing.T, db *store.DB) (s stored) {
	t.Helper()
	q := db.Read(t.Context())
	require.NoError(t, q.Select(t.Context(), &s.Events, "SELECT seq, at, action, actor, target, body, hash, mac FROM audit_events ORDER BY seq"))
	require.NoError(t, q.Get(t.Context(), &s.Head, "SELECT seq, key_id, hash, mac FROM audit_head"))
	require.NoError(t, q.Select(t.Context(), &s.Keys, "SELECT id, first, prev, sealed FROM audit_keys ORDER BY id"))
	return s
}

func (s stored) write(ctx context.Context, tx *store.Tx) error {
	exec := func(err *error, query string, args ...any) {
		if *err == nil {
			_, *err = tx.Exec(ctx, query, args...)
		}
	}
	var err error
	exec(&err, "DELETE FROM audit_events")
	exec(&err, "DELETE FROM audit_keys")
	for _, e := range s.Events {
		exec(&err, "INSERT INTO audit_events (seq, at, action, actor, target, body, hash, mac) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			e.Seq, e.At, e.Action, e.Actor, e.Target, e.Body, e.Hash, e.MAC)
	}
	for _, k := range s.Keys {
		exec(&err, "INSERT INTO audit_keys (id, first, prev, sealed) VALUES (?, ?, ?, ?)", k.ID, k.First, k.Prev, k.Sealed)
	}
	exec(&err, "UPDATE audit_head SET seq = ?, key_id = ?, hash = ?, mac = ?", s.Head.Seq, s.Head.KeyID, s.Head.Hash, s.Head.MAC)
	return err
}

func (s stored) clone() stored {
	c := stored{Head: s.Head}
	c.Events = append(c.Events, s.Events...)
	c.Keys = append(c.Keys, s.Keys...)
	return c
}

// tamper changes the stored chain in one of the ways that need no key. It returns a description of the change.
func (s *stored) tamper(r *rand.Rand) string {
	n := len(s.Events)
	i, j := r.IntN(n), r.IntN(n)
	did := ""
	switch r.IntN(10) {
	case 0: // one column of one event
		did = s.column(r, i, j)
	case 1:
		did = fmt.Sprintf("remove %d", i+1)
		s.Events = append(s.Events[:i:i], s.Events[i+1:]...)
	case 2:
		did = fmt.Sprintf("cut after %d", i)
		s.Events = s.Events[:i]
	case 3:
		did = fmt.Sprintf("swap %d and %d", i+1, j+1)
		s.Events[i], s.Events[j] = s.Events[j], s.Events[i]
	case 4:
		did = fmt.Sprintf("copy %d behind %d", i+1, j+1)
		s.Events = append(s.Events[:j+1:j+1], append([]storedEvent{s.Events[i]}, s.Events[j+1:]...)...)
	case 5:
		did = fmt.Sprintf("rewrite %d", i+1)
		s.rewrite(i)
	case 6:
		did = "change the head"
		s.Head.Seq = int64(r.IntN(n + 2))
		if r.IntN(2) == 0 && s.Head.Seq > 0 && s.Head.Seq <= int64(n) {
			s.Head.Hash = s.Events[s.Head.Seq-1].Hash
		}
	case 7:
		did = "change a key"
		k := &s.Keys[r.IntN(len(s.Keys))]
		switch r.IntN(4) {
		case 0:
			k.First += int64(r.IntN(3) + 1)
		case 1:
			k.Prev = s.Events[i].Hash
		case 2:
			k.Sealed = append([]byte{}, k.Sealed...)
			k.Sealed[r.IntN(len(k.Sealed))] ^= 1 << r.IntN(8)
		default:
			k.ID += 5
		}
	case 8:
		did = "remove the keys"
		s.Keys = s.Keys[:r.IntN(len(s.Keys))]
	default:
		did = fmt.Sprintf("take the sum from %d", i+1)
		s.Events[i].MAC = nil
	}
	if r.IntN(2) == 0 && len(s.Events) > 0 {
		did += ", number and hash all anew"
		s.recompute()
	}
	return did
}

func (s *stored) column(r *rand.Rand, i, j int) string {
	e := &s.Events[i]
	column := r.IntN(7)
	switch column {
	case 0:
		e.At++
	case 1:
		e.Action += "x"
	case 2:
		e.Actor += "x"
	case 3:
		e.Target += "x"
	case 4:
		e.Body = s.Events[j].Body
	case 5:
		e.Hash = s.Events[j].Hash
	default:
		e.MAC = s.Events[j].MAC
	}
	return fmt.Sprintf("column %d of %d, from %d", column, i+1, j+1)
}

// rewrite gives an event another target, in all columns.
func (s *stored) rewrite(i int) {
	e := &s.Events[i]
	e.Body = []byte(strings.Replace(string(e.Body), `"target":"key_1"`, `"target":"key_2"`, 1))
	if e.Target == "key_1" {
		e.Target = "key_2"
	}
}

// recompute corrects the hashes, which needs no key, and makes the head point to the last event.
func (s *stored) recompute() {
	prev := audit.Genesis
	for i := range s.Events {
		s.Events[i].Seq = int64(i) + 1
		s.Events[i].Hash = audit.Link(prev, s.Events[i].Seq, s.Events[i].Body)
		prev = s.Events[i].Hash
	}
	s.Head.Seq, s.Head.Hash = int64(len(s.Events)), prev
}

// numbered gives the events unique numbers, since these are the primary key.
func (s stored) numbered() stored {
	taken := map[int64]bool{}
	for i := range s.Events {
		for taken[s.Events[i].Seq] {
			s.Events[i].Seq++
		}
		taken[s.Events[i].Seq] = true
	}
	return s
}

// An attacker who can write to the database but does not have the key can't change the chain without being detected, neither while the service runs
// nor by a restart. The chain has events from before the first key, as an upgraded one does.
func TestVerify_findsEveryGeneratedTampering(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		for range 4 {
			unkeyed(t, db, event("old"))
		}
		chain := audittest.Open(t, db)
		for i := range 4 {
			appendEvents(t, db, event(fmt.Sprintf("action%d", i)), event("more"))
		}
		original := read(t, db)
		report, err := chain.Verify(t.Context(), audit.Verification{})
		require.NoError(t, err)
		require.True(t, report.Intact(), "%+v", report)
		require.EqualValues(t, 13, report.Checked)
		require.EqualValues(t, 4, report.Unkeyed)
		done := 0
		for seed := uint64(0); done < tamperings(); seed++ {
			r := rand.New(rand.NewPCG(seed, 12))
			changed := original.clone()
			did := changed.tamper(r)
			changed = changed.numbered()
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return changed.write(ctx, tx) }), "%d: %s", seed, did)
			if same(read(t, db), original) {
				continue
			}
			done++
			report, err := chain.Verify(t.Context(), audit.Verification{})
			require.NoError(t, err, "%d: %s", seed, did)
			require.False(t, report.Intact(), "%d: %s", seed, did)
			restarted, err := audit.Open(t.Context(), db, audit.Options{Service: audittest.Service, Sealer: audittest.Sealer(t), Clock: clock.System})
			if err != nil {
				continue // it does not start: its events can't be stored
			}
			report, err = restarted.Verify(t.Context(), audit.Verification{})
			require.NoError(t, err)
			require.False(t, report.Intact(), "%d, after a start: %s", seed, did)
		}
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return original.write(ctx, tx) }))
		report, err = chain.Verify(t.Context(), audit.Verification{})
		require.NoError(t, err)
		require.True(t, report.Intact(), "the original holds: %+v", report)
		t.Logf("%d tamperings found", done)
	})
}

func same(a, b stored) bool { return fmt.Sprintf("%v", a) == fmt.Sprintf("%v", b) }

// unkeyed appends an event as release 0.1 did.
func unkeyed(t *testing.T, db *store.DB, e audit.Event) {
	t.Helper()
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return audit.AppendUnkeyed(ctx, tx, e) }))
}
