package search

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/impl/search/internal/searchkeys"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
)

const engineAdmin = "the-admin-key-of-the-engine"

// browser calls, as browsers do, an engine that accepts only its admin key and created keys.
type browser struct {
	url     string
	now     *clock.Fake
	keep    atomic.Int64 // keys that were made
	foreign atomic.Bool  // the engine does not say that it is ours, as a Typesense does not
}

// doored returns a service whose engine can be reached directly.
func doored(t *testing.T) (*world, *browser) {
	t.Helper()
	b := &browser{now: clock.NewFake(time.Now())}
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Clock: b.now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	require.NoError(t, e.WaitReady(t.Context()))
	inner := api.New(e, api.Options{Key: func(given string) bool { return given == engineAdmin }})
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" && r.URL.Path == "/keys" {
			b.keep.Add(1)
		}
		if b.foreign.Load() {
			w = nameless{w}
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(remote.Close)
	b.url = remote.URL
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(engineAdmin+"\n"), 0o600))
	w := newWorld(t, store.Config{})
	w.settings.EngineURL, w.settings.EngineKeyFile, w.settings.EnginePublicURL = remote.URL, file, "https://engine.example.org"
	w.start(t)
	w.WaitReady(t)
	return w, b
}

// nameless removes the header with which our engine identifies itself.
type nameless struct{ http.ResponseWriter }

func (n nameless) WriteHeader(status int) {
	n.Header().Del(api.EngineHeader)
	n.ResponseWriter.WriteHeader(status)
}

func (n nameless) Write(p []byte) (int, error) {
	n.Header().Del(api.EngineHeader)
	return n.ResponseWriter.Write(p)
}

// ledOut are filters that would end inside a filter that follows them, if the two are joined as text.
var ledOut = []string{
	"id:!=x) || (id:*", "id:!=x) || text:`", "id:!=x || text:`", "((id:!=x) || text:=`x", "id:!=x) || ((text:[", "id:!=x) || text:[(`", "id:!=x) || o.{text:`", "id:!=x) || text:(", "id:!=x) || $books(id:*", "$books(id:*)", "id:!=x)(", `id:!=x) || text:\`,
}

// ask sends a request to the engine with a key.
func (b *browser) ask(t *testing.T, key, method, path, body string) (int, string) {
	t.Helper()
	answer, text := ask(t, method, b.url+path, key, body)
	return answer.StatusCode, text
}

func TestSearchKeys_holdBrowsersToWhatTheirMakersReach(t *testing.T) {
	w, b := doored(t)
	maker, red, blue := w.service(t, press, ""), w.service(t, loom, "red"), w.service(t, stage, "blue")
	w.must(t, 201, maker, "POST", "/collections", `{"name":"shared","tenantScoped":true,"fields":[{"name":"text","type":"string"},{"name":"kind","type":"string","facet":true},{"name":"secret","type":"string","facet":true}]}`)
	w.must(t, 201, maker, "POST", "/collections", books)
	for name, token := range map[string]string{"red": red, "blue": blue} {
		w.must(t, 200, maker, "PUT", "/collections/shared/grants/tenant:"+name, `{"access":"write"}`)
		w.must(t, 200, token, "POST", "/collections/shared/documents/sync", upserts(`{"text":"one of `+name+`","kind":"a","secret":"`+name+`s"}`, `{"text":"two of `+name+`","kind":"b","secret":"`+name+`s"}`))
	}
	made := w.must(t, 201, blue, "POST", "/collections/shared/search-keys", `{"filter":{"field":"kind","op":"eq","texts":["a"]},"excludeFields":["secret"],"expiresInSeconds":900,"perPage":5}`).JSON(t)
	key, name := made["key"].(string), made["collection"].(string)
	require.Equal(t, "https://engine.example.org", made["engineUrl"])
	documents := "/collections/" + name + "/documents/"

	status, text := b.ask(t, key, "GET", documents+"search?q=*&query_by=text", "")
	require.Equal(t, 200, status, text)
	require.Contains(t, text, `"found":1,`)
	require.Contains(t, text, "one of blue")

	// Attempts of a holder to see more.
	tries := []string{
		"&filter_by=kind:=b", "&filter_by=id:*", "&filter_by=fountain_tenant:!=x", "&filter_by=" + "x%29+%7C%7C+%28id:*", "&filter_by=kind:=a+%7C%7C+kind:=b", "&exclude_fields=text", "&include_fields=secret,fountain_tenant,text",
		"&pinned_hits=red:1:1,blue:2:2", "&pinned_hits=red:1:1&filter_curated_hits=false&enable_overrides=true", "&facet_by=kind", "&group_by=kind", "&per_page=250", "&expires_at=99999999999", "&highlight_fields=secret&highlight_full_fields=secret",
		"&preset=any", "&sort_by=secret:asc", "&hidden_hits=blue:1", "&pinned_hits=red:1:1&enable_curations=true&curation_tags=x&override_tags=x", "&facet_by=secret", "&group_by=secret", "&include_fields=$books(*)", "&x-typesense-api-key=" + engineAdmin,
		"&facet_by=kind&facet_query=kind:b&facet_return_parent=secret", "&vector_query=text:([],id:red:1)", "&union=true",
	}
	for _, filter := range ledOut {
		tries = append(tries, "&filter_by="+url.QueryEscape(filter))
	}
	for _, more := range tries {
		_, text := b.ask(t, key, "GET", documents+"search?q=*&query_by=text"+more, "")
		for _, hidden := range []string{"of red", "reds", "two of blue", "blues", `"fountain_tenant"`} {
			require.NotContains(t, text, hidden, more)
		}
		_, text = b.ask(t, key, "POST", "/multi_search?"+more[1:], `{"searches":[{"collection":"`+name+`","q":"*","query_by":"text"}]}`)
		require.NotContains(t, text, "of red", more)
		require.NotContains(t, text, "two of blue", more)
	}
	for _, filter := range ledOut { // of one search of several, and of a union
		for _, also := range []string{"", `,"union":true`} {
			_, text := b.ask(t, key, "POST", "/multi_search", `{"searches":[{"collection":"`+name+`","q":"*","query_by":"text","filter_by":`+strconv.Quote(filter)+`,"pinned_hits":"red:1:1","x-typesense-api-key":"`+engineAdmin+`"}]`+also+`}`)
			require.NotContains(t, text, "of red", filter)
			require.NotContains(t, text, "two of blue", filter)
		}
	}
	for _, other := range []string{"books", "shared", "nothing"} {
		status, text := b.ask(t, key, "GET", "/collections/"+other+"/documents/search?q=*&query_by=text", "")
		require.Equal(t, 401, status, other)
		_, multi := b.ask(t, key, "POST", "/multi_search", `{"searches":[{"collection":"`+name+`","q":"*","query_by":"text"},{"collection":"`+other+`","q":"*","query_by":"text"}]}`)
		require.NotContains(t, text+multi, "of red")
		require.NotContains(t, multi, "hits")
	}
	for _, try := range [][3]string{
		{"GET", documents + "export", ""}, {"GET", documents + "blue:1", ""}, {"DELETE", documents + "blue:1", ""}, {"POST", "/collections/" + name + "/documents", `{"text":"x"}`}, {"GET", "/collections", ""}, {"GET", "/keys", ""},
		{"POST", "/keys", `{"description":"x","actions":["*"],"collections":["*"]}`}, {"DELETE", "/collections/" + name, ""}, {"GET", "/aliases", ""}, {"PUT", "/aliases/" + name, `{"collection_name":"books"}`},
	} {
		status, _ := b.ask(t, key, try[0], try[1], try[2])
		require.Equal(t, 401, status, try)
	}

	// A key with changed parameters, or one derived from other keys of the engine, is invalid.
	raw, err := base64.StdEncoding.DecodeString(key)
	require.NoError(t, err)
	for _, changed := range []string{strings.Replace(string(raw), "kind:=", "kind:!=", 1), string(raw) + " ", strings.Replace(string(raw), `"expires_at":`, `"expires_at":9`, 1), string(raw)[:48] + "{}"} {
		require.NotEqual(t, string(raw), changed)
		status, _ := b.ask(t, base64.StdEncoding.EncodeToString([]byte(changed)), "GET", documents+"search?q=*&query_by=text", "")
		require.Equal(t, 401, status)
	}

	var held struct {
		Ends int64 `json:"expires_at"`
	}
	require.NoError(t, json.Unmarshal(raw[48:], &held)) // after the digest and the parent's first letters
	b.now.Set(time.Unix(held.Ends-1, 0))
	status, _ = b.ask(t, key, "GET", documents+"search?q=*&query_by=text", "")
	require.Equal(t, 200, status)
	b.now.Advance(3 * time.Second)
	status, _ = b.ask(t, key, "GET", documents+"search?q=*&query_by=text", "")
	require.Equal(t, 401, status, "it has ended")

	logs := w.logs.String()
	require.NotContains(t, logs, key)
	require.NotContains(t, logs, w.kms.secret(searchkeys.SecretName))
	w.Stop(t)
	db := w.database(t)
	defer db.Close()
	list, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Action: "createSearchKey", Target: "shared"})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.NotContains(t, list[0].Detail["expiresAt"], key)
}

func TestSearchKeys_areRefusedWhereASearchWouldBe(t *testing.T) {
	w, b := doored(t)
	mine, other := w.service(t, press, ""), w.service(t, loom, "")
	w.must(t, 201, mine, "POST", "/collections", books)
	path := "/collections/books/search-keys"
	refused(t, w.call(t, other, "POST", path, `{}`), 404, "not_found")
	refused(t, w.call(t, mine, "POST", path, `{"filter":{"field":"fountain_tenant","op":"eq","texts":["x"]}}`), 422, "validation_failed")
	refused(t, w.call(t, mine, "POST", path, `{"excludeFields":["fountain_tenant"]}`), 422, "validation_failed")
	refused(t, w.call(t, mine, "POST", path, `{"expiresInSeconds":86401}`), 422, "invalid_body")
	long, err := json.Marshal(strings.Split(strings.Repeat(strings.Repeat("x", 500)+" ", 20), " ")[:20])
	require.NoError(t, err)
	refused(t, w.call(t, mine, "POST", path, `{"filter":{"field":"text","op":"eq","texts":`+string(long)+`}}`), 422, "validation_failed")

	before := b.keep.Load()
	first := w.must(t, 201, mine, "POST", path, `{}`).JSON(t)
	w.must(t, 201, mine, "POST", path, `{"expiresInSeconds":60}`)
	require.LessOrEqual(t, b.keep.Load(), before+2, "a parent is made once for many keys")

	// Keys of a deleted collection don't reach a later collection of the same name.
	w.must(t, 204, mine, "DELETE", "/collections/books", "")
	w.must(t, 201, other, "POST", "/collections", books)
	w.must(t, 200, other, "POST", "/collections/books/documents/sync", upserts(`{"text":"of another","number":1}`))
	w.must(t, 201, other, "POST", path, `{}`)
	status, text := b.ask(t, first["key"].(string), "GET", "/collections/"+first["collection"].(string)+"/documents/search?q=*&query_by=text", "")
	require.NotEqual(t, 200, status, text)
}

// A Typesense joins filters as text, so that the key's filter can be escaped. For such an engine only keys for whole collections are
// created.
func TestSearchKeys_haveNoFilterWhereTheEngineJoinsItAsText(t *testing.T) {
	w, b := doored(t)
	maker, blue := w.service(t, press, ""), w.service(t, stage, "blue")
	w.must(t, 201, maker, "POST", "/collections", `{"name":"shared","tenantScoped":true,"fields":[{"name":"text","type":"string"}]}`)
	w.must(t, 200, maker, "PUT", "/collections/shared/grants/tenant:blue", `{"access":"read"}`)
	w.must(t, 201, maker, "POST", "/collections", books)
	filtered := `{"filter":{"field":"number","op":"lt","integers":[3]}}`
	w.must(t, 201, blue, "POST", "/collections/shared/search-keys", `{}`)
	w.must(t, 201, maker, "POST", "/collections/books/search-keys", filtered)
	b.foreign.Store(true)
	refused(t, w.call(t, blue, "POST", "/collections/shared/search-keys", `{}`), 422, "unsupported_query")
	refused(t, w.call(t, maker, "POST", "/collections/books/search-keys", filtered), 422, "unsupported_query")
	w.must(t, 201, maker, "POST", "/collections/books/search-keys", `{"excludeFields":["number"],"perPage":5}`)
}

// If the engine's key may neither create keys nor aliases, there are no search keys, and everything else works.
func TestSearchKeys_areNotAskedOfAnEngineKeyThatIsMadeForLess(t *testing.T) {
	w, engine := typesense(t)
	engine.failing(func(r *http.Request) int {
		if strings.HasPrefix(r.URL.Path, "/aliases") || strings.HasPrefix(r.URL.Path, "/keys") {
			return 401
		}
		return 0
	})
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", books)
	refused(t, w.call(t, admin, "POST", "/collections/books/search-keys", `{}`), 503, "engine_unavailable")
	w.must(t, 204, admin, "DELETE", "/collections/books", "")
}

// If the engine can't be reached directly, there are no keys for it.
func TestSearchKeys_needAnEngineWithADoor(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", books)
		refused(t, w.call(t, admin, "POST", "/collections/books/search-keys", `{}`), 422, "unsupported_query")
	})
}

func init() {
	attempts["createSearchKey"] = func(c, d, f, word string) (all []attempt) {
		for _, body := range []string{
			`{}`, `{"filter":{"field":"kind","op":"eq","texts":["` + word + `"]}}`, `{"filter":{"field":"fountain_tenant","op":"ne","texts":["x"]}}`, `{"filter":{"field":"` + f + `","op":"gt","integers":[0]}}`,
			`{"filter":{"field":"id","op":"eq","texts":["` + d + `","red:` + d + `"]}}`, `{"excludeFields":["fountain_tenant"]}`,
		} {
			all = append(all, attempt{"POST", "/collections/" + c + "/search-keys", body})
		}
		return all
	}
}
