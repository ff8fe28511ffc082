package kms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
)

// sends sends a request to the kms; see servicetest.Call.
func (h *house) sends(token, method, path, body string, headers ...string) servicetest.Answer {
	h.t.Helper()
	return servicetest.Call(h.t, h.http, token, method, h.url+"/kms/v1"+path, body, headers...)
}

// An administrator who mistypes an ID gets a not_found, and the trail has no event of a change.
func TestAdministration_ofWhatIsNotThereDoesNothing(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised, c := h.postOffice()
	c.opens()
	user, service, client, key := id.New("usr"), id.New("svc"), id.New("cli"), id.New("key")
	forUser := fmt.Sprintf(`{"name":"lost","ownerKind":"user","ownerId":%q,"scopes":["elements:read"]}`, user)
	for _, call := range []struct {
		method, path, body string
	}{
		{"POST", "/keys", forUser},
		{"POST", "/keys/" + key + "/rotate", `{}`},
		{"POST", "/users/" + user + "/unlock", ""},
		{"POST", "/users/" + user + "/invitations", ""},
		{"POST", "/users/" + user + "/invitations/mail", `{"to":"ada@example.org"}`},
		{"POST", "/users/" + user + "/password-resets", ""},
		{"POST", "/users/" + user + "/password-resets/mail", `{"to":"ada@example.org"}`},
		{"PATCH", "/services/" + service, `{"status":"disabled"}`},
		{"POST", "/services/" + service + "/enrolment-tokens", ""},
		{"GET", "/clients/" + client, ""},
		{"PATCH", "/clients/" + client, `{"name":"lost"}`},
		{"POST", "/clients/" + client + "/secrets", ""},
		{"DELETE", "/clients/" + client, ""},
		{"GET", "/roles/lost", ""},
	} {
		servicetest.Refused(t, h.sends(raised, call.method, call.path, call.body, "If-Match", "*"), http.StatusNotFound, "not_found")
	}
	require.Empty(t, h.mails(raised))
	for _, target := range []string{user, service, client, key} {
		require.Empty(t, h.trail(raised, api.ListAuditEventsParams{Target: &target}), target)
	}
}

// A stored answer of a request with an Idempotency-Key may have a secret. It is returned only for the same request, and the key creates nothing for another one.
func TestIdempotencyKey_isForOneRequest(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	raised := w.raised
	other := w.registered(reports())
	ruth, edith := h.user("ruth", "admin", raised), h.user("edith", "admin", raised)
	stock, orders := h.register("stock", raised, "elements:read"), h.register("orders", raised, "elements:read")
	for name, paths := range map[string][2]string{
		"createInvitation":     {"/users/" + ruth.ID + "/invitations", "/users/" + edith.ID + "/invitations"},
		"createPasswordReset":  {"/users/" + ruth.ID + "/password-resets", "/users/" + edith.ID + "/password-resets"},
		"createEnrolmentToken": {"/services/" + stock.Service.ID + "/enrolment-tokens", "/services/" + orders.Service.ID + "/enrolment-tokens"},
		"rotateClientSecret":   {"/clients/" + w.app.Client.ID + "/secrets", "/clients/" + other.Client.ID + "/secrets"},
	} {
		key := []string{"Idempotency-Key", "only-once-" + name}
		first := h.sends(raised, "POST", paths[0], "", key...)
		require.Equal(t, http.StatusCreated, first.Status, "%s: %s", name, first.Body)
		again := h.sends(raised, "POST", paths[0], "", key...)
		require.JSONEq(t, string(first.Body), string(again.Body), name)
		servicetest.Refused(t, h.sends(raised, "POST", paths[1], "", key...), http.StatusUnprocessableEntity, "idempotency_conflict")
	}
	// A service that asked with another overlap has not had its answer, and must not get the older one for it.
	search := h.enrol("search")
	token := h.token(search, "kms")
	rotates := func(overlap int) servicetest.Answer {
		return h.sends(token, "POST", "/keys/current/rotate", fmt.Sprintf(`{"overlapSeconds":%d}`, overlap), "Idempotency-Key", "only-once-rotation")
	}
	require.Equal(t, http.StatusCreated, rotates(3600).Status)
	servicetest.Refused(t, rotates(60), http.StatusUnprocessableEntity, "idempotency_conflict")
}

// An invitation is for an administrator and one second factor: it can't be used again afterwards.
func TestInvitation_givesOneFactorToAnAdministrator(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised, c := h.postOffice()
	c.opens()
	grace, ruth := h.user("grace", "editor", raised), h.user("ruth", "admin", raised)
	servicetest.Refused(t, h.sends(raised, "POST", "/users/"+grace.ID+"/invitations", ""), http.StatusConflict, "state_conflict")
	made := h.sends(raised, "POST", "/users/"+ruth.ID+"/invitations", "")
	require.Equal(t, http.StatusCreated, made.Status, string(made.Body))
	checked, err := h.client.CheckInvitationWithResponse(t.Context(), api.InvitationCheck{UserID: ruth.ID, Token: made.Text(t, "token")}, bearer(c.token))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, checked.StatusCode(), string(checked.Body))
	use := func(userID, factorID string) servicetest.Answer {
		return h.sends(c.token, "POST", "/invitations/"+checked.JSON200.InvitationID+"/use", fmt.Sprintf(`{"userId":%q,"factorId":%q}`, userID, factorID))
	}
	first, second := id.New("fac"), id.New("fac")
	servicetest.Refused(t, use(grace.ID, first), http.StatusUnprocessableEntity, "invalid_invitation")
	require.Equal(t, http.StatusNoContent, use(ruth.ID, first).Status)
	require.Equal(t, http.StatusNoContent, use(ruth.ID, first).Status, "twofactor may ask again when an answer was lost")
	servicetest.Refused(t, use(ruth.ID, second), http.StatusUnprocessableEntity, "invalid_invitation")

	servicetest.Refused(t, h.sends(raised, "POST", "/users/"+ruth.ID+"/invitations/mail", `{}`), http.StatusUnprocessableEntity, "validation_failed")
	require.Empty(t, h.mails(raised), "she has no address")
	h.change(grace.ID, `{"status":"disabled"}`, raised)
	servicetest.Refused(t, h.sends(raised, "POST", "/users/"+grace.ID+"/password-resets", ""), http.StatusConflict, "state_conflict")
}

// A web app can be changed only over the version that was read, and not to something unsafe. Conditional reads save loading an unchanged one.
func TestClient_isChangedOverWhatWasSeenAlone(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	path := "/clients/" + w.app.Client.ID
	seen := h.sends(w.raised, "GET", path, "")
	require.Equal(t, http.StatusOK, seen.Status, string(seen.Body))
	tag := seen.Header.Get("ETag")
	servicetest.Refused(t, h.sends(w.raised, "PATCH", path, `{"name":"Renamed"}`), http.StatusPreconditionRequired, "precondition_missing")
	servicetest.Refused(t, h.sends(w.raised, "PATCH", path, `{"redirectUris":["http://app.example/callback"]}`, "If-Match", tag), http.StatusUnprocessableEntity, "validation_failed")
	require.Equal(t, http.StatusNotModified, h.sends(w.raised, "GET", path, "", "If-None-Match", tag).Status, "nothing was changed")
	require.Equal(t, http.StatusOK, h.sends(w.raised, "PATCH", path, `{"name":"Renamed"}`, "If-Match", tag).Status)
	now := h.sends(w.raised, "GET", path, "", "If-None-Match", tag)
	require.Equal(t, http.StatusOK, now.Status)
	require.Equal(t, "Renamed", now.Text(t, "name"))

	// The same holds for a user, whose old roles must not be shown.
	me := "/users/" + w.grace.ID
	tag = h.sends(w.raised, "GET", me, "").Header.Get("ETag")
	require.Equal(t, http.StatusNotModified, h.sends(w.raised, "GET", me, "", "If-None-Match", tag).Status)
	h.change(w.grace.ID, `{"roles":["reader"]}`, w.raised)
	require.Equal(t, http.StatusOK, h.sends(w.raised, "GET", me, "", "If-None-Match", tag).Status)
}

// What is stored with a key is bounded, and refused values are not repeated: they may be mistyped keys.
func TestAPIKey_takesNothingOutOfItsBounds(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	key := h.ownKey(admin.ID, raised, "elements:read")
	long := strings.Repeat("k", 513)
	refused := h.sends(raised, "POST", "/keys/verify", fmt.Sprintf(`{"key":%q}`, long))
	servicetest.Refused(t, refused, http.StatusUnprocessableEntity, "invalid_body")
	require.NotContains(t, string(refused.Body), long)
	metadata := map[string]string{}
	for i := range 17 {
		metadata[fmt.Sprint("word", i)] = "x"
	}
	raw, err := json.Marshal(map[string]any{"metadata": metadata})
	require.NoError(t, err)
	path := "/keys/" + key.APIKey.ID
	servicetest.Refused(t, h.sends(raised, "PATCH", path, string(raw), "If-Match", `"1"`), http.StatusUnprocessableEntity, "invalid_body")
	servicetest.Refused(t, h.sends(raised, "PATCH", path, `{"name":"nightly"}`), http.StatusPreconditionRequired, "precondition_missing")
	require.Equal(t, int64(1), h.keyOf(key.APIKey.ID, raised).Version)

	long = strings.Repeat("s", 32769)
	refused = h.sends(raised, "PUT", "/secrets/app.db", fmt.Sprintf(`{"value":%q}`, long))
	servicetest.Refused(t, refused, http.StatusUnprocessableEntity, "invalid_body")
	require.NotContains(t, string(refused.Body), "sss")
	require.Equal(t, http.StatusNotFound, h.get("app.db", raised).StatusCode())
}

// Roles and web apps are read completely for each decision, so their number is bounded; deleting one makes room.
func TestRolesAndClients_haveABound(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	w := newWebapp(h, nil)
	h.offline(func(db *store.DB) {
		require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			for i := range 199 {
				if _, err := tx.Exec(ctx, "INSERT INTO roles (name, scopes, version, created_at, updated_at) VALUES (?, '', 1, 0, 0)", fmt.Sprintf("clerk%d", i)); err != nil {
					return err
				}
				if _, err := tx.Exec(ctx, "INSERT INTO clients (id, name, redirect_uris, post_logout_redirect_uris, scopes, trusted, version, created_at, updated_at) VALUES (?, 'x', ?, '', '', 0, 1, 0, 0)",
					id.New("cli"), callback); err != nil {
					return err
				}
			}
			return nil
		}))
	})
	require.Equal(t, http.StatusCreated, h.putRole("last", w.raised, nil, "elements:read").StatusCode())
	full := h.putRole("further", w.raised, nil, "elements:read")
	require.Equal(t, http.StatusConflict, full.StatusCode(), string(full.Body))
	require.Equal(t, "limit_reached", code(full.Body))
	require.Equal(t, http.StatusOK, h.putRole("last", w.raised, nil, "elements:write").StatusCode(), "one that is there can be changed")
	client, err := json.Marshal(reports())
	require.NoError(t, err)
	servicetest.Refused(t, h.sends(w.raised, "POST", "/clients", string(client)), http.StatusConflict, "limit_reached")
	require.Equal(t, http.StatusNoContent, h.sends(w.raised, "DELETE", "/clients/"+w.app.Client.ID, "").Status)
	require.Equal(t, http.StatusCreated, h.sends(w.raised, "POST", "/clients", string(client)).Status)
	require.Equal(t, http.StatusNoContent, h.sends(w.raised, "DELETE", "/roles/last", "").Status)
	require.Equal(t, http.StatusCreated, h.putRole("further", w.raised, nil, "elements:read").StatusCode())
}

// A browser revalidates its copy of a page. The answer has the same strict policy, which the browser applies to its copy.
func TestPages_areNotSentAgainToWhoHasThem(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	for _, path := range []string{"/oauth2/authorize", "/oauth2/logout", "/auth/password-reset"} {
		page := h.sends("", "GET", path, "")
		require.Equal(t, http.StatusOK, page.Status, path)
		same := h.sends("", "GET", path, "", "If-None-Match", page.Header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, same.Status, path)
		require.Empty(t, same.Body)
		require.Equal(t, page.Header.Get("Content-Security-Policy"), same.Header.Get("Content-Security-Policy"), path)
		require.Equal(t, http.StatusOK, h.sends("", "GET", path, "", "If-None-Match", `"another"`).Status, path)
	}
}

// A service sends the kms the end of its trail, and gets the kms's end, which covers that record: tampering with one trail is detected by the other.
func TestWitnessAudit_recordsTheEndOfAnotherTrail(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	token := h.token(h.enrol("search"), "kms")
	_, part := h.exported(raised, api.ExportAuditParams{})
	end := ofService(t, part.End, "search")
	forged := apiWitness(apiCheckpoint(end), 7776000)
	forged.Seq++
	refused, err := h.client.WitnessAuditWithResponse(t.Context(), forged, bearer(token))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode(), string(refused.Body))
	require.Empty(t, h.trail(raised, api.ListAuditEventsParams{Action: ptr("witnessAudit")}))

	told, err := h.client.WitnessAuditWithResponse(t.Context(), apiWitness(apiCheckpoint(end), 7776000), bearer(token))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, told.StatusCode(), string(told.Body))
	records := h.trail(raised, api.ListAuditEventsParams{Action: ptr("witnessAudit")})
	require.Len(t, records, 1)
	detail := *records[0].Detail
	require.Equal(t, []string{"search", fmt.Sprint(end.Seq), "7776000", end.At.Format(time.RFC3339Nano)}, []string{records[0].Target, detail["seq"], detail["keptSeconds"], detail["at"]})
	require.GreaterOrEqual(t, told.JSON200.Seq, records[0].Seq)
	verified, err := h.client.VerifyAuditWithResponse(t.Context(), api.AuditVerify{Checkpoint: told.JSON200}, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, verified.StatusCode(), string(verified.Body))
	require.True(t, verified.JSON200.Intact)
}

// A change of password or a sent link is reported only if it was stored. After a failure everything is as before.
func TestPasswords_areNotChangedWhereTheyCantBeKept(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised, c := h.postOffice()
	c.opens()
	grace := h.user("grace", "editor", raised)
	session := h.login("grace", userPassword)
	reset := h.sends(raised, "POST", "/users/"+grace.ID+"/password-resets", "")
	require.Equal(t, http.StatusCreated, reset.Status, string(reset.Body))
	require.Equal(t, http.StatusOK, h.sends("", "GET", "/ready", "").Status)

	file := filepath.Join(h.dir, "kms.db")
	require.NoError(t, os.Rename(file, file+".away"))
	calls := map[string]func() servicetest.Answer{
		"changePassword": func() servicetest.Answer {
			return h.sends(session.AccessToken, "PUT", "/users/"+grace.ID+"/password", fmt.Sprintf(`{"currentPassword":%q,"newPassword":%q}`, userPassword, nextPassword))
		},
		"resetPassword": func() servicetest.Answer {
			return h.sends("", "POST", "/auth/password-reset", fmt.Sprintf(`{"token":%q,"newPassword":%q}`, reset.Text(t, "token"), nextPassword))
		},
		"requestPasswordReset": func() servicetest.Answer {
			return h.sends("", "POST", "/auth/password-reset/request", `{"login":"grace"}`)
		},
	}
	for name, call := range calls {
		answer := call()
		servicetest.Refused(t, answer, http.StatusServiceUnavailable, "unavailable")
		require.NotEmpty(t, answer.Header.Get("Retry-After"), name)
	}
	require.NoError(t, os.Rename(file+".away", file))
	require.Equal(t, http.StatusOK, h.loginStatus("grace", userPassword))
	require.Equal(t, http.StatusNoContent, calls["resetPassword"]().Status, "the refused one had used nothing up")
	require.Equal(t, http.StatusOK, h.loginStatus("grace", nextPassword))
}
