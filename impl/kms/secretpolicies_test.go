package kms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/store"
)

// policyDoor calls the operations on policies with one token.
type policyDoor struct {
	h     *house
	token string
}

func (d policyDoor) put(name string, subject api.SecretPolicySubject, path string, p *api.PutSecretPolicyParams, may ...api.SecretCapability) *api.PutSecretPolicyResult {
	got, err := d.h.client.PutSecretPolicyWithResponse(d.h.t.Context(), name, p, api.SecretPolicyPut{Subject: subject, Path: path, Capabilities: may}, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

// let puts a policy that must be accepted.
func (d policyDoor) let(name string, subject api.SecretPolicySubject, path string, may ...api.SecretCapability) {
	d.h.t.Helper()
	got := d.put(name, subject, path, nil, may...)
	require.Less(d.h.t, got.StatusCode(), 300, string(got.Body))
}

func (d policyDoor) get(name string, known *string) *api.GetSecretPolicyResult {
	got, err := d.h.client.GetSecretPolicyWithResponse(d.h.t.Context(), name, &api.GetSecretPolicyParams{IfNoneMatch: known}, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

func (d policyDoor) list() (names []string, status int) {
	got, err := d.h.client.ListSecretPoliciesWithResponse(d.h.t.Context(), nil, bearer(d.token))
	require.NoError(d.h.t, err)
	if got.JSON200 != nil {
		for _, p := range got.JSON200.Items {
			names = append(names, p.Name)
		}
	}
	return names, got.StatusCode()
}

func (d policyDoor) remove(name string) int {
	got, err := d.h.client.DeleteSecretPolicyWithResponse(d.h.t.Context(), name, bearer(d.token))
	require.NoError(d.h.t, err)
	return got.StatusCode()
}

func (d policyDoor) access(secret string, p *api.ExplainSecretAccessParams) *api.ExplainSecretAccessResult {
	got, err := d.h.client.ExplainSecretAccessWithResponse(d.h.t.Context(), secret, p, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

var (
	every       = []api.SecretCapability{"list", "read", "write", "delete", "destroy", "rotate"}
	eachService = api.SecretPolicySubject{Kind: "service", ID: "*"}
)

func roleOf(name string) api.SecretPolicySubject {
	return api.SecretPolicySubject{Kind: "role", ID: name}
}

// secretCall describes the call of an operation on a secret.
type secretCall struct {
	op   *contract.Operation
	body string
}

// secretCalls returns the contract's operations on one secret. A new operation with a body fails the test until a body is added here.
func secretCalls(t *testing.T) (calls []secretCall) {
	c, err := contract.Load("kms")
	require.NoError(t, err)
	written := map[string]string{"putSecret": `{"value":"written"}`, "putSecretRotation": `{"driver":"random"}`}
	for _, op := range c.Operations {
		if strings.Contains(op.Path, "{secretName}") && op.ID != "explainSecretAccess" {
			calls = append(calls, secretCall{op, written[op.ID]})
		}
	}
	require.Len(t, calls, 14)
	return calls
}

// on calls the operation with the name as it appears in a request line.
func (c secretCall) on(h *house, name, token string) rawAnswer {
	h.t.Helper()
	path := strings.NewReplacer("{secretName}", name, "{secretVersion}", "1").Replace(c.op.Path)
	r := &http.Request{Method: c.op.Method, Header: http.Header{"Authorization": {"Bearer " + token}}}
	r.URL = &url.URL{Scheme: "http", Host: strings.TrimPrefix(h.url, "http://"), Opaque: path}
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(c.body)), int64(len(c.body))
	}
	answer, err := h.http.Do(r)
	require.NoError(h.t, err, "%s %s", c.op.ID, name)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(h.t, err)
	require.NotContains(h.t, string(raw), "canary", "%s %s", c.op.ID, name)
	return rawAnswer{answer.StatusCode, string(raw)}
}

// told returns a refusal without the parts that differ between requests.
func (a rawAnswer) told(t *testing.T) string {
	var p struct {
		Status             int
		Type, Code, Detail string
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
	return fmt.Sprint(p.Status, p.Type, p.Code, p.Detail)
}

// needs has the capability that each operation requires, independently of the code.
var needs = map[string]api.SecretCapability{
	"putSecret": "write", "getSecret": "read", "watchSecret": "read", "listSecretVersions": "list", "getSecretVersion": "read", "deleteSecretVersion": "delete", "undeleteSecretVersion": "write",
	"destroySecretVersion": "destroy", "promoteSecretVersion": "write", "putSecretRotation": "rotate", "getSecretRotation": "rotate", "deleteSecretRotation": "rotate", "rotateSecret": "rotate", "rollbackSecretRotation": "rotate",
}

// Every operation on a secret, with every capability, at names inside and outside of the path and at variants of them: what is not allowed is refused, looks the
// same whether or not the secret exists, and changes nothing.
func TestSecretPolicies_holdAtEveryOperation(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	d, p := versionDoor{h, raised}, policyDoor{h, raised}
	service, key := h.resourceServer("robot", raised, []string{"secrets:read", "secrets:write"})
	robot := h.token(key, "kms")
	outside := []string{"team.pay2", "team.pay-2", "team", "teampay", "x.team.pay", "team.payments", "pay", "search.typesense"}
	for _, name := range outside {
		h.put(name, "canary of "+name, raised, nil)
		h.put(name, "canary of "+name+" again", raised, nil)
		require.Equal(t, http.StatusOK, d.putRotation(name, byRandom).StatusCode())
	}
	tricks := []string{
		"team.pay/../team.pay2", "team.pay%2f..%2fteam.pay2", "team.pay/", "team.pay%2Fx", "TEAM.PAY", "Team.pay.x", "team.pay.", "team..pay", ".team.pay", "./team.pay2", "team%2epay2", "%74eam.pay2", "team.pay%00",
		"team.pay;x", "*", "%2a", "%7bservice%7d", "team.pay%20", "team%C0%AEpay", "ｔeam.pay", "..%2fteam.pay2", "team.pay,team.pay2",
	}
	for _, capability := range every {
		p.let("robots", api.SecretPolicySubject{Kind: "service", ID: service.ID}, "team.pay", capability)
		for _, c := range secretCalls(t) {
			for _, name := range []string{"team.pay", "team.pay.db"} {
				if needs[c.op.ID] == capability {
					d.ready(name)
				}
				got := c.on(h, name, robot)
				if needs[c.op.ID] == capability {
					require.NotContains(t, []int{401, 403, 404, 422}, got.status, "%s with %s at %s: %s", c.op.ID, capability, name, got.body)
					continue
				}
				require.Equal(t, http.StatusForbidden, got.status, "%s with %s at %s: %s", c.op.ID, capability, name, got.body)
				require.Equal(t, got.told(t), c.on(h, "team.pay.not-there", robot).told(t), "that there is one is not told")
			}
			absent := c.on(h, "not.there", robot)
			want := http.StatusNotFound
			if c.op.ID == "putSecret" {
				want = http.StatusForbidden
			}
			for _, name := range outside {
				got := c.on(h, name, robot)
				require.Equal(t, want, got.status, "%s with %s at %s: %s", c.op.ID, capability, name, got.body)
				require.Equal(t, absent.told(t), got.told(t), "%s at %s", c.op.ID, name)
			}
			for _, name := range tricks {
				got := c.on(h, name, robot)
				require.True(t, got.status >= 400 && got.status < 500 || c.op.Method == http.MethodGet && strings.HasPrefix(name, "team.pay/..") && got.status == http.StatusMovedPermanently, "%s at %s: %d %s", c.op.ID, name, got.status, got.body)
			}
		}
		listed, err := h.client.ListSecretsWithResponse(t.Context(), nil, bearer(robot))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, listed.StatusCode())
		var names []string
		for _, s := range listed.JSON200.Items {
			names = append(names, s.Name)
		}
		if capability == "list" {
			require.Equal(t, []string{"team.pay", "team.pay.db"}, names)
		} else {
			require.Empty(t, names, capability)
		}
	}
	for _, name := range outside {
		require.Equal(t, "canary of "+name+" again", h.get(name, raised).JSON200.Value, "nothing was changed")
		require.EqualValues(t, 2, h.get(name, raised).JSON200.Version)
		require.Equal(t, http.StatusOK, d.rotation(name).StatusCode())
	}
	require.Equal(t, http.StatusNotFound, h.get("not.there", raised).StatusCode())
	denied := h.trail(raised, api.ListAuditEventsParams{Action: ptr("getSecret"), Target: ptr("team.pay2"), Outcome: ptr(api.AuditOutcome("denied"))})
	require.NotEmpty(t, denied)
	require.Equal(t, service.ID, denied[0].Actor)
	require.Equal(t, "read", (*denied[0].Detail)["needs"])
}

// ready prepares a secret so that an allowed operation can succeed: with several versions and a rotation.
func (d versionDoor) ready(name string) {
	d.h.t.Helper()
	require.Less(d.h.t, d.h.put(name, "value", d.token, nil).StatusCode(), 300)
	require.Less(d.h.t, d.h.put(name, "value", d.token, nil).StatusCode(), 300)
	require.Equal(d.h.t, http.StatusOK, d.putRotation(name, byRandom).StatusCode())
}

// People have the union of what policies grant their roles and themselves; scopes and second factors are required in addition.
func TestSecretPolicies_forPeopleAreThoseOfTheirRoles(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		prover := h.prover()
		raised := prover.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		p := policyDoor{h, raised}
		require.Less(t, h.putRole("payments", raised, nil, "secrets:read").StatusCode(), 300)
		grace := h.user("grace", "payments", raised)
		h.user("frances", "editor", raised)
		for _, name := range []string{"team.pay.db", "team.other", "own.of-grace"} {
			h.put(name, "value of "+name, raised, nil)
		}
		access := h.login("grace", userPassword).AccessToken
		token := prover.raise(access, "kms")
		require.Equal(t, http.StatusNotFound, h.get("team.pay.db", token).StatusCode(), "a scope alone gives nothing")
		require.Equal(t, "insufficient_scope", code(h.get("team.pay.db", prover.raise(h.login("frances", userPassword).AccessToken, "kms")).Body))

		p.let("payments-reads", roleOf("payments"), "team.pay", "list", "read", "write")
		p.let("grace-reads", api.SecretPolicySubject{Kind: "user", ID: grace.ID}, "own.of-grace", "read")
		require.Equal(t, "value of team.pay.db", h.get("team.pay.db", token).JSON200.Value)
		require.Equal(t, "value of own.of-grace", h.get("own.of-grace", token).JSON200.Value)
		require.Equal(t, http.StatusNotFound, h.get("team.other", token).StatusCode())
		require.Equal(t, "insufficient_user_authentication", code(h.get("team.pay.db", access).Body))
		require.Equal(t, "insufficient_scope", code(h.put("team.pay.db", "x", token, nil).Body), "a policy gives no scope")

		told := policyDoor{h, access}.access("team.pay.db", nil)
		require.Equal(t, http.StatusOK, told.StatusCode(), string(told.Body))
		require.Equal(t, []api.SecretCapability{"list", "read", "write"}, told.JSON200.Capabilities)
		require.Equal(t, []string{"secrets:write"}, told.JSON200.MissingScopes)
		require.Equal(t, "payments-reads", told.JSON200.Policies[0].Name)
		require.Empty(t, policyDoor{h, access}.access("not.there", nil).JSON200.Capabilities)
		require.Equal(t, http.StatusForbidden, policyDoor{h, access}.access("team.pay.db", &api.ExplainSecretAccessParams{Role: ptr("admin")}).StatusCode())
		require.Equal(t, http.StatusOK, policyDoor{h, access}.access("team.pay.db", &api.ExplainSecretAccessParams{User: &grace.ID}).StatusCode(), "oneself")
		require.Equal(t, told.JSON200.Capabilities, p.access("team.pay.db", &api.ExplainSecretAccessParams{Role: ptr("payments")}).JSON200.Capabilities)
		require.Equal(t, every, p.access("team.pay.db", nil).JSON200.Capabilities)
		require.Equal(t, http.StatusNotFound, p.access("x", &api.ExplainSecretAccessParams{User: ptr("usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P")}).StatusCode())
		require.Equal(t, http.StatusNotFound, p.access("x", &api.ExplainSecretAccessParams{Role: ptr("nobody")}).StatusCode())
		require.Equal(t, http.StatusBadRequest, p.access("x", &api.ExplainSecretAccessParams{Role: ptr("admin"), User: &grace.ID}).StatusCode())
		require.Equal(t, http.StatusUnauthorized, policyDoor{h, "none"}.access("x", nil).StatusCode())

		deleted, err := h.client.DeleteRoleWithResponse(t.Context(), "payments", bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusConflict, deleted.StatusCode())
		h.change(grace.ID, `{"status":"disabled"}`, raised)
		off := p.access("own.of-grace", &api.ExplainSecretAccessParams{User: &grace.ID}).JSON200
		require.False(t, off.Active)
		require.Empty(t, off.Capabilities)
		require.Len(t, off.Policies, 1)
	})
}

// A role that a policy names can't be deleted: a later role of the same name would inherit the policy.
func TestDeleteRole_keepsTheRoleOfAPolicy(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	p := policyDoor{h, raised}
	h.putRole("payments", raised, nil, "secrets:read")
	p.let("payments-reads", roleOf("payments"), "team.pay", "read")
	remove := func() *api.DeleteRoleResult {
		got, err := h.client.DeleteRoleWithResponse(t.Context(), "payments", bearer(raised))
		require.NoError(t, err)
		return got
	}
	require.Equal(t, "state_conflict", code(remove().Body))
	require.Equal(t, http.StatusNoContent, p.remove("payments-reads"))
	require.Equal(t, http.StatusNoContent, remove().StatusCode())
	require.Equal(t, http.StatusUnprocessableEntity, p.put("payments-reads", roleOf("payments"), "team.pay", nil, "read").StatusCode(), "nor is there a policy before its role")
}

// Administrators manage policies with a second factor, whatever policies say. Losing access to secrets does not lock them out, and each change is in the
// trail.
func TestSecretPolicies_areMadeByAdministrators(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		prover := h.prover()
		access := h.login(adminName, adminPassword).AccessToken
		raised := prover.raise(access, "kms")
		p := policyDoor{h, raised}
		names, _ := p.list()
		require.Equal(t, []string{"administrators", "own-secrets"}, names)
		h.put("app.db", "value", raised, nil)

		require.Equal(t, http.StatusNoContent, p.remove("administrators"))
		require.Equal(t, http.StatusNotFound, p.remove("administrators"))
		require.Equal(t, http.StatusNotFound, p.get("administrators", nil).StatusCode())
		require.Equal(t, http.StatusNotFound, h.get("app.db", raised).StatusCode())
		require.Equal(t, http.StatusForbidden, h.put("app.db", "x", raised, nil).StatusCode())
		made := p.put("administrators", roleOf("admin"), "*", &api.PutSecretPolicyParams{IfNoneMatch: ptr("*")}, every...)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		require.Equal(t, "value", h.get("app.db", raised).JSON200.Value)

		require.Equal(t, http.StatusPreconditionFailed, p.put("administrators", roleOf("admin"), "*", &api.PutSecretPolicyParams{IfNoneMatch: ptr("*")}, every...).StatusCode())
		tag := made.HTTPResponse.Header.Get("ETag")
		require.Equal(t, http.StatusNotModified, p.get("administrators", &tag).StatusCode())
		changed := p.put("administrators", roleOf("admin"), "*", &api.PutSecretPolicyParams{IfMatch: &tag}, "read", "list", "read", "write")
		require.Equal(t, http.StatusUnprocessableEntity, changed.StatusCode(), "one of them twice")
		changed = p.put("administrators", roleOf("admin"), "*", &api.PutSecretPolicyParams{IfMatch: &tag}, "read", "list", "write")
		require.Equal(t, http.StatusOK, changed.StatusCode(), string(changed.Body))
		require.Equal(t, []api.SecretCapability{"list", "read", "write"}, changed.JSON200.Capabilities)
		require.Equal(t, http.StatusPreconditionFailed, p.put("administrators", roleOf("admin"), "*", &api.PutSecretPolicyParams{IfMatch: &tag}, every...).StatusCode(), "it was changed")
		require.Equal(t, http.StatusPreconditionFailed, p.put("none", roleOf("admin"), "*", &api.PutSecretPolicyParams{IfMatch: ptr("*")}, every...).StatusCode())
		require.Equal(t, http.StatusBadRequest, p.put("none", roleOf("admin"), "*", &api.PutSecretPolicyParams{IfMatch: ptr("*"), IfNoneMatch: ptr("*")}, every...).StatusCode())
		require.Equal(t, changed.JSON200, p.get("administrators", nil).JSON200)

		for name, subject := range map[string]api.SecretPolicySubject{
			"no role": roleOf("nobody"), "every role": roleOf("*"), "no user": {Kind: "user", ID: "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"}, "no service": {Kind: "service", ID: "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P"},
			"another kind": {Kind: "user", ID: h.subject(raised)[:4] + "admin"},
		} {
			got := p.put("wrong", subject, "team", nil, "read")
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), name)
		}
		for _, path := range []string{"team.", ".team", "TEAM", "team/x", "team.*", "**", "{name}", "", "{service}"} {
			require.Equal(t, http.StatusUnprocessableEntity, p.put("wrong", roleOf("admin"), path, nil, "read").StatusCode(), path)
		}
		h.user("grace", "editor", raised)
		for name, c := range map[string]struct {
			token string
			want  int
		}{
			"without a second factor": {access, http.StatusUnauthorized}, "an editor": {prover.raise(h.login("grace", userPassword).AccessToken, "kms"), http.StatusForbidden},
			"a service": {h.token(h.enrol("search"), "kms"), http.StatusForbidden}, "nobody": {"x", http.StatusUnauthorized},
		} {
			other := policyDoor{h, c.token}
			require.Equal(t, c.want, other.put("wrong", eachService, "*", nil, "read").StatusCode(), name)
			require.Equal(t, c.want, other.remove("administrators"), name)
			_, listed := other.list()
			want := c.want
			if name == "without a second factor" {
				want = http.StatusOK
			}
			require.Equal(t, want, listed, name)
			require.Equal(t, want, other.get("administrators", nil).StatusCode(), name)
		}
		names, _ = p.list()
		require.Equal(t, []string{"administrators", "own-secrets"}, names)
		puts := h.trail(raised, api.ListAuditEventsParams{Action: ptr("putSecretPolicy"), Target: ptr("administrators")})
		require.Len(t, puts, 2)
		require.Equal(t, map[string]string{"subject": "role:admin", "path": "*", "capabilities": "list read write", "before": "role:admin * list read write delete destroy rotate"}, map[string]string(*puts[0].Detail))
		require.Len(t, h.trail(raised, api.ListAuditEventsParams{Action: ptr("deleteSecretPolicy"), Target: ptr("administrators")}), 1)
	})
}

func TestSecretPolicies_areAThousandAtMost(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	h.offline(func(db *store.DB) {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			for i := range 998 {
				_, err := tx.Exec(ctx, "INSERT INTO secret_policies (name, subject_kind, subject, path, capabilities, version, created_at, updated_at) VALUES (?, 'role', 'reader', ?, 'list', 1, 1, 1)", fmt.Sprint("p-", i), fmt.Sprint("p", i))
				if err != nil {
					return err
				}
			}
			return nil
		}))
	})
	p := policyDoor{h, raised}
	got := p.put("one-more", roleOf("admin"), "team", nil, "read")
	require.Equal(t, "limit_reached", code(got.Body))
	require.Equal(t, http.StatusNoContent, p.remove("p-7"))
	require.Equal(t, http.StatusCreated, p.put("one-more", roleOf("admin"), "team", nil, "read").StatusCode())
	require.Equal(t, http.StatusOK, p.put("one-more", roleOf("admin"), "team.x", nil, "read").StatusCode(), "a change is none more")
}

// A caller who configures where a secret is sent must be able to read it and its credential, so rotations do not circumvent the policies.
func TestSecretPolicies_holdForCredentialsOfRotations(t *testing.T) {
	r, config := newTeam(t), databaseOfSQLite(t)
	config.Rotators = r.Rotators
	h := start(t, config)
	_, raised := h.administrator()
	service, key := h.resourceServer("robot", raised, []string{"secrets:read", "secrets:write"})
	robot := versionDoor{h, h.token(key, "kms")}
	p, subject := policyDoor{h, raised}, api.SecretPolicySubject{Kind: "service", ID: service.ID}
	h.put("team.db", "value", raised, nil)
	h.put("app.rotator", rotatorSecret, raised, nil)
	try := func() (int, string) {
		got := robot.putRotation("team.db", r.rotation())
		return got.StatusCode(), code(got.Body)
	}
	p.let("rotates", subject, "team", "rotate")
	require.Equal(t, http.StatusOK, robot.putRotation("team.db", byRandom).StatusCode(), "what is put nowhere is not read")
	status, _ := try()
	require.Equal(t, http.StatusForbidden, status, "the secret itself would be read at the target")
	p.let("rotates", subject, "team", "rotate", "read")
	status, word := try()
	require.Equal(t, http.StatusNotFound, status, "the credential is not theirs")
	absent := r.rotation()
	absent.Credential = ptr("not.there")
	none := robot.putRotation("team.db", absent)
	require.Equal(t, word, code(none.Body), "and it is not told that there is one")
	p.let("uses", subject, "app.rotator", "read")
	status, word = try()
	require.Equal(t, http.StatusOK, status, word)
	denied := h.trail(raised, api.ListAuditEventsParams{Action: ptr("putSecretRotation"), Target: ptr("app.rotator"), Outcome: ptr(api.AuditOutcome("denied"))})
	require.Len(t, denied, 1)

	require.Equal(t, http.StatusNoContent, p.remove("uses"))
	status, _ = try()
	require.Equal(t, http.StatusNotFound, status, "nor when it is named again")
	require.Equal(t, http.StatusAccepted, robot.rotate("team.db").StatusCode(), "what was set up while it was allowed goes on")
	versionDoor{h, raised}.rotated("team.db", 2)
}

// A policy that was deleted at one replica no longer applies at either one from the next request on, even if requests never stop.
func TestSecretPolicies_deletedHoldAtBothReplicasAtOnce(t *testing.T) {
	replicas(t, func(a, b *house) {
		t := a.t
		_, raised := a.administrator()
		service, key := a.resourceServer("robot", raised, []string{"secrets:read", "secrets:write"})
		tokens := map[*house]string{a: a.token(key, "kms"), b: b.token(key, "kms")}
		a.put("team.db", "value", raised, nil)
		p, subject := policyDoor{a, raised}, api.SecretPolicySubject{Kind: "service", ID: service.ID}
		for range 10 {
			p.let("reads", subject, "team", "read", "write")
			for _, h := range []*house{a, b} {
				require.Equal(t, http.StatusOK, h.get("team.db", tokens[h]).StatusCode())
			}
			var over, stop atomic.Bool
			var late, early atomic.Int64
			var all sync.WaitGroup
			for _, h := range []*house{a, b} {
				for range 2 {
					all.Go(func() {
						for !stop.Load() {
							after := over.Load()
							got, err := h.client.GetSecretWithResponse(t.Context(), "team.db", nil, bearer(tokens[h]))
							if err != nil {
								return
							}
							switch {
							case got.StatusCode() == http.StatusOK && after:
								late.Add(1)
							case got.StatusCode() == http.StatusOK:
								early.Add(1)
							}
							if after {
								return
							}
						}
					})
				}
			}
			require.Equal(t, http.StatusNoContent, p.remove("reads"))
			over.Store(true)
			all.Wait()
			stop.Store(true)
			require.Zero(t, late.Load())
			for _, h := range []*house{a, b} {
				require.Equal(t, http.StatusNotFound, h.get("team.db", tokens[h]).StatusCode())
				require.Equal(t, http.StatusForbidden, h.put("team.db", "x", tokens[h], nil).StatusCode())
			}
		}
	})
}

// A request that waits for a version gets nothing if the caller has lost access meanwhile.
func TestWatchSecret_tellsNothingAfterThePolicyWasDeleted(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	service, key := h.resourceServer("robot", raised, []string{"secrets:read"})
	d, p := versionDoor{h, h.token(key, "kms")}, policyDoor{h, raised}
	h.put("team.db", "value", raised, nil)
	p.let("reads", api.SecretPolicySubject{Kind: "service", ID: service.ID}, "team", "read")
	answered := make(chan int, 1)
	go func() {
		status, _ := d.watch("team.db", `"1"`, "wait=25")
		answered <- status
	}()
	require.Equal(t, http.StatusNoContent, p.remove("reads"))
	h.put("team.db", "another", raised, nil)
	require.Equal(t, http.StatusNotFound, <-answered)
}

// An upgrade changes no access: administrators have all secrets, each service those of its name, and others none.
func TestSecretPolicies_beginWithWhatHeldBefore(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		p := policyDoor{h, raised}
		h.user("grace", "editor", raised)
		require.Equal(t, every, p.access("any.thing", nil).JSON200.Capabilities)
		_, key := h.resourceServer("robot", raised, []string{"secrets:read", "secrets:write"})
		robot := policyDoor{h, h.token(key, "kms")}
		require.Equal(t, every, robot.access("robot.key", nil).JSON200.Capabilities)
		require.Empty(t, robot.access("robots", nil).JSON200.Capabilities)
		require.Empty(t, p.access("any.thing", &api.ExplainSecretAccessParams{Role: ptr("editor")}).JSON200.Capabilities)
		require.Empty(t, p.access("any.thing", &api.ExplainSecretAccessParams{Role: ptr("reader")}).JSON200.Capabilities)

		require.Equal(t, http.StatusNoContent, p.remove("own-secrets"))
		require.Equal(t, http.StatusForbidden, h.put("robot.key", "x", robot.token, nil).StatusCode())
		p.let("own-secrets", eachService, "{service}", slices.Clone(every)...)
		require.Equal(t, http.StatusCreated, h.put("robot.key", "x", robot.token, nil).StatusCode())
	})
}
