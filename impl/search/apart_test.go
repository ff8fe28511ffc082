package search

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Answers are written to reused buffers. No answer may contain a byte of another one, whatever their sizes, and however many are written at
// the same time.
func TestSearch_answersAtTheSameTimeKeepApart(t *testing.T) {
	const collections, searchers, rounds = 4, 4, 12
	apart := func(t *testing.T, w *world) {
		admin := w.someone(t)
		for c := range collections {
			name := fmt.Sprintf("c%d", c)
			w.must(t, 201, admin, "POST", "/collections", `{"name":"`+name+`","fields":[{"name":"text","type":"string"},{"name":"mark","type":"string","facet":true}]}`)
			var docs []string
			for d := range 3 + 5*c {
				docs = append(docs, fmt.Sprintf(`{"text":"word %s","mark":"%s"}`, strings.Repeat(name+" ", 1+d*20*c), name))
			}
			w.must(t, 200, admin, "POST", "/collections/"+name+"/documents/sync", upserts(docs...))
		}
		var group sync.WaitGroup
		for i := range searchers {
			group.Go(func() {
				for round := range rounds {
					c := (i + round) % collections
					name := fmt.Sprintf("c%d", c)
					body := `{"q":"word","queryBy":["text"],"facetBy":["mark"],"perPage":250}`
					if round%3 == 2 {
						both := `{"searches":[{"collection":"` + name + `","search":` + body + `},{"collection":"` + name + `","search":` + body + `}]}`
						w.onlyOf(t, admin, "/search", both, name, 2*(3+5*c))
						continue
					}
					w.onlyOf(t, admin, "/collections/"+name+"/search", body, name, 3+5*c)
				}
			})
		}
		group.Wait()
	}
	t.Run("in the process", func(t *testing.T) {
		each(t, func(t *testing.T, w *world) { apart(t, w) })
	})
	t.Run("elsewhere", func(t *testing.T) {
		w, _ := typesense(t)
		apart(t, w)
	})
}

// onlyOf checks that an answer has this many documents of one collection and none of another. It retries while the engine is overloaded.
func (w *world) onlyOf(t *testing.T, token, path, search, name string, documents int) {
	t.Helper()
	a := w.call(t, token, "POST", path, search)
	for end := time.Now().Add(testWait); a.Status == 503 && time.Now().Before(end); a = w.call(t, token, "POST", path, search) {
		runtime.Gosched()
	}
	body := string(a.Body)
	if a.Status != 200 || strings.Count(body, `"mark":"`+name+`"`) != documents {
		t.Errorf("%s: %d: %.300s", name, a.Status, body)
		return
	}
	for c := range 10 {
		if other := fmt.Sprintf("c%d", c); other != name && strings.Contains(body, other) {
			t.Errorf("an answer of %s has something of %s", name, other)
		}
	}
}

// A body that is decoded directly and one that needs encoding/json because of its escapes get the same answer.
func TestSearch_bodiesAreReadAlikeHoweverTheyAreWritten(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		for _, body := range []string{
			`{"items":[{"op":"upsert","id":"1","document":{"text":"to be","number":9007199254740993}}]}`,
			`{"\u0069tems":[{"op":"upsert","id":"\u0032","document":{"text":"to \u0062e","number":9007199254740993}}]}`,
		} {
			require.Contains(t, string(w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", body).Body), `"succeeded":1,"failed":0`)
		}
		w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", `{"op":"upsert","id":"3","document":{"text":"to be","number":3}}`+"\n"+`{"op":"upsert","id":"\u0034","document":{"text":"to be","number":4}}`+"\n", "Content-Type", "application/x-ndjson")
		for _, body := range []string{`{"q":"be","queryBy":["text"]}`, `{"q":"\u0062e","queryBy":["text"]}`, `{"\u0071":"be","queryBy":["text"]}`} {
			found := w.must(t, 200, admin, "POST", "/collections/plays/search", body)
			require.EqualValues(t, 4, found.JSON(t)["found"])
			require.Equal(t, 2, strings.Count(string(found.Body), "9007199254740993"), "digits stay")
		}
		// What the contract refuses is refused, whichever decoder would read it.
		for _, body := range []string{
			`{"items":[]}`, `{"items":[{"op":"upsert","id":"1","document":{},"more":1}]}`, `{"items":[{"op":"upsert","id":"1","document":[]}]}`, `{"items":[{"op":"upsert","id":"1","id":"2","document":{}}]}`,
			`{"items":[{"op":"move","id":"1"}]}`, `{"items":[{"op":"delete","id":""}]}`, `{"items":[{"op":"delete","id":"1","ifVersion":-1}]}`, `{"items":[{"op":"upsert","id":"1","document":{"a":"\ud800"}}]}`, `{"items":[{"op":"delete","id":"1"}]} {}`,
		} {
			require.Contains(t, []int{400, 422}, w.call(t, admin, "POST", "/collections/plays/documents/sync", body).Status, body)
			lines := strings.TrimSuffix(strings.TrimPrefix(body, `{"items":[`), `]}`)
			require.Contains(t, []int{400, 422}, w.call(t, admin, "POST", "/collections/plays/documents/sync", lines+"\n", "Content-Type", "application/x-ndjson").Status, lines)
		}
	})
}
