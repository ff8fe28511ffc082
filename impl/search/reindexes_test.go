package search

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/searchtest"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// testWait is much longer than any wait in a passing test.
const testWait = 2 * time.Minute

const (
	booksFields = `{"name":"text","type":"string"},{"name":"number","type":"int64"}`
	books       = `{"name":"books","fields":[` + booksFields + `]}`
	faceted     = `{"name":"text","type":"string","facet":true},{"name":"number","type":"int64"}`
)

// schema requests fields, over any version.
func (w *world) schema(t testing.TB, token, fields, more string) servicetest.Answer {
	t.Helper()
	return w.call(t, token, "PUT", "/collections/books/schema", `{"fields":[`+fields+`]`+more+`}`, "If-Match", "*")
}

// reached waits until a reindex is in a state.
func (w *world) reached(t testing.TB, token, collection, id, state string) map[string]any {
	t.Helper()
	// The check runs in the test's own goroutine, which it may end.
	for end := time.Now().Add(testWait); ; time.Sleep(20 * time.Millisecond) {
		now := w.must(t, 200, token, "GET", "/collections/"+collection+"/reindexes/"+id, "").JSON(t)
		if now["state"] == state {
			return now
		}
		require.NotEqual(t, "failed", now["state"], now)
		require.Less(t, time.Now(), end, now)
	}
}

func TestSchema_isComparedAndAlteredInPlace(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		mine, other, admin := w.service(t, press, ""), w.service(t, loom, ""), w.someone(t)
		w.must(t, 201, mine, "POST", "/collections", books)
		w.must(t, 200, mine, "POST", "/collections/books/documents/sync", upserts(`{"text":"to be","number":1,"author":"x"}`))
		first := w.must(t, 200, mine, "GET", "/collections/books/schema", "")
		require.Equal(t, []any{"none", []any{}, float64(1)}, []any{first.JSON(t)["remedy"], first.JSON(t)["changes"], first.JSON(t)["version"]})
		require.Len(t, first.JSON(t)["fields"], 2)

		const more = booksFields + `,{"name":"author","type":"string","optional":true,"facet":true}`
		put := func(headers ...string) servicetest.Answer {
			return w.call(t, mine, "PUT", "/collections/books/schema", `{"fields":[`+more+`]}`, headers...)
		}
		refused(t, put(), 428, "precondition_missing")
		refused(t, put("If-Match", `"7"`), 412, "precondition_failed")
		planned := w.schema(t, mine, more, `,"dryRun":true`).JSON(t)
		require.Equal(t, "planned", planned["outcome"])
		require.Equal(t, "alter", planned["schema"].(map[string]any)["remedy"])
		done := put("If-Match", first.Header.Get("ETag"))
		require.Equal(t, 200, done.Status, string(done.Body))
		require.Equal(t, "altered", done.JSON(t)["outcome"])
		require.Equal(t, 412, put("If-Match", first.Header.Get("ETag")).Status)
		require.Equal(t, "unchanged", put("If-Match", done.Header.Get("ETag")).JSON(t)["outcome"])
		found := w.must(t, 200, mine, "POST", "/collections/books/search", `{"q":"x","queryBy":["author"],"facetBy":["author"]}`).JSON(t)
		require.EqualValues(t, 1, found["found"], "what documents held already is found")
		require.Equal(t, "altered", w.schema(t, admin, booksFields, "").JSON(t)["outcome"])
		require.Len(t, w.must(t, 200, mine, "GET", "/collections/books", "").JSON(t)["fields"], 2)

		refused(t, w.schema(t, mine, faceted, `,"mode":"alter"`), 422, "validation_failed")
		refused(t, w.schema(t, mine, `{"name":"fountain_x","type":"string"}`, ""), 422, "validation_failed")
		refused(t, w.schema(t, mine, booksFields+`,{"name":"text","type":"string"}`, `,"mode":"reindex"`), 422, "validation_failed")
		refused(t, w.schema(t, mine, booksFields, `,"defaultSortingField":"none","mode":"alter"`), 422, "validation_failed")
		require.Equal(t, "none", w.must(t, 200, mine, "GET", "/collections/books/schema", "").JSON(t)["remedy"], "what is refused changes nothing")

		// If a document does not fit a field, the engine refuses, and nothing has changed.
		refused(t, w.schema(t, mine, booksFields+`,{"name":"author","type":"int64","optional":true}`, ""), 422, "validation_failed")
		require.Equal(t, "none", w.must(t, 200, mine, "GET", "/collections/books/schema", "").JSON(t)["remedy"])

		w.must(t, 200, mine, "PUT", "/collections/books/grants/service:"+loom, `{"access":"write"}`)
		require.Equal(t, "none", w.must(t, 200, other, "GET", "/collections/books/schema", "").JSON(t)["remedy"])
		refused(t, w.schema(t, other, booksFields, ""), 403, "forbidden")
		for _, try := range []attempt{
			{"POST", "/reindexes", "{}"}, {"GET", "/reindexes", ""}, {"GET", "/reindexes/rix_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", ""},
			{"POST", "/reindexes/rix_01KBB6Q3Y5W1V9T2ZD0G7M4N8P/abort", ""}, {"POST", "/reindexes/rix_01KBB6Q3Y5W1V9T2ZD0G7M4N8P/rollback", ""},
		} {
			refused(t, w.call(t, other, try.method, "/collections/books"+try.path, try.body), 403, "forbidden")
			refused(t, w.call(t, mine, try.method, "/collections/nowhere"+try.path, try.body), 404, "not_found")
		}
		refused(t, w.call(t, w.someone(t, func(c *auth.Claims) { c.Roles = []string{"editor"} }), "POST", "/collections/books/reindexes", "{}"), 403, "insufficient_role")
		refused(t, w.call(t, mine, "GET", "/collections/nowhere/schema", ""), 404, "not_found")
		refused(t, w.call(t, mine, "PUT", "/collections/nowhere/schema", `{"fields":[`+booksFields+`]}`, "If-Match", "*"), 404, "not_found")
	})
}

// A schema that another program has changed at the engine is reported, and can be repaired.
func TestSchema_driftIsToldAndMended(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", books)
	engine.must(t, "PATCH", "/collections/books", `{"fields":[{"name":"number","drop":true},{"name":"extra","type":"string","optional":true}]}`)
	told := w.must(t, 200, admin, "GET", "/collections/books/schema", "").JSON(t)
	require.Equal(t, "reindex", told["remedy"], "a field that documents must have is no change in place")
	var changes []string
	for _, c := range told["changes"].([]any) {
		changes = append(changes, fmt.Sprint(c.(map[string]any)["field"], " ", c.(map[string]any)["change"]))
	}
	require.Equal(t, []string{"extra unexpected", "number missing"}, changes)
	id := w.must(t, 202, admin, "POST", "/collections/books/reindexes", "{}").JSON(t)["id"].(string)
	w.reached(t, admin, "books", id, "done")
	require.Equal(t, "none", w.must(t, 200, admin, "GET", "/collections/books/schema", "").JSON(t)["remedy"])
}

func TestReindex_replacesTheCollectionAndGoesBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		created := w.must(t, 201, admin, "POST", "/collections", books).JSON(t)
		w.must(t, 200, admin, "POST", "/collections/books/documents/sync", upserts(`{"text":"to be","number":9007199254740993}`, `{"text":"or not","number":2}`))
		refused(t, w.call(t, admin, "POST", "/collections/books/search", `{"q":"*","queryBy":["text"],"facetBy":["text"]}`), 422, "validation_failed")
		begun := w.schema(t, admin, faceted, `,"keepOldSeconds":600`).JSON(t)
		require.Equal(t, "reindexing", begun["outcome"])
		id := begun["reindex"].(map[string]any)["id"].(string)
		done := w.reached(t, admin, "books", id, "done")
		require.EqualValues(t, 2, done["copied"])
		require.NotEmpty(t, done["oldKeptUntil"])
		found := w.must(t, 200, admin, "POST", "/collections/books/search", `{"q":"*","queryBy":["text"],"facetBy":["text"]}`)
		require.EqualValues(t, 2, found.JSON(t)["found"])
		require.Contains(t, string(found.Body), "9007199254740993", "no digit is lost")
		one := w.must(t, 200, admin, "GET", "/collections/books", "").JSON(t)
		require.Equal(t, "books", one["name"])
		require.Equal(t, created["createdAt"].(string)[:15], one["createdAt"].(string)[:15])
		list := w.must(t, 200, admin, "GET", "/collections", "").JSON(t)["items"].([]any)
		require.Len(t, list, 1, "copies of the service's own are not shown")
		require.Equal(t, "books", list[0].(map[string]any)["name"])
		schema := w.must(t, 200, admin, "GET", "/collections/books/schema", "").JSON(t)
		require.Equal(t, []any{"none", id}, []any{schema["remedy"], schema["reindexId"]})
		refused(t, w.call(t, admin, "POST", "/collections/books/reindexes/"+id+"/abort", ""), 409, "state_conflict")

		w.must(t, 204, admin, "PUT", "/collections/books/documents/3", `{"text":"that is","number":3}`)
		w.must(t, 200, admin, "POST", "/collections/books/documents/delete-by-query", `{"filter":{"field":"number","op":"eq","integers":[2]}}`)
		require.Equal(t, "rollingBack", w.must(t, 200, admin, "POST", "/collections/books/reindexes/"+id+"/rollback", "").JSON(t)["state"])
		w.reached(t, admin, "books", id, "rolledBack")
		refused(t, w.call(t, admin, "POST", "/collections/books/reindexes/"+id+"/rollback", ""), 409, "state_conflict")
		after := w.must(t, 200, admin, "POST", "/collections/books/search", `{"q":"*","queryBy":["text"]}`)
		require.EqualValues(t, 2, after.JSON(t)["found"])
		require.Contains(t, string(after.Body), "that is")
		require.NotContains(t, string(after.Body), "or not")
		refused(t, w.call(t, admin, "POST", "/collections/books/search", `{"q":"*","queryBy":["text"],"facetBy":["text"]}`), 422, "validation_failed")

		second := w.must(t, 202, admin, "POST", "/collections/books/reindexes", `{"keepOldSeconds":60}`).JSON(t)["id"].(string)
		w.reached(t, admin, "books", second, "done")
		first := w.must(t, 200, admin, "GET", "/collections/books/reindexes?limit=1", "").JSON(t)
		require.Equal(t, second, first["items"].([]any)[0].(map[string]any)["id"])
		rest := w.must(t, 200, admin, "GET", "/collections/books/reindexes?cursor="+first["nextCursor"].(string), "").JSON(t)
		require.Equal(t, id, rest["items"].([]any)[0].(map[string]any)["id"])
		require.Nil(t, rest["nextCursor"])
		refused(t, w.call(t, admin, "GET", "/collections/books/reindexes?cursor=bm90LW91cnM", ""), 400, "invalid_cursor")
		w.must(t, 204, admin, "DELETE", "/collections/books", "")
		w.must(t, 201, admin, "POST", "/collections", books)
		require.EqualValues(t, 0, w.must(t, 200, admin, "GET", "/collections/books", "").JSON(t)["documents"])
		require.Empty(t, w.must(t, 200, admin, "GET", "/collections/books/reindexes", "").JSON(t)["items"], "those were another collection's")

		w.Stop(t)
		db := w.database(t)
		defer db.Close()
		for _, action := range []string{"putCollectionSchema", "startReindex", "rollbackReindex", "swapReindex", "unswapReindex"} {
			events, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Action: action, Target: "books", Limit: 1})
			require.NoError(t, err)
			require.Len(t, events, 1, action)
		}
	})
}

// The synonyms and overrides that an operator has added at the engine are copied to the new collection.
func TestReindex_keepsSynonymsAndOverrides(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", books)
	w.must(t, 200, admin, "POST", "/collections/books/documents/sync", upserts(`{"text":"sofa","number":1}`, `{"text":"table","number":2}`))
	engine.must(t, "PUT", "/collections/books/synonyms/seats", `{"synonyms":["sofa","couch"]}`)
	engine.must(t, "PUT", "/collections/books/overrides/pin", `{"rule":{"query":"table","match":"exact"},"includes":[{"id":"1","position":1}]}`)
	found := func(q string) any {
		return w.must(t, 200, admin, "POST", "/collections/books/search", `{"q":"`+q+`","queryBy":["text"]}`).JSON(t)["found"]
	}
	require.Equal(t, []any{float64(1), float64(2)}, []any{found("couch"), found("table")})
	id := w.must(t, 202, admin, "POST", "/collections/books/reindexes", `{}`).JSON(t)["id"].(string)
	w.reached(t, admin, "books", id, "done")
	require.Equal(t, []any{float64(1), float64(2)}, []any{found("couch"), found("table")})
}

// Attributes that other programs have set at the engine are kept. If one can't be copied, the reindex ends.
func TestReindex_keepsWhatTheServiceDoesNotKnow(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", books)
	w.must(t, 200, admin, "POST", "/collections/books/documents/sync", upserts(`{"text":"lantern","number":1}`))
	change := func(field string) {
		engine.must(t, "PATCH", "/collections/books", `{"fields":[{"name":"text","drop":true},`+field+`]}`)
	}
	change(`{"name":"text","type":"string","infix":true,"locale":"de","stem":true}`)
	id := w.must(t, 202, admin, "POST", "/collections/books/reindexes", `{}`).JSON(t)["id"].(string)
	w.reached(t, admin, "books", id, "done")
	physical := "books__R" + strings.TrimPrefix(id, "rix_")
	kept := engine.must(t, "GET", "/collections/"+physical, "")
	require.Contains(t, kept, `"infix":true`)
	require.Contains(t, kept, `"locale":"de"`)
	require.Contains(t, kept, `"stem":true`)
	require.NotContains(t, string(w.must(t, 200, admin, "GET", "/collections/books", "").Body), "__R", "that name is the service's own")

	engine.must(t, "PATCH", "/collections/"+physical, `{"fields":[{"name":"text","drop":true},{"name":"text","type":"string","store":false}]}`)
	id = w.must(t, 202, admin, "POST", "/collections/books/reindexes", `{}`).JSON(t)["id"].(string)
	require.Equal(t, "unsupported_query", w.reached(t, admin, "books", id, "failed")["failure"].(map[string]any)["code"])
	w.must(t, 204, admin, "DELETE", "/collections/books", "")
}

// A collection is deleted while its reindex is under way. Nothing of either is left.
func TestReindex_isGivenUpByADeletion(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", books)
	engine.failing(func(r *http.Request) int {
		if r.Method == "POST" && r.URL.Path == "/collections" {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	w.must(t, 202, admin, "POST", "/collections/books/reindexes", `{}`)
	w.mustInTime(t, 204, admin, "DELETE", "/collections/books", "")
	engine.failing(nil)
	w.must(t, 201, admin, "POST", "/collections", books)
	w.must(t, 204, admin, "PUT", "/collections/books/documents/1", `{"text":"new","number":1}`)
	require.Eventually(t, func() bool { return !strings.Contains(engine.list(), "__R") }, testWait, 10*time.Millisecond)
	require.Empty(t, w.must(t, 200, admin, "GET", "/collections/books/reindexes", "").JSON(t)["items"])
	require.EqualValues(t, 1, w.must(t, 200, admin, "GET", "/collections/books", "").JSON(t)["documents"])
}

// During a reindex no second one can start, and the schema can't be changed otherwise. The reindex can be aborted. If the engine is away,
// the reindex waits and does not end.
func TestReindex_oneIsUnderWayAtATime(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", books)
	engine.failing(func(r *http.Request) int {
		if r.Method == "POST" && r.URL.Path == "/collections" {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	refused(t, w.call(t, admin, "POST", "/collections/books/reindexes", `{"keepOldSeconds":59}`), 422, "invalid_body")
	id := w.must(t, 202, admin, "POST", "/collections/books/reindexes", `{}`).JSON(t)["id"].(string)
	refused(t, w.call(t, admin, "POST", "/collections/books/reindexes", `{}`), 409, "state_conflict")
	refused(t, w.schema(t, admin, faceted, ""), 409, "state_conflict")
	refused(t, w.schema(t, admin, booksFields, ""), 409, "state_conflict")
	refused(t, w.call(t, admin, "POST", "/collections/books/reindexes/"+id+"/rollback", ""), 409, "state_conflict")
	require.Equal(t, "aborted", w.must(t, 200, admin, "POST", "/collections/books/reindexes/"+id+"/abort", "").JSON(t)["state"])
	second := w.must(t, 202, admin, "POST", "/collections/books/reindexes", `{}`).JSON(t)["id"].(string)
	require.Equal(t, "created", w.must(t, 200, admin, "GET", "/collections/books/reindexes/"+second, "").JSON(t)["state"])
	engine.failing(nil)
	w.reached(t, admin, "books", second, "done")
}

// A reindex to a schema that documents don't fit fails, gives the reason without their values, and leaves the desired schema and the way to
// it.
func TestReindex_failsWithoutHarm(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", books)
		w.must(t, 200, admin, "POST", "/collections/books/documents/sync", upserts(`{"text":"quetzal","number":1}`))
		begun := w.schema(t, admin, booksFields+`,{"name":"author","type":"string"}`, "").JSON(t)
		id := begun["reindex"].(map[string]any)["id"].(string)
		w.reached(t, admin, "books", id, "failed")
		now := w.must(t, 200, admin, "GET", "/collections/books/reindexes/"+id, "")
		require.Equal(t, "validation_failed", now.JSON(t)["failure"].(map[string]any)["code"])
		require.NotContains(t, string(now.Body), "quetzal")
		require.Equal(t, "reindex", w.must(t, 200, admin, "GET", "/collections/books/schema", "").JSON(t)["remedy"])
		require.EqualValues(t, 1, w.must(t, 200, admin, "POST", "/collections/books/search", `{"q":"quetzal","queryBy":["text"]}`).JSON(t)["found"])
		require.Equal(t, "unchanged", w.schema(t, admin, booksFields, "").JSON(t)["outcome"])
	})
}

// A tenant-scoped collection keeps its tenants apart through a reindex.
func TestReindex_keepsTenantsApart(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		maker, red, blue := w.service(t, press, ""), w.service(t, loom, "red"), w.service(t, loom, "blue")
		w.must(t, 201, maker, "POST", "/collections", strings.Replace(books, `"books"`, `"books","tenantScoped":true`, 1))
		for i, token := range []string{red, blue} {
			w.must(t, 200, maker, "PUT", "/collections/books/grants/tenant:"+[]string{"red", "blue"}[i], `{"access":"write"}`)
			w.must(t, 200, token, "POST", "/collections/books/documents/sync", upserts(fmt.Sprintf(`{"text":"tenant %d","number":%d}`, i, i)))
		}
		refused(t, w.schema(t, maker, booksFields+`,{"name":"a_.*","type":"string"}`, ""), 422, "validation_failed")
		id := w.schema(t, maker, faceted, "").JSON(t)["reindex"].(map[string]any)["id"].(string)
		w.reached(t, maker, "books", id, "done")
		for i, token := range []string{red, blue} {
			found := w.must(t, 200, token, "POST", "/collections/books/search", `{"q":"*","queryBy":["text"],"facetBy":["text"]}`).JSON(t)
			require.EqualValues(t, 1, found["found"])
			require.EqualValues(t, 1, found["outOf"])
			require.Equal(t, map[string]any{"id": "1", "text": fmt.Sprintf("tenant %d", i), "number": float64(i)}, found["hits"].([]any)[0].(map[string]any)["document"])
		}
		require.EqualValues(t, 2, w.must(t, 200, maker, "GET", "/collections/books", "").JSON(t)["documents"])
		for _, field := range w.must(t, 200, red, "GET", "/collections/books/schema", "").JSON(t)["fields"].([]any) {
			require.NotContains(t, field.(map[string]any)["name"], "fountain_")
		}
	})
}

// With two replicas on one PostgreSQL and one Typesense, either may carry out a reindex, whichever started it, and both know its end.
func TestReindex_isOfEveryReplica(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // one process has a SQLite
		}
		address := searchtest.Typesense(t, "any-key")
		a, b := newWorld(t, c), newWorld(t, c)
		for _, w := range []*world{a, b} {
			w.kms = a.kms
			w.settings.Service = servicetest.Settings(t, a.kms.KMS, c, w.logs)
			w.settings.EngineURL, w.settings.EngineKeyFile = address, keyFile(t)
			w.start(t)
			w.WaitReady(t)
		}
		admin := a.someone(t)
		a.must(t, 201, admin, "POST", "/collections", books)
		for round := range 3 {
			id := a.must(t, 202, admin, "POST", "/collections/books/reindexes", `{}`).JSON(t)["id"].(string)
			for n := 0; b.must(t, 200, admin, "GET", "/collections/books/reindexes/"+id, "").JSON(t)["state"] != "done"; n++ {
				number := fmt.Sprint(round*1_000_000 + n)
				b.must(t, 204, admin, "PUT", "/collections/books/documents/x", `{"text":"`+number+`","number":`+number+`}`)
				require.EqualValues(t, round*1_000_000+n, a.must(t, 200, admin, "GET", "/collections/books/documents/x", "").JSON(t)["number"])
			}
		}
	})
}
