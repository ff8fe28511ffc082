package engine

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

// Answers that are freed twice are reused by one other answer, not by two.
func TestAnswers_freedTwiceAreOneOthers(t *testing.T) {
	client, err := tsclient.New("http://engine", tsclient.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		fmt.Fprintf(w, `{"results":[{"found":1,"hits":[{"document":{"asked":%q}}]}]}`, asked)
	})), func() string { return "k" }, tsclient.Deadlines{})
	require.NoError(t, err)
	e := New(client, noKeys{})
	search := func(name string) *Answers {
		answers, err := e.SearchEach(t.Context(), map[string]any{"collection": name})
		require.NoError(t, err)
		return answers
	}
	for range 10 {
		before := search("before")
		before.Free()
		before.Free()
		require.Empty(t, before.Each)
		red, blue := search("red"), search("blue")
		require.Contains(t, string(red.Each[0].Hits[0].Document), "red")
		require.Contains(t, string(blue.Each[0].Hits[0].Document), "blue")
		red.Free()
		blue.Free()
	}
}
