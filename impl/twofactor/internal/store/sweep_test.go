package store_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/twofactor/internal/store"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	base "github.com/fountainai/fountain/internal/store"
)

// Every code waits while steps are deleted, so a used step must be found by its key.
func TestSweep_readsThroughNothingWhereItDeletes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		if w.db.Dialect() != base.SQLite {
			t.Skip("PostgreSQL plans by what it has counted, and locks rows alone")
		}
		var plan []struct {
			ID, Parent, NotUsed int64
			Detail              string
		}
		require.NoError(t, w.db.Read(t.Context()).Select(t.Context(), &plan, "EXPLAIN QUERY PLAN "+store.ForgetOne, "fac_1", 1, 2))
		require.Len(t, plan, 1)
		require.Equal(t, "SEARCH used_steps USING PRIMARY KEY (factor_id=? AND step=?)", plan[0].Detail)
	})
}

// Old steps are found among newer ones, and deleted in several transactions.
func TestSweep_forgetsCodesThatWereUsedTwoDaysAgo(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := someone()
		_, seed := w.enrolled(t, c, totp.Default)
		for range 3 {
			rows := make([]string, 0, 401)
			for i := range 401 {
				rows = append(rows, fmt.Sprintf("('fac_%02d', %d, %d, '')", i%7, w.number(t, "SELECT COUNT(*) FROM used_steps")+int64(i), w.now.Now().UnixMicro()))
			}
			w.exec(t, "INSERT INTO used_steps (factor_id, step, used_at, session) VALUES "+strings.Join(rows, ", "))
		}
		w.now.Advance(47 * time.Hour)
		require.NoError(t, w.Sweep(t.Context()))
		require.EqualValues(t, 3*401+1, w.number(t, "SELECT COUNT(*) FROM used_steps"), "with the code that confirmed the factor")
		p, err := w.Verify(t.Context(), c, w.code(t, seed, totp.Default, 0))
		requireRight(t, p, err)
		w.now.Advance(59 * time.Minute)
		require.NoError(t, w.Sweep(t.Context()))
		w.now.Advance(2 * time.Minute)
		require.NoError(t, w.Sweep(t.Context()))
		require.EqualValues(t, 1, w.number(t, "SELECT COUNT(*) FROM used_steps"), "the code of an hour ago")
	})
}
