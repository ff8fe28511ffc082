package search

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/impl/search/searchtest"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

const plays = `{"name":"plays","fields":[{"name":"text","type":"string"},{"name":"number","type":"int64"},{"name":"attr_.*","type":"string","facet":true,"optional":true}]}`

func TestRun_syncsAndSearchesThroughItsContract(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		made := w.must(t, 201, admin, "POST", "/collections", plays)
		require.Equal(t, "plays", made.JSON(t)["name"])
		refused(t, w.call(t, admin, "POST", "/collections", plays), 409, "already_exists")

		sync := w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", `{"items":[
			{"op":"upsert","id":"1","document":{"text":"first draft","number":1}},
			{"op":"upsert","id":"a:b:1","document":{"text":"this quintessence of dust","number":9007199254740993,"attr_scene":"2.2"}},
			{"op":"upsert","id":"2","document":{"text":"no number"}},
			{"op":"upsert","id":"3","document":{"id":"other","text":"x","number":1}},
			{"op":"delete","id":"1"},
			{"op":"delete","id":"never-there"}]}`)
		require.EqualValues(t, 4, sync.JSON(t)["succeeded"])
		results := sync.JSON(t)["results"].([]any)
		require.Len(t, results, 6)
		status := func(i int) any { return results[i].(map[string]any)["status"] }
		require.Equal(t, []any{"ok", "ok", "error", "error", "ok", "ok"}, []any{status(0), status(1), status(2), status(3), status(4), status(5)})
		require.Equal(t, "validation_failed", results[2].(map[string]any)["code"])
		require.Equal(t, "Field `number` has been declared in the schema, but is not found in the document.", results[2].(map[string]any)["message"])

		found := w.must(t, 200, admin, "POST", "/collections/plays/search",
			`{"q":"quintessense of dust","queryBy":["text"],"filterBy":"attr_scene:=2.2 && number:>9007199254740992","sortBy":[{"field":"number","order":"desc"}],"facetBy":["attr_scene"],"perPage":5}`).JSON(t)
		require.EqualValues(t, 1, found["found"])
		require.EqualValues(t, 1, found["outOf"], "the last item of an id counts")
		require.Equal(t, "embedded", found["engine"])
		typed := w.must(t, 200, admin, "POST", "/collections/plays/search", `{"q":"*","queryBy":["text"],"filter":{"and":[
			{"field":"attr_scene","op":"eq","texts":["2.2"]},{"field":"number","op":"gt","integers":[9007199254740992]},{"not":{"field":"id","op":"eq","texts":["1"]}}]}}`).JSON(t)
		require.EqualValues(t, 1, typed["found"])
		hit := found["hits"].([]any)[0].(map[string]any)
		require.Equal(t, "a:b:1", hit["document"].(map[string]any)["id"])
		require.Contains(t, string(w.must(t, 200, admin, "POST", "/collections/plays/search", `{"q":"*","queryBy":["text"]}`).Body), "9007199254740993", "no digit is lost")
		require.Equal(t, "this <mark>quintessence</mark> <mark>of</mark> <mark>dust</mark>", hit["highlights"].([]any)[0].(map[string]any)["snippet"])
		require.Equal(t, []any{map[string]any{"value": "2.2", "count": float64(1)}}, found["facets"].([]any)[0].(map[string]any)["counts"])

		read := w.must(t, 200, admin, "GET", "/collections/plays", "").JSON(t)
		require.EqualValues(t, 1, read["documents"])
		require.Len(t, read["fields"], 4, "the pattern and the field that it made")
		w.must(t, 204, admin, "DELETE", "/collections/plays", "")
		refused(t, w.call(t, admin, "GET", "/collections/plays", ""), 404, "not_found")
		refused(t, w.call(t, admin, "DELETE", "/collections/plays", ""), 404, "not_found")
		refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", upserts(`{}`)), 404, "not_found")
		refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", `{"items":[{"op":"delete","id":"1"}]}`), 404, "not_found")
		refused(t, w.call(t, admin, "POST", "/collections/plays/search", `{"q":"*","queryBy":["text"]}`), 404, "not_found")
	})
}

func TestRun_refusalsOfTheEngineBecomeProblems(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		search := func(body string) servicetest.Answer {
			return w.call(t, admin, "POST", "/collections/plays/search", body)
		}
		refused(t, search(`{"q":"x","queryBy":["nope"]}`), 422, "validation_failed")
		refused(t, search(`{"q":"*","queryBy":["text"],"filterBy":"nope:1"}`), 422, "validation_failed")
		refused(t, search(`{"q":"*","queryBy":["text"],"filterBy":"number:>abc"}`), 422, "validation_failed")
		refused(t, search(`{"q":"*","queryBy":["text"],"facetBy":["text"]}`), 422, "validation_failed")
		refused(t, search(`{"q":"*","queryBy":["text"],"sortBy":[{"field":"text"}]}`), 422, "validation_failed")
		refused(t, search(`{"q":"*","queryBy":["text"],"filterBy":"$other(a:1)"}`), 422, "unsupported_query")
		refused(t, search(`{"q":"*","queryBy":["text"],"filterBy":"number:1","filter":{"field":"number","op":"eq","integers":[1]}}`), 422, "validation_failed")
		refused(t, search(`{"q":"*","queryBy":["text"],"filterBy":"text.{}"}`), 422, "unsupported_query")
		refused(t, search(`{"q":"*","queryBy":["text"],"filter":{"field":"nope","op":"eq","integers":[1]}}`), 422, "validation_failed")
		unwritable := search("{\"q\":\"*\",\"queryBy\":[\"text\"],\"filter\":{\"field\":\"text\",\"op\":\"eq\",\"texts\":[\"9999`\"]}}")
		refused(t, unwritable, 422, "validation_failed")
		require.NotContains(t, string(unwritable.Body), "9999")
		secret := search(`{"q":"*","queryBy":["text"],"filterBy":"number:=99999999999999999999"}`)
		refused(t, secret, 422, "validation_failed")
		require.NotContains(t, string(secret.Body), "9999", "values stay out of errors")
		refused(t, w.call(t, admin, "POST", "/collections", `{"name":"x","fields":[{"name":"t","type":"string"}],"defaultSortingField":"t"}`), 422, "validation_failed")
		refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", `{"items":[{"op":"upsert","id":"1"}]}`), 422, "validation_failed")

		refused(t, w.call(t, "", "GET", "/collections", ""), 401, "authentication_required")
		reader := w.someone(t, func(c *auth.Claims) { c.Roles = []string{"reader"} })
		refused(t, w.call(t, reader, "POST", "/collections", strings.Replace(plays, "plays", "mine", 1)), 403, "insufficient_role")
	})
}

func TestRun_listsByPages(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		for _, name := range []string{"c", "a", "e", "b", "d"} {
			w.must(t, 201, admin, "POST", "/collections", `{"name":"`+name+`","fields":[{"name":"t","type":"string"}]}`)
		}
		var names []string
		cursor := ""
		for {
			list := w.must(t, 200, admin, "GET", "/collections?limit=2"+cursor, "").JSON(t)
			for _, c := range list["items"].([]any) {
				names = append(names, c.(map[string]any)["name"].(string))
			}
			next, more := list["nextCursor"].(string)
			if !more {
				break
			}
			cursor = "&cursor=" + next
		}
		require.Equal(t, []string{"a", "b", "c", "d", "e"}, names)
		refused(t, w.call(t, admin, "GET", "/collections?cursor=bm90LW91cnM", ""), 400, "invalid_cursor")
	})
}

func TestRun_repeatedCreationAnswersOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t, func(c *auth.Claims) { c.Subject = "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P" })
		first := w.must(t, 201, admin, "POST", "/collections", plays, "Idempotency-Key", "creation-1")
		again := w.must(t, 201, admin, "POST", "/collections", plays, "Idempotency-Key", "creation-1")
		require.Equal(t, string(first.Body), string(again.Body))
		refused(t, w.call(t, admin, "POST", "/collections", strings.Replace(plays, "plays", "other", 1), "Idempotency-Key", "creation-1"), 422, "idempotency_conflict")
		refused(t, w.call(t, admin, "POST", "/collections", plays, "Idempotency-Key", "creation-2"), 409, "already_exists")
		w.must(t, 204, admin, "DELETE", "/collections/plays", "")
		// A refused attempt leaves nothing behind, so that its key can be used again.
		w.must(t, 201, admin, "POST", "/collections", plays, "Idempotency-Key", "creation-2")

		// The attempt died between the engine and the database.
		w.Stop(t)
		ctx := context.Background()
		db := w.database(t)
		require.NoError(t, db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "INSERT INTO creations (principal, key, collection, begun_at) VALUES (?, ?, ?, ?)", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "creation-3", "plays", time.Now().UnixMicro())
			return err
		}))
		checked, broken, err := audit.Verify(ctx, db.Read(ctx))
		require.NoError(t, err)
		require.Zero(t, broken)
		require.EqualValues(t, 3, checked, "two creations and a deletion")
		require.NoError(t, db.Close())
		w.start(t)
		w.WaitReady(t)
		third := w.must(t, 201, admin, "POST", "/collections", plays, "Idempotency-Key", "creation-3")
		require.Equal(t, "plays", third.JSON(t)["name"])
	})
}

// database opens the service's database. The service must have been stopped.
func (w *world) database(t *testing.T) *store.DB {
	t.Helper()
	c := store.Config{Dir: w.settings.DataDir, Name: "search", Migrations: searchstore.Migrations}
	if w.settings.DatabaseURLFile != "" {
		url, err := config.ReadSecret(w.settings.DatabaseURLFile)
		require.NoError(t, err)
		c.URL = url
	}
	db, err := store.Open(context.Background(), c)
	require.NoError(t, err)
	return db
}

func TestRun_keyIsMadeOnceAndDocumentsOutliveTheProcess(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", upserts(`{"text":"to be","number":1}`))
		key := w.kms.secret("search.typesense")
		require.Len(t, key, 64)
		w.Stop(t)
		w.start(t)
		w.WaitReady(t)
		require.Equal(t, key, w.kms.secret("search.typesense"))
		require.Equal(t, 1, w.kms.puts)
		require.EqualValues(t, 1, w.must(t, 200, admin, "POST", "/collections/plays/search", `{"q":"be","queryBy":["text"]}`).JSON(t)["found"])
		require.NotContains(t, w.logs.String(), key, "no log holds the key")
	})
}

// No reindex waits for a process that has ended regularly.
func TestRun_leavesTheReplicasAtItsEnd(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.must(t, 201, w.someone(t), "POST", "/collections", plays)
		w.Stop(t)
		db := w.database(t)
		defer func() { require.NoError(t, db.Close()) }()
		var left int
		require.NoError(t, db.Read(t.Context()).Get(t.Context(), &left, "SELECT COUNT(*) FROM replicas"))
		require.Zero(t, left)
	})
}

func TestRun_isNotReadyUntilTheKmsIsThere(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		w := newWorld(t, c)
		w.kms.Down.Store(true)
		w.start(t)
		require.Equal(t, 200, w.call(t, "", "GET", "/health", "").Status)
		refused(t, w.call(t, "", "GET", "/ready", ""), 503, "not_ready")
		for _, try := range onceEach(t) {
			refused(t, w.try(t, w.someone(t), try), 503, "not_ready")
		}
		w.kms.Down.Store(false)
		w.WaitReady(t)
		require.Equal(t, 200, w.call(t, "", "GET", "/ready", "").Status)
		w.must(t, 200, w.someone(t), "GET", "/collections", "")
	})
}

// TestRun_speaksToATypesenseElsewhere uses an embedded engine behind HTTP as the Typesense server.
func TestRun_speaksToATypesenseElsewhere(t *testing.T) {
	var mu sync.Mutex
	key := "first-key"
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer e.Close()
	require.NoError(t, e.WaitReady(context.Background()))
	remote := httptest.NewServer(api.New(e, api.Options{Key: func(k string) bool { mu.Lock(); defer mu.Unlock(); return k == key }}))
	defer remote.Close()
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte("first-key\n"), 0o600))

	w := newWorld(t, store.Config{})
	w.settings.EngineURL, w.settings.EngineKeyFile = remote.URL, keyFile
	w.start(t)
	w.WaitReady(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", plays)

	// The key changes on both sides: the next request adapts by itself.
	mu.Lock()
	key = "second-key"
	mu.Unlock()
	require.NoError(t, os.WriteFile(keyFile, []byte("second-key\n"), 0o600))
	w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", upserts(`{"text":"after the change","number":1}`))

	// The key changes on one side only: that is never the caller's fault.
	mu.Lock()
	key = "third-key"
	mu.Unlock()
	a := w.call(t, admin, "GET", "/collections/plays", "")
	refused(t, a, 503, "engine_unavailable")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	require.NoError(t, os.WriteFile(keyFile, []byte("third-key\n"), 0o600))
	w.must(t, 200, admin, "GET", "/collections/plays", "")

	remote.Close()
	a = w.call(t, admin, "GET", "/collections/plays", "")
	require.Equal(t, 503, a.Status)
	require.Contains(t, []any{"engine_unavailable", "not_ready"}, a.JSON(t)["code"], "the request finds out, or the examination of the engine before it")
	require.NotContains(t, w.logs.String(), "third-key")
	require.NoFileExists(t, filepath.Join(w.settings.DataDir, "engine"), "no engine of its own")
}

// The service reports a Typesense that goes away, and its return, without a restart. Both take two seconds, plus what a busy machine needs.
func TestReadiness_saysThatTheEngineIsAway(t *testing.T) {
	e, err := embedded.Open(embedded.Config{Dir: t.TempDir()})
	require.NoError(t, err)
	defer e.Close()
	require.NoError(t, e.WaitReady(context.Background()))
	handler := api.New(e, api.Options{Key: func(string) bool { return true }})
	var away atomic.Bool
	remote := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if away.Load() {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		handler.ServeHTTP(rw, r)
	}))
	defer remote.Close()
	w := newWorld(t, store.Config{})
	w.settings.EngineURL, w.settings.EngineKeyFile = remote.URL, keyFile(t)
	w.start(t)
	w.WaitReady(t)
	took := func(status int) time.Duration {
		began := time.Now()
		require.Eventually(t, func() bool { return w.call(t, "", "GET", "/ready", "").Status == status }, 20*time.Second, 50*time.Millisecond)
		return time.Since(began)
	}
	away.Store(true)
	said := took(503)
	away.Store(false)
	t.Logf("engine away: said after %.2f s, ready %.2f s after its return", said.Seconds(), took(200).Seconds())
}

// TestRun_damagedDocumentsAreSaidAndWaitedFor: the service continues, not ready, until the documents can be read again.
func TestRun_damagedDocumentsAreSaidAndWaitedFor(t *testing.T) {
	w := newWorld(t, store.Config{})
	w.start(t)
	w.WaitReady(t)
	w.must(t, 201, w.someone(t), "POST", "/collections", plays)
	w.Stop(t)
	path := filepath.Join(w.settings.DataDir, "engine", "documents.db")
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	// The file is replaced atomically: a file that is overwritten in place is empty at first.
	replace := func(content []byte) {
		require.NoError(t, os.WriteFile(path+".new", content, 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	replace([]byte(strings.Repeat("no database ", 2000)))
	w.start(t)
	waits := "The service is not ready: the documents of the search engine are damaged, or the disk is full."
	require.Eventually(t, func() bool { return strings.Contains(string(w.call(t, "", "GET", "/ready", "").Body), waits) }, testWait, 20*time.Millisecond)
	require.Contains(t, w.logs.String(), "the documents of the embedded search engine can't be opened")
	replace(good)
	w.WaitReady(t)
	w.must(t, 200, w.someone(t), "GET", "/collections/plays", "")
}

func TestSync_answersInOrderForManyChunks(t *testing.T) {
	w := newWorld(t, store.Config{})
	w.start(t)
	w.WaitReady(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", plays)
	docs := make([]string, 2500)
	for i := range docs {
		docs[i] = `{"text":"word","number":1}`
		if i%100 == 7 {
			docs[i] = `{"text":"word"}`
		}
	}
	r := w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", upserts(docs...)).JSON(t)
	require.EqualValues(t, 2475, r["succeeded"])
	require.EqualValues(t, 25, r["failed"])
	for i, o := range r["results"].([]any) {
		require.Equal(t, i%100 == 7, o.(map[string]any)["status"] == "error", "item %d", i)
	}
}

func TestDocuments_areReadAndDeletedByFilter(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", upserts(`{"text":"a","number":9007199254740993}`, `{"text":"b","number":2}`, `{"text":"c","number":3}`))
		require.Contains(t, string(w.must(t, 200, admin, "GET", "/collections/plays/documents/1", "").Body), "9007199254740993", "no digit is lost")
		refused(t, w.call(t, admin, "GET", "/collections/plays/documents/4", ""), 404, "not_found")
		refused(t, w.call(t, admin, "GET", "/collections/plays/documents/1?tenant=red", ""), 422, "validation_failed")
		del := func(body string) servicetest.Answer {
			return w.call(t, admin, "POST", "/collections/plays/documents/delete-by-query", body)
		}
		refused(t, del(`{}`), 422, "invalid_body")
		refused(t, del(`{"filter":{}}`), 422, "invalid_body")
		refused(t, del(`{"filter":{"field":"nope","op":"eq","integers":[1]}}`), 422, "validation_failed")
		long := `{"filter":{"field":"text","op":"eq","texts":["` + strings.Repeat(strings.Repeat("x", 500)+`","`, 8) + `x"]}}`
		refused(t, del(long), 422, "validation_failed")
		const few = `{"filter":{"field":"number","op":"lt","integers":[3]}`
		require.Equal(t, map[string]any{"documents": 1.0, "dryRun": true}, del(few+`,"dryRun":true}`).JSON(t))
		require.Equal(t, map[string]any{"documents": 1.0, "dryRun": false}, del(few+`}`).JSON(t))
		require.Equal(t, map[string]any{"documents": 0.0, "dryRun": false}, del(few+`}`).JSON(t))
		require.EqualValues(t, 2, w.must(t, 200, admin, "GET", "/collections/plays", "").JSON(t)["documents"])
		w.must(t, 200, admin, "PUT", "/collections/plays/grants/user:"+ada, `{"access":"read"}`)
		refused(t, w.call(t, w.user(t, ada, "", "reader"), "POST", "/collections/plays/documents/delete-by-query", few+`}`), 403, "forbidden")
	})
}

func TestValidate_namesEveryFault(t *testing.T) {
	c := Config{EngineAt: EngineAt{EngineKeyFile: "x"}, EmbeddedMaxDocuments: -1}
	err := c.Validate()
	for _, want := range []string{"DATA_DIR", "ISSUER", "JWKS_URL", "KMS_URL", "ENROL_TOKEN_FILE", "ENGINE_KEY_FILE", "EMBEDDED_MAX"} {
		require.ErrorContains(t, err, want)
	}
	c = Config{EngineAt: EngineAt{EngineURL: "ftp://x"}}
	require.ErrorContains(t, c.Validate(), "ENGINE_URL")
	for _, door := range []string{"engine.example.org", "ftp://engine.example.org", "https://a:b@engine.example.org"} {
		c.EnginePublicURL = door
		require.ErrorContains(t, c.Validate(), "ENGINE_PUBLIC_URL")
	}
}

func TestMigrate_makesTheDatabaseAndNothingElse(t *testing.T) {
	w := newWorld(t, store.Config{})
	require.NoError(t, Migrate(context.Background(), w.settings))
	entries, err := os.ReadDir(w.settings.DataDir)
	require.NoError(t, err)
	for _, e := range entries {
		require.True(t, strings.HasPrefix(e.Name(), "search."), e.Name())
	}
	require.Zero(t, w.kms.puts)
}

// counting is a Typesense that counts requests, and can fail some.
type counting struct {
	http.Handler
	mu   sync.Mutex
	seen map[string]int // by method and last part of the path
	fail func(r *http.Request) int
}

func (c *counting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.seen[r.Method+" "+r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]]++
	fail := c.fail
	c.mu.Unlock()
	if fail != nil {
		if status := fail(r); status != 0 {
			w.WriteHeader(status)
			fmt.Fprint(w, `{"message":"Not Ready or Lagging"}`)
			return
		}
	}
	c.Handler.ServeHTTP(w, r)
}

func (c *counting) count(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[what]
}

func (c *counting) failing(fail func(r *http.Request) int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

// typesense runs the service on an embedded engine behind HTTP.
func typesense(t *testing.T) (*world, *counting) {
	c := &counting{Handler: searchtest.Engine(t), seen: map[string]int{}}
	remote := httptest.NewServer(c)
	t.Cleanup(remote.Close)
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte("any-key\n"), 0o600))
	w := newWorld(t, store.Config{})
	w.settings.EngineURL, w.settings.EngineKeyFile = remote.URL, keyFile
	w.start(t)
	w.WaitReady(t)
	return w, c
}

// keyFile returns a file with a key that the engine accepts.
func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("any-key\n"), 0o600))
	return path
}

// must calls the engine directly, as another program would.
func (c *counting) must(t *testing.T, method, path, body string) string {
	t.Helper()
	done := c.ask(method, path, body)
	require.Less(t, done.Code, 300, done.Body)
	return done.Body.String()
}

// list returns the engine's own list of collections.
func (c *counting) list() string { return c.ask("GET", "/collections", "").Body.String() }

func (c *counting) ask(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("X-Typesense-Api-Key", "any-key")
	done := httptest.NewRecorder()
	c.Handler.ServeHTTP(done, r)
	return done
}

func TestSync_deletesManyInFewCalls(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", plays)
	const all = 5000
	items, gone := make([]string, all), make([]string, all)
	for i := range items {
		items[i] = fmt.Sprintf(`{"op":"upsert","id":"scope:line:%d","document":{"text":"word","number":%d}}`, i, i)
		gone[i] = fmt.Sprintf(`{"op":"delete","id":"scope:line:%d"}`, i)
	}
	sync := func(items []string) map[string]any {
		return w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", `{"items":[`+strings.Join(items, ",")+`]}`).JSON(t)
	}
	require.EqualValues(t, all, sync(items)["succeeded"])
	require.Equal(t, 5, engine.count("POST import"))
	gone[7] = `{"op":"upsert","id":"scope:line:7","document":{"text":"stays","number":7}}`
	gone[8] = `{"op":"upsert","id":"scope:line:8","document":{"text":"no number"}}`
	began := time.Now()
	done := sync(append(gone, `{"op":"delete","id":"scope:line:7"}`, `{"op":"upsert","id":"scope:line:9","document":{"text":"comes back","number":9}}`)[2:])
	t.Logf("%d deletions in %.2f s, %d calls", all, time.Since(began).Seconds(), engine.count("DELETE documents"))
	require.EqualValues(t, all-1, done["succeeded"])
	require.EqualValues(t, 1, done["failed"])
	require.Equal(t, "error", done["results"].([]any)[6].(map[string]any)["status"])
	require.Less(t, engine.count("DELETE documents"), 60)
	found := w.must(t, 200, admin, "POST", "/collections/plays/search", `{"q":"*","queryBy":["text"],"sortBy":[{"field":"number"}]}`).JSON(t)
	require.EqualValues(t, 4, found["found"], "two that were not named, one that was refused, one that came back")
}

// What the engine does not accept is never reported as done: the whole request is refused with the time to retry, and its repeat writes
// everything.
func TestSync_saysWhenTheEngineIsBehind(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", plays)
	const body = `{"items":[{"op":"upsert","id":"1","document":{"text":"a","number":1}},{"op":"delete","id":"2"}]}`
	for status, code := range map[int]string{503: "engine_unavailable", 429: "overloaded", 408: "engine_unavailable"} {
		for _, what := range []string{"import", "documents"} {
			engine.failing(func(r *http.Request) int {
				if strings.HasSuffix(r.URL.Path, "/"+what) {
					return status
				}
				return 0
			})
			a := w.call(t, admin, "POST", "/collections/plays/documents/sync", body)
			refused(t, a, 503, code)
			require.NotEmpty(t, a.Header.Get("Retry-After"))
		}
	}
	engine.failing(nil)
	require.EqualValues(t, 2, w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", body).JSON(t)["succeeded"])
}
