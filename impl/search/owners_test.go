package search

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
)

const everyScope = "collections:read collections:write documents:write documents:search"

// service returns a token of a service; tenant "" means none.
func (w *world) service(t *testing.T, id, tenant string) string {
	t.Helper()
	c := servicetest.User("search", time.Now())
	c.Subject, c.Principal, c.Roles, c.SessionID, c.Username = id, auth.KindService, nil, "", ""
	c.ClientID, c.Scope, c.Tenant = "key_"+id, everyScope, tenant
	return w.kms.Token(t, c)
}

// user returns a token of a user with one role.
func (w *world) user(t *testing.T, id, tenant, role string) string {
	t.Helper()
	return w.someone(t, func(c *auth.Claims) { c.Subject, c.Tenant, c.Roles = id, tenant, []string{role} })
}

// IDs of services and users.
const (
	press = "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
	loom  = "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N9Q"
	ada   = "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"
	grace = "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N9Q"
)

func TestOwners_aCollectionIsItsMakersUntilItIsGranted(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin, mine, other := w.someone(t), w.service(t, press, ""), w.service(t, loom, "")
		reader := w.user(t, ada, "", "reader")
		made := w.must(t, 201, mine, "POST", "/collections", plays).JSON(t)
		require.Equal(t, []any{"service:" + press, "own", false}, []any{made["owner"], made["access"], made["tenantScoped"]})
		w.must(t, 200, mine, "POST", "/collections/plays/documents/sync", upserts(`{"text":"to be","number":1}`))

		search := func(token string) servicetest.Answer {
			return w.call(t, token, "POST", "/collections/plays/search", `{"q":"*","queryBy":["text"]}`)
		}
		put := func(token, grantee, access string) servicetest.Answer {
			return w.call(t, token, "PUT", "/collections/plays/grants/"+grantee, `{"access":"`+access+`"}`)
		}
		sync := func(token string) servicetest.Answer {
			return w.call(t, token, "POST", "/collections/plays/documents/sync", upserts(`{"text":"to be","number":2}`))
		}
		for _, stranger := range []string{other, reader} {
			refused(t, search(stranger), 404, "not_found")
			refused(t, sync(stranger), 404, "not_found")
			refused(t, w.call(t, stranger, "GET", "/collections/plays", ""), 404, "not_found")
			require.Empty(t, w.must(t, 200, stranger, "GET", "/collections", "").JSON(t)["items"])
		}
		refused(t, put(other, "user:"+ada, "read"), 404, "not_found")
		require.Equal(t, 200, search(admin).Status, "administrators reach every collection")

		require.Equal(t, 200, put(mine, "role:reader", "read").Status)
		require.Equal(t, "read", w.must(t, 200, reader, "GET", "/collections/plays", "").JSON(t)["access"])
		require.Equal(t, 200, search(reader).Status)
		refused(t, sync(reader), 403, "forbidden")
		refused(t, w.call(t, reader, "GET", "/collections/plays/grants", ""), 403, "forbidden")
		refused(t, w.call(t, reader, "POST", "/collections/plays/search", `{"q":"*","queryBy":["text"],"filterBy":"number:1"}`), 403, "forbidden")
		refused(t, search(w.user(t, grace, "globe", "reader")), 404, "not_found") // the role is of another tenant
		refused(t, search(other), 404, "not_found")

		require.Equal(t, 200, put(admin, "user:"+ada, "write").Status)
		require.Equal(t, 200, put(mine, "service:"+loom, "write").Status)
		require.Equal(t, 200, sync(reader).Status)
		require.Equal(t, 200, sync(other).Status)
		refused(t, w.call(t, other, "DELETE", "/collections/plays", ""), 403, "forbidden")
		refused(t, w.call(t, other, "POST", "/collections", plays), 409, "already_exists")

		var grantees []any
		for _, page := range []string{"?limit=2", "?limit=2&cursor="} {
			list := w.must(t, 200, mine, "GET", "/collections/plays/grants"+page, "").JSON(t)
			for _, g := range list["items"].([]any) {
				grantees = append(grantees, g.(map[string]any)["grantee"])
			}
			if next, ok := list["nextCursor"].(string); ok {
				grantees = append(grantees, w.must(t, 200, mine, "GET", "/collections/plays/grants?cursor="+next, "").JSON(t)["items"].([]any)[0].(map[string]any)["grantee"])
				break
			}
		}
		require.Equal(t, []any{"role:reader", "service:" + loom, "user:" + ada}, grantees)
		refused(t, w.call(t, mine, "GET", "/collections/plays/grants?cursor=bm90LW91cnM", ""), 400, "invalid_cursor")

		w.must(t, 204, mine, "DELETE", "/collections/plays/grants/service:"+loom, "")
		refused(t, w.call(t, mine, "DELETE", "/collections/plays/grants/service:"+loom, ""), 404, "not_found")
		refused(t, search(other), 404, "not_found")

		w.must(t, 204, mine, "DELETE", "/collections/plays", "")
		w.must(t, 201, other, "POST", "/collections", plays)
		refused(t, search(reader), 404, "not_found") // the grants were the collection's
	})
}

// A tenant owns its collections, and so does each of its users. Only its services and administrators may grant access to others.
func TestOwners_usersOfATenantWithoutARoleGiveNothingAway(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		user, service, admin := w.user(t, ada, "acme", "editor"), w.service(t, press, "acme"), w.someone(t)
		w.must(t, 201, service, "POST", "/collections", plays)
		require.Equal(t, "own", w.must(t, 200, user, "GET", "/collections/plays", "").JSON(t)["access"])
		for i, token := range []string{service, admin} {
			path := "/collections/acme.plays/grants/tenant:rose"
			refused(t, w.call(t, user, "PUT", path, `{"access":"read"}`), 403, "insufficient_role")
			w.must(t, 200, token, "PUT", path, `{"access":"read"}`)
			refused(t, w.call(t, user, "DELETE", path, ""), 403, "insufficient_role")
			require.Len(t, w.must(t, 200, user, "GET", "/collections/plays/grants", "").JSON(t)["items"], 1, i)
			w.must(t, 204, token, "DELETE", path, "")
		}
	})
}

func TestOwners_grantsOfOneCollectionAreBounded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		put := func(i int) servicetest.Answer {
			return w.call(t, admin, "PUT", fmt.Sprintf("/collections/plays/grants/role:r%d", i), `{"access":"read"}`)
		}
		for i := range 100 {
			require.Equal(t, 200, put(i).Status)
		}
		refused(t, put(100), 409, "limit_reached")
		require.Equal(t, 200, put(99).Status, "one that is there is replaced")
	})
}

// Collections from before there were owners belong to the service that created them according to the audit trail, or else to the
// administrators.
func TestOwners_ofOldCollectionsComeFromTheAuditLog(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin, mine, other := w.someone(t), w.service(t, press, ""), w.service(t, loom, "")
		w.must(t, 201, mine, "POST", "/collections", plays)
		w.must(t, 201, admin, "POST", "/collections", strings.Replace(plays, "plays", "books", 1))
		w.must(t, 201, w.service(t, loom, "globe"), "POST", "/collections", `{"name":"maps","fields":[{"name":"t","type":"string"}],"tenantScoped":true}`)
		w.Stop(t)
		db := w.database(t)
		require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "DELETE FROM collections")
			return err
		}))
		require.NoError(t, db.Close())
		w.start(t)
		w.WaitReady(t)
		owner := func(name string) any {
			return w.must(t, 200, admin, "GET", "/collections/"+name, "").JSON(t)["owner"]
		}
		require.Equal(t, "service:"+press, owner("plays"))
		require.Equal(t, "administrators", owner("books"))
		require.Equal(t, "tenant:globe", owner("globe.maps"))
		w.must(t, 200, mine, "GET", "/collections/plays", "")
		refused(t, w.call(t, other, "GET", "/collections/plays", ""), 404, "not_found")
		refused(t, w.call(t, mine, "GET", "/collections/books", ""), 404, "not_found")
		require.Equal(t, true, w.must(t, 200, admin, "GET", "/collections/globe.maps", "").JSON(t)["tenantScoped"], "what the schema says")
	})
}

func TestOwners_administratorsMakeCollectionsForTenants(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin, globe, rose := w.someone(t), w.service(t, press, "globe"), w.service(t, loom, "rose")
		made := w.must(t, 201, admin, "POST", "/collections", strings.Replace(plays, "plays", "globe.plays", 1)).JSON(t)
		require.Equal(t, []any{"globe.plays", "tenant:globe"}, []any{made["name"], made["owner"]})
		require.Equal(t, "plays", w.must(t, 200, globe, "GET", "/collections/plays", "").JSON(t)["name"])
		refused(t, w.call(t, rose, "POST", "/collections", strings.Replace(plays, "plays", "globe.books", 1)), 403, "forbidden")
		w.must(t, 201, rose, "POST", "/collections", plays) // a name of its own
		w.must(t, 201, admin, "POST", "/collections", plays)
		var names []any
		for _, c := range w.must(t, 200, admin, "GET", "/collections", "").JSON(t)["items"].([]any) {
			names = append(names, c.(map[string]any)["name"])
		}
		require.Equal(t, []any{"globe.plays", "plays", "rose.plays"}, names)
		w.must(t, 200, admin, "PUT", "/collections/plays/grants/tenant:rose", `{"access":"read"}`)
		mine := w.must(t, 200, rose, "GET", "/collections", "").JSON(t)["items"].([]any)
		require.Len(t, mine, 1, "one's own hides that of the default tenant")
		require.Equal(t, "tenant:rose", mine[0].(map[string]any)["owner"])
		w.must(t, 200, admin, "PUT", "/collections/globe.plays/grants/tenant:rose", `{"access":"read"}`)
		require.Equal(t, "globe.plays", w.must(t, 200, rose, "GET", "/collections", "").JSON(t)["items"].([]any)[0].(map[string]any)["name"])
		require.Equal(t, "read", w.must(t, 200, rose, "GET", "/collections/globe.plays", "").JSON(t)["access"])
		w.must(t, 204, globe, "DELETE", "/collections/globe.plays", "")
		w.must(t, 200, rose, "GET", "/collections/plays", "")
		refused(t, w.call(t, admin, "POST", "/collections", `{"name":"x","fields":[{"name":"fountain_tenant","type":"string"}]}`), 422, "validation_failed")
		for _, field := range []string{`{"name":"a_.*","type":"string"}`, `{"name":"a","type":"auto"}`} {
			refused(t, w.call(t, admin, "POST", "/collections", `{"name":"x","tenantScoped":true,"fields":[`+field+`]}`), 422, "validation_failed")
		}
	})
}

// A claim whose attempt did not end, because the process was killed, is settled by what the engine has.
func TestOwners_claimsOfKilledAttemptsAreSettled(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		mine, other := w.service(t, press, ""), w.service(t, loom, "")
		w.must(t, 201, mine, "POST", "/collections", plays)
		w.Stop(t)
		db := w.database(t)
		require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			old := time.Now().Add(-time.Hour).UnixMicro()
			if _, err := tx.Exec(ctx, "UPDATE collections SET made = 0, claimed_at = ?", old); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "INSERT INTO collections (tenant, name, owner, tenant_scoped, made, claimed_at) VALUES ('', 'never', ?, 0, 0, ?)", "service:"+press, old)
			return err
		}))
		require.NoError(t, db.Close())
		w.start(t)
		w.WaitReady(t)
		w.must(t, 200, mine, "GET", "/collections/plays", "")
		w.must(t, 201, other, "POST", "/collections", strings.Replace(plays, "plays", "never", 1))
	})
}

func TestOwners_changesOfGrantsAreInTheAuditLog(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		admin := w.someone(t)
		w.must(t, 201, admin, "POST", "/collections", plays)
		w.must(t, 200, admin, "PUT", "/collections/plays/grants/tenant:globe", `{"access":"read"}`)
		w.must(t, 204, admin, "DELETE", "/collections/plays/grants/tenant:globe", "")
		w.Stop(t)
		db := w.database(t)
		defer db.Close()
		for action, detail := range map[string]map[string]string{
			"putCollectionGrant": {"grantee": "tenant:globe", "access": "read"}, "deleteCollectionGrant": {"grantee": "tenant:globe"},
		} {
			list, _, err := audit.List(t.Context(), db.Read(t.Context()), audit.Query{Action: action, Target: "plays"})
			require.NoError(t, err)
			require.Len(t, list, 1)
			require.Equal(t, detail, list[0].Detail)
		}
	})
}

// attempt is one request of the matrix.
type attempt struct{ method, path, body string }

// try makes an attempt. If a version is required, any is accepted.
func (w *world) try(t testing.TB, token string, a attempt) servicetest.Answer {
	t.Helper()
	if path, background := strings.CutSuffix(a.path, inBackground); background {
		return w.call(t, token, a.method, path, a.body, "Content-Type", "application/x-ndjson", "Prefer", "respond-async")
	}
	if path, lines := strings.CutSuffix(a.path, inLines); lines {
		return w.call(t, token, a.method, path, a.body, "Content-Type", "application/x-ndjson")
	}
	if a.method == "PUT" && (strings.HasSuffix(a.path, "/schema") || strings.HasPrefix(a.path, "/collections/") && strings.HasSuffix(a.path, "/sets")) {
		return w.call(t, token, a.method, a.path, a.body, "If-Match", "*")
	}
	return w.call(t, token, a.method, a.path, a.body)
}

// inLines and inBackground are suffixes of paths: the attempt sends lines of items, and lets a job carry them out.
const inLines, inBackground = "#lines", "#background"

// attempts name a collection, a document of it, a field and a value in every way that an operation allows. An operation that is missing
// here fails the matrix.
var attempts = map[string]func(collection, document, field, word string) []attempt{
	"createCollection": func(c, _, _, _ string) []attempt { // made for another tenant; one's own is tried apart
		return []attempt{{"POST", "/collections", `{"name":"red.` + strings.TrimPrefix(c, "red.") + `","fields":[{"name":"text","type":"string"}]}`}}
	},
	"getEngine": func(string, string, string, string) []attempt { return []attempt{{"GET", "/engine", ""}} },
	"listCollections": func(string, string, string, string) []attempt {
		return []attempt{{"GET", "/collections", ""}, {"GET", "/collections?limit=1", ""}}
	},
	"getCollection":        func(c, _, _, _ string) []attempt { return []attempt{{"GET", "/collections/" + c, ""}} },
	"deleteCollection":     func(c, _, _, _ string) []attempt { return []attempt{{"DELETE", "/collections/" + c, ""}} },
	"listCollectionGrants": func(c, _, _, _ string) []attempt { return []attempt{{"GET", "/collections/" + c + "/grants", ""}} },
	"putCollectionGrant": func(c, _, _, _ string) []attempt {
		return []attempt{{"PUT", "/collections/" + c + "/grants/tenant:blue", `{"access":"write"}`}}
	},
	"deleteCollectionGrant": func(c, _, _, _ string) []attempt {
		return []attempt{{"DELETE", "/collections/" + c + "/grants/tenant:red", ""}}
	},
	"getCollectionSchema": func(c, _, _, _ string) []attempt { return []attempt{{"GET", "/collections/" + c + "/schema", ""}} },
	"putCollectionSchema": func(c, _, f, _ string) (all []attempt) {
		for _, body := range []string{
			`{"fields":[{"name":"text","type":"string"}]}`, `{"fields":[{"name":"` + f + `","type":"string"}]}`, `{"fields":[{"name":"text","type":"string"}],"dryRun":true}`,
			`{"fields":[{"name":"fountain_tenant","type":"string"}]}`, `{"fields":[{"name":"text","type":"string"},{"name":"` + f + `","type":"int32"}],"mode":"reindex"}`,
		} {
			all = append(all, attempt{"PUT", "/collections/" + c + "/schema", body})
		}
		return all
	},
	"startReindex": func(c, _, _, _ string) []attempt {
		return []attempt{{"POST", "/collections/" + c + "/reindexes", `{}`}}
	},
	"listReindexes": func(c, _, _, _ string) []attempt {
		return []attempt{{"GET", "/collections/" + c + "/reindexes", ""}, {"GET", "/collections/" + c + "/reindexes?limit=1", ""}}
	},
	"getReindex":      func(c, _, _, _ string) []attempt { return reindexes("GET", c, "") },
	"abortReindex":    func(c, _, _, _ string) []attempt { return reindexes("POST", c, "/abort") },
	"rollbackReindex": func(c, _, _, _ string) []attempt { return reindexes("POST", c, "/rollback") },
	"getDocument": func(c, d, _, _ string) []attempt {
		return []attempt{
			{"GET", "/collections/" + c + "/documents/" + d, ""}, {"GET", "/collections/" + c + "/documents/red:" + d, ""},
			{"GET", "/collections/" + c + "/documents/2", ""}, {"GET", "/collections/" + c + "/documents/" + d + "?tenant=red", ""},
		}
	},
	"putDocument": func(c, d, f, _ string) []attempt {
		return documents("PUT", c, d, `{"text":"mine"}`, `{"text":"mine","`+f+`":1}`, `{"text":"mine","fountain_tenant":"red"}`, `{"id":"red:`+d+`","text":"mine"}`, `{"text":3}`)
	},
	"patchDocument": func(c, d, f, _ string) []attempt {
		return documents("PATCH", c, d, `{"text":"mine"}`, `{"`+f+`":1}`, `{"fountain_tenant":"red"}`, `{"fountain_tenant":null}`, `{"id":"red:`+d+`"}`, `{"text":null}`)
	},
	"deleteDocument": func(c, d, _, _ string) []attempt { return documents("DELETE", c, d, "") },
	"exportDocuments": func(c, d, f, word string) (all []attempt) {
		for _, body := range []string{
			`{}`, `{"tenant":"red"}`, `{"fields":["text"]}`, `{"fields":["fountain_tenant"]}`, `{"fields":["` + f + `"]}`, `{"filter":{"field":"kind","op":"eq","texts":["` + word + `"]}}`,
			`{"filter":{"field":"fountain_tenant","op":"ne","texts":["x"]}}`, `{"filter":{"field":"id","op":"eq","texts":["` + d + `","2","red:` + d + `"]}}`,
			`{"filter":{"or":[{"field":"kind","op":"eq","texts":["` + word + `"]},{"not":{"field":"id","op":"eq","texts":["y"]}}]}}`, `{"filter":{"field":"` + f + `","op":"gt","integers":[0]},"tenant":"red"}`,
			`{"filter":{"field":"text","op":"match","texts":["x) || (id:*"]}}`,
		} {
			all = append(all, attempt{"POST", "/collections/" + c + "/documents/export", body})
		}
		return all
	},
	"deleteDocumentsByQuery": func(c, d, f, word string) (all []attempt) {
		for _, filter := range []string{
			`{"field":"kind","op":"eq","texts":["` + word + `"]}`, `{"field":"fountain_tenant","op":"ne","texts":["x"]}`, `{"field":"` + f + `","op":"gt","integers":[0]}`,
			`{"field":"id","op":"eq","texts":["` + d + `","2","red:` + d + `"]}`, `{"or":[{"field":"kind","op":"eq","texts":["` + word + `"]},{"not":{"field":"id","op":"eq","texts":["y"]}}]}`,
			`{"field":"text","op":"match","texts":["x) || (id:*"]}`,
		} {
			for _, dry := range []string{"true", "false"} {
				all = append(all, attempt{"POST", "/collections/" + c + "/documents/delete-by-query", `{"filter":` + filter + `,"dryRun":` + dry + `}`})
			}
		}
		return all
	},
	"syncDocuments": func(c, d, f, word string) []attempt {
		sync := func(item string) attempt {
			return attempt{"POST", "/collections/" + c + "/documents/sync", `{"items":[` + item + `]}`}
		}
		return []attempt{
			{"POST", "/collections/" + c + "/documents/sync" + inLines, `{"op":"delete","id":"` + d + `","tenant":"red"}`},
			{"POST", "/collections/" + c + "/documents/sync" + inLines, `{"op":"delete","id":"` + d + `"}` + "\n" + `{"op":"upsert","id":"red:` + d + `","document":{"text":"mine","` + f + `":1}}`},
			{"POST", "/collections/" + c + "/documents/sync" + inBackground, `{"op":"delete","id":"` + d + `","tenant":"red"}`},
			{"POST", "/collections/" + c + "/documents/sync" + inBackground, `{"op":"delete","id":"` + d + `"}` + "\n" + `{"op":"delete","id":"red:` + d + `"}` + "\n" + `{"op":"upsert","id":"x","document":{"text":"mine","fountain_tenant":"red"}}`},
			sync(`{"op":"delete","id":"` + d + `"}`), sync(`{"op":"delete","id":"red:` + d + `"}`), sync(`{"op":"delete","id":"` + d + `","tenant":"red"}`),
			sync(`{"op":"upsert","id":"` + d + `","document":{"text":"mine"}}`), sync(`{"op":"upsert","id":"red:` + d + `","document":{"text":"mine"}}`),
			sync(`{"op":"upsert","id":"` + d + `","tenant":"red","document":{"text":"mine"}}`),
			sync(`{"op":"upsert","id":"x","document":{"text":"mine","fountain_tenant":"red"}}`), sync(`{"op":"upsert","id":"x","document":{"id":"red:` + d + `","text":"mine"}}`),
			sync(`{"op":"upsert","id":"x","document":{"` + f + `":1}}`), sync(`{"op":"upsert","id":"x"}`),
		}
	},
	"listJobs": func(c, _, _, _ string) []attempt {
		return []attempt{{"GET", "/collections/" + c + "/jobs", ""}, {"GET", "/collections/" + c + "/jobs?limit=1", ""}}
	},
	"getJob":         func(c, _, _, _ string) []attempt { return jobs("GET", c, "") },
	"cancelJob":      func(c, _, _, _ string) []attempt { return jobs("POST", c, "/cancel") },
	"getJobFailures": func(c, _, _, _ string) []attempt { return jobs("GET", c, "/failures") },
	"searchDocuments": func(c, d, f, word string) (all []attempt) {
		for _, body := range searchBodies(d, f, word) {
			all = append(all, attempt{"POST", "/collections/" + c + "/search", body})
		}
		return all
	},
	"multiSearch": func(c, d, f, word string) (all []attempt) {
		for _, body := range searchBodies(d, f, word) {
			all = append(all, attempt{"POST", "/search", `{"searches":[{"collection":"` + c + `","search":` + body + `}]}`})
			all = append(all, attempt{"POST", "/search", `{"searches":[{"collection":"` + c + `","search":` + body + `},{"collection":"never","search":` + body + `},{"collection":"` + c + `","search":{"q":"*","queryBy":["text"]}}]}`})
		}
		return all
	},
	"unionSearch": func(c, d, f, word string) (all []attempt) {
		for _, body := range searchBodies(d, f, word) {
			all = append(all, attempt{"POST", "/search/union", `{"searches":[{"collection":"` + c + `","search":` + body + `}]}`})
			all = append(all, attempt{"POST", "/search/union", `{"searches":[{"collection":"` + c + `","search":{"q":"*","queryBy":["text"]}},{"collection":"` + c + `","search":` + body + `}],"perPage":250}`})
		}
		return all
	},
}

// redsReindex is a reindex of the collection, once there is one, that others try to reach.
var redsReindex atomic.Value

// reindexes returns attempts at an existing reindex, and at a missing one.
func reindexes(method, c, verb string) (all []attempt) {
	ids := []string{"rix_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"}
	if id, ok := redsReindex.Load().(string); ok {
		ids = append(ids, id)
	}
	for _, id := range ids {
		all = append(all, attempt{method, "/collections/" + c + "/reindexes/" + id + verb, ""})
	}
	return all
}

// redsJob is a job of red whose failures contain the canary.
var redsJob atomic.Value

// jobs returns attempts at an existing job, and at a missing one.
func jobs(method, c, verb string) (all []attempt) {
	ids := []string{"job_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"}
	if id, ok := redsJob.Load().(string); ok {
		ids = append(ids, id)
	}
	for _, id := range ids {
		all = append(all, attempt{method, "/collections/" + c + "/jobs/" + id + verb, ""})
	}
	return all
}

// documents returns attempts at a document by each name that another tenant's document may have.
func documents(method, c, d string, bodies ...string) (all []attempt) {
	for _, id := range []string{d, "2", "red:" + d, d + "?tenant=red", "2?tenant=red", "...", "%2e%2e", "%2e", "x"} {
		for _, body := range bodies {
			all = append(all, attempt{method, "/collections/" + c + "/documents/" + id, body})
		}
	}
	return all
}

// searchBodies returns searches that try to see more than the caller's own documents.
func searchBodies(d, f, word string) (all []string) {
	for _, q := range []string{"*", word, word[:4], strings.ToUpper(word), `\"` + word + `\"`, "-" + word, "*:*"} {
		for _, more := range []string{
			"", `,"facetBy":["kind"]`, `,"facetBy":["` + f + `"]`, `,"sortBy":[{"field":"` + f + `"}]`, `,"perPage":250,"page":2`, `,"facetBy":["fountain_tenant"]`,
			`,"sortBy":[{"field":"fountain_tenant"}]`, `,"facetBy":["kind"],"maxFacetValues":250`,
			`,"filterBy":"kind:` + word + `"`, `,"filterBy":"fountain_tenant:!=x"`, `,"filterBy":"text:x) || (id:*"`, `,"filterBy":"` + f + `:1"`,
			`,"filter":{"field":"kind","op":"eq","texts":["` + word + `"]}`, `,"filter":{"field":"fountain_tenant","op":"ne","texts":["x"]}`,
			`,"filter":{"field":"` + f + `","op":"gt","integers":[0]}`, `,"filter":{"field":"id","op":"eq","texts":["` + d + `","red:` + d + `"]}`,
			`,"filter":{"or":[{"field":"kind","op":"ne","texts":["x"]},{"not":{"field":"id","op":"eq","texts":["y"]}}]}`,
			`,"filter":{"field":"text","op":"eq","texts":["x) || (id:*"]}`,
			`,"preset":"red.plays"`, `,"preset":"plays"`, `,"stopwords":"red.plays"`, `,"stopwords":"plays"`,
			`,"filterBy":"$red.plays(text:*)"`, `,"filterBy":"id:red:` + d + `"`,
		} {
			all = append(all, `{"q":"`+q+`","queryBy":["text"]`+more+`}`)
		}
		for _, by := range []string{f, "fountain_tenant", "kind", "id"} {
			all = append(all, `{"q":"`+q+`","queryBy":["`+by+`"]}`)
		}
	}
	return all
}

// canary is a word that only red's documents contain.
const canary = "quetzalcoatl"

// everyAttempt returns the whole matrix for one collection. It fails if the contract has an operation that is not tried.
func everyAttempt(t *testing.T, collection, word string) (all []attempt) {
	for _, op := range servicetest.Contract(t, "search").Operations {
		if len(op.Requirements) == 0 {
			continue // health and readiness
		}
		make := attempts[op.ID]
		require.NotNil(t, make, "the matrix does not try %s", op.ID)
		all = append(all, make(collection, "1", "redfield", word)...)
	}
	return all
}

// onceEach returns one attempt at each operation that requires a token.
func onceEach(t *testing.T) (all []attempt) {
	for _, op := range servicetest.Contract(t, "search").Operations {
		if len(op.Requirements) > 0 {
			all = append(all, attempts[op.ID]("globe.plays", "1", "redfield", canary)[0])
		}
	}
	return all
}

func TestOwners_everyOperationAsksForATokenWithAScope(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		scopeless := w.someone(t, func(c *auth.Claims) { c.Scope = "elements:read" })
		for _, try := range onceEach(t) {
			refused(t, w.try(t, "", try), 401, "authentication_required")
			refused(t, w.try(t, scopeless, try), 403, "insufficient_scope")
		}
	})
}

// told returns the content of an answer, without what differs between requests.
func told(t *testing.T, a servicetest.Answer) string {
	t.Helper()
	var body map[string]any
	if a.Header.Get("Content-Type") == "application/x-ndjson" {
		return fmt.Sprint(a.Status, " ", string(a.Body))
	}
	if len(a.Body) > 0 {
		require.NoError(t, json.Unmarshal(a.Body, &body))
	}
	for _, name := range []string{"requestId", "instance", "tookMs"} {
		delete(body, name)
	}
	text, err := json.Marshal(body)
	require.NoError(t, err)
	return fmt.Sprint(a.Status, " ", string(text))
}

// TestMatrix_anothersCollectionIsOneThatIsNotThere tries every operation of the contract on another tenant's collection, by each of its
// names, and on one that does not exist. The answers are the same.
func TestMatrix_anothersCollectionIsOneThatIsNotThere(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		red, blue := w.service(t, press, "red"), w.service(t, loom, "blue")
		blueUser, nobody := w.user(t, ada, "blue", "editor"), w.user(t, grace, "", "editor")
		w.must(t, 201, red, "POST", "/collections", `{"name":"plays","fields":[{"name":"text","type":"string"},{"name":"kind","type":"string","facet":true,"optional":true},{"name":"redfield","type":"int64","optional":true}]}`)
		w.must(t, 200, red, "POST", "/collections/plays/documents/sync", upserts(`{"text":"`+canary+` one","kind":"`+canary+`","redfield":7}`))
		redsReindex.Store(w.must(t, 202, red, "POST", "/collections/plays/reindexes", `{}`).JSON(t)["id"])
		redsJob.Store(w.background(t, red, "plays", `{"op":"upsert","id":"`+canary+`","document":{"text":7}}`)["id"])
		w.redsSets(t, red)
		tried := 0
		for _, token := range []string{blue, blueUser, nobody} {
			for _, name := range []string{"red.plays", "plays"} {
				absent := strings.Replace(name, "plays", "nothing", 1)
				there, missing := everyAttempt(t, name, canary), everyAttempt(t, absent, canary)
				for i := range there {
					a, b := w.try(t, token, there[i]), w.try(t, token, missing[i])
					require.Equal(t, told(t, b), told(t, a), "%v", there[i])
					require.NotContains(t, string(a.Body), canary, "%v", there[i])
					require.NotContains(t, string(a.Body), "redfield", "%v", there[i])
					tried++
				}
			}
		}
		require.Equal(t, http.StatusCreated, w.call(t, blue, "POST", "/collections", plays).Status, "the name is free for every tenant")
		found := w.must(t, 200, red, "POST", "/collections/plays/search", `{"q":"`+canary+`","queryBy":["text"]}`).JSON(t)
		require.EqualValues(t, 1, found["found"])
		t.Logf("%d pairs of answers are the same", tried)
	})
}

// TestMatrix_tenantsOfOneCollectionSeeNothingOfEachOther tries every operation on a tenant-scoped collection that two tenants may write.
func TestMatrix_tenantsOfOneCollectionSeeNothingOfEachOther(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		maker, red, blue := w.service(t, press, ""), w.service(t, loom, "red"), w.service(t, loom, "blue")
		w.must(t, 201, maker, "POST", "/collections", `{"name":"shared","tenantScoped":true,"fields":[{"name":"text","type":"string"},{"name":"kind","type":"string","facet":true,"optional":true},{"name":"redfield","type":"int64","optional":true}]}`)
		for _, grantee := range []string{"tenant:red", "tenant:blue", "role:editor"} {
			w.must(t, 200, maker, "PUT", "/collections/shared/grants/"+grantee, `{"access":"write"}`)
		}
		w.must(t, 200, red, "POST", "/collections/shared/documents/sync", upserts(`{"text":"`+canary+` one","kind":"`+canary+`","redfield":7}`, `{"text":"`+canary+` two","kind":"`+canary+`"}`))
		w.must(t, 200, blue, "POST", "/collections/shared/documents/sync", upserts(`{"text":"sparrow one","kind":"sparrow"}`))
		redsReindex.Store(w.must(t, 202, maker, "POST", "/collections/shared/reindexes", `{}`).JSON(t)["id"]) // under way, or done, while everything is tried
		redsJob.Store(w.background(t, red, "shared", `{"op":"upsert","id":"`+canary+`","document":{"text":7}}`)["id"])
		w.ended(t, red, "shared", redsJob.Load().(string))
		w.redsSets(t, red)
		reds := w.must(t, 200, red, "POST", "/collections/shared/search", `{"q":"*","queryBy":["text"],"facetBy":["kind"]}`)

		for _, token := range []string{blue, w.user(t, ada, "blue", "editor"), w.user(t, grace, "", "editor")} {
			for _, try := range everyAttempt(t, "shared", canary) {
				a := w.try(t, token, try)
				require.NotContains(t, string(a.Body), canary, "%v", try)
			}
			seen := w.must(t, 200, token, "POST", "/collections/shared/search", `{"q":"*","queryBy":["text"]}`).JSON(t)
			require.Equal(t, seen["found"], seen["outOf"], "the others' documents are not counted")
			require.Equal(t, seen["found"], w.must(t, 200, token, "GET", "/collections/shared", "").JSON(t)["documents"])
		}
		require.Contains(t, string(w.must(t, 200, red, "GET", "/collections/shared/jobs/"+redsJob.Load().(string)+"/failures", "").Body), canary)
		require.Len(t, w.must(t, 200, red, "GET", "/collections/shared/jobs", "").JSON(t)["items"], 1, "the jobs of others are not listed")
		require.Greater(t, len(w.must(t, 200, maker, "GET", "/collections/shared/jobs", "").JSON(t)["items"].([]any)), 1, "the owner sees all")
		again := w.must(t, 200, red, "POST", "/collections/shared/search", `{"q":"*","queryBy":["text"],"facetBy":["kind"]}`)
		require.Equal(t, told(t, reds), told(t, again), "nothing of red's was changed")
		hit := reds.JSON(t)["hits"].([]any)[0].(map[string]any)
		require.Equal(t, map[string]any{"id": "2", "text": canary + " two", "kind": canary}, hit["document"])

		// The owner reaches the documents of all tenants, and writes for each.
		w.must(t, 200, maker, "POST", "/collections/shared/documents/sync", `{"items":[{"op":"delete","id":"1","tenant":"red"},{"op":"upsert","id":"9","tenant":"red","document":{"text":"nine"}}]}`)
		all := w.must(t, 200, maker, "POST", "/collections/shared/search", `{"q":"`+canary+`","queryBy":["text"]}`).JSON(t)
		require.EqualValues(t, 1, all["found"])
		require.Equal(t, "red", all["hits"].([]any)[0].(map[string]any)["tenant"])
		require.EqualValues(t, 2, w.must(t, 200, red, "GET", "/collections/shared", "").JSON(t)["documents"])
		require.Equal(t, `{"id":"9","text":"nine"}`, strings.TrimSpace(string(w.must(t, 200, maker, "GET", "/collections/shared/documents/9?tenant=red", "").Body)))
		require.Equal(t, `{"id":"9","text":"nine"}`, strings.TrimSpace(string(w.must(t, 200, red, "GET", "/collections/shared/documents/9", "").Body)))
		refused(t, w.call(t, maker, "GET", "/collections/shared/documents/9", ""), 404, "not_found")
		refused(t, w.call(t, maker, "POST", "/collections/shared/search", `{"q":"*","queryBy":["text"],"filter":{"field":"id","op":"eq","texts":["9"]}}`), 422, "validation_failed")
		require.EqualValues(t, 2, w.must(t, 200, red, "GET", "/collections", "").JSON(t)["items"].([]any)[0].(map[string]any)["documents"])
	})
}

// The engine does not filter hits that an operator's override pins. Overrides are therefore disabled where tenants share a collection.
func TestSearch_overridesShowNoTenantWhatIsAnothers(t *testing.T) {
	w, engine := typesense(t)
	maker, red, blue := w.service(t, press, ""), w.service(t, loom, "red"), w.service(t, loom, "blue")
	w.must(t, 201, maker, "POST", "/collections", `{"name":"shared","tenantScoped":true,"fields":[{"name":"text","type":"string"}]}`)
	w.must(t, 200, maker, "PUT", "/collections/shared/grants/tenant:red", `{"access":"write"}`)
	w.must(t, 200, maker, "PUT", "/collections/shared/grants/tenant:blue", `{"access":"write"}`)
	w.must(t, 200, red, "POST", "/collections/shared/documents/sync", upserts(`{"text":"`+canary+`"}`))
	w.must(t, 200, blue, "POST", "/collections/shared/documents/sync", upserts(`{"text":"sparrow"}`))
	for id, query := range map[string]string{"word": "sparrow", "all": "*"} {
		pin := httptest.NewRequest("PUT", "/collections/shared/overrides/"+id, strings.NewReader(`{"rule":{"query":"`+query+`","match":"exact"},"includes":[{"id":"red:1","position":1}]}`))
		pin.Header.Set("X-Typesense-Api-Key", "any-key")
		done := httptest.NewRecorder()
		engine.Handler.ServeHTTP(done, pin)
		require.Equal(t, http.StatusOK, done.Code, done.Body)
	}
	for _, unknown := range []string{"enable_curations", "enable_overrides"} { // to Typesense 29, and to 30
		engine.failing(func(r *http.Request) int {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return http.StatusBadRequest
			}
			body = bytes.ReplaceAll(body, []byte(`"`+unknown+`"`), []byte(`"unknown"`))
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return 0
		})
		for _, query := range []string{"sparrow", "*"} {
			found := w.must(t, 200, blue, "POST", "/collections/shared/search", `{"q":"`+query+`","queryBy":["text"]}`)
			require.NotContains(t, string(found.Body), canary)
			require.EqualValues(t, 1, found.JSON(t)["found"])
			require.EqualValues(t, 1, found.JSON(t)["outOf"])
		}
		require.EqualValues(t, 1, w.must(t, 200, blue, "GET", "/collections/shared", "").JSON(t)["documents"])
	}
}
