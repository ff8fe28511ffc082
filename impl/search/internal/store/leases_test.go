package store

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/job"
	"github.com/fountainai/fountain/impl/search/internal/lease"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

// A claim whose transaction was rolled back, and that finds nothing when it is repeated, returns nothing.
func TestClaim_returnsNothingOfATransactionThatWasRolledBack(t *testing.T) {
	each(t, func(t *testing.T, s *Store, now *clock.Fake) {
		c, receiving := s.make(t, now, "service:a"), lease.New(time.Minute)
		j := &job.Job{ID: "job_a", Name: c.Name, Claimed: c.Claimed, State: job.Receiving, Whose: "service:a", Reach: job.Every}
		require.NoError(t, s.BeginJob(t.Context(), j, receiving))
		require.NoError(t, s.AddPart(t.Context(), j, receiving, []byte("{}\n"), 1))
		require.NoError(t, s.AcceptJob(t.Context(), j, receiving))
		reads := 0
		got, err := claim(t.Context(), s, leasedJobs, lease.New(lease.Last), func(_ context.Context, _ *store.Tx, id string) (*string, error) {
			reads++
			now.Set(now.Now().Add(-time.Hour)) // it is not due any more
			return &id, &pgconn.PgError{Code: "40001"}
		})
		require.NoError(t, err)
		require.Nil(t, got)
		require.Equal(t, 1, reads)
		now.Advance(time.Hour)
		claimed, err := s.ClaimJob(t.Context(), lease.New(lease.Last))
		require.NoError(t, err)
		require.Equal(t, j.ID, claimed.ID, "its lease was rolled back, too")
	})
}
