package kms_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
)

// documentOf returns an OpenAPI document of a service with the operations in paths.
func documentOf(name, paths string) string {
	return fmt.Sprintf(`openapi: 3.0.3
info: {title: %[1]s, version: 1.4.0}
servers: [{url: /%[1]s/v1}]
security: [{oauth: ['%[1]s:read']}]
paths:
%[2]scomponents:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {'%[1]s:read': Read, '%[1]s:write': Write}}}}
`, name, paths)
}

// The operations of the tests' documents.
const (
	listThings = "  /things:\n    get: {operationId: listThings, responses: {'200': {description: All.}}}\n"
	getThing   = "  /things/one:\n    get: {operationId: getThing, responses: {'200': {description: One.}}}\n"
	openThing  = "  /things/one:\n    get: {operationId: getThing, security: [], responses: {'200': {description: One.}}}\n"
)

func contractPut(name, paths string) api.ContractPut {
	return api.ContractPut{
		File: "api.yaml", Files: []api.ContractFile{{Name: "api.yaml", Text: documentOf(name, paths)}}, Upstreams: &[]string{"http://127.0.0.1:9000"},
	}
}

func shadowPut(name, paths string) api.ContractPut {
	body := contractPut(name, paths)
	body.Upstreams, body.Shadow = nil, ptr(true)
	return body
}

func (h *house) putContract(name, token string, over *api.PutContractParams, body api.ContractPut) *api.PutContractResult {
	h.t.Helper()
	got, err := h.client.PutContractWithResponse(h.t.Context(), name, over, body, bearer(token))
	require.NoError(h.t, err)
	return got
}

func (h *house) getContract(name, token string) *api.GetServiceContractResult {
	h.t.Helper()
	got, err := h.client.GetServiceContractWithResponse(h.t.Context(), name, nil, bearer(token))
	require.NoError(h.t, err)
	return got
}

func (h *house) listContracts(token string, params *api.ListContractsParams) *api.ListContractsResult {
	h.t.Helper()
	got, err := h.client.ListContractsWithResponse(h.t.Context(), params, bearer(token))
	require.NoError(h.t, err)
	return got
}

func (h *house) retireContract(name, token string) int {
	h.t.Helper()
	got, err := h.client.RetireContractWithResponse(h.t.Context(), name, bearer(token))
	require.NoError(h.t, err)
	return got.StatusCode()
}

// changesOf returns the names of contracts with an entry in the feed after a position.
func (h *house) changesOf(token string, after *int64) (names []string) {
	h.t.Helper()
	got, err := h.client.ListRevocationsWithResponse(h.t.Context(), &api.ListRevocationsParams{After: after}, bearer(token))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	for _, item := range got.JSON200.Items {
		if item.Position > *after && item.Kind == "contract" {
			names = append(names, item.ID)
		}
	}
	*after = got.JSON200.Position
	return names
}

func TestPutContract_asksForAnAdministratorWithASecondFactor(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	h.resourceServer("orders", raised, []string{}, "orders:read", "orders:write")
	_, nosy := h.resourceServer("nosy", raised, []string{"contracts:read", "services:write"})
	h.user("grace", "editor", raised)
	gateway := h.token(h.enrol("gateway"), "kms")
	require.Equal(t, "contracts:read keys:rotate-own revocations:read", claims(t, gateway).Scope)
	plain, editor := h.login(adminName, adminPassword).AccessToken, h.login("grace", userPassword).AccessToken
	body := contractPut("orders", listThings)
	require.Equal(t, http.StatusCreated, h.putContract("orders", raised, nil, body).StatusCode())

	for name, one := range map[string]struct {
		token, put, get string // "": it is accepted
	}{
		"an editor":                             {editor, "insufficient_scope", "insufficient_scope"},
		"an administrator without a factor":     {plain, "insufficient_user_authentication", "insufficient_user_authentication"},
		"a service with the scopes":             {h.token(nosy, "kms"), "principal_not_allowed", "forbidden"},
		"the gateway":                           {gateway, "insufficient_scope", ""},
		"another service of the family":         {h.token(h.enrol("search"), "kms"), "insufficient_scope", "insufficient_scope"},
		"an administrator with a second factor": {raised, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			put := h.putContract("orders", one.token, nil, body)
			if one.put == "" {
				require.Equal(t, http.StatusOK, put.StatusCode(), string(put.Body))
			} else {
				require.Equal(t, one.put, code(put.Body))
				retired, err := h.client.RetireContractWithResponse(t.Context(), "orders", bearer(one.token))
				require.NoError(t, err)
				require.Equal(t, one.put, code(retired.Body))
			}
			got, all := h.getContract("orders", one.token), h.listContracts(one.token, nil)
			if one.get == "" {
				require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
				require.Equal(t, http.StatusOK, all.StatusCode(), string(all.Body))
				return
			}
			require.Equal(t, one.get, code(got.Body))
			require.Equal(t, one.get, code(all.Body))
		})
	}
}

// After an upgrade from a release without contracts, the gateway can read them with its existing key.
func TestGateway_readsContractsAfterAnUpgrade(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	key := h.enrol("gateway")
	h.offline(func(db *store.DB) {
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE services SET scopes = 'revocations:read' WHERE name = 'gateway'")
			return err
		}))
	})
	require.Equal(t, http.StatusOK, h.listContracts(h.token(key, "kms"), nil).StatusCode())
}

func TestContracts_areAdoptedReplacedAndRetired(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		gateway := h.token(h.enrol("gateway"), "kms")
		orders, _ := h.resourceServer("orders", raised, []string{}, "orders:read", "orders:write")
		var heard int64
		h.changesOf(gateway, &heard)

		missing := h.getContract("orders", gateway)
		require.Equal(t, http.StatusNotFound, missing.StatusCode())
		require.Equal(t, http.StatusNotFound, h.retireContract("orders", raised))
		require.Equal(t, http.StatusNotFound, h.putContract("nobody", raised, nil, contractPut("nobody", listThings)).StatusCode())
		family := h.putContract("search", raised, nil, contractPut("search", listThings))
		require.Equal(t, "forbidden", code(family.Body))
		require.Equal(t, http.StatusPreconditionFailed, h.putContract("orders", raised, &api.PutContractParams{IfMatch: ptr("*")}, contractPut("orders", listThings)).StatusCode())
		require.Equal(t, "state_conflict", code(h.putContract("orders", raised, nil, shadowPut("orders", listThings)).Body), "there is no live one")
		require.Empty(t, h.changesOf(gateway, &heard))

		both := contractPut("orders", listThings+getThing)
		made := h.putContract("orders", raised, &api.PutContractParams{IfNoneMatch: ptr("*")}, both)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		first := *made.JSON201
		require.Equal(t, `"`+fmt.Sprint(first.Version)+`"`, made.HTTPResponse.Header.Get("ETag"))
		require.Equal(t, []any{"orders", "1.4.0", admin.ID, false, api.ContractStatus("active")}, []any{first.Name, first.DocumentVersion, first.UpdatedBy, first.ActiveContent, first.Status})
		require.Len(t, first.Digest, 64)
		require.Equal(t, []string{"orders"}, h.changesOf(gateway, &heard))
		require.Equal(t, http.StatusPreconditionFailed, h.putContract("orders", raised, &api.PutContractParams{IfNoneMatch: ptr("*")}, both).StatusCode())
		excluding := h.putContract("orders", raised, &api.PutContractParams{IfNoneMatch: ptr("*"), IfMatch: ptr("*")}, both)
		require.Equal(t, http.StatusBadRequest, excluding.StatusCode())

		got := h.getContract("orders", gateway)
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, first, got.JSON200.Contract)
		require.Equal(t, both.Files, got.JSON200.Document.Files)
		tag := got.HTTPResponse.Header.Get("ETag")
		same, err := h.client.GetServiceContractWithResponse(t.Context(), "orders", &api.GetServiceContractParams{IfNoneMatch: &tag}, bearer(gateway))
		require.NoError(t, err)
		require.Equal(t, http.StatusNotModified, same.StatusCode())

		fewer := contractPut("orders", listThings)
		broken := h.putContract("orders", raised, nil, fewer)
		require.Equal(t, http.StatusConflict, broken.StatusCode(), string(broken.Body))
		require.Equal(t, "contract_breaking", code(broken.Body))
		errs := *broken.ApplicationProblemJSON409.Errors
		require.Len(t, errs, 1)
		shadow := h.putContract("orders", raised, nil, shadowPut("orders", listThings))
		require.Equal(t, http.StatusOK, shadow.StatusCode(), string(shadow.Body))
		require.Equal(t, first.Digest, shadow.JSON200.Digest, "the live one stays")
		require.Equal(t, *errs[0].Name, (*shadow.JSON200.Shadow.Changes)[0].Name)
		with := h.getContract("orders", gateway).JSON200
		require.Equal(t, *shadow.JSON200, with.Contract)
		require.Equal(t, both.Files, with.Document.Files)
		require.Equal(t, fewer.Files, with.Shadow.Files)

		fewer.Accept = &[]string{*errs[0].Name}
		require.Equal(t, http.StatusPreconditionFailed, h.putContract("orders", raised, &api.PutContractParams{IfMatch: &tag}, fewer).StatusCode())
		after := h.putContract("orders", raised, &api.PutContractParams{IfMatch: ptr(shadow.HTTPResponse.Header.Get("ETag"))}, fewer)
		require.Equal(t, http.StatusOK, after.StatusCode(), string(after.Body))
		require.Nil(t, after.JSON200.Shadow)
		require.Equal(t, []string{"orders", "orders"}, h.changesOf(gateway, &heard))

		require.NoError(t, h.stop())
		h.run() // a restart keeps all
		require.Equal(t, *after.JSON200, h.getContract("orders", gateway).JSON200.Contract)
		h.setService(orders.ID, "disabled", raised)
		now := h.getContract("orders", gateway)
		require.Equal(t, api.ContractStatus("disabled"), now.JSON200.Contract.Status)
		require.NotEqual(t, after.HTTPResponse.Header.Get("ETag"), now.HTTPResponse.Header.Get("ETag"))
		require.Equal(t, "state_conflict", code(h.putContract("orders", raised, nil, fewer).Body))
		h.setService(orders.ID, "active", raised)
		require.Equal(t, []string{"orders", "orders"}, h.changesOf(gateway, &heard))
		require.Equal(t, http.StatusNoContent, h.retireContract("orders", raised))
		require.Equal(t, http.StatusNotFound, h.retireContract("orders", raised))
		require.Equal(t, []string{"orders"}, h.changesOf(gateway, &heard))
		require.Equal(t, http.StatusCreated, h.putContract("orders", raised, nil, fewer).StatusCode())
		ended, err := h.client.DeleteServiceWithResponse(t.Context(), orders.ID, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNoContent, ended.StatusCode(), string(ended.Body))
		require.Equal(t, http.StatusNotFound, h.getContract("orders", gateway).StatusCode())
		require.Equal(t, []string{"orders", "orders"}, h.changesOf(gateway, &heard))
		h.recordsContracts(first.Digest, after.JSON200.Digest)
	})
}

// recordsContracts requires the audit events of a contract that was put with two digests and retired twice.
func (h *house) recordsContracts(first, last string) {
	h.t.Helper()
	var told []string
	for _, r := range h.records() {
		if r.Action == "putContract" || r.Action == "retireContract" {
			require.Equal(h.t, "orders", r.Target)
			told = append(told, r.Action+" "+r.Detail["digest"])
		}
	}
	require.ElementsMatch(h.t, []string{
		"putContract " + first, "putContract " + last, "putContract " + last, "retireContract " + last, "putContract " + last, "retireContract " + last,
	}, told)
}

func TestPutContract_namesWhatIsWrongWithADocument(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	h.resourceServer("orders", raised, []string{}, "orders:read")
	put := func(change func(*api.ContractPut)) (status int, code string, messages string) {
		body := contractPut("orders", listThings)
		change(&body)
		got := h.putContract("orders", raised, nil, body)
		if got.ApplicationProblemJSON422 == nil || got.ApplicationProblemJSON422.Errors == nil {
			return got.StatusCode(), "", string(got.Body)
		}
		for _, e := range *got.ApplicationProblemJSON422.Errors {
			messages += e.Message + "\n"
		}
		return got.StatusCode(), got.ApplicationProblemJSON422.Code, messages
	}
	writing := "  /things:\n    get:\n      operationId: listThings\n      security: [{oauth: ['orders:write']}]\n      responses: {'200': {description: All.}}\n"
	for name, one := range map[string]struct {
		change   func(*api.ContractPut)
		code     string
		contains string
	}{
		"no OpenAPI": {func(p *api.ContractPut) { p.Files[0].Text = "title: no contract\n" }, "invalid_contract", "api.yaml:1: the document does not declare its version; write openapi: 3.0.3"},
		"no YAML":    {func(p *api.ContractPut) { p.Files[0].Text = "openapi: 3.0.3\na: {\n" }, "invalid_contract", "api.yaml:"},
		"a URL as reference": {func(p *api.ContractPut) {
			p.Files[0].Text = documentOf("orders", "  /things: {$ref: 'https://example.org/x.yaml'}\n") + "x-fountain: {no: 1}\n"
		}, "invalid_contract", "api.yaml:"},
		"a scope of no one":  {func(p *api.ContractPut) { p.Files[0].Text = documentOf("orders", writing) }, "invalid_contract", "orders:write"},
		"no such file":       {func(p *api.ContractPut) { p.File = "other.yaml" }, "validation_failed", "is not the name of one of the files"},
		"a port of none":     {func(p *api.ContractPut) { p.Upstreams = &[]string{"http://127.0.0.1:0"} }, "validation_failed", "port"},
		"no upstream":        {func(p *api.ContractPut) { p.Upstreams = nil }, "validation_failed", "is required"},
		"an upstream's path": {func(p *api.ContractPut) { p.Upstreams = &[]string{"http://127.0.0.1:1/x"} }, "invalid_body", ""},
		"33 files":           {func(p *api.ContractPut) { p.Files = make([]api.ContractFile, 33) }, "invalid_body", ""},
		"a file's name":      {func(p *api.ContractPut) { p.Files[0].Name = "../api.yaml" }, "invalid_body", ""},
		"two of 8 MiB": {func(p *api.ContractPut) {
			p.Files = append(p.Files, api.ContractFile{Name: "b.yaml", Text: strings.Repeat("#", 8<<20)})
		}, "validation_failed", "8 MiB"},
		"control characters":   {func(p *api.ContractPut) { p.Files[0].Text += "\x01" }, "validation_failed", "control"},
		"a shadow's upstreams": {func(p *api.ContractPut) { p.Shadow = ptr(true) }, "validation_failed", "can't be combined with"},
	} {
		t.Run(name, func(t *testing.T) {
			status, code, messages := put(one.change)
			require.Equal(t, http.StatusUnprocessableEntity, status, messages)
			require.Equal(t, one.code, code)
			require.Contains(t, messages, one.contains)
		})
	}
	status, _, _ := put(func(p *api.ContractPut) { p.Files[0].Text = strings.Repeat("#", 17<<20) })
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	status, _, messages := put(func(*api.ContractPut) {})
	require.Equal(t, http.StatusCreated, status, messages)
}

// Operations that the document opens stay closed unless they are named, and opening one that was closed is a change that must be accepted.
func TestPutContract_opensOnlyWhatIsNamed(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	h.resourceServer("orders", raised, []string{}, "orders:read")
	require.Equal(t, http.StatusCreated, h.putContract("orders", raised, nil, contractPut("orders", listThings+getThing)).StatusCode())
	open := contractPut("orders", listThings+openThing)
	open.Public = &[]string{"getThing"}
	got := h.putContract("orders", raised, nil, open)
	require.Equal(t, "contract_breaking", code(got.Body), string(got.Body))
	var names []string
	for _, e := range *got.ApplicationProblemJSON409.Errors {
		names = append(names, *e.Name)
	}
	open.Accept = &names
	got = h.putContract("orders", raised, nil, open)
	require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
	require.Equal(t, []string{"getThing"}, got.JSON200.Public)
}

// A change that breaks callers of the live contract, or loosens a check, is refused until the administrator accepts it.
func TestPutContract_namesWhatBreaksOrGuardsLess(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	h.resourceServer("orders", raised, []string{}, "orders:read", "orders:write")
	require.Equal(t, http.StatusCreated, h.putContract("orders", raised, nil, contractPut("orders", listThings+getThing)).StatusCode())
	one := func(rest string) string {
		return listThings + "  /things/one:\n    get: {operationId: getThing, responses: {'200': {description: One.}}, " + rest + "}\n"
	}
	for want, paths := range map[string]string{
		"breaking getThing: operation removed":             listThings,
		"breaking getThing: no longer supported":           one("parameters: [{$ref: '#/components/parameters/none'}]"),
		"breaking getThing: security-tightened":            one("security: [{oauth: ['orders:write']}]"),
		"looser getThing: security-loosened":               one("security: [{oauth: ['orders:write']}]"),
		"breaking getThing: query page: added as required": one("parameters: [{name: page, in: query, required: true, schema: {type: string}}]"),
		"breaking getThing: timeout-lowered":               one("x-fountain: {timeout: 1s}"),
		"":                                                 one("summary: Read one"),
	} {
		t.Run(want, func(t *testing.T) {
			got := h.putContract("orders", raised, nil, contractPut("orders", paths))
			if want == "" {
				require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
				return
			}
			require.Equal(t, "contract_breaking", code(got.Body), string(got.Body))
			var names []string
			for _, e := range *got.ApplicationProblemJSON409.Errors {
				names = append(names, e.Keyword+" "+*e.Name)
			}
			require.Contains(t, names, want)
		})
	}
}

func TestListContracts_pagesByNameWithoutTexts(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	for _, name := range []string{"c1", "a1", "b1"} {
		h.resourceServer(name, raised, []string{}, name+":read")
		require.Equal(t, http.StatusCreated, h.putContract(name, raised, nil, contractPut(name, listThings)).StatusCode())
	}
	require.Equal(t, http.StatusOK, h.putContract("b1", raised, nil, shadowPut("b1", listThings+getThing)).StatusCode())
	first := h.listContracts(raised, &api.ListContractsParams{Limit: ptr(int32(2))})
	require.Equal(t, http.StatusOK, first.StatusCode(), string(first.Body))
	require.Equal(t, []string{"a1", "b1"}, []string{first.JSON200.Items[0].Name, first.JSON200.Items[1].Name})
	require.NotNil(t, first.JSON200.Items[1].Shadow)
	require.NotContains(t, string(first.Body), "openapi", "no document")
	require.Nil(t, first.JSON200.Items[0].Warnings)
	rest := h.listContracts(raised, &api.ListContractsParams{Cursor: first.JSON200.NextCursor})
	require.Len(t, rest.JSON200.Items, 1)
	require.Nil(t, rest.JSON200.NextCursor)
	wrong := h.listContracts(raised, &api.ListContractsParams{Cursor: ptr("AAAA")})
	require.Equal(t, "invalid_cursor", code(wrong.Body))
}

// Concurrent changes at two replicas: of puts over one version only one succeeds, and a deleted service leaves no contract behind.
func TestContracts_racesAtTwoReplicas(t *testing.T) {
	replicas(t, func(a, b *house) {
		t := a.t
		a.bootstrap()
		prover := a.prover()
		for range raceRounds(t) {
			raised := prover.raise(a.login(adminName, adminPassword).AccessToken, "kms")
			name := strings.ToLower(strings.ReplaceAll(id.New("s"), "_", ""))
			s, _ := a.resourceServer(name, raised, []string{}, name+":read")
			made := a.putContract(name, raised, nil, contractPut(name, listThings))
			require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
			over := &api.PutContractParams{IfMatch: ptr(made.HTTPResponse.Header.Get("ETag"))}
			won := make(chan int, 8)
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					h := []*house{a, b}[i%2]
					got, err := h.client.PutContractWithResponse(t.Context(), name, over, contractPut(name, listThings+getThing), bearer(raised))
					if err == nil {
						won <- got.StatusCode()
					}
				})
			}
			all.Wait()
			close(won)
			wins := 0
			for status := range won {
				if status == http.StatusOK {
					wins++
					continue
				}
				require.Equal(t, http.StatusPreconditionFailed, status)
			}
			require.Equal(t, 1, wins)

			for i := range 4 {
				all.Go(func() {
					h := []*house{a, b}[i%2]
					_, _ = h.client.PutContractWithResponse(t.Context(), name, nil, contractPut(name, listThings+getThing), bearer(raised))
				})
			}
			all.Go(func() { _, _ = b.client.DeleteServiceWithResponse(t.Context(), s.ID, bearer(raised)) })
			all.Wait()
			raised = prover.raise(a.login(adminName, adminPassword).AccessToken, "kms")
			gone, err := a.client.GetServiceWithResponse(t.Context(), s.ID, nil, bearer(raised))
			require.NoError(t, err)
			require.Equal(t, http.StatusNotFound, gone.StatusCode())
			require.Equal(t, http.StatusNotFound, a.getContract(name, raised).StatusCode(), "the contract of a deleted service")
		}
	})
}
