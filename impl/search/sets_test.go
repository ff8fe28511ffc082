package search

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/servicetest"
)

// stage is another service.
const stage = "svc_01KBB6Q3Y5W1V9T2ZD0G7M4NAR"

// setBodies has a content for each kind of set.
var setBodies = map[string]string{
	"synonyms":  `"synonyms":[{"words":["quetzalcoatl","serpent"]}]`,
	"curations": `"curations":[{"query":"quetzalcoatl","match":"exact","hidden":["2"]}]`,
	"stopwords": `"stopwords":["quetzalcoatl"]`,
	"presets":   `"preset":{"queryBy":["text"],"filter":{"field":"text","op":"match","texts":["quetzalcoatl"]}}`,
}

func TestSets_belongToTheirMakers(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin, mine, other := w.someone(t), w.service(t, press, "red"), w.service(t, loom, "blue")
		for kind, content := range setBodies {
			path := "/sets/" + kind + "/mine"
			put := func(token, body string, headers ...string) servicetest.Answer {
				return w.call(t, token, "PUT", path, body, headers...)
			}
			refused(t, put(mine, `{`+content+`}`, "If-Match", "*"), 412, "precondition_failed")
			made := put(mine, `{`+content+`}`, "If-None-Match", "*")
			require.Equal(t, 201, made.Status, string(made.Body))
			require.Equal(t, []any{"mine", "tenant:red", "own", 1.0}, []any{made.JSON(t)["name"], made.JSON(t)["owner"], made.JSON(t)["access"], made.JSON(t)["version"]})
			refused(t, put(mine, `{`+content+`}`, "If-None-Match", "*"), 412, "precondition_failed")
			refused(t, put(mine, `{`+content+`}`, "If-Match", `"2"`), 412, "precondition_failed")
			refused(t, put(mine, `{`+content+`}`, "If-Match", "*", "If-None-Match", "*"), 400, "invalid_request")
			refused(t, put(mine, `{"readers":["tenant:blue"]}`), 422, "validation_failed")
			for otherKind, wrong := range setBodies {
				if otherKind != kind {
					refused(t, put(mine, `{`+wrong+`}`), 422, "validation_failed")
				}
			}
			for _, name := range []string{"mine", "red.mine"} {
				refused(t, w.call(t, other, "GET", "/sets/"+kind+"/"+name, ""), 404, "not_found")
				refused(t, w.call(t, other, "DELETE", "/sets/"+kind+"/"+name, ""), 404, "not_found")
			}
			refused(t, w.call(t, other, "PUT", "/sets/"+kind+"/red.mine", `{`+content+`}`), 403, "forbidden")
			refused(t, w.call(t, w.user(t, ada, "red", "editor"), "PUT", path, `{`+content+`}`), 403, "insufficient_role")

			shared := put(mine, `{`+content+`,"readers":["tenant:blue"]}`, "If-Match", made.Header.Get("ETag"))
			require.Equal(t, 200, shared.Status, string(shared.Body))
			seen := w.must(t, 200, other, "GET", "/sets/"+kind+"/red.mine", "").JSON(t)
			require.Equal(t, []any{"red.mine", "read", nil}, []any{seen["name"], seen["access"], seen["readers"]})
			refused(t, w.call(t, other, "PUT", "/sets/"+kind+"/red.mine", `{`+content+`}`), 403, "forbidden")
			refused(t, w.call(t, other, "DELETE", "/sets/"+kind+"/red.mine", ""), 403, "forbidden")
			require.Equal(t, "tenant:red", w.must(t, 200, admin, "PUT", "/sets/"+kind+"/red.mine", `{`+content+`}`).JSON(t)["owner"])
			refused(t, w.call(t, other, "GET", "/sets/"+kind+"/red.mine", ""), 404, "not_found") // the readers are gone

			w.must(t, 201, w.service(t, stage, ""), "PUT", "/sets/"+kind+"/common", `{`+content+`}`)
			refused(t, w.call(t, w.service(t, loom, ""), "PUT", "/sets/"+kind+"/common", `{`+content+`}`), 409, "already_exists")

			w.must(t, 201, mine, "PUT", "/sets/"+kind+"/another", `{`+content+`}`)
			first := w.must(t, 200, mine, "GET", "/sets/"+kind+"?limit=1", "").JSON(t)
			require.Equal(t, "another", first["items"].([]any)[0].(map[string]any)["name"])
			next := w.must(t, 200, mine, "GET", "/sets/"+kind+"?cursor="+first["nextCursor"].(string), "").JSON(t)
			require.Len(t, next["items"], 1)
			require.Empty(t, w.must(t, 200, other, "GET", "/sets/"+kind, "").JSON(t)["items"])
			refused(t, w.call(t, mine, "GET", "/sets/"+kind+"?cursor=bm90LW91cnM", ""), 400, "invalid_cursor")
			w.must(t, 204, mine, "DELETE", path, "")
			refused(t, w.call(t, mine, "GET", path, ""), 404, "not_found")
		}
		for kind, content := range map[string]string{
			"synonyms": `"synonyms":[{"words":["one"]}]`, "curations": `"curations":[{"query":"x","match":"exact"}]`,
			"presets": `"preset":{"filter":{"field":"fountain_tenant","op":"eq","texts":["x"]}}`,
		} {
			refused(t, w.call(t, mine, "PUT", "/sets/"+kind+"/wrong", `{`+content+`}`), 422, "validation_failed")
		}
	})
}

// found returns the IDs that a search finds, in order.
func (w *world) found(t *testing.T, token, collection, body string) (ids []string) {
	t.Helper()
	for _, hit := range w.must(t, 200, token, "POST", "/collections/"+collection+"/search", body).JSON(t)["hits"].([]any) {
		ids = append(ids, hit.(map[string]any)["document"].(map[string]any)["id"].(string))
	}
	return ids
}

func TestSets_holdForTheCollectionsThatNameThem(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		mine, other := w.service(t, press, "red"), w.service(t, loom, "blue")
		for _, token := range []string{mine, other} {
			w.must(t, 201, token, "POST", "/collections", books)
			w.must(t, 200, token, "POST", "/collections/books/documents/sync", upserts(`{"text":"a sofa","number":1}`, `{"text":"a couch","number":2}`, `{"text":"the bed","number":3}`))
		}
		sofa := `{"q":"sofa","queryBy":["text"]}`
		put := func(token, body string, headers ...string) servicetest.Answer {
			return w.call(t, token, "PUT", "/collections/books/sets", body, headers...)
		}
		// The set has the same name and other words.
		w.must(t, 201, mine, "PUT", "/sets/synonyms/seats", `{"synonyms":[{"words":["sofa","couch"]}]}`)
		w.must(t, 201, other, "PUT", "/sets/synonyms/seats", `{"synonyms":[{"root":"sofa","words":["bed"]}]}`)
		w.must(t, 201, mine, "PUT", "/sets/curations/seats", `{"curations":[{"query":"bed","match":"exact","pinned":[{"id":"2","position":1}]},{"query":"a","match":"contains","hidden":["1"]},{"query":"divan","match":"exact","replaceQuery":"bed"}]}`)
		require.Equal(t, []string{"1"}, w.found(t, mine, "books", sofa), "no collection names them")

		refused(t, put(mine, `{"synonymSets":[],"curationSets":[]}`), 428, "precondition_missing")
		refused(t, put(mine, `{"synonymSets":[],"curationSets":[]}`, "If-Match", `"7"`), 412, "precondition_failed")
		for _, foreign := range []string{"blue.seats", "never"} {
			refused(t, put(mine, `{"synonymSets":["`+foreign+`"],"curationSets":[]}`, "If-Match", "*"), 422, "validation_failed")
		}
		before := w.must(t, 200, mine, "GET", "/collections/books/sets", "")
		now := put(mine, `{"synonymSets":["seats"],"curationSets":["seats"]}`, "If-Match", before.Header.Get("ETag"))
		require.Equal(t, 200, now.Status, string(now.Body))
		require.Equal(t, now.Header.Get("ETag"), w.must(t, 200, mine, "GET", "/collections/books/sets", "").Header.Get("ETag"))
		require.Equal(t, 200, put(other, `{"synonymSets":["seats"],"curationSets":[]}`, "If-Match", "*").Status)
		require.ElementsMatch(t, []string{"1", "2"}, w.found(t, mine, "books", sofa))
		require.ElementsMatch(t, []string{"1", "3"}, w.found(t, other, "books", sofa))
		require.Equal(t, []string{"2", "3"}, w.found(t, mine, "books", `{"q":"bed","queryBy":["text"]}`), "pinned first")
		require.Equal(t, []string{"3"}, w.found(t, mine, "books", `{"q":"bed","queryBy":["text"],"filter":{"field":"number","op":"eq","integers":[3]}}`), "the filter holds for what is pinned")
		require.Equal(t, []string{"2"}, w.found(t, mine, "books", `{"q":"a","queryBy":["text"]}`), "hidden")
		require.Equal(t, []string{"3"}, w.found(t, mine, "books", `{"q":"divan","queryBy":["text"]}`), "replaced")

		w.must(t, 200, mine, "PUT", "/sets/synonyms/seats", `{"synonyms":[{"words":["sofa","bed"]}]}`)
		require.ElementsMatch(t, []string{"1", "3"}, w.found(t, mine, "books", sofa), "the new content holds")
		id := w.must(t, 202, mine, "POST", "/collections/books/reindexes", `{}`).JSON(t)["id"].(string)
		w.reached(t, mine, "books", id, "done")
		require.ElementsMatch(t, []string{"1", "3"}, w.found(t, mine, "books", sofa), "a reindex loses none")
		w.must(t, 204, mine, "DELETE", "/sets/synonyms/seats", "")
		require.Equal(t, []string{"1"}, w.found(t, mine, "books", sofa))
		require.ElementsMatch(t, []string{"1", "3"}, w.found(t, other, "books", sofa), "the other's stays")
		gone := w.must(t, 200, mine, "GET", "/collections/books/sets", "")
		require.Empty(t, gone.JSON(t)["synonymSets"])
		require.NotEqual(t, now.Header.Get("ETag"), gone.Header.Get("ETag"))

		w.must(t, 200, mine, "PUT", "/collections/books/grants/service:"+loom, `{"access":"write"}`)
		refused(t, w.call(t, other, "GET", "/collections/red.books/sets", ""), 403, "forbidden")
		refused(t, w.call(t, other, "PUT", "/collections/red.books/sets", `{"synonymSets":[],"curationSets":[]}`, "If-Match", "*"), 403, "forbidden")
		refused(t, w.call(t, other, "GET", "/collections/never/sets", ""), 404, "not_found")
		refused(t, w.call(t, other, "PUT", "/collections/never/sets", `{"synonymSets":[],"curationSets":[]}`, "If-Match", "*"), 404, "not_found")
		w.must(t, 201, mine, "POST", "/collections", `{"name":"shared","tenantScoped":true,"fields":[{"name":"text","type":"string"}]}`)
		refused(t, w.call(t, mine, "PUT", "/collections/shared/sets", `{"synonymSets":[],"curationSets":["seats"]}`, "If-Match", "*"), 422, "validation_failed")
	})
}

func TestSets_stopwordsAndPresetsAreNamedBySearches(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		mine, other := w.service(t, press, "red"), w.service(t, loom, "blue")
		w.must(t, 201, mine, "POST", "/collections", books)
		w.must(t, 200, mine, "POST", "/collections/books/documents/sync", upserts(`{"text":"the sofa","number":1}`, `{"text":"sofa bed","number":2}`, `{"text":"the bed","number":3}`))
		w.must(t, 200, mine, "PUT", "/collections/books/grants/service:"+loom, `{"access":"read"}`)
		w.must(t, 201, mine, "PUT", "/sets/stopwords/small", `{"stopwords":["the"]}`)
		require.Equal(t, []string{"2", "1"}, w.found(t, mine, "books", `{"q":"the sofa","queryBy":["text"],"stopwords":"small"}`))

		w.must(t, 201, mine, "PUT", "/sets/presets/few", `{"preset":{"queryBy":["text"],"perPage":1,"sortBy":[{"field":"number","order":"asc"}],"filter":{"field":"number","op":"gt","integers":[1]}}}`)
		require.Equal(t, []string{"2"}, w.found(t, mine, "books", `{"q":"*","preset":"few"}`))
		require.Equal(t, []string{"3", "2"}, w.found(t, mine, "books", `{"q":"*","preset":"few","perPage":9,"sortBy":[{"field":"number","order":"desc"}]}`), "what the search says goes before")
		require.Equal(t, []string{"3"}, w.found(t, mine, "books", `{"q":"*","preset":"few","filter":{"field":"number","op":"ne","integers":[2]}}`), "both filters hold")
		refused(t, w.call(t, mine, "POST", "/collections/books/search", `{"q":"*"}`), 422, "validation_failed")
		refused(t, w.call(t, mine, "POST", "/search/union", `{"searches":[{"collection":"books","search":{"q":"*","preset":"few"}}]}`), 422, "validation_failed") // it has pages of its own
		many := strings.TrimSuffix(strings.Repeat(`{"collection":"books","search":{"q":"*","preset":"wide"}},`, 5), ",")
		w.must(t, 201, mine, "PUT", "/sets/presets/wide", `{"preset":{"queryBy":["text"],"perPage":250}}`)
		refused(t, w.call(t, mine, "POST", "/search", `{"searches":[`+many+`]}`), 422, "validation_failed")

		for _, what := range []string{`"preset":"%s"`, `"stopwords":"%s"`} {
			for _, name := range []string{"few", "red.few", "small", "red.small", "never"} {
				refused(t, w.call(t, other, "POST", "/collections/red.books/search", `{"q":"*","queryBy":["text"],`+fmt.Sprintf(what, name)+`}`), 422, "validation_failed")
			}
		}
		w.must(t, 200, mine, "PUT", "/sets/presets/few", `{"preset":{"queryBy":["text"],"perPage":2},"readers":["service:`+loom+`"]}`)
		require.Len(t, w.found(t, other, "red.books", `{"q":"*","preset":"red.few"}`), 2)
	})
}

// The values of a preset are validated as if the caller had sent them. A caller who reaches the documents of one tenant sees no others with
// it.
func TestSets_aPresetReachesNoOtherTenant(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		maker, red, blue := w.service(t, press, ""), w.service(t, loom, "red"), w.service(t, loom, "blue")
		w.must(t, 201, maker, "POST", "/collections", `{"name":"shared","tenantScoped":true,"fields":[{"name":"text","type":"string"}]}`)
		w.must(t, 201, maker, "PUT", "/sets/presets/all", `{"preset":{"queryBy":["text"],"filter":{"or":[{"field":"text","op":"ne","texts":["x"]},{"field":"text","op":"match","texts":["x) || (id:*"]}]}},"readers":["tenant:blue"]}`)
		for name, token := range map[string]string{"red": red, "blue": blue} {
			w.must(t, 200, maker, "PUT", "/collections/shared/grants/tenant:"+name, `{"access":"write"}`)
			w.must(t, 200, token, "POST", "/collections/shared/documents/sync", upserts(`{"text":"of `+name+`"}`))
		}
		answer := w.must(t, 200, blue, "POST", "/collections/shared/search", `{"q":"*","preset":"all"}`)
		require.EqualValues(t, 1, answer.JSON(t)["found"])
		require.NotContains(t, string(answer.Body), "of red")
		for _, reserved := range []string{`"queryBy":["text","fountain_tenant"]`, `"queryBy":["text"],"facetBy":["fountain_tenant"]`, `"queryBy":["text"],"sortBy":[{"field":"fountain_tenant","order":"asc"}]`} {
			w.must(t, 200, maker, "PUT", "/sets/presets/all", `{"preset":{`+reserved+`},"readers":["tenant:blue"]}`)
			refused(t, w.call(t, blue, "POST", "/collections/shared/search", `{"q":"*","preset":"all"}`), 422, "validation_failed")
		}
		w.must(t, 200, maker, "PUT", "/sets/presets/all", `{"preset":{"queryBy":["text"],"filter":{"field":"text","op":"match","texts":["red"]}},"readers":["tenant:blue"]}`)
		refused(t, w.call(t, blue, "POST", "/collections/shared/search", `{"q":"*","preset":"all","filterBy":"id:*"}`), 403, "forbidden")
		refused(t, w.call(t, maker, "POST", "/collections/shared/search", `{"q":"*","preset":"all","filterBy":"id:*"}`), 422, "validation_failed") // which would be in the place of the preset's
	})
}

// A change of a set is stored while the engine is away, and the failure is counted and logged.
func TestSets_areKeptWhileTheEngineIsAway(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	engine.failing(func(r *http.Request) int {
		if strings.Contains(r.URL.Path, "synonym") || r.URL.Path == "/debug" {
			return 503
		}
		return 0
	})
	w.must(t, 201, admin, "PUT", "/sets/synonyms/seats", `{"synonyms":[{"words":["sofa","couch"]}]}`)
	require.Contains(t, w.logs.String(), "a change of a set is not yet applied")
	engine.failing(nil)
	w.must(t, 201, admin, "PUT", "/sets/synonyms/beds", `{"synonyms":[{"words":["bed","bunk"]}]}`)
	require.Contains(t, engine.must(t, "GET", "/synonym_sets", ""), "couch")
}

// redsSets creates sets of the tenant red that others try to reach.
func (w *world) redsSets(t *testing.T, red string) {
	t.Helper()
	for kind, content := range setBodies {
		w.must(t, 201, red, "PUT", "/sets/"+kind+"/plays", `{`+content+`}`)
	}
}

// setAttempts name a set in every way that an operation allows.
func setAttempts(method, c string, bodies func(kind string) []string) (all []attempt) {
	for kind := range setBodies {
		for _, name := range []string{c, "red." + strings.TrimPrefix(c, "red.")} {
			for _, body := range bodies(kind) {
				all = append(all, attempt{method, "/sets/" + kind + "/" + name, body})
			}
		}
	}
	return all
}

func init() {
	none := func(string) []string { return []string{""} }
	attempts["listSearchSets"] = func(_, _, _, _ string) (all []attempt) {
		for kind := range setBodies {
			all = append(all, attempt{"GET", "/sets/" + kind, ""}, attempt{"GET", "/sets/" + kind + "?limit=1", ""})
		}
		return all
	}
	attempts["getSearchSet"] = func(c, _, _, _ string) []attempt { return setAttempts("GET", c, none) }
	attempts["deleteSearchSet"] = func(c, _, _, _ string) []attempt { return setAttempts("DELETE", c, none) }
	attempts["putSearchSet"] = func(c, _, _, _ string) []attempt { // under another tenant's name; one's own is tried apart
		return setAttempts("PUT", "red."+strings.TrimPrefix(c, "red."), func(kind string) []string {
			return []string{`{` + strings.ReplaceAll(setBodies[kind], canary, "sparrow") + `}`, `{` + strings.ReplaceAll(setBodies[kind], canary, "sparrow") + `,"readers":["tenant:blue"]}`}
		})
	}
	attempts["getCollectionSets"] = func(c, _, _, _ string) []attempt { return []attempt{{"GET", "/collections/" + c + "/sets", ""}} }
	attempts["putCollectionSets"] = func(c, _, _, _ string) (all []attempt) {
		for _, name := range []string{"red.plays", "plays", "never"} {
			all = append(all, attempt{"PUT", "/collections/" + c + "/sets", `{"synonymSets":["` + name + `"],"curationSets":[]}`},
				attempt{"PUT", "/collections/" + c + "/sets", `{"synonymSets":[],"curationSets":["` + name + `"]}`})
		}
		return all
	}
}
