package search

import (
	"context"
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

		found := w.must(t, 200, w.someone(t, func(c *auth.Claims) { c.Roles, c.Scope = []string{"reader"}, "documents:search" }), "POST", "/collections/plays/search",
			`{"q":"quintessense of dust","queryBy":["text"],"filterBy":"attr_scene:=2.2 && number:>9007199254740992","sortBy":[{"field":"number","order":"desc"}],"facetBy":["attr_scene"],"perPage":5}`).JSON(t)
		require.EqualValues(t, 1, found["found"])
		require.EqualValues(t, 1, found["outOf"], "the last item of an id counts")
		require.Equal(t, "embedded", found["engine"])
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
		// A refused attempt leaves nothing behind: its key is free for the next.
		w.must(t, 201, admin, "POST", "/collections", plays, "Idempotency-Key", "creation-2")

		// The answer of an attempt that died between the engine and the database.
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

// database opens the service's database; the service must be stopped.
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

func TestRun_isNotReadyUntilTheKmsIsThere(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		w := newWorld(t, c)
		w.kms.Down.Store(true)
		w.start(t)
		require.Equal(t, 200, w.call(t, "", "GET", "/health", "").Status)
		refused(t, w.call(t, "", "GET", "/ready", ""), 503, "not_ready")
		refused(t, w.call(t, "", "GET", "/collections", ""), 503, "not_ready")
		w.kms.Down.Store(false)
		w.WaitReady(t)
		require.Equal(t, 200, w.call(t, "", "GET", "/ready", "").Status)
		w.must(t, 200, w.someone(t), "GET", "/collections", "")
	})
}

// TestRun_speaksToATypesenseElsewhere uses an embedded engine behind HTTP as the Typesense.
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

	// The key changes on both sides: the next request finds out by itself.
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
	refused(t, w.call(t, admin, "GET", "/collections/plays", ""), 503, "engine_unavailable")
	require.NotContains(t, w.logs.String(), "third-key")
	require.NoFileExists(t, filepath.Join(w.settings.DataDir, "engine"), "no engine of its own")
}

// A Typesense that goes away is said, and so is its return, without a restart; both within two seconds and what the machine needs.
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
	keyFile := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(keyFile, []byte("any-key\n"), 0o600))
	w := newWorld(t, store.Config{})
	w.settings.EngineURL, w.settings.EngineKeyFile = remote.URL, keyFile
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

func TestValidate_namesEveryFault(t *testing.T) {
	c := Config{EngineKeyFile: "x", EmbeddedMaxDocuments: -1}
	err := c.Validate()
	for _, want := range []string{"DATA_DIR", "ISSUER", "JWKS_URL", "KMS_URL", "ENROL_TOKEN_FILE", "ENGINE_KEY_FILE", "EMBEDDED_MAX"} {
		require.ErrorContains(t, err, want)
	}
	c = Config{EngineURL: "ftp://x"}
	require.ErrorContains(t, c.Validate(), "ENGINE_URL")
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
