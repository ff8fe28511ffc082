package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

func TestBackoff_growsAndStaysBounded(t *testing.T) {
	last := time.Duration(0)
	for failures := 1; failures < 100; failures++ {
		d := backoff(failures, longPause)
		require.LessOrEqual(t, d, longPause)
		require.GreaterOrEqual(t, d, firstPause*3/4)
		if failures < 9 {
			require.Greater(t, d, last)
		}
		last = d
	}
}

// Two workers, a changing state, failing deliveries and workers that die between delivery and settling: in the end the other system has the last
// state of every key.
func TestOutbox_losesNoUpdate(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: []fs.FS{Migrations}, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer db.Close()
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		c := clock.NewFake(time.Now())
		require.NoError(t, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM outbox") // the rest of a failed run
			return err
		}))
		state, remote := map[string]int{}, map[string]int{}
		type delivery struct {
			lease string
			batch []Message
			sent  outcome
		}
		w := New(db, Options{Clock: c, Lease: time.Minute, Batch: 3}, nil)
		working := map[int]*delivery{} // by worker
		take := func(worker int) {
			d := &delivery{lease: fmt.Sprint("lease", worker, c.Now().UnixNano())}
			c.Advance(time.Microsecond) // no two leases are equal
			require.NoError(t, db.Write(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
				d.batch, err = claim(ctx, tx, d.lease, due{c.Now(), c.Now().Add(time.Minute), c.Now().Add(time.Hour), c.Now().Add(time.Hour)}, w.limit)
				return err
			}))
			working[worker] = d
		}
		send := func(d *delivery) {
			for _, m := range d.batch {
				remote[m.Key] = state[m.Key] // the current state, not the payload
			}
			d.sent.delivered = d.batch
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				key := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key")
				state[key]++
				require.NoError(t, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
					return Enqueue(ctx, tx, "topic", key, nil)
				}))
			},
			"claim": func(t *rapid.T) { take(rapid.IntRange(0, 1).Draw(t, "worker")) }, // a worker with a delivery dies silently
			"send": func(t *rapid.T) {
				if d := working[rapid.IntRange(0, 1).Draw(t, "worker")]; d != nil {
					send(d)
				}
			},
			"fail": func(t *rapid.T) {
				if d := working[rapid.IntRange(0, 1).Draw(t, "worker")]; d != nil {
					d.sent = outcome{failed: d.batch, err: errors.New("down")}
				}
			},
			"settle": func(t *rapid.T) {
				worker := rapid.IntRange(0, 1).Draw(t, "worker")
				if d := working[worker]; d != nil {
					require.NoError(t, w.settle(ctx, d.lease, d.sent))
					delete(working, worker)
				}
			},
			"wait": func(t *rapid.T) { c.Advance(time.Duration(rapid.IntRange(1, 120).Draw(t, "seconds")) * time.Second) },
			"":     func(*rapid.T) {},
		})
		for {
			c.Advance(time.Hour)
			take(0)
			if len(working[0].batch) == 0 {
				break
			}
			send(working[0])
			require.NoError(t, w.settle(ctx, working[0].lease, working[0].sent))
		}
		require.Equal(t, state, remote)
	})
}

// Messages that arrive while a worker gathers are delivered together, and their notifications do not wake the worker again afterwards.
func TestRun_gathersWhatComesMeanwhile(t *testing.T) {
	db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir(), Name: "test", Migrations: []fs.FS{Migrations}, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer db.Close()
	ctx, cancel := context.WithCancel(t.Context())
	batches, gathers, over := make(chan int, 10), make(chan time.Duration), make(chan time.Time)
	w := New(db, Options{Gather: time.Hour, Poll: time.Hour}, func(_ context.Context, batch []Message) error {
		batches <- len(batch)
		return nil
	})
	w.after = func(d time.Duration) (<-chan time.Time, func() bool) {
		gathers <- d
		return over, func() bool { return true }
	}
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.Notify()
	require.Equal(t, time.Hour, <-gathers)
	for _, key := range []string{"a", "b", "c"} {
		require.NoError(t, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error { return Enqueue(ctx, tx, "topic", key, nil) }))
		w.Notify()
	}
	over <- time.Time{}
	require.Equal(t, 3, <-batches)
	require.Empty(t, w.wake)
	w.Notify()
	<-gathers
	cancel()
	require.NoError(t, <-ended)
	require.Empty(t, batches)
}
