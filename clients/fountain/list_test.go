package fountain_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
)

// threePages serves a list of five elements in pages of two. From page failAt on, it refuses.
func threePages(f *fake, failAt int) {
	f.on("GET "+elementsPath, func(w http.ResponseWriter, r *http.Request, _ int) {
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
		if failAt > 0 && from >= failAt {
			refuse(w, http.StatusForbidden, fountain.CodeInsufficientScope)
			return
		}
		page := map[string]any{}
		var items []map[string]any
		for n := from; n < min(from+2, 5); n++ {
			items = append(items, map[string]any{"id": fmt.Sprint(n), "number": n + 1})
		}
		page["items"] = items
		if from+2 < 5 {
			page["nextCursor"] = fmt.Sprint(from + 2)
		}
		answer(w, 200, page)
	})
}

func TestElements_readsEveryPageAndStopsWhenTheCallerDoes(t *testing.T) {
	f := newFake(t)
	threePages(f, 0)
	c := f.client(t)
	all, err := fountain.Collect(c.Sequence.Elements(t.Context(), "hamlet", "spokenWord", fountain.WithPageSize(2), fountain.WithQuery("status", "active")))
	require.NoError(t, err)
	require.Len(t, all, 5)
	require.Len(t, f.requests(elementsPath), 3)
	require.Equal(t, "limit=2&status=active", f.requests(elementsPath)[0].query)

	for e, err := range c.Sequence.Elements(t.Context(), "hamlet", "spokenWord") {
		require.NoError(t, err)
		require.Equal(t, int64(1), e.Number)
		break
	}
	require.Len(t, f.requests(elementsPath), 4)
	require.Equal(t, "limit=200", f.requests(elementsPath)[3].query)
}

func TestElements_yieldsAnErrorAfterWhatCameBefore(t *testing.T) {
	f := newFake(t)
	threePages(f, 4)
	some, err := fountain.Collect(f.client(t).Sequence.Elements(t.Context(), "hamlet", "spokenWord"))
	require.ErrorIs(t, err, fountain.ErrForbidden)
	require.Len(t, some, 4)
}

func TestElements_endsWhenACursorLoops(t *testing.T) {
	f := newFake(t)
	f.on("GET "+elementsPath, func(w http.ResponseWriter, _ *http.Request, _ int) {
		answer(w, 200, map[string]any{"items": []any{}, "nextCursor": "again"})
	})
	_, err := fountain.Collect(f.client(t).Sequence.Elements(t.Context(), "hamlet", "spokenWord"))
	require.ErrorContains(t, err, "same cursor twice")
}
