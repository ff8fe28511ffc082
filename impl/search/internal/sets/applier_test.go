package sets_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
)

// rows are sets that a test keeps.
type rows struct {
	sets     []*sets.Set
	attached []sets.Attached
}

func (r *rows) AllSets(context.Context) ([]*sets.Set, error)         { return r.sets, nil }
func (r *rows) AllAttached(context.Context) ([]sets.Attached, error) { return r.attached, nil }

type noKeys struct{}

func (noKeys) Refresh(context.Context) error { return nil }

// as answers as a Typesense of a version does: 29 has no sets of synonyms and curations, and 30 nothing else.
func as(version string, inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of30 := strings.HasPrefix(r.URL.Path, "/synonym_sets") || strings.HasPrefix(r.URL.Path, "/curation_sets")
		of29 := strings.HasPrefix(r.URL.Path, "/collections/") && (strings.Contains(r.URL.Path, "/synonyms") || strings.Contains(r.URL.Path, "/overrides"))
		kept := httptest.NewRecorder()
		switch {
		case r.URL.Path == "/debug" && version != "embedded":
			kept.Body.WriteString(`{"state":1,"version":"` + version + `.0"}`)
		case version == "29" && of30, version == "30" && of29:
			kept.Code = http.StatusNotFound
			kept.Body.WriteString(`{"message":"Not Found"}`)
		default:
			inner.ServeHTTP(kept, r)
		}
		for name, values := range kept.Header() {
			if name != api.EngineHeader || version == "embedded" {
				w.Header()[name] = values
			}
		}
		w.WriteHeader(kept.Code)
		_, _ = io.Copy(w, kept.Body)
	})
}

// eachEngine runs f with an embedded engine, and as if that were a Typesense 29 and 30. ask is a request beside the service.
func eachEngine(t *testing.T, f func(t *testing.T, e *engine.Engine, ask func(method, path, body string) string)) {
	for _, version := range []string{"embedded", "29", "30"} {
		t.Run(version, func(t *testing.T) {
			local, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, local.Close()) })
			require.NoError(t, local.WaitReady(t.Context()))
			door := as(version, api.New(local, api.Options{Key: func(string) bool { return true }}))
			client, err := tsclient.New("http://engine", tsclient.InProcess(door), func() string { return "k" }, tsclient.Deadlines{})
			require.NoError(t, err)
			f(t, engine.New(client, noKeys{}), func(method, path, body string) string {
				r := httptest.NewRequest(method, path, strings.NewReader(body))
				r.Header.Set("X-Typesense-Api-Key", "k")
				done := httptest.NewRecorder()
				door.ServeHTTP(done, r)
				require.Less(t, done.Code, 300, "%s %s: %s", method, path, done.Body)
				return done.Body.String()
			})
		})
	}
}

// ids are the documents that a search of the collection finds, as text.
func ids(ask func(method, path, body string) string, q string) string {
	return ask("GET", "/collections/books/documents/search?query_by=text&include_fields=id&sort_by=n:asc&q="+q, "")
}

func TestApply_bringsTheEngineToWhatIsKept(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *engine.Engine, ask func(method, path, body string) string) {
		ask("POST", "/collections", `{"name":"books","fields":[{"name":"text","type":"string"},{"name":"n","type":"int32"}]}`)
		ask("POST", "/collections/books/documents/import", `{"id":"1","text":"a sofa","n":1}`+"\n"+`{"id":"2","text":"a couch","n":2}`+"\n"+`{"id":"3","text":"the bed","n":3}`)
		ask("PUT", "/stopwords/operators", `{"stopwords":["a"]}`)
		books := &owner.Collection{Name: owner.Name{Local: "books"}}
		kept := &rows{
			sets: []*sets.Set{
				{Kind: sets.Synonyms, ID: "set_Y", Version: 1, Body: `[{"words":["sofa","couch"]},{"words":["bed"],"root":"bunk"}]`},
				{Kind: sets.Curations, ID: "set_C", Version: 1, Body: `[{"query":"bed","match":"exact","pinned":[{"id":"2","position":1}]}]`},
				{Kind: sets.Stopwords, ID: "set_W", Version: 1, Body: `["the"]`},
			},
			attached: []sets.Attached{
				{Collection: books, Synonyms: []string{"set_Y", "set_gone"}, Curations: []string{"set_C"}},
				{Collection: &owner.Collection{Name: owner.Name{Local: "lost"}}, Synonyms: []string{"set_Y"}},
			},
		}
		var log bytes.Buffer
		applier := sets.NewApplier(e, kept, slog.New(slog.NewTextHandler(&log, nil)))
		apply := func() { t.Helper(); require.NoError(t, applier.Apply(t.Context())) }
		holds := func(couch, bed bool) {
			t.Helper()
			require.Equal(t, couch, strings.Contains(ids(ask, "sofa"), `"id":"2"`))
			require.Equal(t, bed, strings.Contains(ids(ask, "bed"), `"id":"2"`))
		}
		holds(false, false)
		apply()
		holds(true, true)
		require.Contains(t, ids(ask, "bunk"), `"id":"3"`)
		require.Contains(t, ask("GET", "/stopwords", ""), kept.sets[2].EngineName())
		apply()
		require.NotContains(t, log.String(), "had lost", "what is as it should be is left alone")

		// The engine loses everything, by another program or with its disk; and what it has is changed.
		ask("DELETE", "/stopwords/"+kept.sets[2].EngineName(), "")
		ask("DELETE", "/collections/books", "")
		ask("POST", "/collections", `{"name":"books","fields":[{"name":"text","type":"string"},{"name":"n","type":"int32"}]}`)
		ask("POST", "/collections/books/documents/import", `{"id":"1","text":"a sofa","n":1}`+"\n"+`{"id":"2","text":"a couch","n":2}`+"\n"+`{"id":"3","text":"the bed","n":3}`)
		holds(false, false)
		apply()
		holds(true, true)
		require.Contains(t, ask("GET", "/stopwords", ""), kept.sets[2].EngineName())
		require.Contains(t, log.String(), "had lost")
		ask("PUT", "/stopwords/"+kept.sets[2].EngineName(), `{"stopwords":["another"]}`)
		apply()
		require.NotContains(t, ask("GET", "/stopwords", ""), "another")

		kept.sets[0] = &sets.Set{Kind: sets.Synonyms, ID: "set_Y", Version: 2, Body: `[{"words":["sofa","bed"]}]`}
		apply()
		holds(false, true)
		require.Contains(t, ids(ask, "sofa"), `"id":"3"`)
		require.NotContains(t, ids(ask, "bunk"), `"id":"3"`, "no item of the version before is left")

		kept.sets, kept.attached[0].Curations = kept.sets[:0], nil
		apply()
		holds(false, false)
		left := ask("GET", "/stopwords", "")
		require.NotContains(t, left, "fountain_set_")
		require.Contains(t, left, "operators", "what others have made is left alone")
	})
}
