package outbox_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/outbox"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func TestEnqueueKeys_coalescesRepeatsAndTakesThousands(t *testing.T) {
	storetest.Each(t, migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db := open(t)
		var keys []string
		for i := range 2500 {
			keys = append(keys, fmt.Sprintf("k%d", i), fmt.Sprintf("k%d", i/2))
		}
		enqueue := func(keys ...string) error {
			return db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error { return outbox.EnqueueKeys(ctx, tx, "things", keys) })
		}
		require.NoError(t, enqueue(keys...))
		require.NoError(t, enqueue("k7", "new"))
		require.NoError(t, enqueue())
		require.Error(t, enqueue(string(make([]byte, 600))))
		count, _, err := outbox.New(db, outbox.Options{}, nil).Lag(t.Context())
		require.NoError(t, err)
		require.EqualValues(t, 2501, count)
	})
}
