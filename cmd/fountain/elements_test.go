package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/sequence"
)

func TestElementsMove_tellsThoseThatAreShifted(t *testing.T) {
	near := &sequence.ReorderResult{Changes: []sequence.NumberChange{{ID: "a", From: 1, To: 2}, {ID: "b", From: 2, To: 1}}}
	require.Equal(t, [][]string{{"a", "1", "2"}, {"b", "2", "1"}}, movedRows(near))
	far := &sequence.ReorderResult{Changes: []sequence.NumberChange{{ID: "a", From: 1, To: 20001}}, Shifted: &sequence.Shifted{From: 2, To: 20001, By: -1}}
	require.Equal(t, [][]string{{"a", "1", "20001"}, {"(20000 others)", "2-20001", "1-20000"}}, movedRows(far))
}
