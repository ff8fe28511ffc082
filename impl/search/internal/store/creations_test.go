package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// twoReplicas runs f with two Stores of one database, on every database.
func twoReplicas(t *testing.T, f func(t *testing.T, a, b *Store)) {
	storetest.Each(t, Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		now := clock.NewFake(noon)
		dataKey, err := seal.FromDataKey(seal.NewDataKey())
		require.NoError(t, err)
		var replicas []*Store
		for range 2 {
			db := open(t)
			audittest.Open(t, db)
			replicas = append(replicas, New(db, idempotency.New(dataKey, dataKey, now), now))
		}
		f(t, replicas[0], replicas[1])
	})
}

func creation(body string) idempotency.Key {
	return idempotency.Key{Principal: "svc_a", Operation: "createCollection", Value: "key", Path: "/collections", Body: []byte(body)}
}

// attempt does what createCollection does, with an engine that creates each collection once.
func (s *Store) attempt(t *testing.T, engine *sync.Map, key idempotency.Key, name string) (_ idempotency.Answer, err error) {
	l := lease.New(time.Minute)
	answer, known, begun, err := s.Begin(t.Context(), key, name, l)
	if err != nil || known {
		return answer, err
	}
	defer func() {
		if err != nil {
			require.NoError(t, s.Interrupt(t.Context(), key, l))
		}
	}()
	c := &owner.Collection{Name: owner.Name{Local: name}, Owner: "service:a"}
	fresh, err := s.Claim(t.Context(), c)
	if err != nil {
		return answer, err
	}
	if _, there := engine.LoadOrStore(name, true); there && (!begun || fresh) {
		return answer, problem.New(problem.AlreadyExists, "")
	}
	return s.Finish(t.Context(), c, &key, idempotency.Answer{Status: 201, Body: fmt.Appendf(nil, "%s %p", name, &begun)}, did("createCollection"))
}

func (s *Store) creations(t *testing.T) int {
	t.Helper()
	events, _, err := audit.List(t.Context(), s.db.Read(t.Context()), audit.Query{Action: "createCollection", Limit: 100})
	require.NoError(t, err)
	return len(events)
}

// However many requests with one key reach two replicas at the same time, the collection is created once and recorded in the trail once.
// Each request gets that answer, or the problem that the creation is under way.
func TestBegin_hasManyAttemptsMakeOneCollection(t *testing.T) {
	twoReplicas(t, func(t *testing.T, a, b *Store) {
		for round := range 5 {
			name := fmt.Sprint("plays", round)
			key, engine := creation(name), &sync.Map{}
			key.Value = name
			var group sync.WaitGroup
			var mu sync.Mutex
			var told []string
			for i := range 12 {
				group.Go(func() {
					answer, err := []*Store{a, b}[i%2].attempt(t, engine, key, name)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						told = append(told, string(answer.Body))
					case !errors.Is(err, problem.IdempotencyInFlight) && !errors.Is(err, problem.AlreadyExists):
						t.Errorf("attempt: %v", err)
					}
				})
			}
			group.Wait()
			again, err := b.attempt(t, engine, key, name)
			require.NoError(t, err)
			require.Equal(t, round+1, a.creations(t))
			for _, body := range told {
				require.Equal(t, string(again.Body), body)
			}
		}
	})
}

// The first request with a key died before its end. Of many repeats at two replicas, one does the work, and no other one starts before it
// has ended.
func TestBegin_hasOneAttemptGoOnAfterADeath(t *testing.T) {
	twoReplicas(t, func(t *testing.T, a, b *Store) {
		for round := range 5 {
			name := fmt.Sprint("plays", round)
			key := creation(name)
			key.Value = name
			_, _, begun, err := a.Begin(t.Context(), key, name, lease.New(time.Minute))
			require.NoError(t, err)
			require.False(t, begun)
			_, _, _, err = b.Begin(t.Context(), key, name, lease.New(time.Minute))
			require.ErrorIs(t, err, problem.IdempotencyInFlight, "nobody knows yet that it is dead")
			a.clock.(*clock.Fake).Advance(2 * time.Minute)

			var group sync.WaitGroup
			var working, refused atomic.Int64
			for i := range 12 {
				group.Go(func() {
					_, known, begun, err := []*Store{a, b}[i%2].Begin(t.Context(), key, name, lease.New(time.Minute))
					switch {
					case err == nil && begun && !known:
						working.Add(1)
					case errors.Is(err, problem.IdempotencyInFlight):
						refused.Add(1)
					default:
						t.Errorf("attempt: %v, %v, %v", known, begun, err)
					}
				})
			}
			group.Wait()
			require.EqualValues(t, 1, working.Load())
			require.EqualValues(t, 11, refused.Load())
			c := &owner.Collection{Name: owner.Name{Local: name}, Owner: "service:a"}
			_, err = a.Finish(t.Context(), c, &key, idempotency.Answer{Status: 201, Body: []byte(name)}, did("createCollection"))
			require.NoError(t, err)
			answer, known, _, err := b.Begin(t.Context(), key, name, lease.New(time.Minute))
			require.NoError(t, err)
			require.True(t, known)
			require.Equal(t, name, string(answer.Body))
			require.Equal(t, round+1, a.creations(t))
		}
	})
}

// A key with a creation under way can't start another collection. Otherwise the other one would get a conflict if it exists already.
func TestBegin_refusesTheKeyOfAnotherCollection(t *testing.T) {
	twoReplicas(t, func(t *testing.T, a, b *Store) {
		first := lease.New(time.Minute)
		_, _, begun, err := a.Begin(t.Context(), creation("plays"), "plays", first)
		require.NoError(t, err)
		require.False(t, begun)
		_, _, _, err = b.Begin(t.Context(), creation("poems"), "poems", lease.New(time.Minute))
		require.ErrorIs(t, err, problem.IdempotencyConflict)
		_, _, _, err = b.Begin(t.Context(), creation("plays"), "plays", lease.New(time.Minute))
		require.ErrorIs(t, err, problem.IdempotencyInFlight, "the first one is at work")
		require.NoError(t, a.Interrupt(t.Context(), creation("plays"), first))
		_, _, begun, err = b.Begin(t.Context(), creation("plays"), "plays", lease.New(time.Minute))
		require.NoError(t, err)
		require.True(t, begun)
		require.NoError(t, a.Abandon(t.Context(), creation("plays"), first))
		require.NoError(t, a.Interrupt(t.Context(), creation("plays"), first))
		_, _, _, err = a.Begin(t.Context(), creation("plays"), "plays", lease.New(time.Minute))
		require.ErrorIs(t, err, problem.IdempotencyInFlight, "whoever had the lease before ends nothing of the second one's")
	})
}

// An attempt that ends after another one with the same key leaves later changes of the collection alone.
func TestFinish_changesNothingBehindAnotherAttempt(t *testing.T) {
	twoReplicas(t, func(t *testing.T, a, b *Store) {
		key := creation("plays")
		c := &owner.Collection{Name: owner.Name{Local: "plays"}, Owner: "service:a"}
		for _, s := range []*Store{a, b} {
			_, _, _, err := s.Begin(t.Context(), key, "plays", lease.New(time.Second))
			require.NoError(t, err)
			s.clock.(*clock.Fake).Advance(2 * time.Second) // it takes longer than it may
			_, err = s.Claim(t.Context(), c)
			require.NoError(t, err)
		}
		_, err := a.Finish(t.Context(), c, &key, idempotency.Answer{Status: 201, Body: []byte("first")}, did("createCollection"))
		require.NoError(t, err)
		first := a.now(t, c.Name)
		_, err = a.PutGrant(t.Context(), first, "user:new", owner.Read, did("putCollectionGrant"))
		require.NoError(t, err)
		before := a.now(t, c.Name)
		b.clock.(*clock.Fake).Advance(time.Second)
		answer, err := b.Finish(t.Context(), c, &key, idempotency.Answer{Status: 201, Body: []byte("second")}, did("createCollection"))
		require.NoError(t, err)
		require.Equal(t, "first", string(answer.Body))
		require.Equal(t, before, a.now(t, c.Name))
		require.Equal(t, 1, a.creations(t))
	})
}

// If an attempt ends while the next one begins, the next one is not mistaken for another request. It is told that the creation is under
// way, or continues it.
func TestBegin_takesTheEndOfAnAttemptForNoOtherRequest(t *testing.T) {
	twoReplicas(t, func(t *testing.T, a, b *Store) {
		key := creation("plays")
		var group sync.WaitGroup
		for i := range 4 {
			group.Go(func() {
				s := []*Store{a, b}[i%2]
				for range 25 {
					l := lease.New(time.Minute)
					_, _, _, err := s.Begin(t.Context(), key, "plays", l)
					if err == nil {
						err = s.Abandon(t.Context(), key, l)
					}
					if err != nil && !errors.Is(err, problem.IdempotencyInFlight) {
						t.Errorf("attempt: %v", err)
					}
				}
			})
		}
		group.Wait()
		_, _, begun, err := a.Begin(t.Context(), key, "plays", lease.New(time.Minute))
		require.NoError(t, err)
		require.False(t, begun, "all were given up")
	})
}
