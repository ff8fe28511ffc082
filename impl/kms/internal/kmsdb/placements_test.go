package kmsdb_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/kmsdb"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/store"
)

// placed stores a secret with placements of versions.
func (s suite) placed(versions ...int64) secret.Placement {
	s.Helper()
	p := secret.Placement{Name: "a", Driver: secret.Webhook, URL: "https://rotator.example.org/", Credential: "b", PlacedAt: noon, HeldUntil: free}
	s.write(func(ctx context.Context, tx *store.Tx) error {
		_, _, err := kmsdb.Secrets{}.Create(ctx, tx, "a", noon)
		for _, p.Version = range versions {
			if err == nil {
				err = kmsdb.Secrets{}.Place(ctx, tx, p)
			}
		}
		return err
	})
	return p
}

// free is the lease of a placement that no replica has.
var free = time.UnixMicro(0).UTC()

func (s suite) forgets(p secret.Placement) bool {
	s.Helper()
	return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
		return kmsdb.Secrets{}.DeletePlacement(ctx, tx, p)
	})
}

func (s suite) ending() (versions []int64) {
	s.Helper()
	ending, err := kmsdb.Secrets{}.Ending(s.Context(), s.q(), "a", 10)
	require.NoError(s, err)
	for _, p := range ending {
		versions = append(versions, p.Version)
	}
	return versions
}

func TestPlacements_endWhatIsNotCurrentWhenItsTimeHasCome(t *testing.T) {
	each(t, func(s suite) {
		rows, p := kmsdb.Secrets{}, s.placed(1, 2, 3)
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.EndVersion(ctx, tx, "a", 1, noon) })
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return rows.EndOthers(ctx, tx, "a", 3, noon.Add(time.Hour))
		})
		require.Equal(s, []int64{1, 2}, s.ending(), "the one whose end was decided keeps its time")
		due, err := rows.DueEndings(s.Context(), s.q(), noon, 10)
		require.NoError(s, err)
		p.Version, p.EndAt = 1, noon
		require.Equal(s, []secret.Placement{p}, due)

		p.Attempts, p.LastError = 1, secret.NoAnswer
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return rows.PutOffEnding(ctx, tx, p, noon.Add(2*time.Hour))
		})
		ending, err := rows.Ending(s.Context(), s.q(), "a", 10)
		require.NoError(s, err)
		require.Equal(s, []any{int64(1), secret.NoAnswer}, []any{ending[1].Attempts, ending[1].LastError})

		two := secret.Placement{Name: "a", Version: 2, HeldUntil: free}
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.KeepPlacement(ctx, tx, "a", 2) })
		require.False(s, s.forgets(two))
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.PutOffEnding(ctx, tx, two, noon) })
		require.Equal(s, []int64{1}, s.ending(), "what is to work again is neither ended nor forgotten by somebody who is late")
		s.write(func(ctx context.Context, tx *store.Tx) error {
			return rows.PlaceOnce(ctx, tx, secret.Placement{Name: "a", Version: 2, Driver: "other", PlacedAt: noon})
		})
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.EndVersion(ctx, tx, "a", 2, noon) })
		ending, err = rows.Ending(s.Context(), s.q(), "a", 1)
		require.NoError(s, err)
		require.Equal(s, secret.Webhook, ending[0].Driver, "it is ended where it was put")
		require.True(s, s.forgets(two))
		require.Equal(s, []int64{1}, s.ending())
	})
}

// Of all that find an end due, one has it until its lease is over.
func TestPlacements_areEndedByOneAtATime(t *testing.T) {
	each(t, func(s suite) {
		rows, p := kmsdb.Secrets{}, s.placed(1)
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.EndVersion(ctx, tx, "a", 1, noon) })
		p.Version = 1
		claim := func(at time.Time) bool {
			return s.did(func(ctx context.Context, tx *store.Tx) (bool, error) {
				_, held, err := rows.ClaimEnding(ctx, tx, p, at, at.Add(30*time.Second))
				return held, err
			})
		}
		var held atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if claim(noon) {
					held.Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(s, 1, held.Load())
		for at, want := range map[time.Duration]bool{29 * time.Second: true, 30 * time.Second: false} {
			now, err := rows.Held(s.Context(), s.q(), "a", noon.Add(at))
			require.NoError(s, err)
			require.Equal(s, want, now)
		}
		require.False(s, claim(noon.Add(29*time.Second)))
		require.True(s, claim(noon.Add(30*time.Second)))

		late := p // a late answer, after its lease has ended
		late.HeldUntil, late.Attempts = noon.Add(30*time.Second), 7
		require.False(s, s.forgets(late))
		s.write(func(ctx context.Context, tx *store.Tx) error { return rows.PutOffEnding(ctx, tx, late, noon) })
		now, found, err := rows.Placement(s.Context(), s.q(), "a", 1)
		require.NoError(s, err)
		require.True(s, found)
		require.Zero(s, now.Attempts)
		require.Equal(s, noon.Add(time.Minute), now.HeldUntil)
		require.True(s, s.forgets(now))
	})
}
