package compat

import (
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

// load compiles a contract with one operation: POST /things with these lines.
func load(t *testing.T, operation string) *contract.Contract {
	t.Helper()
	text := `openapi: 3.0.3
info: {title: Things, version: 1.0.0}
servers: [{url: /things/v1}]
paths:
  /things:
    post:
      operationId: makeThing
      parameters: [{name: Idempotency-Key, in: header, schema: {type: string}}]
      requestBody: {content: {application/x-ndjson: {schema: {type: object}}, application/json: {schema: {type: object}}}}
      responses: {'200': {description: Done.}}
` + operation + `
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {a: A, b: B}}}}
    otp: {type: apiKey, in: header, name: X-OTP}
`
	if strings.Contains(operation, "idempotency: none") {
		text = strings.Replace(text, "      parameters: [{name: Idempotency-Key, in: header, schema: {type: string}}]\n", "", 1)
	}
	if strings.Contains(operation, "idempotency: required") {
		text = strings.Replace(text, "in: header, schema", "in: header, required: true, schema", 1)
	}
	if !strings.Contains(operation, "kind: ndjson") {
		text = strings.Replace(text, "application/x-ndjson: {schema: {type: object}}, ", "", 1)
	}
	c, err := contract.LoadFS(fstest.MapFS{"things.yaml": {Data: []byte(text)}}, "things")
	require.NoError(t, err)
	return c
}

// policy returns the operation with x-fountain keys beside the required ones; it needs a token with scope a.
func policy(keys string) string {
	if !strings.Contains(keys, "idempotency") {
		keys += ", idempotency: optional"
	}
	return "      security: [{oauth: [a]}]\n      x-fountain: {" + strings.TrimPrefix(keys, ", ") + "}"
}

func security(s string) string {
	return "      security: " + s + "\n      x-fountain: {idempotency: optional}"
}

// pairs are two values of one key, compared in both directions.
var pairs = []struct {
	key         string // the field of contract.Policy, or of the operation
	one, two    string
	there, back string // "severity id" of each direction
}{
	{"Public", security("[]"), security("[{oauth: [a]}]"), "tightens security-tightened", "loosens security-loosened"},
	{"Requirements", security("[{oauth: [a]}]"), security("[{oauth: [a, b]}]"), "tightens security-tightened", "loosens security-loosened"},
	{"Requirements", security("[{oauth: [a]}]"), security("[{oauth: [b]}]"), "tightens security-tightened, loosens security-loosened", "tightens security-tightened, loosens security-loosened"},
	{"Requirements", security("[{oauth: [a]}, {oauth: [b]}]"), security("[{oauth: [a]}]"), "tightens security-tightened", "loosens security-loosened"},
	{"Requirements", security("[{oauth: []}]"), security("[{oauth: [a]}]"), "tightens security-tightened", "loosens security-loosened"},
	{"Principals", policy("principals: [user, service]"), policy("principals: [user]"), "tightens principals-tightened", "loosens principals-loosened"},
	{"Roles", policy(""), policy("roles: {anyOf: [x]}"), "tightens roles-tightened", "loosens roles-loosened"},
	{"Roles", policy("roles: {anyOf: [x, y]}"), policy("roles: {anyOf: [x]}"), "tightens roles-tightened", "loosens roles-loosened"},
	{"Roles", policy(""), policy("roles: {allOf: [x]}"), "tightens roles-tightened", "loosens roles-loosened"},
	{"APIKey", policy("apiKey: true"), policy("apiKey: false"), "tightens api-key-tightened", "loosens api-key-loosened"},
	{"StepUp", policy(""), policy("stepUp: {acr: aal2, maxAge: 300}"), "tightens step-up-tightened", "loosens step-up-loosened"},
	{"StepUp", policy("stepUp: {acr: aal2, maxAge: 300}"), policy("stepUp: {acr: phr, maxAge: 300}"), "tightens step-up-tightened", "loosens step-up-loosened"},
	{"StepUp", policy("stepUp: {acr: aal2, maxAge: 300}"), policy("stepUp: {acr: aal2, maxAge: 60}"), "tightens step-up-tightened", "loosens step-up-loosened"},
	{"StepUp", policy("stepUp: {acr: aal2, maxAge: 300, for: [user]}"), policy("stepUp: {acr: aal2, maxAge: 300, for: [user, service]}"), "tightens step-up-tightened", "loosens step-up-loosened"},
	{"StepUp", policy("stepUp: {acr: aal2, maxAge: 300, dynamic: true}"), policy("stepUp: {acr: aal2, maxAge: 300}"), "tightens step-up-tightened", "loosens step-up-loosened"},
	{"Rate", policy(""), policy("rate: [{name: r, key: sub, quota: 60, window: 60s}]"), "tightens rate-tightened", "loosens rate-loosened"},
	{"Rate", policy("rate: [{name: r, key: sub, quota: 60000, window: 60s, burst: 10}]"), policy("rate: [{name: r, key: sub, quota: 60, window: 60s, burst: 10}]"), "tightens rate-tightened", "loosens rate-loosened"},
	{"Rate", policy("rate: [{name: r, key: sub, quota: 60, window: 60s, burst: 10}]"), policy("rate: [{name: r, key: sub, quota: 60, window: 60s, burst: 5}]"), "tightens rate-tightened", "loosens rate-loosened"},
	{"Rate", policy("rate: [{name: r, key: sub, quota: 60, window: 60s, burst: 10}]"), policy("rate: [{name: r, key: sub, quota: 60, window: 60s, burst: 10, cost: 2}]"), "tightens rate-tightened", "loosens rate-loosened"},
	{"Rate", policy("rate: [{name: r, key: sub, quota: 60, window: 60s}]"), policy("rate: [{name: r, key: operation, quota: 60, window: 60s}]"), "tightens rate-tightened", "tightens rate-tightened"},
	{"Concurrency", policy("concurrency: 8"), policy("concurrency: 4"), "tightens concurrency-lowered", "harmless concurrency-raised"},
	{"Concurrency", policy(""), policy("concurrency: 4"), "tightens concurrency-lowered", "harmless concurrency-raised"},
	{"PerSubject", policy(""), policy("concurrencyPerSubject: 4"), "tightens concurrency-per-subject-lowered", "harmless concurrency-per-subject-raised"},
	{"Timeout", policy("timeout: 9s"), policy("timeout: 8s"), "tightens timeout-lowered", "harmless timeout-raised"},
	{"Body", policy("body: {max: 80KiB}"), policy("body: {max: 1KiB}"), "tightens body-max-lowered", "harmless body-max-raised"},
	{"Response", policy("response: {max: 80KiB}"), policy("response: {max: 1KiB}"), "tightens response-max-lowered", "harmless response-max-raised"},
	{"Idempotency", policy("idempotency: optional"), policy("idempotency: required"), "tightens idempotency-lowered", "harmless idempotency-raised"},
	{"Idempotency", policy("idempotency: optional"), policy("idempotency: none"), "tightens idempotency-lowered", "harmless idempotency-raised"},
	{"Retry", policy("idempotency: required"), policy("idempotency: required, retry: {max: 1, on: [connect]}"), "harmless retry-changed", "harmless retry-changed"},
	{"Stream", policy(""), policy("stream: {kind: ndjson, lineMax: 4KiB}"), "tightens stream-changed", "tightens stream-changed"},
	{"Stream", policy("stream: {kind: ndjson, lineMax: 4KiB}"), policy("stream: {kind: ndjson, lineMax: 2KiB}"), "tightens stream-lowered", "harmless stream-raised"},
	{"Stream", policy("stream: {kind: longpoll, idle: 9s, maxDuration: 60s}"), policy("stream: {kind: longpoll, idle: 8s, maxDuration: 60s}"), "tightens stream-lowered", "harmless stream-raised"},
	{"Stream", policy("stream: {kind: longpoll, maxDuration: 61s}"), policy("stream: {kind: longpoll, maxDuration: 60s}"), "tightens stream-lowered", "harmless stream-raised"},
	{"Validate", policy("validate: {request: report}"), policy("validate: {request: enforce}"), "tightens validate-request-tightened", "loosens validate-request-loosened"},
	{"Validate", policy("validate: {response: enforce}"), policy("validate: {response: 'sample:0.5'}"), "loosens validate-response-loosened", "harmless validate-response-raised"},
	{"Sensitive", policy("sensitive: true"), policy("sensitive: false"), "loosens sensitive-loosened", ""},
	{"Errors", policy("errors: problem"), policy("errors: oauth"), "tightens errors-changed", "tightens errors-changed"},
}

func TestCompare_namesEveryChangeOfTheLaw(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range pairs {
		seen[p.key] = true
		one, two := load(t, p.one), load(t, p.two)
		require.Empty(t, Compare(one, load(t, p.one)), "%s", p.one)
		require.Equal(t, p.there, named(Compare(one, two)), "from %s\nto   %s", p.one, p.two)
		require.Equal(t, p.back, named(Compare(two, one)), "from %s\nto   %s", p.two, p.one)
	}
	for i := range reflect.TypeFor[contract.Policy]().NumField() {
		key := reflect.TypeFor[contract.Policy]().Field(i).Name
		require.True(t, seen[key], "no change of %s is compared", key)
	}
}

func TestCompare_seesTheBasePath(t *testing.T) {
	one := load(t, policy("timeout: 9s"))
	moved := load(t, policy("timeout: 8s"))
	moved.BasePath = "/things/v2"
	for _, op := range moved.Operations {
		op.Path = strings.Replace(op.Path, "/v1", "/v2", 1)
	}
	require.Equal(t, "tightens base-path-changed, tightens timeout-lowered", named(Compare(one, moved)))
}

// Paths that differ only in the names of their parameters are equal. Requests that one operation guarded stay guarded when another operation takes
// over a part of its paths.
func TestCompare_followsThePathsOfRequests(t *testing.T) {
	at := func(path, operation string) *contract.Contract {
		c := load(t, operation)
		c.Operations = c.Operations[:1]
		c.Operations[0].Path = "/things/v1" + path
		return c
	}
	guarded, open := policy("stepUp: {acr: aal2, maxAge: 300}"), policy("")
	require.Equal(t, "loosens step-up-loosened", named(Compare(at("/things/{id}", guarded), at("/things/{name}", open))))
	require.Equal(t, "tightens step-up-tightened", named(Compare(at("/things/{id}", open), at("/things/{name}", guarded))))
	for path, part := range map[string]bool{
		"/things/mine": true, "/things/{a}.{b}": true, "/things/": true, "/things": false, "/things/a/b": false, "/others/mine": false,
	} {
		require.Equal(t, part, named(Compare(at("/things/{id}", guarded), at(path, open))) == "loosens step-up-loosened", path)
	}
	require.Empty(t, Compare(at("/things/{id}", open), at("/things/mine", guarded)), "what asks for more is a matter of the new operation")
	require.Empty(t, Compare(at("/things/{id}:start", guarded), at("/things/mine:stop", open)))
	require.Equal(t, "loosens step-up-loosened", named(Compare(at("/things/{id}:start", guarded), at("/things/mine:start", open))))
}

// named joins the severities and names of changes.
func named(changes []Change) string {
	var out []string
	for _, c := range changes {
		text := c.Severity.String() + " " + c.ID
		if len(out) == 0 || out[len(out)-1] != text {
			out = append(out, text)
		}
	}
	// An exchange of scopes does both; which is named first does not matter.
	if len(out) == 2 && strings.HasPrefix(out[0], "loosens") {
		out[0], out[1] = out[1], out[0]
	}
	return strings.Join(out, ", ")
}
