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

	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/impl/search/searchtest"
)

// rows are the stored sets of a test.
type rows struct {
	sets     []*sets.Set
	attached []sets.Attached
}

func (r *rows) AllSets(context.Context) ([]*sets.Set, error)         { return r.sets, nil }
func (r *rows) AllAttached(context.Context) ([]sets.Attached, error) { return r.attached, nil }

type noKeys struct{}

func (noKeys) Refresh(context.Context) error { return nil }

// as answers like a version of Typesense: 29 has no sets of synonyms and curations, and 30 has only these.
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

// asker sends a request directly to the engine, and returns the answer.
type asker = func(method, path, body string) string

// opened returns an embedded engine that acts as a version of Typesense. around may interfere with the service's requests.
func opened(t *testing.T, version string, around func(http.Handler) http.Handler) (*engine.Engine, asker) {
	t.Helper()
	door := searchtest.Engine(t)
	if !searchtest.Elsewhere() {
		door = as(version, door)
	}
	client, err := tsclient.New("http://engine", tsclient.InProcess(around(door)), func() string { return "k" }, tsclient.Deadlines{})
	require.NoError(t, err)
	return engine.New(client, noKeys{}), func(method, path, body string) string {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("X-Typesense-Api-Key", "k")
		done := httptest.NewRecorder()
		door.ServeHTTP(done, r)
		require.Less(t, done.Code, 300, "%s %s: %s", method, path, done.Body)
		return done.Body.String()
	}
}

// eachEngine runs f with an embedded engine, as itself and as Typesense 29 and 30, or only with the external server.
func eachEngine(t *testing.T, f func(t *testing.T, e *engine.Engine, ask asker)) {
	versions := []string{"embedded", "29", "30"}
	if searchtest.Elsewhere() {
		versions = []string{"elsewhere"}
	}
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			e, ask := opened(t, version, func(door http.Handler) http.Handler { return door })
			f(t, e, ask)
		})
	}
}

// ids returns the IDs of the documents that a search of the collection finds, as text.
func ids(ask asker, q string) string {
	return ask("GET", "/collections/books/documents/search?query_by=text&include_fields=id&sort_by=n:asc&q="+q, "")
}

func TestApply_bringsTheEngineToWhatIsKept(t *testing.T) {
	eachEngine(t, func(t *testing.T, e *engine.Engine, ask asker) {
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

		// The engine loses everything, through another program or a disk failure, and its records are changed.
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

// Another process may put an older version between the put of a newer one and the read of the engine's form. The older version is not taken
// for the newer one.
func TestApply_noticesWhatAnOlderApplicationPutInBetween(t *testing.T) {
	older := true
	var ask asker
	kept := &rows{sets: []*sets.Set{{Kind: sets.Stopwords, ID: "set_W", Version: 2, Body: `["new"]`}}}
	e, direct := opened(t, "30", func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			door.ServeHTTP(w, r)
			if r.Method == http.MethodPut && older {
				older = false
				ask("PUT", "/stopwords/"+kept.sets[0].EngineName(), `{"stopwords":["old"]}`)
			}
		})
	})
	ask = direct
	applier := sets.NewApplier(e, kept, slog.New(slog.DiscardHandler))
	require.NoError(t, applier.Apply(t.Context()))
	require.False(t, older)
	require.Contains(t, ask("GET", "/stopwords", ""), "old")
	require.NoError(t, applier.Apply(t.Context()))
	require.Contains(t, ask("GET", "/stopwords", ""), "new")
}

// If the engine refuses a set of one owner, the sets of others are still applied.
func TestApply_goesOnAfterWhatTheEngineRefuses(t *testing.T) {
	for _, version := range []string{"29", "30"} {
		t.Run(version, func(t *testing.T) {
			e, ask := opened(t, version, func(door http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					if err != nil || bytes.Contains(body, []byte("unheard")) {
						w.WriteHeader(http.StatusBadRequest)
						_, _ = io.WriteString(w, `{"message":"Bad synonyms."}`)
						return
					}
					r.Body = io.NopCloser(bytes.NewReader(body))
					door.ServeHTTP(w, r)
				})
			})
			ask("POST", "/collections", `{"name":"books","fields":[{"name":"text","type":"string"},{"name":"n","type":"int32"}]}`)
			ask("POST", "/collections/books/documents/import", `{"id":"1","text":"a sofa","n":1}`+"\n"+`{"id":"2","text":"a couch","n":2}`)
			kept := &rows{
				sets: []*sets.Set{
					{Kind: sets.Synonyms, ID: "set_A", Version: 1, Body: `[{"words":["unheard","of"]}]`},
					{Kind: sets.Synonyms, ID: "set_B", Version: 1, Body: `[{"words":["sofa","couch"]}]`},
					{Kind: sets.Synonyms, ID: "set_C", Version: 1, Body: `[{"words":["unheard","too"]}]`},
				},
				attached: []sets.Attached{{Collection: &owner.Collection{Name: owner.Name{Local: "books"}}, Synonyms: []string{"set_A", "set_B", "set_C"}}},
			}
			applier := sets.NewApplier(e, kept, slog.New(slog.DiscardHandler))
			for range 2 {
				require.ErrorContains(t, applier.Apply(t.Context()), "set_A")
				require.Contains(t, ids(ask, "sofa"), `"id":"2"`)
			}
			kept.sets = kept.sets[:1]
			require.Error(t, applier.Apply(t.Context()))
			require.NotContains(t, ids(ask, "sofa"), `"id":"2"`, "one that was deleted goes")
		})
	}
}

// A request does not wait longer for an application in the background than its deadline allows.
func TestApply_waitsNoLongerThanItsCaller(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	e, ask := opened(t, "30", func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				begun <- struct{}{}
				<-end
			}
			door.ServeHTTP(w, r)
		})
	})
	kept := &rows{sets: []*sets.Set{{Kind: sets.Stopwords, ID: "set_W", Version: 1, Body: `["new"]`}}}
	applier := sets.NewApplier(e, kept, slog.New(slog.DiscardHandler))
	first := make(chan error, 1)
	go func() { first <- applier.Apply(context.WithoutCancel(t.Context())) }()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, applier.Apply(ctx), context.Canceled)
	close(end)
	require.NoError(t, <-first)
	require.Contains(t, ask("GET", "/stopwords", ""), "new")
}

// After an upgrade of the engine to 30, this service's rules are removed from the migrated sets, and those of others stay.
func TestApply_takesItsRulesOutOfWhatAnUpgradeHasMade(t *testing.T) {
	e, ask := opened(t, "30", func(door http.Handler) http.Handler { return door })
	kept := &rows{
		sets: []*sets.Set{{Kind: sets.Synonyms, ID: "set_Y", Version: 2, Body: `[{"words":["sofa","couch"]}]`}},
		attached: []sets.Attached{
			{Collection: &owner.Collection{Name: owner.Name{Local: "books"}}, Synonyms: []string{"set_Y"}}, {Collection: &owner.Collection{Name: owner.Name{Local: "films"}}},
		},
	}
	for _, name := range []string{"books", "films"} {
		ask("POST", "/collections", `{"name":"`+name+`","fields":[{"name":"text","type":"string"},{"name":"n","type":"int32"}]}`)
		old := `{"id":"` + kept.sets[0].EngineName() + `-0000","synonyms":["sofa","throne"]}`
		if name == "films" {
			old += `,{"id":"mine","synonyms":["sofa","settee"]}`
		}
		ask("PUT", "/synonym_sets/"+name+"_synonyms_index", `{"items":[`+old+`]}`)
		ask("PUT", "/curation_sets/"+name+"_curations_index", `{"items":[{"id":"mine","rule":{"query":"x","match":"exact"},"excludes":[{"id":"1"}]}]}`)
		ask("PATCH", "/collections/"+name, `{"synonym_sets":["`+name+`_synonyms_index"],"curation_sets":["`+name+`_curations_index"]}`)
		ask("POST", "/collections/"+name+"/documents/import", `{"id":"1","text":"a throne","n":1}`+"\n"+`{"id":"2","text":"a couch","n":2}`+"\n"+`{"id":"3","text":"a settee","n":3}`)
	}
	require.Contains(t, ids(ask, "sofa"), `"id":"1"`)
	applier := sets.NewApplier(e, kept, slog.New(slog.DiscardHandler))
	for range 2 {
		require.NoError(t, applier.Apply(t.Context()))
		require.NotContains(t, ids(ask, "sofa"), `"id":"1"`)
		require.Contains(t, ids(ask, "sofa"), `"id":"2"`)
		left := ask("GET", "/synonym_sets", "")
		require.Contains(t, left, "books_synonyms_index", "the set is none of this service's")
		require.NotContains(t, left, "throne")
		require.Contains(t, left, "settee")
		films := ask("GET", "/collections/films/documents/search?query_by=text&q=sofa", "")
		require.Contains(t, films, `"id":"3"`)
		require.NotContains(t, films, `"id":"1"`)
		require.Contains(t, ask("GET", "/curation_sets", ""), "books_curations_index", "it has no rule of this service")
		require.Contains(t, ask("GET", "/collections/books", ""), "books_curations_index")
	}
}

// If somebody adds a rule to a migrated set while this service removes its own, the new rule stays.
func TestApply_removesNothingOfOthersFromWhatAnUpgradeHasMade(t *testing.T) {
	var ask asker
	other := `{"root":"sofa","synonyms":["settee"]}`
	e, ask := opened(t, "30", func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete || r.Method == http.MethodPut && strings.Contains(r.URL.Path, "_synonyms_index") {
				ask("PUT", "/synonym_sets/books_synonyms_index/items/other", other)
			}
			door.ServeHTTP(w, r)
		})
	})
	kept := &rows{attached: []sets.Attached{{Collection: &owner.Collection{Name: owner.Name{Local: "books"}}}}}
	ask("POST", "/collections", `{"name":"books","fields":[{"name":"text","type":"string"},{"name":"n","type":"int32"}]}`)
	ask("PUT", "/synonym_sets/books_synonyms_index", `{"items":[{"id":"fountain_set_Y-0000","synonyms":["sofa","throne"]}]}`)
	ask("PATCH", "/collections/books", `{"synonym_sets":["books_synonyms_index"]}`)
	require.NoError(t, sets.NewApplier(e, kept, slog.New(slog.DiscardHandler)).Apply(t.Context()))
	left := ask("GET", "/synonym_sets", "")
	require.Contains(t, left, "settee")
	require.NotContains(t, left, "throne")
	require.Contains(t, ask("GET", "/collections/books", ""), "books_synonyms_index")
}
