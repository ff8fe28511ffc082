package sequence

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	database "github.com/fountainai/fountain/internal/store"
)

const searchPath = "/scopes/hamlet/search"

// found is a response of searchElements.
type found struct {
	Found int64
	Page  int
	Hits  []struct {
		Element element
		Snippet string
	}
	Facets []struct {
		Property string
		Counts   []struct {
			Value string
			Count int
		}
	}
}

func (i *instance) search(t testing.TB, body string) (out found) {
	r := i.do(t, reader, http.MethodPost, searchPath, body)
	require.Equal(t, 200, r.status, string(r.body))
	r.into(t, &out)
	return out
}

func (f found) ids() (out []string) {
	for _, h := range f.Hits {
		out = append(out, h.Element.ID)
	}
	return out
}

func holds(n int) func(map[string]map[string]any) bool {
	return func(documents map[string]map[string]any) bool { return len(documents) == n }
}

func TestSearchElements_findsWhatWasWritten(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		i.create(t, linesPath, `{"id":"a","data":{"character":"HAMLET","text":"To be","deep":{"note":["or not",7]}}}`)
		i.create(t, linesPath, `{"id":"b","data":{"character":"OPHELIA","text":"Good my lord"}}`)
		i.create(t, "/scopes/hamlet/section/elements", `{"id":"a","data":{"text":"To be in a section","character":"HAMLET"}}`)
		i.create(t, "/scopes/lear/spokenWord/elements", `{"id":"z","data":{"text":"To be in another scope","character":"HAMLET"}}`)
		f.search.await(t, holds(4))
		f.search.set(func() {
			require.Equal(t, "HAMLET\nTo be\nor not", f.search.documents["hamlet:spokenWord:a"]["text"], "every text of the data")
		})

		all := i.search(t, `{"q":"*"}`)
		require.Equal(t, []string{"a", "a", "b"}, all.ids())
		one := i.search(t, `{"q":"To","elementType":"spokenWord","facets":["character","scene"]}`)
		require.Equal(t, []string{"a"}, one.ids())
		require.Equal(t, "HAMLET\n<mark>To</mark> be\nor not", one.Hits[0].Snippet)
		require.Equal(t, `{"character":"HAMLET","text":"To be","deep":{"note":["or not",7]}}`, string(one.Hits[0].Element.Data))
		require.Equal(t, "character", one.Facets[0].Property)
		require.Equal(t, "HAMLET", one.Facets[0].Counts[0].Value)
		require.Equal(t, "scene", one.Facets[1].Property, "a facet that nothing has counts nothing")
		require.Empty(t, one.Facets[1].Counts)
		require.Equal(t, []string{"b"}, i.search(t, `{"q":"*","filters":[{"property":"character","values":["OPHELIA","GHOST"]}]}`).ids())
		require.Empty(t, i.search(t, `{"q":"*","filters":[{"property":"nobodyHasIt","values":["x"]}]}`).Hits)
		require.Equal(t, 404, i.do(t, reader, http.MethodPost, "/scopes/macbeth/search", `{"q":"*"}`).status)
		for _, token := range f.search.tokens {
			require.Equal(t, "Bearer token of sequence for search", token, "a caller's token is never handed on")
		}
	})
}

func TestSearchElements_answersWhatIsCurrent(t *testing.T) {
	f := newFamily(t)
	i := f.start(t, database.Config{Dir: t.TempDir()})
	i.create(t, linesPath, `{"id":"a","data":{"text":"old words"}}`)
	i.create(t, linesPath, `{"id":"b","data":{"text":"old friends"}}`)
	f.search.await(t, holds(2))
	f.search.set(func() { f.search.refuse["hamlet:spokenWord:a"] = func(map[string]any) bool { return true } })
	r := i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"new words"}}`, "If-Match", `"1"`)
	require.Equal(t, 201, r.status)
	require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/a/omit", nil).status)
	hits := i.search(t, `{"q":"old"}`).Hits
	require.Len(t, hits, 2)
	require.Equal(t, `{"text":"new words"}`, string(hits[0].Element.Data), "the index is behind, the answer is not")
	require.Equal(t, []string{"b"}, i.search(t, `{"q":"old","status":"active"}`).ids())
	// A document of another scope, or of no element, is never returned, whatever the engine finds.
	f.search.set(func() {
		f.search.documents["lear:spokenWord:a"] = map[string]any{"id": "lear:spokenWord:a", "scopeKey": f.search.documents["hamlet:spokenWord:a"]["scopeKey"], "text": "old", "number": 1.0}
		f.search.documents["nonsense"] = map[string]any{"id": "nonsense", "scopeKey": f.search.documents["hamlet:spokenWord:a"]["scopeKey"], "text": "old", "number": 1.0}
	})
	require.ElementsMatch(t, []string{"a", "b"}, i.search(t, `{"q":"old"}`).ids())
}

func TestSearchElements_neverLetsAValueLeaveItsQuotes(t *testing.T) {
	f := newFamily(t)
	i := f.start(t, database.Config{Dir: t.TempDir()})
	i.create(t, linesPath, `{"data":{"character":"HAMLET"}}`)
	i.create(t, "/scopes/lear/spokenWord/elements", `{"data":{"character":"LEAR"}}`)
	f.search.await(t, holds(2))
	for _, value := range []string{"x] || scope:=[lear", "HAMLET && scope:=lear", "x,y", "(", "\\x", "'"} {
		body := fmt.Sprintf(`{"q":"*","filters":[{"property":"character","values":[%q]}]}`, value)
		require.Empty(t, i.search(t, body).Hits, value)
	}
	for _, body := range []string{
		"{\"q\":\"*\",\"filters\":[{\"property\":\"character\",\"values\":[\"x`] || scope:=[`lear\"]}]}",
		`{"q":"*","filters":[{"property":"character","values":["x\\"]}]}`,
		`{"q":"*","filters":[{"property":"character","values":["x: [("]}]}`,
		`{"q":"*","filters":[{"property":"a:=1 || b","values":["x"]}]}`,
		`{"q":"*","facets":["a,b"]}`,
	} {
		require.Equal(t, 422, i.do(t, reader, http.MethodPost, searchPath, body).status, body)
	}
	long := `{"q":"*","filters":[{"property":"character","values":["` + strings.Repeat(strings.Repeat("x", 250)+`","`, 20) + `y"]}]}`
	code, pointers := i.do(t, reader, http.MethodPost, searchPath, long).problem(t)
	require.Equal(t, "validation_failed", code)
	require.Equal(t, []string{"/filters"}, pointers)
	for _, q := range f.search.queries {
		require.Regexp(t, "^scopeKey:=`[0-9a-f]{32}`", q["filterBy"])
	}
}

func TestSearchElements_saysWhenTheEngineIsAwayAndWritesGoOn(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		f.search.away = true
		i := f.start(t, db)
		for n := range 20 {
			i.create(t, linesPath, fmt.Sprintf(`{"id":"e%d","data":{"text":"line %d"}}`, n, n))
		}
		r := i.do(t, reader, http.MethodPost, searchPath, `{"q":"*"}`)
		require.Equal(t, 503, r.status)
		code, _ := r.problem(t)
		require.Equal(t, "engine_unavailable", code)
		require.NotEmpty(t, r.header.Get("Retry-After"))
		f.search.set(func() { f.search.away = false })
		f.search.await(t, holds(20))
		require.EqualValues(t, 20, i.search(t, `{"q":"line"}`).Found)
	})
}

func TestSync_bringsBackALostCollection(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for n := range 5 {
			i.create(t, linesPath, fmt.Sprintf(`{"id":"e%d","data":{"text":"line"}}`, n))
		}
		f.search.await(t, holds(5))
		f.search.set(func() { f.search.exists, f.search.documents = false, map[string]map[string]any{} })
		require.Empty(t, i.search(t, `{"q":"line"}`).Hits, "nothing is there to be found")
		f.search.await(t, holds(5))
	})
}

func TestSync_sendsTheCurrentStateAfterEveryChange(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for _, id := range []string{"a", "b"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{"text":"`+id+`"}}`)
		}
		require.Equal(t, 201, i.do(t, editor, http.MethodPost, linesPath+"/a/versions", `{"data":{"text":"A"}}`, "If-Match", `"1"`).status)
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, linesPath+"/b/omit", nil).status)
		require.Equal(t, 200, i.do(t, stepped, http.MethodPost, "/scopes/hamlet/spokenWord/reorder", `{"order":["b","a"]}`).status)
		f.search.await(t, func(documents map[string]map[string]any) bool {
			a, b := documents["hamlet:spokenWord:a"], documents["hamlet:spokenWord:b"]
			return a != nil && b != nil && a["text"] == "A" && a["version"] == 2.0 && a["number"] == 2.0 &&
				b["status"] == "omitted" && b["number"] == 1.0
		})
	})
}

func TestSync_losesNoDocumentToOthersThatAreRefused(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		f.search.refuse["hamlet:spokenWord:never"] = func(map[string]any) bool { return true }
		f.search.refuse["hamlet:spokenWord:attributes"] = func(doc map[string]any) bool { return doc["attr_text"] != nil }
		f.search.refuse["hamlet:spokenWord:busy"] = func(doc map[string]any) bool { return doc["attr_text"] != nil }
		f.search.later["hamlet:spokenWord:busy"] = true
		i := f.start(t, db)
		for _, id := range []string{"never", "attributes", "busy", "good"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{"text":"words"}}`)
		}
		f.search.await(t, holds(2))
		require.Equal(t, []string{"attributes", "good"}, i.search(t, `{"q":"words"}`).ids(), "without its attributes it is still found by its words")
		f.search.set(func() { f.search.refuse = nil })
		f.search.await(t, holds(3))
		require.Equal(t, 200, i.do(t, admin, http.MethodPost, "/dead-letters/retry", `{}`).status)
		f.search.await(t, holds(4))
		f.search.set(func() {
			require.Equal(t, "words", f.search.documents["hamlet:spokenWord:busy"]["attr_text"], "what may pass later is not cut short")
		})
	})
}

func TestSearchElements_keepsApartWhatTheEngineTakesForOne(t *testing.T) {
	f := newFamily(t)
	i := f.start(t, database.Config{Dir: t.TempDir()})
	for _, scope := range []string{"hamlet", "Hamlet", "ham-let", "ham.let"} {
		i.create(t, "/scopes/"+scope+"/spokenWord/elements", `{"data":{"text":"words","secret":"of `+scope+`"}}`)
	}
	i.create(t, "/scopes/hamlet/spokenword/elements", `{"data":{"text":"words","secret":"of another type"}}`)
	f.search.await(t, holds(5))
	all := i.search(t, `{"q":"words","facets":["secret"]}`)
	require.EqualValues(t, 2, all.Found)
	require.Len(t, all.Facets[0].Counts, 2)
	one := i.search(t, `{"q":"words","elementType":"spokenWord","facets":["secret"]}`)
	require.EqualValues(t, 1, one.Found)
	require.Equal(t, "of hamlet", one.Facets[0].Counts[0].Value)
}

func TestReindexScope_bringsEveryElementToSearchAgain(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		require.Equal(t, 404, i.do(t, admin, http.MethodPost, "/scopes/hamlet/reindex", nil).status)
		for _, id := range []string{"a", "b", "c"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{"text":"words"}}`)
		}
		i.create(t, "/scopes/lear/line/elements", `{"id":"other","data":{}}`)
		f.search.await(t, holds(4))
		f.search.set(func() { clear(f.search.documents) })
		for _, who := range []caller{reader, editor} {
			require.Equal(t, 403, i.do(t, who, http.MethodPost, "/scopes/hamlet/reindex", nil).status)
		}
		require.Equal(t, 401, i.send(t, "", http.MethodPost, "/scopes/hamlet/reindex", nil).status)
		r := i.do(t, admin, http.MethodPost, "/scopes/hamlet/reindex", nil)
		require.Equal(t, 202, r.status, string(r.body))
		require.JSONEq(t, `{"scope":"hamlet","elements":3}`, string(r.body))
		f.search.await(t, func(documents map[string]map[string]any) bool { return documents["hamlet:spokenWord:c"] != nil })
		f.search.await(t, holds(3))
	})
}

func TestSearchElements_keepsToARangeOfNumbers(t *testing.T) {
	eachDatabase(t, func(t *testing.T, f *family, db database.Config) {
		i := f.start(t, db)
		for _, id := range []string{"a", "b", "c", "d"} {
			i.create(t, linesPath, `{"id":"`+id+`","data":{"text":"words"}}`)
		}
		f.search.await(t, holds(4))
		for body, want := range map[string]string{
			`{"q":"*","numberFrom":2,"numberTo":3}`: "b c", `{"q":"*","numberFrom":3}`: "c d", `{"q":"*","numberTo":1}`: "a", `{"q":"*","numberFrom":5}`: "", `{"q":"*","numberFrom":2,"numberTo":2}`: "b",
		} {
			r := i.do(t, reader, http.MethodPost, "/scopes/hamlet/search", body)
			require.Equal(t, 200, r.status, string(r.body))
			var result struct{ Hits []struct{ Element element } }
			r.into(t, &result)
			var ids []string
			for _, h := range result.Hits {
				ids = append(ids, h.Element.ID)
			}
			require.Equal(t, want, strings.Join(ids, " "), body)
		}
		r := i.do(t, reader, http.MethodPost, "/scopes/hamlet/search", `{"q":"*","numberFrom":3,"numberTo":2}`)
		require.Equal(t, 422, r.status)
		_, pointers := r.problem(t)
		require.Equal(t, []string{"/numberTo"}, pointers)
		require.Equal(t, 422, i.do(t, reader, http.MethodPost, "/scopes/hamlet/search", `{"q":"*","numberFrom":0}`).status)
	})
}
