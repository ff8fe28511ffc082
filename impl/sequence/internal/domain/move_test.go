package domain_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// Far gives the same numbers as the same move planned element by element.
func TestMove_farSaysWhatEachNumberSays(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e"}
	held := map[string]int64{}
	for i, id := range ids {
		held[id] = int64(i) + 1
	}
	for _, id := range ids {
		for _, anchor := range ids {
			for _, m := range []domain.Move{{Before: anchor}, {After: anchor}} {
				if m.Ref.ID = id; id == anchor {
					continue
				}
				t.Run(fmt.Sprintf("%s before %q after %q", id, m.Before, m.After), func(t *testing.T) {
					low, high, err := m.Span(held)
					require.NoError(t, err)
					want, err := m.Reorder(ids[low-1 : high]).Changes(held)
					require.NoError(t, err)
					moved, shift := m.Far(held)
					if shift != nil {
						require.Len(t, want, int(shift.Count())+1)
					}
					var got []domain.NumberChange
					for _, other := range ids {
						switch n := held[other]; {
						case other == id && moved.From != moved.To:
							got = append(got, moved)
						case shift != nil && n >= shift.From && n <= shift.To:
							got = append(got, domain.NumberChange{ID: other, From: n, To: n + shift.By})
						}
					}
					require.ElementsMatch(t, want, got)
				})
			}
		}
	}
}

func TestMove_isOverAMillionPlacesAtMost(t *testing.T) {
	m := domain.Move{Ref: domain.Ref{ID: "a"}, Before: "b"}
	_, _, err := m.Span(map[string]int64{"a": 1, "b": domain.MaxPlaces + 1})
	require.NoError(t, err)
	_, _, err = m.Span(map[string]int64{"a": 1, "b": domain.MaxPlaces + 2})
	var invalid *domain.InvalidItems
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "maxItems", invalid.Faults[0].Rule)
	require.Equal(t, "before", invalid.Faults[0].Property)
}
