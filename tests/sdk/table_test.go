// Package sdk holds the SDK's door to the contracts: what it knows of the operations must be what they say.
package sdk

import (
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/openapi"
)

// contracts reads the five contracts; the map's key is the operationId.
func contracts(t *testing.T) map[string]fountain.Operation {
	t.Helper()
	out := make(map[string]fountain.Operation)
	for _, word := range openapi.Words() {
		loader := openapi3.NewLoader()
		loader.IsExternalRefsAllowed = true
		loader.ReadFromURIFunc = func(_ *openapi3.Loader, uri *url.URL) ([]byte, error) { return openapi.Files.ReadFile(uri.Path) }
		doc, err := loader.LoadFromURI(&url.URL{Path: word + ".yaml"})
		require.NoError(t, err)
		for path, item := range doc.Paths.Map() {
			for method, op := range item.Operations() {
				if described := describe(doc, word, method, path, op); described.Success != nil && !forBrowsers(op) { // what only redirects is for browsers too
					out[op.OperationID] = described
				}
			}
		}
	}
	return out
}

// forBrowsers reports whether an operation demands what a browser alone says.
func forBrowsers(op *openapi3.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Name == "Origin" && p.Value.Required })
}

// repeatable are the operations beside reads and keyed ones whose contract says that repeating does no harm.
var repeatable = []string{
	"issueToken", "refreshToken", // a lost answer may be asked for again
	"omitElement", "restoreElement", "retryDeadLetters", "importScope", "reindexScope", "putNumberFormat", "syncDocuments", "putDocument", "patchDocument", "revokeApiKey", "retireApiKey", "putProofKey", "useInvitation", "revokeSession", // "Repeating is safe"
	"revokeToken", "introspectToken", "checkInvitation", "checkAuthorization", "endSession",
	"searchElements", "previewMove", "previewReorder", "searchDocuments", "multiSearch", "unionSearch", "exportDocuments", "verifyApiKey", "unwrapDataKey", "verifyAudit", // they read
	"decryptData", "computeMac", "verifyMac", "verifySignature", // they change nothing
	"encryptData", "rewrapData", "signData", // "Repeating is safe"
	"archiveAudit",     // the same order again tells how far it is
	"revokeSigningKey", // revoking twice is revoking once
}

func describe(doc *openapi3.T, word, method, path string, op *openapi3.Operation) fountain.Operation {
	security := doc.Security
	if op.Security != nil {
		security = *op.Security
	}
	var success []int
	for status := range op.Responses.Map() {
		if code, err := strconv.Atoi(status); err == nil && code < 300 {
			success = append(success, code)
		}
	}
	slices.Sort(success)
	keyed := slices.ContainsFunc(op.Parameters, func(p *openapi3.ParameterRef) bool { return p.Value.Name == "Idempotency-Key" })
	probe := strings.HasSuffix(op.OperationID, "Health") || strings.HasSuffix(op.OperationID, "Readiness")
	return fountain.Operation{
		ID: op.OperationID, Service: word, Method: method, Path: strings.TrimSuffix(doc.Servers[0].URL, "/") + path,
		Public: len(security) == 0, Keyed: keyed, Success: success,
		Repeatable: !probe && (method == "GET" || keyed || slices.Contains(repeatable, op.OperationID)),
	}
}

func TestOperations_areThoseOfTheContracts(t *testing.T) {
	want := contracts(t)
	got := make(map[string]fountain.Operation)
	for _, op := range fountain.Operations() {
		got[op.ID] = op
	}
	require.Equal(t, want, got)
}

func TestClient_hasAMethodForEveryOperation(t *testing.T) {
	c, err := fountain.New("http://127.0.0.1:1")
	require.NoError(t, err)
	services := map[string]any{"kms": c.KMS, "twofactor": c.Twofactor, "sequence": c.Sequence, "search": c.Search, "gateway": c.Gateway}
	for id, op := range contracts(t) {
		service := reflect.TypeOf(services[op.Service])
		found := false
		for i := range service.NumMethod() {
			found = found || strings.EqualFold(service.Method(i).Name, id)
		}
		require.True(t, found, "%s has no method for %s", service, id)
	}
}
