package sequence

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	database "github.com/fountainai/fountain/internal/store"
)

const lettersPath = "/dead-letters"

type letters struct {
	Items []struct {
		Scope, ElementType, ElementID, Reason string
		Attempts                              int64
		ChangedAt, FailedAt                   time.Time
	}
	NextCursor string
}

func (l letters) ids() (out []string) {
	for _, i := range l.Items {
		out = append(out, i.ElementID)
	}
	return out
}

func (i *instance) letters(t testing.TB, query string) (out letters) {
	r := i.do(t, admin, http.MethodGet, lettersPath+query, nil)
	require.Equal(t, 200, r.status, string(r.body))
	r.into(t, &out)
	return out
}

// An element that search refuses is not tried again by itself and is listed with the reason. It does not hinder later writes. It is tried again on request, or when it changes.
func TestDeadLetters_areListedAndRetried(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		always := func(map[string]any) bool { return true }
		for _, id := range []string{"a", "b", "c"} {
			f.search.refuse["hamlet:spokenWord:"+id] = always
		}
		settings, registry := f.settings(t, db), prometheus.NewRegistry()
		settings.Registerer = registry
		i := f.launch(t, settings, f)
		i.WaitReady(t)
		for _, id := range []string{"a", "b", "c", "d"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{"text":"words"}}`)
		}
		f.search.await(t, holds(1))
		require.Eventually(t, func() bool { return len(i.letters(t, "").Items) == 3 }, 10*time.Second, 10*time.Millisecond)

		first := i.letters(t, "?limit=2")
		require.Equal(t, []string{"a", "b"}, first.ids())
		require.Equal(t, "validation_failed", first.Items[0].Reason)
		require.Equal(t, "hamlet", first.Items[0].Scope)
		require.Equal(t, "spokenWord", first.Items[0].ElementType)
		require.EqualValues(t, 1, first.Items[0].Attempts)
		require.False(t, first.Items[0].FailedAt.Before(first.Items[0].ChangedAt))
		second := i.letters(t, "?limit=2&cursor="+first.NextCursor)
		require.Equal(t, []string{"c"}, second.ids())
		require.Empty(t, second.NextCursor)
		require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`# HELP fountain_sequence_search_dead_letters Elements that the search service has refused and does not get by itself.
# TYPE fountain_sequence_search_dead_letters gauge
fountain_sequence_search_dead_letters 3
`), "fountain_sequence_search_dead_letters"))

		f.search.set(func() { f.search.refuse = nil })
		r := i.do(t, admin, http.MethodPost, lettersPath+"/retry", `{"elements":[{"scope":"hamlet","elementType":"spokenWord","elementId":"b"},{"scope":"hamlet","elementType":"spokenWord","elementId":"none"}]}`)
		require.JSONEq(t, `{"retried":1,"remaining":2}`, string(r.body))
		f.search.await(t, holds(2))
		require.Equal(t, 201, i.do(t, editor, http.MethodPost, linesPath+"/c/versions", `{"data":{"text":"new"}}`, "If-Match", `"1"`).status)
		f.search.await(t, holds(3))
		require.Eventually(t, func() bool { return fmt.Sprint(i.letters(t, "").ids()) == "[a]" }, 10*time.Second, 10*time.Millisecond, "its next change reached search")
		require.JSONEq(t, `{"retried":1,"remaining":0}`, string(i.do(t, admin, http.MethodPost, lettersPath+"/retry", `{}`).body))
		f.search.await(t, holds(4))
		require.JSONEq(t, `{"retried":0,"remaining":0}`, string(i.do(t, admin, http.MethodPost, lettersPath+"/retry", `{}`).body))
	})
}

func TestDeadLetters_refuseWhatIsWrong(t *testing.T) {
	f := newFamily(t)
	i := f.start(t, database.Config{Dir: t.TempDir()})
	for _, who := range []caller{reader, editor} {
		require.Equal(t, 403, i.do(t, who, http.MethodGet, lettersPath, nil).status)
		require.Equal(t, 403, i.do(t, who, http.MethodPost, lettersPath+"/retry", `{}`).status)
	}
	require.Equal(t, 200, i.do(t, program, http.MethodPost, lettersPath+"/retry", `{}`).status, "a service whose scopes the administrator chose")
	require.Equal(t, 401, i.send(t, "", http.MethodGet, lettersPath, nil).status)
	require.Equal(t, 401, i.send(t, "", http.MethodPost, lettersPath+"/retry", `{}`).status)
	require.Equal(t, 422, i.do(t, admin, http.MethodPost, lettersPath+"/retry", `{"elements":[]}`).status)
	require.Equal(t, 422, i.do(t, admin, http.MethodPost, lettersPath+"/retry", `{"elements":[{"scope":"a:b","elementType":"x","elementId":"y"}]}`).status)
	listed := i.do(t, reader, http.MethodGet, linesPath+"?limit=1", nil)
	require.Equal(t, 404, listed.status)
	code, _ := i.do(t, admin, http.MethodGet, lettersPath+"?cursor=bm9uc2Vuc2U", nil).problem(t)
	require.Equal(t, "invalid_cursor", code)
}
