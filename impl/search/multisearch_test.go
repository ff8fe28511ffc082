package search

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// searches writes the body of a multi-search; each part is a collection and the search in it.
func searches(parts ...[2]string) string {
	list := make([]string, len(parts))
	for i, p := range parts {
		list[i] = `{"collection":"` + p[0] + `","search":` + p[1] + `}`
	}
	return `{"searches":[` + strings.Join(list, ",") + `]}`
}

const everything = `{"q":"*","queryBy":["text"]}`

func TestMultiSearch_tellsTheOutcomeOfEverySearch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin, reader := w.someone(t), w.user(t, ada, "", "reader")
		w.must(t, 201, admin, "POST", "/collections", plays)
		w.must(t, 201, admin, "POST", "/collections", strings.Replace(plays, "plays", "hidden", 1))
		w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", upserts(`{"text":"to be","number":9007199254740993}`, `{"text":"or not","number":2}`))
		w.must(t, 200, admin, "PUT", "/collections/plays/grants/role:reader", `{"access":"read"}`)
		found := w.must(t, 200, reader, "POST", "/search", searches(
			[2]string{"plays", `{"q":"be","queryBy":["text"]}`}, [2]string{"hidden", everything}, [2]string{"never", everything}, [2]string{"plays", `{"q":"*","queryBy":["nope"]}`},
			[2]string{"plays", `{"q":"*","queryBy":["text"],"filterBy":"number:1"}`}, [2]string{"plays", `{"q":"*","queryBy":["text"],"filter":{"field":"number"}}`}, [2]string{"plays", everything},
		))
		require.Contains(t, string(found.Body), "9007199254740993", "no digit is lost")
		body := found.JSON(t)
		require.Equal(t, []any{2.0, 5.0}, []any{body["succeeded"], body["failed"]})
		var told []any
		for _, r := range body["results"].([]any) {
			one := r.(map[string]any)
			if result, ok := one["result"].(map[string]any); ok {
				told = append(told, result["found"])
				continue
			}
			require.Equal(t, "error", one["status"])
			require.NotEmpty(t, one["message"])
			told = append(told, one["code"])
		}
		require.Equal(t, []any{1.0, "not_found", "not_found", "validation_failed", "forbidden", "validation_failed", 2.0}, told)
		results := body["results"].([]any)
		require.Equal(t, results[1], results[2], "another's collection is one that is not there")
		require.Contains(t, results[5].(map[string]any)["message"], "/filter must be one of")
		many := make([][2]string, 51)
		for i := range many {
			many[i] = [2]string{"plays", everything}
		}
		refused(t, w.call(t, admin, "POST", "/search", searches(many...)), 422, "invalid_body")
		require.EqualValues(t, 50, w.must(t, 200, admin, "POST", "/search", searches(many[:50]...)).JSON(t)["succeeded"])
		w.must(t, 200, admin, "POST", "/search/union", searches(many[:50]...))
	})
}

func TestUnionSearch_makesOneListWithinWhatTheCallerReaches(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		maker, red, blue := w.service(t, press, ""), w.service(t, loom, "red"), w.service(t, loom, "blue")
		w.must(t, 201, maker, "POST", "/collections", `{"name":"shared","tenantScoped":true,"fields":[{"name":"text","type":"string"},{"name":"n","type":"int32"}]}`)
		w.must(t, 201, maker, "POST", "/collections", `{"name":"common","fields":[{"name":"text","type":"string"},{"name":"n","type":"int32"}]}`)
		for _, grant := range []string{"shared/grants/tenant:red", "shared/grants/tenant:blue", "common/grants/tenant:blue"} {
			w.must(t, 200, maker, "PUT", "/collections/"+grant, `{"access":"write"}`)
		}
		w.must(t, 200, red, "POST", "/collections/shared/documents/sync", upserts(`{"text":"`+canary+`","n":3}`))
		w.must(t, 200, blue, "POST", "/collections/shared/documents/sync", upserts(`{"text":"sparrow one","n":1}`, `{"text":"sparrow two","n":4}`))
		w.must(t, 200, maker, "POST", "/collections/common/documents/sync", upserts(`{"text":"sparrow three","n":2}`))
		const byNumber = `{"q":"*","queryBy":["text"],"sortBy":[{"field":"n"}]}`
		union := searches([2]string{"shared", byNumber}, [2]string{"common", byNumber})
		list := func(token, body string) (ids []string, found, outOf any) {
			a := w.must(t, 200, token, "POST", "/search/union", body)
			for _, h := range a.JSON(t)["hits"].([]any) {
				hit := h.(map[string]any)
				ids = append(ids, fmt.Sprint(hit["search"], " ", hit["collection"], " ", hit["document"].(map[string]any)["id"], " ", hit["tenant"]))
				require.NotContains(t, hit["document"], "fountain_tenant")
			}
			return ids, a.JSON(t)["found"], a.JSON(t)["outOf"]
		}
		ids, found, outOf := list(blue, union)
		require.Equal(t, []string{"0 shared 1 <nil>", "1 common 1 <nil>", "0 shared 2 <nil>"}, ids)
		require.Equal(t, []any{3.0, 3.0}, []any{found, outOf})
		ids, found, outOf = list(blue, strings.TrimSuffix(union, "}")+`,"page":2,"perPage":2}`)
		require.Equal(t, []string{"0 shared 2 <nil>"}, ids)
		require.Equal(t, []any{3.0, 3.0}, []any{found, outOf})
		ids, found, outOf = list(maker, union)
		require.Equal(t, []string{"0 shared 1 blue", "1 common 1 <nil>", "0 shared 1 red", "0 shared 2 blue"}, ids)
		require.Equal(t, []any{4.0, 4.0}, []any{found, outOf})
		_, found, outOf = list(blue, searches([2]string{"shared", everything}, [2]string{"shared", everything}))
		require.Equal(t, []any{4.0, 2.0}, []any{found, outOf}, "a collection is counted once")

		ask := func(token string, parts ...[2]string) (int, string) {
			a := w.call(t, token, "POST", "/search/union", searches(parts...))
			return a.Status, string(a.Body)
		}
		status, text := ask(red, [2]string{"shared", everything}, [2]string{"common", everything})
		require.Equal(t, http.StatusNotFound, status, text)
		status, text = ask(blue, [2]string{"common", everything}, [2]string{"shared", `{"q":"*","queryBy":["text"],"filterBy":"n:1"}`})
		require.Equal(t, http.StatusForbidden, status, text)
		for body, pointer := range map[string]string{
			`{"q":"*","queryBy":["text"],"filter":{"field":"n"}}`: "/searches/1/search/filter", `{"q":"*","queryBy":["text"],"perPage":3}`: "/searches/1/search/perPage",
			`{"q":"*","queryBy":["text"],"facetBy":["n"]}`: "/searches/1/search/facetBy", byNumber: "", `{"q":"*","queryBy":["nope"]}`: "",
		} {
			status, text = ask(blue, [2]string{"common", everything}, [2]string{"shared", body})
			require.Equal(t, http.StatusUnprocessableEntity, status, text)
			require.Contains(t, text, pointer)
		}
	})
}

// If the engine can't be used, the whole request fails, and not single searches.
func TestMultiSearch_isRefusedAsAWholeByAnEngineThatIsAway(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", plays)
	engine.failing(func(r *http.Request) int {
		if r.URL.Path == "/multi_search" {
			return 503
		}
		return 0
	})
	for _, path := range []string{"/search", "/search/union"} {
		refused(t, w.call(t, admin, "POST", path, searches([2]string{"plays", everything})), 503, "engine_unavailable")
	}
}

// A search whose result does not fit into the answer is refused in its own place.
func TestMultiSearch_refusesWhatHasNoPlaceInTheAnswer(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		for i := range 2 {
			w.mustInTime(t, 200, admin, "POST", "/collections/plays/documents/sync", fmt.Sprintf(`{"items":[{"op":"upsert","id":"%d","document":{"text":"large","number":%d,"scan":"%s"}}]}`, i, i, strings.Repeat("x", 1000<<10)))
		}
		w.mustInTime(t, 200, admin, "POST", "/collections/plays/documents/sync", `{"items":[{"op":"upsert","id":"s","document":{"text":"small","number":1}}]}`)
		const large, small = `{"q":"large","queryBy":["text"]}`, `{"q":"small","queryBy":["text"]}`
		list := make([][2]string, 20)
		for i := range list {
			list[i] = [2]string{"plays", large}
		}
		list[19][1] = small
		got := w.mustInTime(t, 200, admin, "POST", "/search", searches(list...))
		require.LessOrEqual(t, len(got.Body), 31<<20)
		body := got.JSON(t)
		require.Equal(t, []any{16.0, 4.0}, []any{body["succeeded"], body["failed"]})
		for i, r := range body["results"].([]any) {
			if i < 15 || i == 19 {
				require.Equal(t, "ok", r.(map[string]any)["status"], i)
				continue
			}
			require.Equal(t, "validation_failed", r.(map[string]any)["code"], i)
			require.Contains(t, r.(map[string]any)["message"], "too large for one response")
		}
	})
}

func TestMultiSearch_boundsThePagesTogether(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		page := func(n int) [2]string {
			return [2]string{"plays", fmt.Sprintf(`{"q":"*","queryBy":["text"],"perPage":%d}`, n)}
		}
		w.must(t, 200, admin, "POST", "/search", searches(page(250), page(250), page(250), page(240), [2]string{"plays", everything}))
		got := w.call(t, admin, "POST", "/search", searches(page(250), page(250), page(250), page(241), [2]string{"plays", everything}))
		refused(t, got, 422, "validation_failed")
		require.Contains(t, string(got.Body), "/searches/4/search/perPage", "also where it is the default")
	})
}
