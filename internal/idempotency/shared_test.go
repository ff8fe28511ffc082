package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var errWork = errors.New("the work failed")

// share serves the keys in one transaction; work fails for those it names.
func (h *house) share(t *testing.T, fails map[string]bool, keys ...idempotency.Key) []*idempotency.Entry {
	t.Helper()
	entries := make([]*idempotency.Entry, len(keys))
	for i, k := range keys {
		entries[i] = &idempotency.Entry{Key: k}
	}
	require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, h.keys.Claim(ctx, tx, entries))
		for _, e := range entries {
			switch {
			case !e.Claimed():
			case fails[e.Key.Value]:
				e.Err = errWork
			default:
				e.Answer = idempotency.Answer{Status: 201, Body: fmt.Appendf(nil, "thing %d", h.created.Add(1))}
			}
		}
		return h.keys.Keep(ctx, tx, entries)
	}))
	return entries
}

func named(values ...string) (keys []idempotency.Key) {
	for _, v := range values {
		k := key
		k.Value = v
		keys = append(keys, k)
	}
	return keys
}

func TestClaim_failsARequestAloneAndLetsItBeRepeated(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		first := h.share(t, map[string]bool{"b": true}, named("a", "b", "c", "a", "")...)
		require.NoError(t, first[0].Err)
		require.ErrorIs(t, first[1].Err, errWork)
		require.NoError(t, first[2].Err)
		require.ErrorIs(t, first[3].Err, problem.IdempotencyInFlight)
		require.ErrorIs(t, first[4].Err, problem.InvalidParameter)
		require.EqualValues(t, 2, h.created.Load())

		other := key
		other.Value, other.Body = "c", []byte("other")
		second := h.share(t, nil, append(named("a", "b"), other)...)
		require.True(t, second[0].Replayed)
		require.Equal(t, first[0].Answer, second[0].Answer)
		require.False(t, second[1].Replayed, "its claim was given up with its failure")
		require.True(t, second[1].Claimed())
		require.ErrorIs(t, second[2].Err, problem.IdempotencyConflict)

		answer, replayed, err := h.create(named("b")[0], false)
		require.NoError(t, err)
		require.True(t, replayed, "Do and Claim know the same keys")
		require.Equal(t, second[1].Answer, answer)
	})
}

func TestClaim_takesOverKeysWhoseLifeIsOver(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		h.share(t, nil, named("a")...)
		h.clock.Advance(idempotency.Life - time.Microsecond)
		require.True(t, h.share(t, nil, named("a")...)[0].Replayed)
		h.clock.Advance(time.Microsecond)
		again := h.share(t, nil, named("a")...)[0]
		require.True(t, again.Claimed())
		require.Equal(t, "thing 2", string(again.Answer.Body))
	})
}

func TestClaim_servesHundredsInOneTransaction(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		var values []string
		for i := range 350 {
			values = append(values, fmt.Sprintf("key-%d", i))
		}
		for _, e := range h.share(t, map[string]bool{"key-7": true, "key-230": true}, named(values...)...) {
			require.True(t, e.Claimed())
		}
		replayed := 0
		for _, e := range h.share(t, nil, named(values...)...) {
			if e.Replayed {
				replayed++
			}
		}
		require.Equal(t, 348, replayed)
	})
}

func TestClaim_refusesWhatAnotherReplicaIsAtWorkOn(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		if h.db.Dialect() == store.SQLite {
			return // one writer: TestClaim_failsARequestAloneAndLetsItBeRepeated
		}
		other := h.replica(open(t))
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			mine := &idempotency.Entry{Key: named("a")[0]}
			require.NoError(t, h.keys.Claim(ctx, tx, []*idempotency.Entry{mine}))
			theirs := other.share(t, nil, named("a", "b")...)
			require.ErrorIs(t, theirs[0].Err, problem.IdempotencyInFlight)
			require.NoError(t, theirs[1].Err)
			mine.Answer.Status = 201
			return h.keys.Keep(ctx, tx, []*idempotency.Entry{mine})
		}))
		require.True(t, other.share(t, nil, named("a")...)[0].Replayed)
	})
}

// A lookup of keys blocks every other writer, so each key must be found by the index, even if the database has no statistics about the size of the
// table.
func TestClaim_readsThroughNothing(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: migrations})
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, n := range []int{1, 2, 100} {
		var plan []struct {
			ID, Parent, NotUsed int64
			Detail              string
		}
		args := make([]any, 3*n)
		for i := range args {
			args[i] = "x"
		}
		require.NoError(t, db.Read(t.Context()).Select(t.Context(), &plan, "EXPLAIN QUERY PLAN "+idempotency.LookFor(n), args...))
		found := false
		for _, step := range plan {
			require.NotEqual(t, "SCAN i", step.Detail)
			found = found || strings.HasPrefix(step.Detail, "SEARCH i ") && strings.Contains(step.Detail, "(principal=? AND operation=? AND value=?)")
		}
		require.True(t, found, "%+v", plan)
	}
}

func TestKeep_givesUpATransactionWhoseKeyWasUsedMeanwhile(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		entries := []*idempotency.Entry{{Key: named("a")[0]}, {Key: named("b")[0]}}
		err := h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			require.NoError(t, h.keys.Claim(ctx, tx, entries))
			_, err := tx.Exec(ctx, "INSERT INTO idempotency (principal, operation, value, fingerprint, secret, answer, created_at) VALUES (?, ?, ?, ?, FALSE, ?, ?)",
				key.Principal, key.Operation, "b", []byte("theirs"), []byte("theirs"), h.clock.Now().UnixMicro()) // by a writer that takes no lock
			require.NoError(t, err)
			return h.keys.Keep(ctx, tx, entries)
		})
		require.ErrorContains(t, err, "was used meanwhile")
		require.Zero(t, h.rows(t), "nothing of it is kept")
	})
}

func TestKeep_writesNothingForWhatFailed(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		h.share(t, map[string]bool{"a": true, "c": true}, named("a", "b", "c")...)
		require.Equal(t, 1, h.rows(t))
	})
}

func (h *house) rows(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, h.db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM idempotency"))
	return n
}
