package domain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

var lines = domain.Group{Scope: "hamlet", ElementType: "spokenWord"}

func TestCreate_namesOnlyWhatHasNoName(t *testing.T) {
	c := domain.Create{Group: lines, Drafts: []domain.Draft{{}, {ID: "mine"}, {}}}
	n := 0
	c.Name(func() string { n++; return strings.Repeat("n", n) })
	require.Equal(t, []string{"n", "mine", "nn"}, []string{c.Drafts[0].ID, c.Drafts[1].ID, c.Drafts[2].ID})
	require.NoError(t, c.Check())
}

func TestCreate_numbersTheBlockThatEndsAtLast(t *testing.T) {
	c := domain.Create{Group: lines, Drafts: []domain.Draft{{ID: "a"}, {ID: "b"}, {ID: "c"}}}
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	var numbers []int64
	for _, e := range c.Number(9, at) {
		numbers = append(numbers, e.Number)
		require.Equal(t, domain.Active, e.Status)
		require.EqualValues(t, 1, e.Version)
		require.Equal(t, at, e.UpdatedAt)
	}
	require.Equal(t, []int64{7, 8, 9}, numbers)
}

func TestCheck_pointsAtEveryFault(t *testing.T) {
	big := make([]byte, domain.MaxData+1)
	c := domain.Create{Drafts: []domain.Draft{{ID: "a"}, {ID: "a", Data: big}, {ID: "b", Data: big[1:]}}}
	var invalid *domain.InvalidItems
	require.ErrorAs(t, c.Check(), &invalid)
	require.Len(t, invalid.Faults, 2)
	require.Equal(t, "id", invalid.Faults[0].Property)
	require.Equal(t, "data", invalid.Faults[1].Property)
	require.Equal(t, 1, invalid.Faults[1].Index)
	require.Error(t, (&domain.Revise{Data: big}).Check())
	require.NoError(t, (&domain.Revise{Data: big[1:]}).Check())
	require.ErrorAs(t, (&domain.Reorder{Order: []string{"a", "b", "a"}}).Check(), &invalid)
	require.Equal(t, 2, invalid.Faults[0].Index)
}

func TestReorder_isAPermutationOfTheNumbersHeld(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		order := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 2, 20, rapid.ID[string]).Draw(rt, "order")
		numbers := rapid.SliceOfNDistinct(rapid.Int64Range(1, 100), len(order), len(order), rapid.ID[int64]).Draw(rt, "numbers")
		held := map[string]int64{}
		for i, id := range order {
			held[id] = numbers[i]
		}
		r := domain.Reorder{Group: lines, Order: order}
		changes, err := r.Changes(held)
		require.NoError(rt, err)
		after := map[string]int64{}
		for id, n := range held {
			after[id] = n
		}
		for _, c := range changes {
			require.Equal(rt, held[c.ID], c.From)
			require.NotEqual(rt, c.From, c.To)
			after[c.ID] = c.To
		}
		for i := 1; i < len(order); i++ {
			require.Less(rt, after[order[i-1]], after[order[i]], "in the order listed")
		}
		var left []int64
		for _, n := range after {
			left = append(left, n)
		}
		slices.Sort(left)
		slices.Sort(numbers)
		require.Equal(rt, numbers, left, "the same numbers")
	})
}

func TestReorder_refusesStrangers(t *testing.T) {
	r := domain.Reorder{Group: lines, Order: []string{"a", "x", "b", "y"}}
	changes, err := r.Changes(map[string]int64{"a": 1, "b": 2})
	require.Nil(t, changes)
	var invalid *domain.InvalidItems
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, []int{1, 3}, []int{invalid.Faults[0].Index, invalid.Faults[1].Index})
}

func TestRef_comparesByScopeThenTypeThenID(t *testing.T) {
	ref := func(scope, elementType, id string) domain.Ref {
		return domain.Ref{Group: domain.Group{Scope: scope, ElementType: elementType}, ID: id}
	}
	sorted := []domain.Ref{ref("a", "a", "b"), ref("a", "b", "a"), ref("b", "a", "a"), ref("b", "a", "b")}
	shuffled := []domain.Ref{sorted[2], sorted[3], sorted[0], sorted[1]}
	slices.SortFunc(shuffled, domain.Ref.Compare)
	require.Equal(t, sorted, shuffled)
}
