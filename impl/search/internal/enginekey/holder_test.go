package enginekey

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// hasty reports a version that it does not return yet, as a lagging replica of the kms may.
type hasty struct{ watched int }

func (h *hasty) Key(context.Context) (Key, error) { return Key{Text: "k", Version: 1}, nil }

func (h *hasty) Watch(context.Context, int64) (int64, error) {
	h.watched++
	return 2, nil
}

func TestHolder_doesNotWatchWithoutEndWhatChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &hasty{}
		h := New(source)
		require.NoError(t, h.Refresh(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, h.Run(ctx, func(err error) { t.Error(err) }))
		require.Greater(t, source.watched, 30)
		require.LessOrEqual(t, source.watched, 61)
	})
}
