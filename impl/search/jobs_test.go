package search

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/servicetest"
)

const ndjson = "application/x-ndjson"

// background starts a job for lines.
func (w *world) background(t testing.TB, token, collection, lines string) map[string]any {
	t.Helper()
	return w.must(t, 202, token, "POST", "/collections/"+collection+"/documents/sync", lines, "Content-Type", ndjson, "Prefer", "respond-async").JSON(t)
}

// ended waits for the end of a job.
func (w *world) ended(t testing.TB, token, collection, id string) map[string]any {
	t.Helper()
	for end := time.Now().Add(testWait); ; time.Sleep(20 * time.Millisecond) {
		now := w.must(t, 200, token, "GET", "/collections/"+collection+"/jobs/"+id, "").JSON(t)
		if now["state"] != "queued" && now["state"] != "running" {
			return now
		}
		require.True(t, time.Now().Before(end), "the job does not end: %v", now)
	}
}

// linesOf decodes an NDJSON answer.
func linesOf(t testing.TB, body []byte) (all []map[string]any) {
	t.Helper()
	for in := json.NewDecoder(bytes.NewReader(body)); in.More(); {
		var line map[string]any
		require.NoError(t, in.Decode(&line))
		all = append(all, line)
	}
	return all
}

func TestSync_takesLinesOfItems(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		send := func(lines string) servicetest.Answer {
			return w.call(t, admin, "POST", "/collections/plays/documents/sync", lines, "Content-Type", ndjson)
		}
		done := send(`{"op":"upsert","id":"1","document":{"text":"old","number":1}}` + "\n" + `{"op":"upsert","id":"2","document":{"text":"no number"}}` + "\r\n" +
			`{"op":"upsert","id":"1","document":{"text":"new","number":9007199254740993}}` + "\n" + `{"op":"delete","id":"3"}`)
		require.Equal(t, 200, done.Status, string(done.Body))
		require.EqualValues(t, 3, done.JSON(t)["succeeded"])
		require.EqualValues(t, 1, done.JSON(t)["failed"])
		require.Equal(t, "validation_failed", done.JSON(t)["results"].([]any)[1].(map[string]any)["code"])
		require.JSONEq(t, `{"id":"1","text":"new","number":9007199254740993}`, string(w.must(t, 200, admin, "GET", "/collections/plays/documents/1", "").Body), "the last counts")

		refused(t, send(`{"op":"upsert","id":"8","document":{"text":"x","number":1}}`+"\n"+`{"op":"upsert","id":"9"}`), 422, "validation_failed")
		refused(t, send(`{"op":"upsert","id":"8","document":{"text":"x","number":1}}`+"\n"+`{"op":"move","id":"9"}`), 422, "invalid_body")
		refused(t, send(`{"op":"upsert","id":"8","document":{"text":"x","number":1}}`+"\n"+`{"op":`), 400, "malformed_body")
		refused(t, send(`{"op":"upsert","id":"8","document":{"text":"`+strings.Repeat("x", 2<<20)+`"}}`), 413, "body_too_large")
		refused(t, w.call(t, admin, "GET", "/collections/plays/documents/8", ""), 404, "not_found")
		large := `{"items":[{"op":"upsert","id":"8","document":{"text":"` + strings.Repeat("x", 16<<20) + `","number":1}}]}`
		refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", large), 413, "body_too_large")
		refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", large, "Prefer", "respond-async"), 413, "body_too_large")
		refused(t, send(strings.Repeat(`{"op":"delete","id":"9"}`+"\n", 5001)), 413, "body_too_large")
		require.Equal(t, 200, send(strings.Repeat(`{"op":"delete","id":"9"}`+"\n", 5000)).Status)
		refused(t, send(strings.Repeat(`{"op":"upsert","id":"9","document":{"text":"`+strings.Repeat("x", 1<<20)+`","number":1}}`+"\n", 17)), 413, "body_too_large")
	})
}

func TestJobs_areCarriedOutInTheBackground(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		var lines strings.Builder
		for i := range 6000 {
			fmt.Fprintf(&lines, `{"op":"upsert","id":"d%d","document":{"text":"word","number":%d}}`+"\n", i, i)
		}
		lines.WriteString(`{"op":"upsert","id":"bad","document":{"text":"no number"}}` + "\n" + `{"op":"upsert","id":"d0","document":{"text":"last","number":7}}` + "\n" + `{"op":"delete","id":"d1"}`)
		accepted := w.must(t, 202, admin, "POST", "/collections/plays/documents/sync", lines.String(), "Content-Type", ndjson, "Prefer", "respond-async")
		require.Equal(t, "respond-async", accepted.Header.Get("Preference-Applied"))
		id := accepted.JSON(t)["id"].(string)
		require.Equal(t, "/search/v1/collections/plays/jobs/"+id, accepted.Header.Get("Location"))
		require.EqualValues(t, 6003, accepted.JSON(t)["items"])

		done := w.ended(t, admin, "plays", id)
		require.Equal(t, "done", done["state"])
		require.EqualValues(t, 6002, done["succeeded"])
		require.EqualValues(t, 1, done["failed"])
		require.NotEmpty(t, done["endedAt"])
		require.EqualValues(t, 5999, w.must(t, 200, admin, "GET", "/collections/plays", "").JSON(t)["documents"])
		require.JSONEq(t, `{"id":"d0","text":"last","number":7}`, string(w.must(t, 200, admin, "GET", "/collections/plays/documents/d0", "").Body))

		failures := linesOf(t, w.must(t, 200, admin, "GET", "/collections/plays/jobs/"+id+"/failures", "").Body)
		require.Len(t, failures, 2)
		require.EqualValues(t, 6001, failures[0]["item"])
		require.Equal(t, "bad", failures[0]["id"])
		require.Equal(t, "validation_failed", failures[0]["code"])
		require.NotEmpty(t, failures[0]["message"])
		require.EqualValues(t, 1, failures[1]["failures"])
		refused(t, w.call(t, admin, "POST", "/collections/plays/jobs/"+id+"/cancel", ""), 409, "state_conflict")

		second := w.must(t, 202, admin, "POST", "/collections/plays/documents/sync", `{"items":[{"op":"delete","id":"d2"}]}`, "Prefer", "respond-async").JSON(t)["id"].(string)
		w.ended(t, admin, "plays", second)
		first := w.must(t, 200, admin, "GET", "/collections/plays/jobs?limit=1", "").JSON(t)
		require.Equal(t, second, first["items"].([]any)[0].(map[string]any)["id"])
		next := w.must(t, 200, admin, "GET", "/collections/plays/jobs?limit=1&cursor="+first["nextCursor"].(string), "").JSON(t)
		require.Equal(t, id, next["items"].([]any)[0].(map[string]any)["id"])
		require.Nil(t, next["nextCursor"])
	})
}

// A body that is incomplete or has an invalid item does not become a job.
func TestJobs_areAcceptedWholeOrNotAtAll(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		send := func(lines string) servicetest.Answer {
			return w.call(t, admin, "POST", "/collections/plays/documents/sync", lines, "Content-Type", ndjson, "Prefer", "respond-async")
		}
		good := strings.Repeat(`{"op":"upsert","id":"8","document":{"text":"x","number":1}}`+"\n", 1200)
		refused(t, send(good+`{"op":"upsert","id":"9"}`), 422, "validation_failed")
		refused(t, send(good+`{"op":"delete","id":"9","tenant":"red"}`), 422, "validation_failed")
		refused(t, send(good+`{"op":"move","id":"9"}`), 422, "invalid_body")
		refused(t, send(good+`{"op":`), 400, "malformed_body")
		refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", `{"items":[{"op":"upsert","id":"1"}]}`, "Prefer", "respond-async"), 422, "validation_failed")
		refused(t, w.call(t, admin, "POST", "/collections/plays/documents/sync", `{"items":[{"op":"delete","id":"1"}]}`, "Prefer", "wait=5"), 400, "invalid_parameter")
		require.Empty(t, w.must(t, 200, admin, "GET", "/collections/plays/jobs", "").JSON(t)["items"])
		refused(t, w.call(t, admin, "GET", "/collections/plays/documents/8", ""), 404, "not_found")
		w.Stop(t)
		db := w.database(t)
		for _, table := range []string{"jobs", "job_parts"} {
			var n int
			require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM "+table))
			require.Zero(t, n, table)
		}
	})
}

func TestJobs_areForThoseWhoMayWrite(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		mine, other := w.service(t, press, ""), w.service(t, loom, "")
		w.must(t, 201, mine, "POST", "/collections", plays)
		id := w.background(t, mine, "plays", `{"op":"delete","id":"1"}`)["id"].(string)
		tries := []attempt{
			{"GET", "/jobs", ""}, {"GET", "/jobs/" + id, ""}, {"POST", "/jobs/" + id + "/cancel", ""}, {"GET", "/jobs/" + id + "/failures", ""},
			{"POST", "/documents/sync" + inBackground, `{"op":"delete","id":"1"}`},
		}
		for _, try := range tries {
			refused(t, w.try(t, other, attempt{try.method, "/collections/plays" + try.path, try.body}), 404, "not_found")
		}
		w.must(t, 200, mine, "PUT", "/collections/plays/grants/service:"+loom, `{"access":"read"}`)
		for _, try := range tries {
			refused(t, w.try(t, other, attempt{try.method, "/collections/plays" + try.path, try.body}), 403, "forbidden")
		}
		w.must(t, 200, mine, "PUT", "/collections/plays/grants/service:"+loom, `{"access":"write"}`)
		w.ended(t, other, "plays", id)
		for _, try := range []attempt{{"GET", "", ""}, {"POST", "/cancel", ""}, {"GET", "/failures", ""}} {
			refused(t, w.call(t, mine, try.method, "/collections/plays/jobs/job_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"+try.path, ""), 404, "not_found")
		}
		w.must(t, 204, mine, "DELETE", "/collections/plays", "")
		w.must(t, 201, mine, "POST", "/collections", plays)
		refused(t, w.call(t, mine, "GET", "/collections/plays/jobs/"+id, ""), 404, "not_found")
		require.Empty(t, w.must(t, 200, mine, "GET", "/collections/plays/jobs", "").JSON(t)["items"], "a later collection of the name has none of them")
	})
}

// If the sender loses the grant to write a collection, waiting jobs write nothing more there.
func TestJobs_endWithTheGrant(t *testing.T) {
	w, engine := typesense(t)
	mine, other := w.service(t, press, ""), w.service(t, loom, "")
	w.must(t, 201, mine, "POST", "/collections", plays)
	w.must(t, 200, mine, "PUT", "/collections/plays/grants/service:"+loom, `{"access":"write"}`)
	engine.failing(func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/documents/import") {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	id := w.background(t, other, "plays", `{"op":"upsert","id":"1","document":{"text":"x","number":1}}`)["id"].(string)
	w.must(t, 204, mine, "DELETE", "/collections/plays/grants/service:"+loom, "")
	ended := w.ended(t, mine, "plays", id) // the engine is not back before: a write may be on its way to it when the grant goes
	engine.failing(nil)
	require.Equal(t, "failed", ended["state"], "%v", ended)
	require.Equal(t, "forbidden", ended["failure"].(map[string]any)["code"])
	refused(t, w.call(t, mine, "GET", "/collections/plays/documents/1", ""), 404, "not_found")
}

// While the engine can't be used, jobs wait. They can be cancelled, are limited in number, and are carried out when the engine is back.
func TestJobs_waitForTheEngine(t *testing.T) {
	w, engine := typesense(t)
	admin := w.someone(t)
	w.must(t, 201, admin, "POST", "/collections", plays)
	engine.failing(func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/documents/import") {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	ids := make([]string, 10)
	for i := range ids {
		ids[i] = w.background(t, admin, "plays", fmt.Sprintf(`{"op":"upsert","id":"1","document":{"text":"x","number":%d}}`, i))["id"].(string)
	}
	full := w.call(t, admin, "POST", "/collections/plays/documents/sync", `{"items":[{"op":"delete","id":"1"}]}`, "Prefer", "respond-async")
	refused(t, full, 429, "concurrency_limited")
	require.NotEmpty(t, full.Header.Get("Retry-After"))
	require.Equal(t, "cancelled", w.must(t, 200, admin, "POST", "/collections/plays/jobs/"+ids[9]+"/cancel", "").JSON(t)["state"])
	w.must(t, 202, admin, "POST", "/collections/plays/documents/sync", `{"items":[{"op":"delete","id":"2"}]}`, "Prefer", "respond-async")
	engine.failing(nil)
	for _, id := range ids[:9] {
		require.Equal(t, "done", w.ended(t, admin, "plays", id)["state"])
	}
	require.JSONEq(t, `{"id":"1","text":"x","number":8}`, string(w.must(t, 200, admin, "GET", "/collections/plays/documents/1", "").Body), "they are carried out one after the other")
}
