package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// refusals are the documented refusals, one per row.
var refusals = []struct {
	method, target, body string
	status               int
	text                 string
}{
	{"GET", "/", "", 404, "Not Found"},
	{"GET", "/nope", "", 404, "Not Found"},
	{"PUT", "/collections/c", "{}", 404, "Not Found"},
	{"GET", "/multi_search", "", 404, "Not Found"},
	{"GET", "/collections//documents", "", 404, "Not Found"},
	{"GET", "/collections/nope", "", 404, "Collection not found"},
	{"DELETE", "/collections/nope", "", 404, "Collection not found"},
	{"POST", "/collections/nope/documents", "{}", 404, "Collection not found"},
	{"POST", "/collections/nope/documents/import", "{}", 404, "Collection not found"},
	{"GET", "/collections/nope/documents/search?q=*", "", 404, "Collection not found"},
	{"GET", "/collections?limit=x", "", 400, "Limit param should be unsigned integer."},
	{"GET", "/collections?offset=9", "", 400, "Invalid offset param."},

	{"POST", "/collections", "{", 400, "Bad JSON."},
	{"POST", "/collections", "[]", 400, "Parameter `name` is required."},
	{"POST", "/collections", `{"fields":[]}`, 400, "Parameter `name` is required."},
	{"POST", "/collections", `{"name":"","fields":[]}`, 400, "Parameter `name` must be a non-empty string."},
	{"POST", "/collections", `{"name":"x"}`, 400, "Parameter `fields` is required."},
	{"POST", "/collections", `{"name":"x","fields":{}}`, 400, "The `fields` value should be an array of objects containing `name`, `type` and optionally, `facet` properties."},
	{"POST", "/collections", `{"name":"x","fields":["s"]}`, 400, "Bad request."},
	{"POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string"}]}`, 409, "A collection with name `c` already exists."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":"s","type":"foobar"}]}`, 400, "Field `s` has an invalid data type `foobar`, see docs for supported data types."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":"s","type":"string","facet":"yes"}]}`, 400, "The `facet` property of the field `s` should be a boolean."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":"s","type":"string"},{"name":"s","type":"int32"}]}`, 400, "There are duplicate field names in the schema."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":".*","type":"auto"},{"name":".*","type":"auto"}]}`, 400, "There can be only one field named `.*`."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":".*","type":"auto","facet":true}]}`, 400, "Field `.*` cannot be a facet field."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":"a_.*","type":"string","optional":false}]}`, 400, "Field `a_.*` must be an optional field."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":"s","type":"string","index":false,"facet":true,"optional":true}]}`, 400, "Field `s` cannot be a facet since it's marked as non-indexable."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":"n","type":"string"}],"default_sorting_field":"n"}`, 400, "Default sorting field `n` is not a sortable type."},
	{"POST", "/collections", `{"name":"x","fields":[{"name":"n","type":"int32","optional":true}],"default_sorting_field":"n"}`, 400, "Default sorting field `n` cannot be an optional field."},
	{"POST", "/collections", `{"name":"x","fields":[],"token_separators":["--"]}`, 400, "`token_separators` should be an array of character symbols."},

	{"GET", "/collections/c/documents/9", "", 404, "Could not find a document with id: 9"},
	{"DELETE", "/collections/c/documents/9", "", 404, "Could not find a document with id: 9"},
	{"PATCH", "/collections/c/documents/9", `{"s":"x"}`, 404, "Could not find a document with id: 9"},
	{"POST", "/collections/c/documents", `{"id":"1","s":"x","n":1}`, 409, "A document with id 1 already exists."},
	{"POST", "/collections/c/documents", `{"id":1,"s":"x","n":1}`, 400, "Document's `id` field should be a string."},
	{"POST", "/collections/c/documents", `{"id":"","s":"x","n":1}`, 400, "The `id` should not be empty."},
	{"POST", "/collections/c/documents", `{"id":"2","n":1}`, 400, "Field `s` has been declared in the schema, but is not found in the document."},
	{"POST", "/collections/c/documents", `{"id":"2","s":5,"n":1}`, 400, "Field `s` must be a string."},
	{"POST", "/collections/c/documents", `{"id":"2","s":"x","n":1.5}`, 400, "Field `n` must be an int32."},
	{"POST", "/collections/c/documents", `{"id":"2","s":"x","n":1e2}`, 400, "Field `n` must be an int32."},
	{"POST", "/collections/c/documents", `{"id":"2","s":"x","n":1,"big":"1"}`, 400, "Field `big` must be an int64."},
	{"POST", "/collections/c/documents", `{"id":"2","s":"x","n":1,"f":"1"}`, 400, "Field `f` must be a float."},
	{"POST", "/collections/c/documents", `{"id":"2","s":"x","n":1,"b":1}`, 400, "Field `b` must be a bool."},
	{"POST", "/collections/c/documents", `{"id":"2","s":"x","n":1,"tags":"a"}`, 400, "Field `tags` must be an array."},
	{"POST", "/collections/c/documents", `{"id":"2","s":"x","n":1,"tags":["a",1]}`, 400, "Field `tags` must be an array of string."},
	{"POST", "/collections/c/documents", `[]`, 400, "Bad JSON: not a properly formed document."},
	{"POST", "/collections/c/documents", `{"s":"\ud800"}`, 400, "Bad JSON: an unpaired surrogate."},
	{"POST", "/collections/c/documents", `{"s":"x"} {}`, 400, "Bad JSON: there is more text after the document."},
	{"POST", "/collections/c/documents", "{\"s\":\"\xff\"}", 400, "Bad JSON: the text is not UTF-8."},
	{"POST", "/collections/c/documents?action=nope", `{}`, 400, "Parameter `action` must be a create|update|upsert."},
	{"POST", "/collections/c/documents?action=update", `{"s":"x"}`, 400, "For update, the `id` key must be provided."},
	{"POST", "/collections/c/documents/import?action=", `{}`, 400, "Parameter `action` must be a create|update|upsert."},
	{"POST", "/collections/c/documents/import?batch_size=0", `{}`, 400, "Parameter `batch_size` must be a positive integer."},
	{"POST", "/collections/c/documents/import?return_doc=1", `{}`, 400, "Parameter `return_doc` must be a true|false."},
	{"DELETE", "/collections/c/documents", "", 400, "Parameter `filter_by` must be provided."},
	{"PATCH", "/collections/c/documents", "{}", 400, "Parameter `filter_by` must be provided."},
	{"DELETE", "/collections/c/documents?filter_by=nope:1", "", 400, "Could not find a filter field named `nope` in the schema."},
	{"GET", "/collections/c/documents/export?filter_by=nope:1", "", 400, "Could not find a filter field named `nope` in the schema."},

	{"GET", "/collections/c/documents/search", "", 400, "No search fields specified for the query."},
	{"GET", "/collections/c/documents/search?q=x", "", 400, "No search fields specified for the query."},
	{"GET", "/collections/c/documents/search?q=x&query_by=nope", "", 404, "Could not find a field named `nope` in the schema."},
	{"GET", "/collections/c/documents/search?q=x&query_by=n", "", 400, "Field `n` should be a string or a string array."},
	{"GET", "/collections/c/documents/search?q=x&query_by=id", "", 400, "Cannot use `id` as a query by field."},
	{"GET", "/collections/c/documents/search?q=x&query_by=s&query_by_weights=1,2", "", 400, "Number of weights in `query_by_weights` does not match number of `query_by` fields."},
	{"GET", "/collections/c/documents/search?q=x&query_by=s&prefix=true,false", "", 400, "Number of prefix values in `prefix` does not match number of `query_by` fields."},
	{"GET", "/collections/c/documents/search?q=x&query_by=s&num_typos=x", "", 400, "Number of values in `num_typos` does not match number of `query_by` fields."},
	{"GET", "/collections/c/documents/search?q=*&filter_by=nope:1", "", 400, "Could not find a filter field named `nope` in the schema."},
	{"GET", "/collections/c/documents/search?q=*&sort_by=nope:asc", "", 404, "Could not find a field named `nope` in the schema for sorting."},
	{"GET", "/collections/c/documents/search?q=*&sort_by=n", "", 400, "Parameter `sort_by` is malformed."},
	{"GET", "/collections/c/documents/search?q=*&facet_by=s", "", 404, "Could not find a facet field named `s` in the schema."},
	{"GET", "/collections/c/documents/search?q=*&facet_by=tags(sort_by:)", "", 400, "Invalid sort format."},
	{"GET", "/collections/c/documents/search?q=*&page=x", "", 400, "Parameter `page` must be an unsigned integer."},
	{"GET", "/collections/c/documents/search?q=*&per_page=-1", "", 400, "Parameter `per_page` must be an unsigned integer."},
	{"GET", "/collections/c/documents/search?q=*&per_page=251", "", 422, "Only upto 250 hits can be fetched per page."},
	{"GET", "/collections/c/documents/search?q=*&drop_tokens_mode=up", "", 400, "Invalid format for drop tokens mode."},
	{"GET", "/collections/c/documents/search?query_by=s&q=" + strings.Repeat("x", 4001), "", 400, "Query string exceeds max allowed length of 4000. Use the /multi_search end-point for larger payloads."},
	{"POST", "/multi_search", "{}", 400, "Missing `searches` array."},
	{"POST", "/multi_search", "[]", 400, "Missing `searches` array."},
	{"POST", "/multi_search", `{"searches":[` + strings.Repeat(`{},`, 50) + `{}]}`, 400, "Number of multi searches exceeds `limit_multi_searches` parameter."},
}

func openSmall(t testing.TB) *served {
	e := open(t, t.TempDir(), embedded.Limits{})
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	must(t, e, 201, "POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string"},{"name":"n","type":"int32"},
		{"name":"big","type":"int64","optional":true},{"name":"f","type":"float","optional":true},{"name":"b","type":"bool","optional":true},
		{"name":"tags","type":"string[]","facet":true,"optional":true}]}`)
	must(t, e, 201, "POST", "/collections/c/documents", `{"id":"1","s":"one","n":1,"tags":["a"]}`)
	return e
}

func TestErrors_documentedStatusesAndTexts(t *testing.T) {
	e := openSmall(t)
	for _, r := range refusals {
		w := call(e, r.method, r.target, r.body)
		require.Equal(t, r.status, w.Code, "%s %s %s: %s", r.method, r.target, r.body, w.Body)
		var got struct{ Message string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
		require.Equal(t, r.text, got.Message, "%s %s %s", r.method, r.target, r.body)
		require.Contains(t, w.Header().Get("Content-Type"), "application/json")
	}
	require.JSONEq(t, `{"found":1}`, only(t, must(t, e, 200, "GET", "/collections/c/documents/search?q=*", ""), "found"), "no refusal changed anything")
}

func TestErrors_unsupportedIsRefusedByName(t *testing.T) {
	e := openSmall(t)
	search := "/collections/c/documents/search?q=one&query_by=s&"
	field := func(f string) string { return `{"name":"x","fields":[{"name":"s",` + f + `}]}` }
	for _, r := range []struct{ method, target, body, name string }{
		{"GET", search + "conversation=true&conversation_model_id=m", "", "conversation"},
		{"GET", search + "voice_query=x", "", "voice_query"},
		{"GET", search + "nl_query=true", "", "nl_query"},
		{"GET", search + "filter_by=$other(a:1)", "", "filter_by: joins"},
		{"GET", search + "include_fields=s,%20$other(*)", "", "include_fields: joins"},
		{"GET", search + "exclude_fields=$other(a)", "", "exclude_fields: joins"},
		{"GET", search + "sort_by=$other(a:asc)", "", "sort_by: joins"},
		{"GET", search + "sort_by=_eval([($other(a:1)):1]):desc", "", "sort_by: joins"},
		{"GET", search + "facet_by=$other(a)", "", "facet_by: joins"},
		{"POST", "/collections", field(`"type":"string","reference":"a.b"`), "reference"},
		{"GET", search + "personalization_user_id=u", "", "personalization_user_id"},
		{"POST", "/conversations/models", "{}", "POST /conversations/models"},
		{"POST", "/operations/snapshot", "", "POST /operations/snapshot"},
	} {
		w := call(e, r.method, r.target, r.body)
		require.Equal(t, http.StatusUnprocessableEntity, w.Code, "%s %s: %s", r.method, r.target, w.Body)
		want, _ := json.Marshal(map[string]string{"message": "`" + r.name + "` is not supported by the embedded engine."})
		require.JSONEq(t, string(want), w.Body.String(), r.target)
		require.Equal(t, "embedded", w.Header().Get("X-Search-Engine"))
	}
}

func TestErrors_hintsAndUnknownParametersAreIgnored(t *testing.T) {
	e := openSmall(t)
	must(t, e, 200, "GET", "/collections/c/documents/search?q=one&query_by=s&use_cache=true&cache_ttl=5&search_cutoff_ms=1&enable_lazy_filter=true"+
		"&facet_strategy=exhaustive&facet_sample_percent=50&enable_analytics=false&enable_synonyms=true&infix=off&group_limit=1&nonsense=1", "")
}

func TestErrors_noKeyNoAnswer(t *testing.T) {
	e := openSmall(t)
	for _, key := range []string{"", "wrong", testKey + "x"} {
		for _, target := range []string{"/collections", "/debug", "/collections/c/documents/search?q=*", "/aliases"} {
			r := httptest.NewRequest("GET", target, nil)
			r.Header.Set("X-TYPESENSE-API-KEY", key)
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			require.Equal(t, 401, w.Code, "%q %s", key, target)
			require.JSONEq(t, "{\"message\":\"Forbidden - a valid `x-typesense-api-key` header must be sent.\"}", w.Body.String())
			require.NotContains(t, w.Body.String(), testKey)
		}
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
	require.Equal(t, 200, w.Code, "health needs no key")
	w = httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequest("GET", "/debug?x-typesense-api-key="+testKey, nil))
	require.Equal(t, 200, w.Code, "the key may stand in the URL, as documented")
}

func TestMultiSearch_tellsErrorsInTheirPlace(t *testing.T) {
	e := openSmall(t)
	body := must(t, e, 200, "POST", "/multi_search?query_by=s", `{"searches":[{"collection":"c","q":"one"},{"collection":"nope"},{"collection":"c","filter_by":"x:1"},{"collection":"c","q":"nothing"},{"collection":"c","q":"one","per_page":0,"prefix":false,"num_typos":[0]}]}`)
	var r struct {
		Results []struct {
			Found int
			Code  int
			Error string
			Hits  []json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal([]byte(body), &r))
	require.Len(t, r.Results, 5)
	require.Equal(t, 1, r.Results[0].Found)
	require.Equal(t, 404, r.Results[1].Code)
	require.Equal(t, "Collection not found", r.Results[1].Error)
	require.Equal(t, 400, r.Results[2].Code)
	require.Zero(t, r.Results[3].Found)
	require.Equal(t, 1, r.Results[4].Found)
	require.Empty(t, r.Results[4].Hits)
}

func TestErrors_aFullDiskIsSaidAsTypesenseSaysIt(t *testing.T) {
	e := openSmall(t)
	refused := e.refusal(fmt.Errorf("write documents: %w", embedded.ErrDiskFull))
	require.Equal(t, 422, refused.Status)
	require.Equal(t, "Rejecting write: running out of resource type: OUT_OF_DISK", refused.Text)
}
