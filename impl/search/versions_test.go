package search

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	searchstore "github.com/fountainai/fountain/impl/search/internal/store"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/store"
)

const versionedPlays = `{"name":"plays","versioned":true,"fields":[{"name":"text","type":"string"},{"name":"number","type":"int64"}]}`

func TestVersions_ofDocumentsInRequests(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		require.Equal(t, true, w.must(t, 201, admin, "POST", "/collections", versionedPlays).JSON(t)["versioned"])
		require.Equal(t, true, w.must(t, 200, admin, "GET", "/collections/plays", "").JSON(t)["versioned"])
		w.must(t, 201, admin, "POST", "/collections", strings.NewReplacer("plays", "plain", `"versioned":true,`, "").Replace(versionedPlays))
		require.NotContains(t, w.must(t, 200, admin, "GET", "/collections/plain", "").JSON(t), "versioned")

		const doc, path = `{"text":"to be","number":1}`, "/collections/plays/documents/1"
		made := w.must(t, 204, admin, "PUT", path, doc).Header.Get("ETag")
		require.NotEmpty(t, made)
		require.Equal(t, made, w.must(t, 200, admin, "GET", path, "").Header.Get("ETag"))
		changed := w.must(t, 204, admin, "PATCH", path, `{"number":2}`, "If-Match", made).Header.Get("ETag")
		require.NotEqual(t, made, changed)
		for method, body := range map[string]string{"PUT": doc, "PATCH": `{"number":3}`, "DELETE": ""} {
			refused(t, w.call(t, admin, method, path, body, "If-Match", made), 412, "precondition_failed")
			refused(t, w.call(t, admin, method, "/collections/plays/documents/2", body, "If-Match", "*"), 412, "precondition_failed")
		}
		require.JSONEq(t, `{"id":"1","text":"to be","number":2}`, string(w.must(t, 200, admin, "GET", path, "").Body))
		w.must(t, 204, admin, "PUT", path, doc, "If-Match", made+", "+changed)
		w.must(t, 204, admin, "DELETE", path, "", "If-Match", "*")
		refused(t, w.call(t, admin, "GET", path, ""), 404, "not_found")

		// A collection without versions refuses conditions on them.
		w.must(t, 204, admin, "PUT", "/collections/plain/documents/1", doc)
		require.Empty(t, w.must(t, 200, admin, "GET", "/collections/plain/documents/1", "").Header.Get("ETag"))
		refused(t, w.call(t, admin, "PUT", "/collections/plain/documents/1", doc, "If-Match", "*"), 412, "precondition_failed")
		refused(t, w.call(t, admin, "POST", "/collections/plain/documents/sync", `{"items":[{"op":"delete","id":"1","ifVersion":1}]}`), 422, "validation_failed")
	})
}

func TestSync_carriesOutWhatHasTheRightVersion(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", versionedPlays)
		sync := func(lines ...string) []any {
			a := w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", strings.Join(lines, "\n"), "Content-Type", "application/x-ndjson")
			return a.JSON(t)["results"].([]any)
		}
		of := func(r any) map[string]any { return r.(map[string]any) }
		first := sync(`{"op":"upsert","id":"1","ifVersion":0,"document":{"text":"a","number":1}}`, `{"op":"delete","id":"2","ifVersion":9}`, `{"op":"upsert","id":"3","document":{"text":"a","number":3}}`)
		version := of(first[0])["version"].(float64)
		require.Positive(t, version)
		require.Equal(t, []any{"error", "version_conflict", 0.0, false}, []any{of(first[1])["status"], of(first[1])["code"], of(first[1])["version"], of(first[1])["retryable"]})
		require.Greater(t, of(first[2])["version"], version)
		again := sync(`{"op":"upsert","id":"1","ifVersion":0,"document":{"text":"a","number":2}}`, fmt.Sprintf(`{"op":"delete","id":"3","ifVersion":%d}`, int(of(first[2])["version"].(float64))))
		require.Equal(t, []any{"version_conflict", version, fmt.Sprintf("The document has version %d.", int(version))}, []any{of(again[0])["code"], of(again[0])["version"], of(again[0])["message"]})
		require.Equal(t, map[string]any{"id": "3", "status": "ok"}, of(again[1]))

		// The same with a job: an item with another version is one of its failures.
		job := w.must(t, 202, admin, "POST", "/collections/plays/documents/sync", fmt.Sprintf(
			`{"items":[{"op":"upsert","id":"1","ifVersion":%d,"document":{"text":"a","number":7}},{"op":"upsert","id":"1","ifVersion":%[1]d,"document":{"text":"a","number":8}}]}`, int(version)), "Prefer", "respond-async").JSON(t)
		ended := w.ended(t, admin, "plays", job["id"].(string))
		require.Equal(t, []any{1.0, 1.0}, []any{ended["succeeded"], ended["failed"]})
		require.Contains(t, string(w.must(t, 200, admin, "GET", "/collections/plays/jobs/"+job["id"].(string)+"/failures", "").Body), `"code":"version_conflict"`)
		require.Contains(t, string(w.must(t, 200, admin, "GET", "/collections/plays/documents/1", "").Body), `"number":7`)

		require.EqualValues(t, 1, w.must(t, 200, admin, "POST", "/collections/plays/documents/delete-by-query", `{"filter":{"field":"number","op":"eq","integers":[7]}}`).JSON(t)["documents"])
		require.Equal(t, "ok", of(sync(`{"op":"upsert","id":"1","ifVersion":0,"document":{"text":"a","number":1}}`)[0])["status"])
	})
}

// Tenants that share a collection have separate documents and versions.
func TestVersions_areTheTenantsOwn(t *testing.T) {
	w := newWorld(t, store.Config{})
	w.start(t)
	w.WaitReady(t)
	maker, red, blue := w.service(t, press, ""), w.service(t, loom, "red"), w.service(t, loom, "blue")
	w.must(t, 201, maker, "POST", "/collections", `{"name":"shared","tenantScoped":true,"versioned":true,"fields":[{"name":"text","type":"string"}]}`)
	for _, tenant := range []string{"red", "blue"} {
		w.must(t, 200, maker, "PUT", "/collections/shared/grants/tenant:"+tenant, `{"access":"write"}`)
	}
	const path = "/collections/shared/documents/1"
	ofRed := w.must(t, 204, red, "PUT", path, `{"text":"red"}`).Header.Get("ETag")
	refused(t, w.call(t, blue, "PUT", path, `{"text":"blue"}`, "If-Match", ofRed), 412, "precondition_failed")
	refused(t, w.call(t, blue, "GET", path, ""), 404, "not_found")
	told := w.must(t, 200, blue, "POST", "/collections/shared/documents/sync", `{"items":[{"op":"upsert","id":"1","ifVersion":7,"document":{"text":"blue"}}]}`).JSON(t)["results"].([]any)[0].(map[string]any)
	require.Equal(t, []any{"version_conflict", 0.0}, []any{told["code"], told["version"]})
	w.must(t, 204, blue, "PUT", path, `{"text":"blue"}`)
	require.Equal(t, ofRed, w.must(t, 200, red, "GET", path, "").Header.Get("ETag"))
	require.Equal(t, ofRed, w.must(t, 200, maker, "GET", path+"?tenant=red", "").Header.Get("ETag"))
}

// After a restore no version is given again, because callers may hold those that were given since the backup. A caller who holds one must
// read again.
func TestVersions_goOnBeyondABackup(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", versionedPlays)
		before := w.must(t, 204, admin, "PUT", "/collections/plays/documents/1", `{"text":"a","number":1}`).Header.Get("ETag")
		w.Stop(t)
		db := w.database(t)
		require.NoError(t, db.Write(t.Context(), searchstore.LeapVersions))
		require.NoError(t, db.Close())
		w.start(t)
		w.WaitReady(t)
		require.Equal(t, before, w.must(t, 200, admin, "GET", "/collections/plays/documents/1", "").Header.Get("ETag"))
		refused(t, w.call(t, admin, "PUT", "/collections/plays/documents/1", `{"text":"a","number":2}`, "If-Match", before), 412, "precondition_failed") // the engine may have what was written after the backup
		read := w.must(t, 200, admin, "GET", "/collections/plays/documents/1", "").Header.Get("ETag")
		after := w.must(t, 204, admin, "PUT", "/collections/plays/documents/1", `{"text":"a","number":2}`, "If-Match", read).Header.Get("ETag")
		require.False(t, etag.ParseMatch(after).Holds(3))
		require.Greater(t, len(after), 12)
	})
}

// If a part was carried out and the engine can't be used for the rest, the rest has that as its outcome. If the first part fails, the whole
// request is refused.
func TestSync_tellsWhatWasCarriedOutWhereTheEngineGoesAway(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", versionedPlays)
	items := make([]string, 1500)
	for i := range items {
		items[i] = fmt.Sprintf(`{"op":"upsert","id":"%d","document":{"text":"a","number":%d}}`, i, i)
	}
	body := `{"items":[` + strings.Join(items, ",") + `]}`
	imports := 0
	engine.failing(func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/import") {
			if imports++; imports > 1 {
				return 503
			}
		}
		return 0
	})
	done := w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", body).JSON(t)
	require.Equal(t, []any{1000.0, 500.0}, []any{done["succeeded"], done["failed"]})
	last := done["results"].([]any)[1499].(map[string]any)
	require.Equal(t, []any{"engine_unavailable", true}, []any{last["code"], last["retryable"]})
	refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", body), 503, "engine_unavailable")
	engine.failing(nil)
	require.EqualValues(t, 1500, w.must(t, 200, admin, "POST", "/collections/plays/documents/sync", body).JSON(t)["succeeded"])
}
