package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/typesense/typesense-go/v3/typesense/api"
	"github.com/typesense/typesense-go/v3/typesense/api/pointer"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/screenplay"
)

const testKey = "admin-key-of-the-tests"

// served is an engine with its API.
type served struct {
	*embedded.Engine
	*Handler
}

func open(t testing.TB, dir string, limits embedded.Limits) *served {
	t.Helper()
	e, err := embedded.Open(embedded.Config{Dir: dir, Limits: limits, Clock: clock.NewFake(time.Unix(1_700_000_000, 0))})
	require.NoError(t, err)
	require.NoError(t, e.WaitReady(context.Background()))
	return serve(e)
}

func serve(e *embedded.Engine) *served {
	return &served{e, New(e, Options{Key: func(k string) bool { return k == testKey }})}
}

func client(t testing.TB, e *served) *tsclient.Client {
	t.Helper()
	c, err := tsclient.New("http://embedded", tsclient.InProcess(e), func() string { return testKey }, tsclient.Deadlines{})
	require.NoError(t, err)
	return c
}

// call sends a request straight to the handler.
func call(e http.Handler, method, target, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("X-TYPESENSE-API-KEY", testKey)
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

func must(t testing.TB, e http.Handler, status int, method, target, body string) string {
	t.Helper()
	w := call(e, method, target, body)
	require.Equal(t, status, w.Code, "%s %s: %s", method, target, w.Body)
	return w.Body.String()
}

// element is a part of a play in the form in which it is searched.
type element struct {
	ID, Play, Kind, Text string
	Character, Scene     string
	Number               int
}

func (e element) line() []byte {
	doc := map[string]any{"id": e.ID, "play": e.Play, "kind": e.Kind, "text": e.Text, "number": e.Number}
	if e.Character != "" {
		doc["attr_character"] = e.Character
	}
	if e.Scene != "" {
		doc["attr_scene"] = e.Scene
	}
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return b
}

// elements reads a play of the test data: its speeches, actions and headings.
func elements(t testing.TB, play string) []element {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", play+".fountain"))
	require.NoError(t, err)
	defer f.Close()
	script, err := screenplay.Parse(f)
	require.NoError(t, err)
	var out []element
	scene := ""
	for _, p := range script.Elements {
		switch p.Kind {
		case screenplay.SceneHeading:
			scene = p.Text
		case screenplay.Dialogue, screenplay.Action, screenplay.Section:
		default:
			continue
		}
		n := len(out) + 1
		out = append(out, element{ID: fmt.Sprintf("%s-%04d", play, n), Play: play, Kind: string(p.Kind), Text: p.Text, Character: p.Character, Scene: scene, Number: n})
	}
	return out
}

const playsSchema = `{"name":"plays","fields":[
	{"name":"text","type":"string"},{"name":"play","type":"string","facet":true},{"name":"kind","type":"string","facet":true},
	{"name":"number","type":"int32"},{"name":"attr_.*","type":"string","facet":true,"optional":true}]}`

// importPlays imports two whole plays and returns the number of elements.
func importPlays(t testing.TB, c *tsclient.Client) (all []element) {
	t.Helper()
	_, err := c.CreateCollection(context.Background(), []byte(playsSchema))
	require.NoError(t, err)
	for _, play := range []string{"hamlet", "macbeth"} {
		part := elements(t, play)
		var docs [][]byte
		for _, el := range part {
			docs = append(docs, el.line())
		}
		lines, err := c.Import(context.Background(), "plays", api.Create, docs)
		require.NoError(t, err)
		for i, l := range lines {
			require.True(t, l.Success, "%s: %s", docs[i], l.Error)
		}
		all = append(all, part...)
	}
	return all
}

// checkPlays searches the plays as the first users will.
func checkPlays(t testing.TB, c *tsclient.Client, all []element) {
	t.Helper()
	search := func(params map[string]any) *tsclient.SearchResult {
		r, err := c.Search(context.Background(), "plays", params)
		require.NoError(t, err)
		require.True(t, r.Embedded)
		require.EqualValues(t, len(all), r.OutOf)
		return r
	}
	// A misspelt phrase finds the speech.
	r := search(map[string]any{"q": "quintessense of dust", "query_by": "text"})
	require.NotZero(t, r.Found)
	require.Contains(t, string(r.Hits[0].Document), "this quintessence of dust")
	require.Contains(t, r.Hits[0].Highlights[0].Snippet, "<mark>quintessence</mark> <mark>of</mark> <mark>dust</mark>")

	// A filter on a string attribute that the schema contains only as a pattern, compared with a count in the source.
	want := 0
	for _, el := range all {
		if el.Character == "HORATIO" {
			want++
		}
	}
	r = search(map[string]any{"q": "*", "filter_by": "attr_character:=HORATIO", "sort_by": "number:asc", "per_page": 250, "page": 1})
	require.EqualValues(t, want, r.Found)
	require.Len(t, r.Hits, want)

	// Facets of string attributes, compared with counts in the source.
	plays, speakers := map[string]int64{}, map[string]int64{}
	for _, el := range all {
		plays[el.Play]++
		if el.Character != "" {
			speakers[el.Character]++
		}
	}
	r = search(map[string]any{"q": "*", "facet_by": "play,attr_character", "max_facet_values": 250, "per_page": 1})
	require.Len(t, r.Facets, 2)
	for i, source := range []map[string]int64{plays, speakers} {
		got := map[string]int64{}
		for _, v := range r.Facets[i].Counts {
			got[v.Value] = v.Count
		}
		require.Equal(t, source, got)
	}

	// Pages don't overlap and omit nothing.
	seen := map[string]bool{}
	for page := 1; page <= 20; page++ {
		r = search(map[string]any{"q": "king", "query_by": "text", "page": page, "per_page": 7})
		for _, h := range r.Hits {
			seen[string(h.Document)] = true
		}
	}
	require.EqualValues(t, min(r.Found, 140), len(seen))
}

func TestEngine_searchesTwoWholePlaysAlsoAfterARestart(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, embedded.Limits{})
	c := client(t, e)
	all := importPlays(t, c)
	require.Greater(t, len(all), 2000, "two whole plays")
	checkPlays(t, c, all)
	require.NoError(t, e.Close())

	e = open(t, dir, embedded.Limits{})
	defer e.Close()
	checkPlays(t, client(t, e), all)
	s := e.Stats()
	require.Equal(t, len(all), s.Documents)
	require.Positive(t, s.IndexBytes)
}

func TestEngine_servesTheOfficialClient(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	ctx, ts := context.Background(), client(t, e).Typed
	made, err := ts.Collections().Create(ctx, &api.CollectionSchema{Name: "books", DefaultSortingField: pointer.String("year"), Fields: []api.Field{
		{Name: "title", Type: "string"}, {Name: "year", Type: "int32"}, {Name: "tags", Type: "string[]", Facet: pointer.True(), Optional: pointer.True()},
	}})
	require.NoError(t, err)
	require.EqualValues(t, 1_700_000_000, *made.CreatedAt)
	require.True(t, *made.Fields[1].Sort)

	docs := ts.Collection("books").Documents()
	_, err = docs.Create(ctx, map[string]any{"id": "1", "title": "Snow Crash", "year": 1992, "tags": []string{"sf", "usa"}}, &api.DocumentIndexParameters{})
	require.NoError(t, err)
	_, err = docs.Upsert(ctx, map[string]any{"id": "1", "title": "Snow Crash", "year": 1993, "tags": []string{"sf"}}, &api.DocumentIndexParameters{})
	require.NoError(t, err)
	lines, err := docs.Import(ctx, []any{
		map[string]any{"id": "2", "title": "Solaris", "year": 1961, "tags": []string{"sf", "poland"}},
		map[string]any{"id": "1", "title": "again", "year": 1},
		map[string]any{"id": "3", "title": "no year"},
	}, &api.ImportDocumentsParams{})
	require.NoError(t, err)
	require.Equal(t, []bool{true, false, false}, []bool{lines[0].Success, lines[1].Success, lines[2].Success})
	_, err = ts.Collection("books").Document("2").Update(ctx, map[string]any{"year": 1962}, &api.DocumentIndexParameters{})
	require.NoError(t, err)

	found, err := docs.Search(ctx, &api.SearchCollectionParams{Q: pointer.String("solrais"), QueryBy: pointer.String("title"), FacetBy: pointer.String("tags")})
	require.NoError(t, err)
	require.Equal(t, 1, *found.Found)
	require.EqualValues(t, 1962, (*(*found.Hits)[0].Document)["year"])
	require.Len(t, *(*found.FacetCounts)[0].Counts, 2)

	all, err := docs.Export(ctx, &api.ExportDocumentsParams{})
	require.NoError(t, err)
	exported, err := readLines(all)
	require.NoError(t, err)
	require.Len(t, exported, 2)
	n, err := docs.Delete(ctx, &api.DeleteDocumentsParams{FilterBy: pointer.String("tags:=poland")})
	require.NoError(t, err)
	require.Equal(t, 1, n)
	_, err = ts.Collection("books").Document("1").Delete(ctx)
	require.NoError(t, err)
	ok, err := ts.Health(ctx, time.Second)
	require.NoError(t, err)
	require.True(t, ok)
	_, err = ts.Collection("books").Delete(ctx)
	require.NoError(t, err)
	list, err := ts.Collections().Retrieve(ctx)
	require.NoError(t, err)
	require.Empty(t, list)
}

func readLines(r interface {
	Read([]byte) (int, error)
	Close() error
}) (out []json.RawMessage, err error) {
	defer r.Close()
	for d := json.NewDecoder(r); d.More(); {
		var line json.RawMessage
		if err := d.Decode(&line); err != nil {
			return out, err
		}
		out = append(out, line)
	}
	return out, nil
}

func TestEngine_keepsLargeWholeNumbersExact(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"n","fields":[{"name":"big","type":"int64"}]}`)
	for _, n := range []string{"9007199254740992", "9007199254740993", "9007199254740994", "-9223372036854775808", "9223372036854775807"} {
		must(t, e, 201, "POST", "/collections/n/documents", `{"id":"`+n+`","big":`+n+`,"free":[1.10,`+n+`]}`)
	}
	require.JSONEq(t, `{"id":"9007199254740993","big":9007199254740993,"free":[1.10,9007199254740993]}`, must(t, e, 200, "GET", "/collections/n/documents/9007199254740993", ""))
	require.Contains(t, must(t, e, 200, "GET", "/collections/n/documents/9007199254740993", ""), "1.10", "numbers keep their text")
	ids := func(query string) (out []string) {
		var r struct {
			Hits []struct{ Document struct{ ID string } }
		}
		require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "GET", "/collections/n/documents/search?q=*&"+query, "")), &r))
		for _, h := range r.Hits {
			out = append(out, h.Document.ID)
		}
		return out
	}
	require.Equal(t, []string{"9007199254740993"}, ids("filter_by=big:9007199254740993"))
	require.Equal(t, []string{"9007199254740994", "9223372036854775807"}, ids("filter_by=big:>9007199254740993&sort_by=big:asc"))
	require.Equal(t, []string{"9223372036854775807", "9007199254740994", "9007199254740993", "9007199254740992", "-9223372036854775808"}, ids("sort_by=big:desc"))
}

func TestEngine_keyMayChangeWithoutRestart(t *testing.T) {
	key := "first"
	var mu sync.Mutex
	engine, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	e := &served{engine, New(engine, Options{Key: func(k string) bool { mu.Lock(); defer mu.Unlock(); return k == key }})}
	defer e.Close()
	require.NoError(t, e.WaitReady(context.Background()))
	now := "first"
	c, err := tsclient.New("http://embedded", tsclient.InProcess(e), func() string { return now }, tsclient.Deadlines{})
	require.NoError(t, err)
	_, err = c.Collections(context.Background())
	require.NoError(t, err)
	mu.Lock()
	key = "second"
	mu.Unlock()
	_, err = c.Collections(context.Background())
	var refused *tsclient.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 401, refused.Status)
	now = "second"
	_, err = c.Collections(context.Background())
	require.NoError(t, err)

	closed, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer closed.Close()
	require.NoError(t, closed.WaitReady(context.Background()))
	require.Equal(t, 401, call(New(closed, Options{}), "GET", "/collections", "").Code, "without a key nobody may")
}

func TestEngine_oneProcessForADirectory(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, embedded.Limits{})
	_, err := embedded.Open(embedded.Config{Dir: dir})
	require.ErrorIs(t, err, embedded.ErrLocked)
	require.NoError(t, e.Close())
	again := open(t, dir, embedded.Limits{})
	require.NoError(t, again.Close())
}

func TestEngine_actions(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string"},{"name":"n","type":"int32","optional":true}]}`)
	must(t, e, 201, "POST", "/collections/c/documents", `{"id":"1","s":"a","n":1,"o":{"x":{"a":1},"l":[1]}}`)
	must(t, e, 409, "POST", "/collections/c/documents?action=create", `{"id":"1","s":"b"}`)
	require.JSONEq(t, `{"id":"1","s":"a","n":2,"o":{"x":{"a":1,"b":2},"l":[2]}}`,
		must(t, e, 201, "POST", "/collections/c/documents?action=update", `{"id":"1","n":2,"o":{"x":{"b":2},"l":[2]}}`))
	require.JSONEq(t, `{"id":"1","s":"c","n":2,"o":{"x":{"a":1,"b":2},"l":[2]}}`, must(t, e, 200, "PATCH", "/collections/c/documents/1", `{"s":"c","id":"ignored"}`))
	require.JSONEq(t, `{"id":"1","s":"d"}`, must(t, e, 201, "POST", "/collections/c/documents?action=upsert", `{"id":"1","s":"d","n":null}`))
	must(t, e, 404, "POST", "/collections/c/documents?action=update", `{"id":"9","s":"x"}`)
	require.JSONEq(t, `{"id":"9","s":"x"}`, must(t, e, 201, "POST", "/collections/c/documents?action=emplace", `{"id":"9","s":"x"}`))
	require.JSONEq(t, `{"num_updated":2}`, must(t, e, 200, "PATCH", "/collections/c/documents?filter_by=id:*", `{"n":7}`))
	require.JSONEq(t, `{"num_deleted":0}`, must(t, e, 200, "DELETE", "/collections/c/documents?filter_by=", ""))
	require.JSONEq(t, `{"num_deleted":2}`, must(t, e, 200, "DELETE", "/collections/c/documents?filter_by=n:7", ""))
	require.JSONEq(t, `{"found":0}`, only(t, must(t, e, 200, "GET", "/collections/c/documents/search?q=*", ""), "found"))
}

// only keeps some members of an object.
func only(t testing.TB, body string, names ...string) string {
	t.Helper()
	var all map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(body), &all))
	for k := range all {
		if !slices.Contains(names, k) {
			delete(all, k)
		}
	}
	b, err := json.Marshal(all)
	require.NoError(t, err)
	return string(b)
}

func TestEngine_makesFieldsFromPatterns(t *testing.T) {
	dir := t.TempDir()
	e := open(t, dir, embedded.Limits{Fields: 5})
	must(t, e, 201, "POST", "/collections", `{"name":"c","fields":[{"name":"attr_.*","type":"string","facet":true,"optional":true},{"name":".*","type":"auto"}]}`)
	must(t, e, 201, "POST", "/collections/c/documents", `{"id":"1","attr_mood":"dark","n":5,"skip":null}`)
	must(t, e, 400, "POST", "/collections/c/documents", `{"id":"2","n":"five"}`)
	require.JSONEq(t, `{"id":"3","attr_mood":"7"}`, must(t, e, 201, "POST", "/collections/c/documents", `{"id":"3","attr_mood":7}`), "a pattern coerces by default")
	require.Equal(t, 400, call(e, "POST", "/collections/c/documents", `{"id":"4","attr_list":["a"]}`).Code, "a list is no string")
	must(t, e, 201, "POST", "/collections/c/documents", `{"id":"5","more":[1,2]}`)
	require.Equal(t, 422, call(e, "POST", "/collections/c/documents", `{"id":"6","one_too_many":true}`).Code)
	must(t, e, 404, "GET", "/collections/c/documents/6", "")
	require.NoError(t, e.Close())

	e = open(t, dir, embedded.Limits{})
	defer e.Close()
	got := must(t, e, 200, "GET", "/collections/c/documents/search?q=dark&query_by=attr_mood&facet_by=attr_mood&filter_by=n:5", "")
	require.JSONEq(t, `{"found":1,"out_of":3}`, only(t, got, "found", "out_of"))
	require.Contains(t, got, `{"count":1,"highlighted":"dark","value":"dark"}`)
}

func TestEngine_capsAreRefusedCleanly(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{Collections: 2, DocumentsPerCollection: 3, Documents: 4, DocumentBytes: 200, ImportBytes: 2000, MemoryBytes: 1 << 20})
	defer e.Close()
	for _, name := range []string{"a", "b"} {
		must(t, e, 201, "POST", "/collections", `{"name":"`+name+`","fields":[{"name":"s","type":"string"}]}`)
	}
	require.Equal(t, 422, call(e, "POST", "/collections", `{"name":"c","fields":[{"name":"s","type":"string"}]}`).Code)
	var b strings.Builder
	for i := range 5 {
		fmt.Fprintf(&b, "{\"id\":\"%d\",\"s\":\"x\"}\n", i)
	}
	require.Equal(t, []int{0, 0, 0, 422, 422}, codes(t, must(t, e, 200, "POST", "/collections/a/documents/import", b.String())), "per collection")
	require.Equal(t, []int{0, 422, 422, 422, 422}, codes(t, must(t, e, 200, "POST", "/collections/b/documents/import", b.String())), "in all")
	must(t, e, 200, "DELETE", "/collections/a/documents/0", "")
	must(t, e, 201, "POST", "/collections/a/documents", `{"id":"again","s":"x"}`)
	long := strings.Repeat("x", 300)
	require.Equal(t, []int{422}, codes(t, must(t, e, 200, "POST", "/collections/a/documents/import?action=upsert", `{"id":"1","s":"`+long+`"}`)), "one document")
	w := call(e, "POST", "/collections/a/documents/import?action=upsert", strings.Repeat("{}\n", 1000))
	require.Equal(t, 422, w.Code, "one import")
	require.Contains(t, w.Body.String(), "Rejecting write")
}

func codes(t testing.TB, lines string) (out []int) {
	t.Helper()
	for line := range strings.SplitSeq(lines, "\n") {
		var r importResult
		require.NoError(t, json.Unmarshal([]byte(line), &r), line)
		require.Equal(t, r.Code == 0, r.Success)
		out = append(out, r.Code)
	}
	return out
}

func TestEngine_memoryBudgetRefusesNewDocuments(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{MemoryBytes: 2000})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"a","fields":[{"name":"s","type":"string"}]}`)
	var last *httptest.ResponseRecorder
	for i := range 100 {
		last = call(e, "POST", "/collections/a/documents", fmt.Sprintf(`{"id":"%d","s":"word%d other%d"}`, i, i, i))
		if last.Code != 201 {
			break
		}
	}
	require.Equal(t, 422, last.Code)
	require.JSONEq(t, `{"message":"Rejecting write: running out of resource type: OUT_OF_MEMORY"}`, last.Body.String())
	must(t, e, 201, "POST", "/collections/a/documents?action=upsert", `{"id":"0","s":"short"}`)
	must(t, e, 200, "DELETE", "/collections/a/documents?filter_by=id:*", "")
	must(t, e, 201, "POST", "/collections/a/documents", `{"id":"new","s":"fits again"}`)
}

func TestEngine_searchesWhileItIsWritten(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"a","fields":[{"name":"s","type":"string","facet":true},{"name":"n","type":"int32"}]}`)
	var wg sync.WaitGroup
	for worker := range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 60 {
				call(e, "POST", "/collections/a/documents?action=upsert", fmt.Sprintf(`{"id":"%d","s":"word %d","n":%d}`, i%20, worker, i))
				if i%7 == 0 {
					call(e, "DELETE", fmt.Sprintf("/collections/a/documents/%d", i%20), "")
				}
			}
		}()
	}
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 200 {
				w := call(e, "GET", fmt.Sprintf("/collections/a/documents/search?q=wrod&query_by=s&facet_by=s&filter_by=n:>%d&sort_by=n:desc", i%30), "")
				if w.Code != 200 {
					t.Errorf("search answered %d: %s", w.Code, w.Body)
				}
			}
		}()
	}
	wg.Wait()
	var r struct{ Found, OutOf int }
	require.NoError(t, json.Unmarshal([]byte(must(t, e, 200, "GET", "/collections/a/documents/search?q=*", "")), &r))
	require.Equal(t, e.Stats().Documents, r.Found)
}

func TestEngine_searchEndsWithItsContext(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{SearchTime: time.Nanosecond})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"a","fields":[{"name":"s","type":"string"}]}`)
	must(t, e, 201, "POST", "/collections/a/documents", `{"s":"x"}`)
	require.Equal(t, 408, call(e, "GET", "/collections/a/documents/search?q=x&query_by=s", "").Code)
}

func TestEngine_hopelessQueriesEndSoon(t *testing.T) {
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	must(t, e, 201, "POST", "/collections", `{"name":"a","fields":[{"name":"s","type":"string"}]}`)
	var words, query strings.Builder
	for i := range 31 {
		fmt.Fprintf(&words, "longword%02d longwerd%02d longwwrd%02d ", i, i, i)
		fmt.Fprintf(&query, "longword%02d+", i)
	}
	must(t, e, 201, "POST", "/collections/a/documents", `{"s":"`+words.String()+`"}`)
	must(t, e, 201, "POST", "/collections/a/documents", `{"s":"zzzzzzzzzz"}`)
	for _, last := range []string{"qqqqqqqqqq", "zzzzzzzzzz", "zzzzzzzzxx"} {
		body := must(t, e, 200, "GET", "/collections/a/documents/search?query_by=s&drop_tokens_threshold=0&typo_tokens_threshold=100&q="+query.String()+last, "")
		require.JSONEq(t, `{"found":0}`, only(t, body, "found"), "no document holds all words, and finding that out must not take forever")
	}
}
