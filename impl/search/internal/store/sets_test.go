package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/internal/audit/audittest"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func wanted(name string) sets.Set {
	return sets.Set{Name: owner.Name{Local: name}, Kind: sets.Stopwords, Owner: "service:a", Body: `["the"]`}
}

// Of two processes that replace the same version, one gets the error that it is stale. An owner never has more sets than allowed.
func TestPutSet_countsAndComparesAcrossReplicas(t *testing.T) {
	storetest.Each(t, Migrations, func(t *testing.T, open func(t *testing.T) *store.DB) {
		first, second := open(t), open(t)
		audittest.Open(t, first)
		audittest.Open(t, second)
		replicas := []*Store{New(first, nil, clock.System), New(second, nil, clock.System)}
		one, err := replicas[0].PutSet(t.Context(), wanted("one"), SetOver{Absent: true}, did("putSearchSet"))
		require.NoError(t, err)
		for i := range sets.Most - 4 {
			_, err := replicas[i%2].PutSet(t.Context(), wanted(fmt.Sprintf("s%d", i)), SetOver{}, did("putSearchSet"))
			require.NoError(t, err)
		}
		var made, many, replaced, stale atomic.Int64
		match := etag.Exactly(one.Version)
		var group sync.WaitGroup
		for i := range 8 {
			group.Go(func() {
				switch _, err := replicas[i%2].PutSet(t.Context(), wanted(fmt.Sprintf("new%d", i)), SetOver{}, did("putSearchSet")); {
				case err == nil:
					made.Add(1)
				case errors.Is(err, sets.ErrMany):
					many.Add(1)
				default:
					t.Error(err)
				}
				switch _, err := replicas[i%2].PutSet(t.Context(), wanted("one"), SetOver{Match: &match}, did("putSearchSet")); {
				case err == nil:
					replaced.Add(1)
				case errors.Is(err, sets.ErrStale):
					stale.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.Equal(t, []int64{3, 5, 1, 7}, []int64{made.Load(), many.Load(), replaced.Load(), stale.Load()})
		all, err := replicas[0].Sets(t.Context(), sets.Stopwords)
		require.NoError(t, err)
		require.Len(t, all, sets.Most)

		require.NoError(t, replicas[1].DeleteSet(t.Context(), all[0], did("deleteSearchSet")))
		require.ErrorIs(t, replicas[0].DeleteSet(t.Context(), all[0], did("deleteSearchSet")), sets.ErrGone)
		_, err = replicas[0].PutSet(t.Context(), wanted("again"), SetOver{}, did("putSearchSet"))
		require.NoError(t, err, "there is room for one again")
		_, err = replicas[0].PutSet(t.Context(), wanted("oncemore"), SetOver{}, did("putSearchSet"))
		require.ErrorIs(t, err, sets.ErrMany)
	})
}
