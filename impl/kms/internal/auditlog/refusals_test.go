package auditlog_test

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// A flood of refusals costs sixty rows a minute and one with the number of further ones.
func TestRefusals_boundTheRowsOfAFlood(t *testing.T) {
	storetest.Each(t, []fs.FS{audit.Migrations}, func(t *testing.T, open func(t *testing.T) *store.DB) {
		db, now := open(t), clock.NewFake(time.Now().Truncate(time.Minute))
		audittest.Open(t, db)
		r := auditlog.NewRefusals(auditlog.Log{Clock: now})
		refuse := func(action string, times int) {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				for range times {
					if err := r.Append(ctx, tx, auditlog.Event{Action: action}); err != nil {
						return err
					}
				}
				return nil
			}))
		}
		rows := func() int {
			all, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Limit: 1000})
			require.NoError(t, err)
			return len(all)
		}
		refuse("loginUser", 500)
		refuse("bootstrapAdmin", 10)
		require.NoError(t, r.Flush(t.Context(), db))
		require.Equal(t, 70, rows(), "the minute is not over")
		now.Advance(time.Minute)
		refuse("loginUser", 1)
		require.Equal(t, 72, rows())
		all, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Limit: 2})
		require.NoError(t, err)
		require.Equal(t, "440", all[1].Detail["notRecorded"])
		refuse("loginUser", 100)
		now.Advance(time.Minute)
		ended, end := context.WithCancel(t.Context())
		end()
		require.Error(t, r.Flush(ended, db))
		require.NoError(t, r.Flush(t.Context(), db), "what could not be written is kept")
		require.NoError(t, r.Flush(t.Context(), db))
		all, _, err = audit.List(t.Context(), db.Read(t.Context()), audit.Query{Limit: 1})
		require.NoError(t, err)
		require.Equal(t, "41", all[0].Detail["notRecorded"])
		require.Equal(t, 72+59+1, rows())
	})
}
