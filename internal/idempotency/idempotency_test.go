package idempotency_test

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/idempotency"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

var migrations = []fs.FS{idempotency.Migrations, fstest.MapFS{"00100_things.sql": {Data: []byte(
	"-- +goose Up\nCREATE TABLE things (id TEXT PRIMARY KEY);\n-- +goose Down\nDROP TABLE things;\n")}}}

// house is a service with one operation, which creates things.
type house struct {
	db      *store.DB
	keys    *idempotency.Store
	clock   *clock.Fake
	created *atomic.Int64
}

func newHouse(t *testing.T, db *store.DB) *house {
	t.Helper()
	key, err := seal.FromDataKey(seal.NewDataKey())
	require.NoError(t, err)
	c := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return &house{db: db, keys: idempotency.New(key, key, c), clock: c, created: new(atomic.Int64)}
}

// replica returns the same service on another database handle.
func (h *house) replica(db *store.DB) *house {
	r := *h
	r.db = db
	return &r
}

func (h *house) create(key idempotency.Key, secret bool) (answer idempotency.Answer, replayed bool, err error) {
	err = h.db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
		answer, replayed, err = h.keys.Do(ctx, tx, key, secret, func(ctx context.Context, tx *store.Tx) (int, map[string]string, []byte, error) {
			n := h.created.Add(1)
			id := "thing_" + string(rune('a'+n))
			if _, err := tx.Exec(ctx, "INSERT INTO things (id) VALUES (?)", id); err != nil {
				return 0, nil, nil, err
			}
			return 201, map[string]string{"Location": "/things/" + id}, []byte(id + " canary-secret"), nil
		})
		return err
	})
	return answer, replayed, err
}

func (h *house) things(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, h.db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM things"))
	return n
}

var key = idempotency.Key{Principal: "usr_1", Operation: "createThing", Value: "k1", Path: "/things", Body: []byte(`{"a":1}`)}

func TestDo_answersARepeatWithTheFirstAnswer(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		first, replayed, err := h.create(key, false)
		require.NoError(t, err)
		require.False(t, replayed)
		h.clock.Advance(idempotency.Life - time.Microsecond)
		again, replayed, err := h.replica(open(t)).create(key, false)
		require.NoError(t, err)
		require.True(t, replayed)
		require.Equal(t, first, again)
		require.Equal(t, 1, h.things(t))
	})
}

func TestDo_refusesAnotherRequestUnderTheSameKey(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		_, _, err := h.create(key, false)
		require.NoError(t, err)
		for name, change := range map[string]func(*idempotency.Key){
			"body":             func(k *idempotency.Key) { k.Body = []byte(`{"a":2}`) },
			"path":             func(k *idempotency.Key) { k.Path = "/other" },
			"bytes moved over": func(k *idempotency.Key) { k.Path, k.Body = `/things{`, []byte(`"a":1}`) },
		} {
			k := key
			change(&k)
			_, _, err = h.create(k, false)
			require.ErrorIs(t, err, problem.IdempotencyConflict, name)
		}
		require.Equal(t, 1, h.things(t))
	})
}

func TestDo_keepsPrincipalsOperationsAndKeysApart(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		keys := []idempotency.Key{key, key, key, key}
		keys[1].Principal, keys[2].Operation, keys[3].Value = "usr_2", "createOther", "k2"
		for _, k := range keys {
			_, replayed, err := h.create(k, false)
			require.NoError(t, err)
			require.False(t, replayed)
		}
		require.Equal(t, len(keys), h.things(t))
	})
}

func TestDo_forgetsWhatFailed(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		mine := errors.New("mine")
		err := h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, _, err := h.keys.Do(ctx, tx, key, false, func(context.Context, *store.Tx) (int, map[string]string, []byte, error) {
				return 0, nil, nil, mine
			})
			return err
		})
		require.True(t, err == mine, "unchanged")
		_, replayed, err := h.create(key, false)
		require.NoError(t, err)
		require.False(t, replayed)
	})
}

func TestDo_createsOnceHoweverManyRepeatAtOnce(t *testing.T) {
	const rounds, callers = 10, 16
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		first := newHouse(t, open(t))
		replicas := []*house{first, first.replica(open(t))}
		for round := range rounds {
			k := key
			k.Value = strings.Repeat("r", round+1)
			var fresh, repeats, inFlight atomic.Int64
			var group sync.WaitGroup
			for i := range callers {
				group.Go(func() {
					_, replayed, err := replicas[i%2].create(k, false)
					switch {
					case err == nil && !replayed:
						fresh.Add(1)
					case err == nil:
						repeats.Add(1)
					case errors.Is(err, problem.IdempotencyInFlight):
						inFlight.Add(1)
					default:
						t.Errorf("create: %v", err)
					}
				})
			}
			group.Wait()
			require.EqualValues(t, 1, fresh.Load())
			require.EqualValues(t, callers-1, repeats.Load()+inFlight.Load())
			require.Equal(t, round+1, first.things(t))
			_, replayed, err := replicas[1].create(k, false)
			require.NoError(t, err)
			require.True(t, replayed)
		}
	})
}

func TestDo_saysInFlightWhileTheFirstIsAtWork(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		if h.db.Dialect() == store.SQLite {
			return // there the repeat waits: TestDo_createsOnceHoweverManyRepeatAtOnce
		}
		other := h.replica(open(t))
		err := h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, _, err := h.keys.Do(ctx, tx, key, false, func(context.Context, *store.Tx) (int, map[string]string, []byte, error) {
				_, _, err := other.create(key, false)
				require.ErrorIs(t, err, problem.IdempotencyInFlight)
				require.NotEmpty(t, problem.From(err).Header.Get("Retry-After"))
				return 201, nil, nil, nil
			})
			return err
		})
		require.NoError(t, err)
		_, replayed, err := other.create(key, false)
		require.NoError(t, err)
		require.True(t, replayed)
	})
}

func TestDo_keepsSecretsTenMinutesAndNeverCreatesTwice(t *testing.T) {
	for name, sweep := range map[string]bool{"swept": true, "not swept": false} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
				h := newHouse(t, open(t))
				step := func(d time.Duration) {
					h.clock.Advance(d)
					if sweep {
						h.sweep(t)
					}
				}
				first, _, err := h.create(key, true)
				require.NoError(t, err)
				step(idempotency.SecretLife - time.Microsecond)
				again, replayed, err := h.create(key, true)
				require.NoError(t, err)
				require.True(t, replayed)
				require.Equal(t, first, again)

				step(time.Microsecond)
				_, _, err = h.create(key, true)
				require.ErrorIs(t, err, problem.ReplayExpired)
				step(idempotency.Life - idempotency.SecretLife - time.Microsecond)
				_, _, err = h.create(key, true)
				require.ErrorIs(t, err, problem.ReplayExpired)
				require.Equal(t, 1, h.things(t))

				step(time.Microsecond)
				_, replayed, err = h.create(key, true)
				require.NoError(t, err)
				require.False(t, replayed, "after a day the key is free")
				require.Equal(t, 2, h.things(t))
			})
		})
	}
}

func (h *house) sweep(t *testing.T) (removed int64) {
	t.Helper()
	require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
		removed, err = h.keys.Sweep(ctx, tx)
		return err
	}))
	return removed
}

func TestSweep_removesOnlyWhatIsOver(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		other := key
		other.Value = "k2"
		_, _, err := h.create(key, true)
		require.NoError(t, err)
		_, _, err = h.create(other, false)
		require.NoError(t, err)
		require.Zero(t, h.sweep(t))
		answers := func() (n int) {
			require.NoError(t, h.db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM idempotency WHERE answer IS NOT NULL"))
			return n
		}
		require.Equal(t, 2, answers())
		h.clock.Advance(idempotency.SecretLife)
		require.Zero(t, h.sweep(t))
		require.Equal(t, 1, answers(), "the secret is gone, the other answer stays")
		h.clock.Advance(idempotency.Life - idempotency.SecretLife)
		require.EqualValues(t, 2, h.sweep(t))
	})
}

func TestDo_storesNothingReadable(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		_, _, err := h.create(key, true)
		require.NoError(t, err)
		var row struct{ Fingerprint, Answer []byte }
		require.NoError(t, h.db.Read(t.Context()).Get(t.Context(), &row, "SELECT fingerprint, answer FROM idempotency"))
		require.NotContains(t, string(row.Answer), "canary-secret")
		require.NotContains(t, string(row.Answer), "thing_")
		require.Len(t, row.Fingerprint, 32)
	})
}

func TestDo_givesNoAnswerOfAnotherRow(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		_, _, err := h.create(key, false)
		require.NoError(t, err)
		other := key
		other.Principal = "usr_2"
		_, _, err = h.create(other, false)
		require.NoError(t, err)
		require.NoError(t, h.db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE idempotency SET answer = (SELECT answer FROM idempotency WHERE principal = 'usr_1') WHERE principal = 'usr_2'")
			return err
		}))
		_, _, err = h.create(other, false)
		require.ErrorIs(t, err, problem.ReplayExpired, "sealed for its row alone")
	})
}

func TestDo_refusesBadKeys(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		h := newHouse(t, open(t))
		for _, v := range []string{"", strings.Repeat("x", 256)} {
			k := key
			k.Value = v
			_, _, err := h.create(k, false)
			require.ErrorIs(t, err, problem.InvalidParameter)
		}
		require.Zero(t, h.things(t))
	})
}

// Random requests are compared with a model of the store: the answer to a request follows from the requests before it.
func TestDo_followsItsModel(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: migrations})
	require.NoError(t, err)
	defer db.Close()
	rapid.Check(t, func(rt *rapid.T) {
		h := newHouse(t, db)
		require.NoError(rt, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM idempotency")
			if err == nil {
				_, err = tx.Exec(ctx, "DELETE FROM things")
			}
			return err
		}))
		type first struct {
			body   string
			secret bool
			at     time.Time
			answer idempotency.Answer
		}
		model := map[string]first{}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			h.clock.Advance(time.Duration(rapid.SampledFrom([]int64{0, 1, 9, 601, 43200, 86400}).Draw(rt, "seconds")) * time.Second)
			k := key
			k.Value = rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "key")
			k.Body = []byte(rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "body"))
			secret := rapid.Bool().Draw(rt, "secret")
			answer, replayed, err := h.create(k, secret)
			was, known := model[k.Value]
			age := h.clock.Now().Sub(was.at)
			switch {
			case !known || age >= idempotency.Life:
				require.NoError(rt, err)
				require.False(rt, replayed)
				model[k.Value] = first{string(k.Body), secret, h.clock.Now(), answer}
			case was.body != string(k.Body):
				require.ErrorIs(rt, err, problem.IdempotencyConflict)
			case was.secret && age >= idempotency.SecretLife:
				require.ErrorIs(rt, err, problem.ReplayExpired)
			default:
				require.NoError(rt, err)
				require.True(rt, replayed)
				require.Equal(rt, was.answer, answer)
			}
		}
	})
}
