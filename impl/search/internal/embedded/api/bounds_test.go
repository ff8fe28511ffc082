package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// openBounded returns an engine with documents of every type.
func openBounded(t *testing.T) *served {
	e := open(t, t.TempDir(), embedded.Limits{SearchTime: time.Minute})
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	must(t, e, 201, "POST", "/collections", `{"name":"c","enable_nested_fields":true,"fields":[{"name":"title","type":"string","infix":true},{"name":"kind","type":"string","facet":true},
		{"name":"n","type":"int64","facet":true},{"name":"small","type":"int32"},{"name":"price","type":"float","facet":true},{"name":"at","type":"geopoint"},{"name":"v","type":"float[]","num_dim":2},
		{"name":"area","type":"geopolygon","optional":true},{"name":"o","type":"object[]","optional":true}]}`)
	var lines strings.Builder
	for i := range 200 {
		fmt.Fprintf(&lines, `{"id":"%d","title":"a lantern number%d of a tower","kind":"a kind%d","n":%d,"small":%d,"price":%d.5,"at":[%d,%d],"v":[%d,1]}`+"\n", i, i, i%7, i, i, i, i%90, i%180, i)
	}
	require.NotContains(t, must(t, e, 200, "POST", "/collections/c/documents/import", lines.String()), `"success":false`)
	return e
}

// strange are searches such as strangers may send with GET. want lists the acceptable statuses; 408 is that of a search whose time has run
// out.
var strange = []struct {
	params string
	want   []int
}{
	{"q=lan&query_by=title&max_candidates=4294967295", []int{200}},
	{"q=lan&query_by=title&max_candidates=4294967296", []int{400}},
	{"q=*&filter_by=title:num*&max_filter_by_candidates=4294967295", []int{200}},
	{"q=*&per_page=250&page=4294967295", []int{200}},
	{"q=*&per_page=251", []int{422}},
	{"q=*&per_page=-1", []int{400}},
	{"q=*&offset=4294967295&limit=250", []int{200}},
	{"q=*&page=18446744073709551616", []int{400}},
	{"q=*&limit_hits=0", []int{200}},
	{"q=a&query_by=title&snippet_threshold=4294967295&highlight_affix_num_tokens=4294967295", []int{200}},
	{"q=a&query_by=title&snippet_threshold=0&highlight_affix_num_tokens=4294967295", []int{200}},
	{"q=*&facet_by=kind,n,price&max_facet_values=4294967295", []int{200}},
	{"q=*&facet_by=n&facet_query=n:1&facet_query_num_typos=4294967295", []int{200}},
	{"q=*&group_by=kind&group_limit=4294967295", []int{400}},
	{"q=*&group_by=kind&group_limit=99&group_max_candidates=4294967295", []int{200}},
	{"q=lantrn&query_by=title&num_typos=4294967295&min_len_1typo=0&min_len_2typo=0&typo_tokens_threshold=4294967295&drop_tokens_threshold=4294967295&exhaustive_search=true", []int{200}},
	{"q=b.*(x%2B)%2B%24+[[[&query_by=title", []int{200}},
	{"q=ntern&query_by=title&infix=always&max_extra_prefix=4294967295&max_extra_suffix=4294967295", []int{200}},
	{"q=*&search_cutoff_ms=4294967295", []int{200}},
	{"q=*&query_by=" + strings.Repeat("title,", 254) + "title", []int{200}},
	{"q=a&query_by=" + strings.Repeat("title,", 255) + "title", []int{422}},
	{"q=*&facet_by=" + strings.Repeat("kind,", 255) + "kind", []int{422}},
	{"q=*&group_by=" + strings.Repeat("kind,", 16) + "kind", []int{422}},
	{"q=*&sort_by=n:asc,n:asc,n:asc,n:asc", []int{400}},
	{"q=*&facet_by=n(" + strings.Repeat("a:[1,2],", 1000) + "a:[1,2])", []int{422}},
	{"q=*&facet_by=" + url.QueryEscape("n(a:[NaN, 3], b:[1,])"), []int{200}},
	{"q=a&query_by=title&highlight_start_tag=" + strings.Repeat("x", 257), []int{422}},
	{"q=a&query_by=title&highlight_end_tag=" + strings.Repeat("x", 256), []int{200}},
	{"q=*&pinned_hits=" + strings.Repeat("1:1,", 9_999) + "1:1", []int{200}},
	{"q=*&hidden_hits=" + strings.Repeat("1,", 10_000) + "1", []int{422}},
	{"q=*&pinned_hits=1:99999999999999999999", []int{400}},
	{"q=*&filter_by=n:>9223372036854775807", []int{200}},
	{"q=*&filter_by=n:[-9223372036854775808..9223372036854775807]", []int{200}},
	{"q=*&filter_by=n:9223372036854775808", []int{400}},
	{"q=*&filter_by=small:2147483648", []int{400}},
	{"q=*&filter_by=price:NaN", []int{400}},
	{"q=*&filter_by=price:Inf", []int{400}},
	{"q=*&filter_by=price:>1e300", []int{200}},
	{"q=*&filter_by=" + strings.Repeat("(", 51) + "n:1" + strings.Repeat(")", 51), []int{400}},
	{"q=*&filter_by=" + strings.Repeat("n:1%26%26", 100) + "n:1", []int{400}},
	{"q=*&filter_by=o.{", []int{400}},
	{"q=*&filter_by=o.{o.{x:1}}", []int{400}},
	{"q=*&filter_by=`", []int{400}},
	{"q=*&filter_by=n:[1,2", []int{400}},
	{"q=*&filter_by=" + url.QueryEscape("at:(0,0,10,10,0,10,10,0)"), []int{200}}, // it crosses itself
	{"q=*&filter_by=" + url.QueryEscape("at:(0,0,0,0,0,0)"), []int{200}},
	{"q=*&filter_by=" + url.QueryEscape("at:(91,0,5 km)"), []int{400}},
	{"q=*&filter_by=" + url.QueryEscape("at:(NaN,0,5 km)"), []int{400}},
	{"q=*&filter_by=" + url.QueryEscape("at:(0,0,NaN km)"), []int{400}},
	{"q=*&filter_by=" + url.QueryEscape("at:(0,0,1e308 km)"), []int{200, 400}},
	{"q=*&sort_by=" + url.QueryEscape("at(NaN,0):asc"), []int{400}},
	{"q=*&sort_by=" + url.QueryEscape("at(0,0,precision: NaN km):asc"), []int{400}},
	{"q=*&sort_by=" + url.QueryEscape("price(origin: 0, func: gauss, scale: -9223372036854775808, offset: 9223372036854775807):asc"), []int{200}},
	{"q=*&sort_by=nope:asc", []int{404}},
	{"q=*&sort_by=" + url.QueryEscape("o.x:asc"), []int{404}},
	{"q=*&sort_by=" + strings.Repeat("(", 1000), []int{400}},
	{"q=*&sort_by=" + url.QueryEscape("_eval([(n:1):99999999999999999999]):desc"), []int{400}},
	{"q=*&vector_query=" + url.QueryEscape("v:([NaN, 1])"), []int{400}},
	{"q=*&vector_query=" + url.QueryEscape("v:([Inf, 1])"), []int{400}},
	{"q=*&vector_query=" + url.QueryEscape("v:([1e39, 1])"), []int{400}},
	{"q=*&vector_query=" + url.QueryEscape("v:([1])"), []int{400}},
	{"q=*&vector_query=" + url.QueryEscape("v:([1, 1], k: 99999999999999999999)"), []int{400}},
	{"q=*&vector_query=" + url.QueryEscape("v:([1, 1], k: 4294967295)"), []int{200}},
	{"q=*&vector_query=" + url.QueryEscape("v:([0, 0])"), []int{200}},
	{"q=%ff%fe&query_by=title", []int{200}},
	{"q=%00%01&query_by=title", []int{200}},
	{"q=%EF%BF%BD%F0%9F%92%A9%E2%80%AE&query_by=title", []int{200}},
	{"q=*&filter_by=title:%ff", []int{200}},
	{"q=*&filter_by=title:=%ff*", []int{200, 400}},
	{"q=*&include_fields=" + strings.Repeat("x,", 9_999) + "x", []int{200}},
	{"q=*&text_match_type=%ff&infix=%ff&query_by=title", []int{400}},
}

func TestBounds_strangeSearchesAreAnsweredOrRefused(t *testing.T) {
	e := openBounded(t)
	for _, s := range strange {
		w := call(e, "GET", "/collections/c/documents/search?"+s.params, "")
		require.Contains(t, s.want, w.Code, "%.200s: %.300s", s.params, w.Body)
		require.True(t, json.Valid(w.Body.Bytes()), "%.200s", s.params)
	}
	require.Contains(t, must(t, e, 200, "GET", "/collections/c/documents/search?q=*", ""), `"found":200`)
}

// long returns searches that are too long for a URL. Tests of the index and of filters cover that they end in time.
func long() map[string]map[string]string {
	const many = 1_000
	words := make([]string, 1000)
	for i := range words {
		words[i] = fmt.Sprint("number", i)
	}
	return map[string]map[string]string{
		"a filter of many words":           {"q": "*", "filter_by": "title:[" + strings.Repeat("lantern,", many) + "tower]"},
		"a filter of many prefixes":        {"q": "*", "filter_by": "title:[" + strings.Repeat("n*,", many) + "tower]"},
		"a filter of a long value":         {"q": "*", "filter_by": "title:=" + strings.Repeat("a ", many) + "tower"},
		"a filter of many numbers":         {"q": "*", "filter_by": "n:[" + strings.Repeat("5,", many) + "1]"},
		"a filter of many ids":             {"q": "*", "filter_by": "id:[" + strings.Repeat("5,", many) + "1]"},
		"a negated filter of many words":   {"q": "*", "filter_by": "title:!=[" + strings.Repeat("lantern,", many) + "tower]"},
		"a polygon of many corners":        {"q": "*", "filter_by": "at:(" + strings.Repeat("0,0,10,10,", many) + "5,5)"},
		"many excluded words":              {"q": "lantern" + strings.Repeat(" -tower", many), "query_by": "title"},
		"many phrases":                     {"q": strings.Repeat(`"a lantern" `, many), "query_by": "title"},
		"a long phrase":                    {"q": `"` + strings.Repeat("a ", many) + `"`, "query_by": "title"},
		"many words":                       {"q": strings.Repeat("lantern tower ", many), "query_by": "title", "drop_tokens_threshold": "1000"},
		"many words that are not there":    {"q": strings.Repeat("lentarn tewor ", many), "query_by": "title", "num_typos": "2", "drop_tokens_threshold": "1000"},
		"a long word":                      {"q": strings.Repeat("a", 60<<10), "query_by": "title"},
		"a word that is too long":          {"q": strings.Repeat("a", 3<<20), "query_by": "title"},
		"a long word inside of words":      {"q": strings.Repeat("a", 60<<10), "query_by": "title", "infix": "always"},
		"a facet query of many words":      {"q": "*", "facet_by": "kind", "facet_query": "kind:" + strings.Repeat("a ", many)},
		"a facet query of a long word":     {"q": "*", "facet_by": "kind", "facet_query": "kind:" + strings.Repeat("a", 60<<10)},
		"many conditions of an order":      {"q": "*", "sort_by": "_eval([" + strings.Repeat("(n:1):1,", many) + "(n:2):2]):desc"},
		"synonyms of many words":           {"q": strings.Repeat("lamp ", many), "query_by": "title", "synonym_num_typos": "2", "synonym_prefix": "true"},
		"synonyms of a long word":          {"q": strings.Repeat("lamp", many), "query_by": "title", "synonym_num_typos": "2", "synonym_prefix": "true"},
		"rules for many words":             {"q": strings.Join(words, " ") + strings.Repeat(" lamp", many), "query_by": "title"},
		"a vector of many numbers":         {"q": "*", "vector_query": "v:([" + strings.Repeat("1,", many) + "1])"},
		"many facets in another's order":   {"q": "*", "facet_by": strings.Repeat("kind(sort_by: n:asc),", 250) + "kind"},
		"fields whose names fit a pattern": {"q": "lantern", "query_by": "*", "highlight_fields": strings.Repeat("*,", 200) + "*"},
	}
}

func TestBounds_longSearchesEnd(t *testing.T) {
	e := openBounded(t)
	must(t, e, 200, "PUT", "/collections/c/synonyms/s", `{"synonyms":["lantern","lamp","a light that is carried"]}`)
	must(t, e, 200, "PUT", "/collections/c/overrides/o", `{"rule":{"query":"{kind} {kind} never","match":"contains"},"filter_by":"kind:{kind}"}`)
	for name, search := range long() {
		t.Log(name)
		search["collection"] = "c"
		body, err := json.Marshal(map[string]any{"searches": []any{search}})
		require.NoError(t, err)
		var got struct {
			Results []struct {
				Found *int
				Code  int
			}
		}
		require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "POST", "/multi_search", string(body))), &got), name)
		require.Len(t, got.Results, 1, name)
		if got.Results[0].Found == nil {
			require.Contains(t, []int{400, 408, 422}, got.Results[0].Code, name)
		}
	}
}

// search_cutoff_ms ends a filter with many alternatives too, with an answer.
func TestBounds_aFilterOfManyWordsEndsInTime(t *testing.T) {
	e := openBounded(t)
	search := map[string]string{"collection": "c", "q": "*", "filter_by": "title:[" + strings.Repeat("lantern,", 1000) + "tower]", "search_cutoff_ms": "0"}
	for _, union := range []bool{false, true} {
		body, err := json.Marshal(map[string]any{"searches": []any{search, search}, "union": union})
		require.NoError(t, err)
		require.Contains(t, must(t, e, 200, "POST", "/multi_search", string(body)), `"search_cutoff":true`)
	}
}

func TestBounds_ofBodiesAndDocuments(t *testing.T) {
	e := openBounded(t)
	deep := func(n int) string {
		return `{"id":"deep","title":"x","kind":"x","n":1,"small":1,"price":1,"at":[1,1],"v":[1,1],"o":[` + strings.Repeat(`{"o":`, n) + `1` + strings.Repeat("}", n) + `]}`
	}
	crossing := `{"id":"x","title":"x","kind":"x","n":1,"small":1,"price":1,"at":[1,1],"v":[1,1],"area":"0,0,10,10,0,10,10,0"}`
	for _, c := range []struct {
		method, target, body string
		want                 int
	}{
		{"POST", "/collections/c/documents", deep(100), 201},
		{"POST", "/collections/c/documents", deep(100_000), 400},
		{"POST", "/collections/c/documents", crossing, 400},
		{"POST", "/collections/c/documents", strings.Replace(crossing, `"0,0,10,10,0,10,10,0"`, `"0,0,NaN,10,10,0"`, 1), 400},
		{"POST", "/collections/c/documents", strings.Replace(crossing, `"v":[1,1]`, `"v":[1,1,1]`, 1), 400},
		{"POST", "/collections/c/documents", strings.Replace(crossing, `"v":[1,1]`, `"v":[NaN,1]`, 1), 400},
		{"POST", "/collections/c/documents", strings.Replace(crossing, `"at":[1,1]`, `"at":[91,1]`, 1), 400},
		{"POST", "/collections/c/documents", `{"title":"` + strings.Repeat("x", 2<<20) + `"}`, 422},
		{"POST", "/collections/c/documents", strings.Repeat("[", 1<<20), 400},
		{"POST", "/collections", strings.Repeat(`{"a":`, 500_000), 400},
		{"POST", "/collections", strings.Repeat("x", 5<<20), 422},
		{"POST", "/multi_search", strings.Repeat("[", 4<<20), 400},
		{"POST", "/multi_search", strings.Repeat("x", 5<<20), 422},
		{"POST", "/multi_search", `{"searches":[` + strings.Repeat(`{},`, 50) + `{}]}`, 400},
		{"POST", "/multi_search", `{"searches":null}`, 400},
		{"POST", "/multi_search", `{"searches":[{"collection":"c","q":"\ud800","query_by":"title"}]}`, 200},
		{"POST", "/collections/c/documents/import", strings.Repeat("x", 65<<20), 422},
		{"POST", "/collections/c/documents/import", strings.Repeat("\n", 1<<20), 200},
		{"POST", "/collections/c/documents/import", "\x00\xff\xfe{}\n" + strings.Repeat("[", 1<<20) + "\n{\"id\":\"\\ud800\"}", 200},
		{"POST", "/keys", strings.Repeat("[", 1<<20), 400},
		{"PUT", "/presets/x", `{"value":` + strings.Repeat("[", 900_000) + `}`, 400},
		{"GET", "/collections/%00", "", 404},
		{"GET", "/collections/%ff%fe/documents/search?q=*", "", 404},
		{"GET", "/collections/c/documents/" + strings.Repeat("x", 100_000), "", 404},
		{"POST", "/multi_search?page=4294967295&per_page=250", `{"union":true,"searches":[{"collection":"c","q":"*"}]}`, 200},
	} {
		w := call(e, c.method, c.target, c.body)
		require.Equal(t, c.want, w.Code, "%s %.100s %.60s: %.300s", c.method, c.target, c.body, w.Body)
	}
	require.Contains(t, call(e, "POST", "/multi_search?page=4294967295&per_page=250", `{"union":true,"searches":[{"collection":"c","q":"*"}]}`).Body.String(), `"code":422`, "a page of a union that is too deep")
}

// Numbers beyond those of JSON or of 32 bits still result in an answer.
func TestBounds_largeFloatsAreCounted(t *testing.T) {
	e := openBounded(t)
	for i, price := range []string{"1e400", "-1e400", "1e39", "3.5e38", "-0"} {
		doc := fmt.Sprintf(`{"id":"large%d","title":"large","kind":"large","n":1,"small":1,"price":%s,"at":[1,1],"v":[1,1]}`, i, price)
		must(t, e, 201, "POST", "/collections/c/documents", doc)
	}
	for _, params := range []string{"facet_by=price", "group_by=price", "sort_by=price:desc", "facet_by=price&facet_strategy=top_values", "sort_by=" + url.QueryEscape("price(origin: 1, func: exp, scale: 1):desc")} {
		body := must(t, e, 200, "GET", "/collections/c/documents/search?q=large&query_by=title&"+params, "")
		require.True(t, json.Valid([]byte(body)), params)
	}
}

// Searches whose documents together exceed the limit of an answer are refused, also with groups.
func TestBounds_anAnswerHasARoom(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{SearchTime: time.Hour})
	defer func() { require.NoError(t, e.Close()) }()
	must(t, e, 201, "POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string"},{"name":"kind","type":"string","facet":true}]}`)
	scan := strings.Repeat("x", 1000<<10)
	for half := range 2 {
		var lines strings.Builder
		for i := range 33 {
			fmt.Fprintf(&lines, `{"id":"%d-%d","s":"s","kind":"k%d","scan":"%s"}`+"\n", half, i, i%5, scan)
		}
		require.NotContains(t, must(t, e, 200, "POST", "/collections/c/documents/import", lines.String()), `"success":false`)
	}
	for _, params := range []string{"q=*&per_page=250", "q=*&group_by=kind&group_limit=99"} {
		w := call(e, "GET", "/collections/c/documents/search?"+params, "")
		require.Equal(t, 422, w.Code, params)
		require.Contains(t, w.Body.String(), "at most 67108864 bytes")
		must(t, e, 200, "GET", "/collections/c/documents/search?include_fields=id&"+params, "")
	}
	must(t, e, 200, "GET", "/collections/c/documents/search?q=*&per_page=60", "")
}

// Imports with a Content-Length wait until there is room for the whole body in memory. If there is none, they are refused in a way that
// makes clients retry.
func TestBounds_ofBodiesAtOnce(t *testing.T) {
	e := openBounded(t)
	e.Handler.bodies = newBodies(embedded.Limits{ImportBytes: 1 << 20, BodyBytes: 1 << 20, DocumentBytes: 1 << 20})
	e.Handler.bodies.wait = time.Millisecond
	most := e.Handler.bodies.imports.most
	importing := &route{action: importAction}
	hold := func(n int) (held []*boundBody) {
		for range n {
			body := e.Handler.bodies.bound(httptest.NewRequest("POST", "/", bytes.NewReader(make([]byte, most))), importing)
			_, err := body.Read(make([]byte, 1))
			require.NoError(t, err)
			held = append(held, body)
		}
		return held
	}
	held := hold(importsAtOnce)
	line := `{"id":"1","title":"` + strings.Repeat("x", smallBody) + `","kind":"x","n":1,"small":1,"price":1,"at":[1,1],"v":[1,1]}`
	for _, length := range []int64{int64(len(line)), -1} {
		w := importOf(e, line, length)
		require.Equal(t, http.StatusServiceUnavailable, w.Code, length)
		require.NotEmpty(t, w.Header().Get("Retry-After"))
	}
	must(t, e, 200, "POST", "/collections/c/documents/import?action=upsert", line[:200])
	must(t, e, 201, "POST", "/collections/c/documents?action=upsert", line)
	for _, body := range held {
		body.leave()
	}
	for _, length := range []int64{int64(len(line)), -1} {
		require.Contains(t, importOf(e, line, length).Body.String(), `"success":true`, length)
	}
	for _, body := range hold(importsAtOnce) { // everything was given back
		body.leave()
	}
}

// importOf imports a line in a body of the given length, or -1 for an unknown length.
func importOf(e *served, line string, length int64) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/collections/c/documents/import?action=upsert", iotest.OneByteReader(strings.NewReader(line)))
	r.ContentLength = length
	r.Header.Set("X-TYPESENSE-API-KEY", testKey)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// A body reserves room for the bytes that have arrived. Neither clients that stream nor those that announce a body and send none block
// others. A body that is aborted releases its room.
func TestBounds_ofBodiesThatCome(t *testing.T) {
	e := openBounded(t)
	e.Handler.bodies.wait = time.Millisecond
	server := httptest.NewServer(e)
	defer server.Close()
	begun := func(path string, length int64) (writer *io.PipeWriter, done chan error) {
		reader, writer := io.Pipe()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, reader)
		require.NoError(t, err)
		r.ContentLength = length
		r.Header.Set("X-TYPESENSE-API-KEY", testKey)
		done = make(chan error, 1)
		go func() {
			res, err := http.DefaultClient.Do(r)
			if err == nil {
				err = errors.Join(fmt.Errorf("status %d", res.StatusCode), res.Body.Close())
			}
			done <- err
		}()
		return writer, done
	}
	type stream struct {
		writer *io.PipeWriter
		done   chan error
	}
	var streams []stream
	for range 4 * importsAtOnce {
		for _, s := range []struct {
			path   string
			length int64
		}{{"/collections/c/documents/import", -1}, {"/multi_search", 4 << 20}} {
			writer, done := begun(s.path, s.length)
			_, err := writer.Write(make([]byte, 2*smallBody))
			require.NoError(t, err)
			streams = append(streams, stream{writer, done})
		}
	}
	line := `{"id":"1","title":"` + strings.Repeat("x", smallBody) + `","kind":"x","n":1,"small":1,"price":1,"at":[1,1],"v":[1,1]}`
	require.Contains(t, must(t, e, 200, "POST", "/collections/c/documents/import?action=upsert", line), `"success":true`)
	must(t, e, 200, "POST", "/multi_search", `{"searches":[{"collection":"c","q":"`+strings.Repeat("x ", smallBody)+`","query_by":"title"}]}`)
	for _, s := range streams {
		s.writer.CloseWithError(io.ErrUnexpectedEOF)
		require.Error(t, <-s.done)
	}
	server.Close() // waits for all handlers
	for _, room := range []room{e.Handler.bodies.imports, e.Handler.bodies.others} {
		require.True(t, room.TryAcquire(room.most*importsAtOnce), "the room of bodies that broke off is free")
	}
	require.True(t, e.Handler.bodies.others.TryAcquire(e.Handler.bodies.others.most*(othersAtOnce-importsAtOnce)))
}

// However many clients search at once, each gets an answer, or is told when to retry.
func TestBounds_ofSearchesAtOnce(t *testing.T) {
	e := openBounded(t)
	server := httptest.NewServer(e)
	defer server.Close()
	var group sync.WaitGroup
	var mu sync.Mutex
	answered, refused := 0, 0
	for range 64 {
		group.Go(func() {
			for range 5 {
				status, again := get(t, server.URL+"/collections/c/documents/search?q=*&facet_by=kind,n&per_page=250")
				mu.Lock()
				switch {
				case status == 200:
					answered++
				case status == 503 && again != "":
					refused++
				default:
					t.Errorf("status %d", status)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	require.Equal(t, 64*5, answered+refused)
	require.Positive(t, answered)
	must(t, e, 200, "GET", "/collections/c/documents/search?q=*", "")
}

// get sends a request over HTTP and returns the status and the Retry-After value.
func get(t *testing.T, target string) (status int, again string) {
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, target, nil)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	r.Header.Set("X-TYPESENSE-API-KEY", testKey)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer func() { _ = res.Body.Close() }()
	var body json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		t.Error(err)
	}
	return res.StatusCode, res.Header.Get("Retry-After")
}

// Fields are added and dropped during imports and searches. Every search gets a valid answer, and in the end the index matches the
// documents.
func TestAlter_besideImportsAndSearches(t *testing.T) {
	e := openBounded(t)
	var group sync.WaitGroup
	done := make(chan struct{})
	running := func() bool {
		select {
		case <-done:
			return false
		default:
			return true
		}
	}
	for n := range 2 {
		group.Go(func() {
			for i := 0; running(); i++ {
				line := fmt.Sprintf(`{"id":"w%d-%d","title":"a lantern","kind":"new","n":%d,"small":1,"price":1,"at":[1,1],"v":[1,1],"extra":%d,"o":[{"x":%[3]d}]}`, n, i%50, i, i)
				if w := call(e, "POST", "/collections/c/documents/import?action=upsert", line); w.Code != 200 || !strings.Contains(w.Body.String(), `"success":true`) {
					t.Errorf("import: %d %s", w.Code, w.Body)
				}
			}
		})
		group.Go(func() {
			for running() {
				for _, params := range []string{"q=lantern&query_by=title&sort_by=extra:desc", "q=*&filter_by=extra:>3&facet_by=extra", "q=*&facet_by=kind&group_by=kind", "q=*&filter_by=o.{x:>1}"} {
					if w := call(e, "GET", "/collections/c/documents/search?"+params, ""); w.Code != 200 && w.Code != 404 && w.Code != 400 && w.Code != 408 && w.Code != 503 {
						t.Errorf("%s: %d %s", params, w.Code, w.Body)
					}
				}
			}
		})
	}
	for range 5 {
		must(t, e, 200, "PATCH", "/collections/c", `{"fields":[{"name":"extra","type":"int64","facet":true,"optional":true}]}`)
		must(t, e, 200, "PATCH", "/collections/c", `{"fields":[{"name":"extra","drop":true}]}`)
	}
	close(done)
	group.Wait()
	checked, err := e.Check(t.Context())
	require.NoError(t, err)
	require.Empty(t, checked.Faults)
}
