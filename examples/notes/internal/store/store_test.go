package store_test

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/examples/notes/internal/domain"
	"github.com/fountainai/fountain/examples/notes/internal/store"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "notes.db"), func() time.Time { return noon })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// Of many who change one version at once, one succeeds, and nothing is lost silently.
func TestUpdate_letsOneOfManyWin(t *testing.T) {
	s := open(t)
	n, err := s.Create(t.Context(), "usr_1", domain.Draft{Title: "a", Text: "b"})
	require.NoError(t, err)
	require.Equal(t, noon, n.CreatedAt)
	var won, stale atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			switch _, err := s.Update(t.Context(), "usr_1", n.ID, 1, domain.Draft{Title: "c", Text: "d"}); {
			case err == nil:
				won.Add(1)
			case errors.Is(err, domain.ErrStale):
				stale.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, []int64{1, 19}, []int64{won.Load(), stale.Load()})
	got, err := s.Get(t.Context(), "usr_1", n.ID)
	require.NoError(t, err)
	require.EqualValues(t, 2, got.Version)
}

// Nobody's operation reaches another's note.
func TestStore_keepsOwnersApart(t *testing.T) {
	s := open(t)
	n, err := s.Create(t.Context(), "usr_1", domain.Draft{Title: "a"})
	require.NoError(t, err)
	_, err = s.Get(t.Context(), "usr_2", n.ID)
	require.ErrorIs(t, err, domain.ErrUnknown)
	_, err = s.Update(t.Context(), "usr_2", n.ID, 1, domain.Draft{Title: "b"})
	require.ErrorIs(t, err, domain.ErrUnknown)
	require.ErrorIs(t, s.Delete(t.Context(), "usr_2", n.ID), domain.ErrUnknown)
	theirs, err := s.List(t.Context(), "usr_2", 0, 10)
	require.NoError(t, err)
	require.Empty(t, theirs)
	mine, err := s.List(t.Context(), "usr_1", 0, 10)
	require.NoError(t, err)
	require.Equal(t, []domain.Note{n}, mine)
}

// What one owner keeps is bounded, and does not concern another.
func TestCreate_isBounded(t *testing.T) {
	s := open(t)
	s.Max = 2
	for range 2 {
		_, err := s.Create(t.Context(), "usr_1", domain.Draft{Title: "a"})
		require.NoError(t, err)
	}
	_, err := s.Create(t.Context(), "usr_1", domain.Draft{Title: "a"})
	require.ErrorIs(t, err, domain.ErrFull)
	_, err = s.Create(t.Context(), "usr_2", domain.Draft{Title: "a"})
	require.NoError(t, err)
}

func TestDraft_isBounded(t *testing.T) {
	require.NoError(t, domain.Draft{Title: "é"}.Check())
	require.ErrorIs(t, domain.Draft{}.Check(), domain.ErrInvalid)
	require.ErrorIs(t, domain.Draft{Title: "a", Text: string(make([]byte, domain.MaxText+1))}.Check(), domain.ErrInvalid)
	require.Regexp(t, `^note_[A-Z2-7]{26}$`, domain.NewID())
}
