package writer_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/impl/sequence/internal/writer"
	database "github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// heldMoves holds the settling of each long move until release is called.
type heldMoves struct {
	w       *writer.Writer
	pass    atomic.Int64 // transactions that are yet let through
	held    atomic.Int64 // moves
	release func()
}

func holdMoves(t *testing.T, w *writer.Writer) *heldMoves {
	released := make(chan struct{})
	h := &heldMoves{w: w, release: sync.OnceFunc(func() { close(released) })}
	w.Between(func() {
		if h.pass.Add(-1) < 0 {
			h.held.Add(1)
			<-released
		}
	})
	t.Cleanup(h.release) // before the writer is closed
	return h
}

// move moves the first of 201 elements behind the others for an owner, and returns when the move is shown and its settling is held.
func (h *heldMoves) move(t *testing.T, owner string, g domain.Group) error {
	before := h.held.Load()
	h.pass.Store(2) // begin and show
	actor := author
	actor.Subject = owner
	_, err := h.w.Do(t.Context(), writer.Request{Move: &domain.Move{Ref: domain.Ref{Group: g, ID: "line0"}, After: "line200", Actor: actor}})
	for err == nil && h.held.Load() == before {
		runtime.Gosched()
	}
	return err
}

// TestDo_boundsTheLongMovesThatAreSettled has as many moves shown as are allowed, which is several times what one subject may have. Further moves wait, and large creations do not.
func TestDo_boundsTheLongMovesThatAreSettled(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		w := newWriter(t, db, 0)
		group := func(n int) domain.Group { return domain.Group{Scope: fmt.Sprint("scope", n), ElementType: "line"} }
		for n := range 17 {
			_, err := w.Do(t.Context(), create(group(n), many(201)...))
			require.NoError(t, err)
		}
		h := holdMoves(t, w)
		for n := range 16 {
			if n == 4 {
				w.Wait = 10 * time.Millisecond
				require.ErrorIs(t, h.move(t, "owner0", group(16)), database.ErrUnavailable, "nobody has all")
				w.Wait = time.Minute
			}
			require.NoError(t, h.move(t, fmt.Sprint("owner", n/4), group(n)))
		}
		w.Wait = 10 * time.Millisecond
		require.ErrorIs(t, h.move(t, "another", group(16)), database.ErrUnavailable)
		_, err := w.Do(t.Context(), create(group(16), make([]string, 65)...))
		require.NoError(t, err)
		h.release()
		w.Settled()
		requireNothingLeft(t, db)
	})
}

// TestFinishAllOrders_keepsNobodyWaiting holds the settling of what a dead process has left. The start does not wait for it.
func TestFinishAllOrders_keepsNobodyWaiting(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		leave(t, db, newWriter(t, db, 0), []domain.Group{lines})
		w := newWriter(t, db, 0)
		h := holdMoves(t, w)
		h.pass.Store(1) // gives up what nobody has seen
		require.NoError(t, w.FinishAllOrders(t.Context()))
		_, err := w.Do(context.Background(), create(lines, "c"))
		require.NoError(t, err)
		require.Equal(t, []string{"b", "a", "c"}, first(t, db, 3))
		n, err := store.New(db).Orders(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 1, n)
		h.release()
		w.Settled()
		requireNothingLeft(t, db)
		require.Equal(t, []string{"b", "a", "c"}, first(t, db, 3))
	})
}
