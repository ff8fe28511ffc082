package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	database "github.com/fountainai/fountain/internal/store"
)

func putFormat(t require.TestingT, db *database.DB, f domain.Format) {
	require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *database.Tx) error {
		_, err := store.PutFormat(ctx, tx, f)
		return err
	}))
}

// formattedAt creates elements at a given time and returns their formatted numbers.
func formattedAt(t *testing.T, db *database.DB, at time.Time, changes ...*store.Change) (out []string) {
	require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *database.Tx) error { return applyIn(ctx, tx, at, changes) }))
	for _, c := range changes {
		require.NoError(t, c.Err)
		for _, e := range c.Done.Elements {
			out = append(out, e.Formatted)
		}
	}
	return out
}

func TestApply_beginsFormattedNumbersAnewInEachPeriodOfTheTimeZone(t *testing.T) {
	each(t, func(t *testing.T, open func(t *testing.T) *database.DB) {
		db := open(t)
		yearly, daily, plain := domain.Group{Scope: "books", ElementType: "invoice"}, domain.Group{Scope: "books", ElementType: "receipt"}, domain.Group{Scope: "books", ElementType: "note"}
		putFormat(t, db, domain.Format{Group: yearly, Prefix: "INV-", Padding: 5, Reset: domain.ResetYear, TimeZone: "Europe/Berlin"})
		putFormat(t, db, domain.Format{Group: daily, Prefix: "R", Reset: domain.ResetDay, TimeZone: "America/New_York"})
		lastSecond := time.Date(2026, 12, 31, 22, 59, 59, 0, time.UTC) // in Berlin
		require.Equal(t, []string{"INV-2026-00001", "INV-2026-00002", "R2026-12-31-1", "", "INV-2026-00003"},
			formattedAt(t, db, lastSecond, create(yearly, "a", "b"), create(daily, "a"), create(plain, "a"), create(yearly, "c")))
		require.Equal(t, []string{"INV-2027-00001", "R2026-12-31-2"}, formattedAt(t, db, lastSecond.Add(time.Second), create(yearly, "d"), create(daily, "b")), "midnight is the zone's")
		require.Equal(t, []string{"INV-2027-00002", "R2026-12-31-3"}, formattedAt(t, db, lastSecond.AddDate(0, -6, 0), create(yearly, "e"), create(daily, "c")),
			"a clock that is set back opens no period that is over")
		s := store.New(db)
		f, err := s.Format(t.Context(), yearly)
		require.NoError(t, err)
		next, err := f.Next(lastSecond)
		require.NoError(t, err)
		require.Equal(t, "INV-2027-00003", next)
		next, err = f.Next(lastSecond.AddDate(1, 0, 1))
		require.NoError(t, err)
		require.Equal(t, "INV-2028-00001", next)
		_, err = s.Format(t.Context(), plain)
		require.ErrorIs(t, err, domain.ErrNoFormat)
		e, err := s.Get(t.Context(), domain.Ref{Group: yearly, ID: "c"})
		require.NoError(t, err)
		require.Equal(t, "INV-2026-00003", e.Formatted)
	})
}

func TestFormat_knowsWhatItHasGiven(t *testing.T) {
	f := domain.Format{Prefix: "A-", Padding: 3, Reset: domain.ResetMonth, TimeZone: "UTC", Period: "2026-11", Last: 12}
	for _, text := range []string{"A-2026-11-001", "A-2026-11-012", "A-2025-01-999", "A-2026-10-1234"} {
		require.True(t, f.Gave(text), text)
	}
	for last, want := range map[int64]string{0: "A-2026-11-001", 998: "A-2026-11-999", 999: "A-2026-11-1000", domain.MaxNumber - 1: "A-2026-11-9007199254740991"} {
		f := f
		f.Last = last
		next, err := f.Next(time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))
		require.NoError(t, err)
		require.Equal(t, want, next, "a number that is longer than the padding is not cut")
	}
	for _, text := range []string{"", "A-", "A-2026-11", "A-2026-11-", "A-2026-11-13", "A-2026-11-013", "A-2026-11-12", "A-2026-11-000", "A-2026-12-001", "A-2026-13-001", "B-2026-11-001", "A-2026-11-+01"} {
		require.False(t, f.Gave(text), text)
	}
}
