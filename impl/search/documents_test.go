package search

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/servicetest"
)

func TestDocuments_areWrittenOneByOne(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		one := func(method, id, body string) servicetest.Answer {
			return w.call(t, admin, method, "/collections/plays/documents/"+id, body)
		}
		read := func(id string) string {
			return strings.TrimSpace(string(w.must(t, 200, admin, "GET", "/collections/plays/documents/"+id, "").Body))
		}
		for range 2 { // repeating is safe
			require.Equal(t, 204, one("PUT", "a:1", `{"text":"to be","number":9007199254740993,"attr_scene":"3.1"}`).Status)
		}
		require.JSONEq(t, `{"id":"a:1","text":"to be","number":9007199254740993,"attr_scene":"3.1"}`, read("a:1"))
		require.Contains(t, read("a:1"), "9007199254740993", "no digit is lost")
		require.Equal(t, 204, one("PATCH", "a:1", `{"text":"or not","attr_scene":null}`).Status)
		require.JSONEq(t, `{"id":"a:1","text":"or not","number":9007199254740993}`, read("a:1"))
		require.Equal(t, 204, one("PUT", "a:1", `{"id":"a:1","text":"that is","number":2}`).Status)
		require.JSONEq(t, `{"id":"a:1","text":"that is","number":2}`, read("a:1"))

		refused(t, one("PUT", "2", `{"text":"no number"}`), 422, "validation_failed")
		refused(t, one("PUT", "2", `{"id":"other","text":"x","number":1}`), 422, "validation_failed")
		refused(t, one("PUT", "2", `{"text":"x","number":1,"fountain_tenant":"red"}`), 422, "validation_failed")
		refused(t, one("PUT", "2?tenant=red", `{"text":"x","number":1}`), 422, "validation_failed")
		refused(t, one("PATCH", "a:1", `{"number":"many"}`), 422, "validation_failed")
		refused(t, one("PATCH", "a:1?tenant=red", `{"number":1}`), 422, "validation_failed")
		refused(t, one("DELETE", "a:1?tenant=red", ""), 422, "validation_failed")
		refused(t, one("PATCH", "2", `{"number":2}`), 404, "not_found")
		refused(t, one("DELETE", "2", ""), 404, "not_found")
		require.Contains(t, string(one("PATCH", "2", `{"number":2}`).Body), "There is no such document.")
		require.Equal(t, 204, one("DELETE", "a:1", "").Status)
		refused(t, one("GET", "a:1", ""), 404, "not_found")

		w.must(t, 200, admin, "PUT", "/collections/plays/grants/user:"+ada, `{"access":"read"}`)
		reader := w.user(t, ada, "", "reader")
		for _, method := range []string{"PUT", "PATCH"} {
			refused(t, w.call(t, reader, method, "/collections/plays/documents/1", `{"text":"x","number":1}`), 403, "forbidden")
		}
		refused(t, w.call(t, reader, "DELETE", "/collections/plays/documents/1", ""), 403, "forbidden")
	})
}

// A dot segment leaves the documents: at the engine /collections/plays/documents/.. is the collection.
func TestDocuments_noIdLeadsOutOfTheDocuments(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		for _, id := range []string{".", "..", "%2e", "%2e%2e", "%2E."} {
			for method, body := range map[string]string{"GET": "", "PUT": `{"text":"x","number":1}`, "PATCH": `{"text":"x"}`, "DELETE": ""} {
				request, err := http.NewRequestWithContext(t.Context(), method, w.URL+"/search/v1/collections/plays/documents/x", strings.NewReader(body))
				require.NoError(t, err)
				request.URL.Opaque = "//" + request.URL.Host + "/search/v1/collections/plays/documents/" + id // as it is, not cleaned
				request.Header.Set("Authorization", "Bearer "+admin)
				request.Header.Set("Content-Type", "application/json")
				answer, err := http.DefaultClient.Do(request)
				require.NoError(t, err)
				text, err := io.ReadAll(answer.Body)
				require.NoError(t, err)
				require.NoError(t, answer.Body.Close())
				require.GreaterOrEqual(t, answer.StatusCode, 400, "%s %s: %s", method, id, text)
				require.NotContains(t, string(text), "number", "%s %s", method, id)
			}
			for _, op := range []string{`"op":"delete"`, `"op":"upsert","document":{"text":"x","number":1}`} {
				if !strings.HasPrefix(id, "%") {
					refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", `{"items":[{`+op+`,"id":"`+id+`"}]}`), 422, "invalid_body")
				}
			}
		}
		w.must(t, 200, admin, "GET", "/collections/plays", "")
		for _, id := range []string{"...", "..a", ".a", "a.", "%73ync", "%64elete-by-query", "%65xport", "~", "-:_"} {
			w.must(t, 204, admin, "PUT", "/collections/plays/documents/"+id, `{"text":"x","number":1}`)
			w.must(t, 200, admin, "GET", "/collections/plays/documents/"+id, "")
			w.must(t, 204, admin, "PATCH", "/collections/plays/documents/"+id, `{"number":2}`)
			w.must(t, 204, admin, "DELETE", "/collections/plays/documents/"+id, "")
		}
	})
}

// The engine has operations below the documents' path too: a document called export must not be read as an export of all.
func TestDocuments_withIdsThatAreVerbsOfTheEngineAreReadAlone(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", upserts(`{"text":"other","number":9}`))
		for _, id := range []string{"search", "import", "export", "sync"} {
			path := "/collections/plays/documents/%" + fmt.Sprintf("%02x", id[0]) + id[1:]
			refused(t, w.call(t, admin, "GET", path, ""), 404, "not_found")
			w.must(t, 204, admin, "PUT", path, `{"text":"`+id+`","number":1}`)
			require.JSONEq(t, `{"id":"`+id+`","text":"`+id+`","number":1}`, string(w.must(t, 200, admin, "GET", path, "").Body))
			w.must(t, 204, admin, "DELETE", path, "")
			refused(t, w.call(t, admin, "GET", path, ""), 404, "not_found")
		}
		w.must(t, 200, admin, "GET", "/collections/plays/documents/1", "")
	})
}

func TestDocuments_ofATenantAreItsOwn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		maker, red, blue := w.service(t, press, ""), w.service(t, loom, "red"), w.service(t, loom, "blue")
		w.must(t, 201, maker, "POST", "/collections", `{"name":"shared","tenantScoped":true,"fields":[{"name":"text","type":"string"},{"name":"n","type":"int32","optional":true}]}`)
		for _, tenant := range []string{"red", "blue"} {
			w.must(t, 200, maker, "PUT", "/collections/shared/grants/tenant:"+tenant, `{"access":"write"}`)
		}
		const path = "/collections/shared/documents/1"
		w.must(t, 204, red, "PUT", path, `{"text":"`+canary+`","n":1}`)
		refused(t, w.call(t, blue, "PATCH", path, `{"n":2}`), 404, "not_found")
		refused(t, w.call(t, blue, "DELETE", path, ""), 404, "not_found")
		refused(t, w.call(t, blue, "DELETE", path+"?tenant=red", ""), 422, "validation_failed")
		w.must(t, 204, blue, "PUT", path, `{"text":"sparrow"}`)
		w.must(t, 204, blue, "PATCH", path, `{"n":3}`)
		require.JSONEq(t, `{"id":"1","text":"sparrow","n":3}`, string(w.must(t, 200, blue, "GET", path, "").Body))
		require.JSONEq(t, `{"id":"1","text":"`+canary+`","n":1}`, string(w.must(t, 200, red, "GET", path, "").Body))
		w.must(t, 204, maker, "PATCH", path+"?tenant=red", `{"n":4}`)
		refused(t, w.call(t, maker, "PATCH", path, `{"n":5}`), 404, "not_found") // of the default tenant

		export := func(token, body string) []string {
			return exportedLines(t, w.must(t, 200, token, "POST", "/collections/shared/documents/export", body))
		}
		require.Equal(t, []string{`{"document":{"id":"1","n":3,"text":"sparrow"}}`, `{"documents":1}`}, export(blue, `{}`))
		require.Equal(t, []string{`{"document":{"id":"1","text":"sparrow"}}`, `{"documents":1}`}, export(blue, `{"fields":["text"]}`))
		require.Equal(t, []string{`{"documents":0}`}, export(blue, `{"filter":{"field":"n","op":"eq","integers":[4]}}`))
		require.Equal(t, []string{`{"document":{"id":"1","n":3,"text":"sparrow"},"tenant":"blue"}`, `{"document":{"id":"1","n":4,"text":"` + canary + `"},"tenant":"red"}`, `{"documents":2}`}, export(maker, `{}`))
		require.Equal(t, []string{`{"document":{"id":"1","n":4,"text":"` + canary + `"},"tenant":"red"}`, `{"documents":1}`}, export(maker, `{"tenant":"red","filter":{"field":"n","op":"gt","integers":[1]}}`))
		require.Equal(t, []string{`{"documents":0}`}, export(maker, `{"tenant":"green"}`))
		for body, status := range map[string]int{`{"tenant":"red"}`: 422, `{"fields":["fountain_tenant"]}`: 422, `{"filter":{"field":"fountain_tenant","op":"ne","texts":["x"]}}`: 422} {
			require.Equal(t, status, w.call(t, blue, "POST", "/collections/shared/documents/export", body).Status, body)
		}
	})
}

// exportedLines returns the lines of an export, sorted except for the last one.
func exportedLines(t *testing.T, a servicetest.Answer) []string {
	t.Helper()
	require.Equal(t, "application/x-ndjson", a.Header.Get("Content-Type"))
	lines := strings.Split(strings.TrimSuffix(string(a.Body), "\n"), "\n")
	slices.Sort(lines[:len(lines)-1])
	return lines
}

func TestExport_isWholeOrHasNoLastLine(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", plays)
	docs := make([]string, 3000)
	for i := range docs {
		docs[i] = fmt.Sprintf(`{"text":"word","number":%d}`, i)
	}
	w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", upserts(docs...))
	const path = "/collections/plays/documents/export"
	lines := exportedLines(t, w.must(t, 200, admin, "POST", path, `{}`))
	require.Len(t, lines, 3001)
	require.Equal(t, `{"documents":3000}`, lines[3000])
	require.Equal(t, []string{`{"document":{"id":"1"}}`, `{"documents":1}`}, exportedLines(t, w.must(t, 200, admin, "POST", path, `{"filter":{"field":"number","op":"eq","integers":[0]},"fields":["id"]}`)))
	refused(t, w.call(t, admin, "POST", path, `{"filter":{"field":"nope","op":"eq","integers":[1]}}`), 422, "validation_failed")
	refused(t, w.call(t, admin, "POST", path, `{"filter":{"field":"text","op":"eq","texts":["`+strings.Repeat(strings.Repeat("x", 500)+`","`, 8)+`x"]}}`), 422, "validation_failed")

	engine.failing(func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/export") {
			return 503
		}
		return 0
	})
	refused(t, w.call(t, admin, "POST", path, `{}`), 503, "engine_unavailable")
	engine.failing(nil)

	var broken atomic.Bool
	whole := engine.Handler
	engine.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/export") || !broken.Load() {
			whole.ServeHTTP(rw, r)
			return
		}
		fmt.Fprintln(rw, `{"id":"1","text":"word","number":0}`)
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler) // the engine breaks off
	})
	broken.Store(true)
	request, err := http.NewRequestWithContext(t.Context(), "POST", w.URL+"/search/v1"+path, strings.NewReader(`{}`))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+admin)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err == nil { // it may be cut off before anything was on its way
		text, _ := io.ReadAll(answer.Body)
		require.NoError(t, answer.Body.Close())
		require.NotContains(t, string(text), `"documents"`)
	}
}

// The engine's result for a single document becomes the answer.
func TestDocuments_refusalsOfTheEngineAreTheAnswer(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", plays)
	for method, id := range map[string]string{"PUT": "1", "PATCH": "1"} {
		whole := engine.Handler
		engine.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/import") {
				fmt.Fprintln(rw, `{"success":false,"code":422,"error":"Rejecting write: running out of resource type: OUT_OF_DISK"}`)
				return
			}
			whole.ServeHTTP(rw, r)
		})
		refused(t, w.call(t, admin, method, "/collections/plays/documents/"+id, `{"text":"x","number":1}`), 409, "limit_reached")
		engine.Handler = whole
	}
	engine.failing(func(r *http.Request) int {
		if strings.Contains(r.URL.Path, "/documents/") {
			return 503
		}
		return 0
	})
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		body := ""
		if method != "DELETE" {
			body = `{"text":"x","number":1}`
		}
		refused(t, w.call(t, admin, method, "/collections/plays/documents/1", body), 503, "engine_unavailable")
	}
}
