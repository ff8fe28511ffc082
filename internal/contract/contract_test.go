package contract

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

var sampleFiles = os.DirFS("testdata")

// sample compiles testdata/sample.yaml.
func sample(t testing.TB) *Contract {
	t.Helper()
	c, err := LoadFS(sampleFiles, "sample")
	require.NoError(t, err)
	return c
}

// patched compiles the sample after replacing old by new in its text.
func patched(t testing.TB, old, replacement string) (*Contract, error) {
	t.Helper()
	text, err := os.ReadFile("testdata/sample.yaml")
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	common, err := os.ReadFile("testdata/common.yaml")
	require.NoError(t, err)
	return LoadFS(fstest.MapFS{
		"sample.yaml": {Data: []byte(strings.Replace(string(text), old, replacement, 1))}, "common.yaml": {Data: common},
	}, "sample")
}

func TestLoadAll_compilesTheFamilysContracts(t *testing.T) {
	all, err := LoadAll()
	require.NoError(t, err)
	require.Len(t, all, 5)
	for _, c := range all {
		require.NotEmpty(t, c.Operations, c.Word)
		require.NotEmpty(t, c.Document, c.Word)
		for _, op := range c.Operations {
			require.Equal(t, c.Word, op.Word)
			require.Same(t, op, c.Operation(op.ID))
			require.True(t, strings.HasPrefix(op.Path, c.BasePath+"/"), op.ID)
		}
	}
	table, err := NewTable(all...)
	require.NoError(t, err, "the gateway mounts them side by side")
	m, err := match(table, "POST", "/kms/v1/auth/login")
	require.NoError(t, err)
	require.Equal(t, "loginUser", m.Operation.ID)
}

func TestLoad_knowsOnlyTheFamilysWords(t *testing.T) {
	for _, word := range []string{"", "common", "../kms", "nosuch"} {
		_, err := Load(word)
		require.Error(t, err, word)
	}
}

// readLog is a file system that records which files were opened.
type readLog struct {
	fs.FS
	opened []string
}

func (r *readLog) Open(name string) (fs.File, error) {
	r.opened = append(r.opened, name)
	return r.FS.Open(name)
}

func TestLoadFS_readsReferencesFromTheGivenFilesAlone(t *testing.T) {
	files := &readLog{FS: os.DirFS("testdata")}
	_, err := LoadFS(files, "sample")
	require.NoError(t, err)
	require.Subset(t, []string{"sample.yaml", "common.yaml"}, files.opened)
	for _, outside := range []string{"/etc/passwd#/a", "http://127.0.0.1:1/common.yaml#/components/responses/Problem", "../secret.yaml#/a", "dir/common.yaml#/a", "file:///etc/passwd#/a"} {
		_, err := patched(t, "common.yaml#/components/responses/Problem", outside)
		require.Error(t, err, outside)
	}
}

func TestOperation_hasItsPolicy(t *testing.T) {
	c := sample(t)
	require.Equal(t, "/sample/v1", c.BasePath)
	require.Equal(t, map[string]string{"things:read": "Read things", "things:write": "Write things"}, c.Scopes)
	op := c.Operation("createThing")
	require.Equal(t, Policy{
		Principals: []string{"user"}, Roles: Roles{AnyOf: []string{"admin"}},
		StepUp: &StepUp{ACR: "aal2", MaxAge: 5 * time.Minute, For: []string{"user"}},
		Rate: []Rate{
			{Name: "per-sub", Key: "sub", Quota: 100, Window: time.Minute, Cost: 1},
			{Name: "per-ip", Key: "ip", Quota: 5, Window: time.Second, Burst: 2, Cost: 3, Preauth: true},
		},
		Timeout: 3 * time.Second, Body: Size{8 << 10}, Response: Size{1 << 20}, Idempotency: IdempotencyRequired,
		Retry:    &Retry{Max: 2, On: []string{"connect"}},
		Validate: Validation{Request: Mode{Kind: ModeEnforce}, Response: Mode{Kind: ModeReport}}, Errors: ErrorsProblem,
	}, op.Policy)
	require.Equal(t, []Requirement{{Scopes: []string{"things:write"}}, {Scopes: []string{"things:write"}, OTP: true}}, op.Requirements)
	require.True(t, op.AcceptsOTP())
	require.True(t, op.Idempotent())
	require.False(t, op.Public)

	require.True(t, c.Operation("getHealth").Public)
	require.Equal(t, []string{"things:read"}, c.Operation("listThings").Scopes())
	require.Equal(t, ErrorsOAuth, c.Operation("issueToken").Policy.Errors)
	require.True(t, c.Operation("sendLines").StreamsBody())
	require.Equal(t, int64(4<<10), c.Operation("sendLines").Policy.Stream.LineMax)
	require.Equal(t, &Stream{Kind: StreamSSE, Idle: 5 * time.Second, MaxDuration: 2 * time.Minute, LineMax: 64 << 10}, c.Operation("followEvents").Policy.Stream)
}

func TestPolicy_isInheritedKeyByKey(t *testing.T) {
	op := sample(t).Operation("getThing")
	require.Equal(t, 7*time.Second, op.Policy.Timeout, "the path's key wins over the root's")
	require.Equal(t, int64(8<<10), op.Policy.Body.Max, "the root's other keys stay")
	require.Equal(t, []Rate{{Name: "per-sub", Key: "sub", Quota: 7, Window: time.Minute, Cost: 1}}, op.Policy.Rate, "a limit of the same name is replaced")
}

func TestCompile_refusesWhatCannotBeMeant(t *testing.T) {
	for name, change := range map[string]struct{ old, replacement, says string }{
		"unknown policy key":            {"x-fountain: {errors: oauth, sensitive: true}", "x-fountain: {errors: oauth, sensible: true}", "sensible"},
		"wrong type":                    {"timeout: 3s", "timeout: 3", "x-fountain"},
		"bad duration":                  {"timeout: 3s", "timeout: soon", "timeout"},
		"negative duration":             {"timeout: 3s", "timeout: -3s", "timeout"},
		"bad size":                      {"body: {max: 8KiB}", "body: {max: 8KB}", "body.max"},
		"huge size":                     {"body: {max: 8KiB}", "body: {max: 99999999999GiB}", "body.max"},
		"unknown principal":             {"principals: [user]", "principals: [robot]", "principals"},
		"no principal":                  {"principals: [user]", "principals: []", "principals"},
		"stepUp without acr":            {"stepUp: {acr: aal2, maxAge: 300}", "stepUp: {maxAge: 300}", "stepUp.acr"},
		"stepUp to a password":          {"stepUp: {acr: aal2, maxAge: 300}", "stepUp: {acr: aal1, maxAge: 300}", "stepUp.acr"},
		"stepUp without age":            {"stepUp: {acr: aal2, maxAge: 300}", "stepUp: {acr: aal2}", "stepUp.maxAge"},
		"stepUp for the excluded":       {"stepUp: {acr: aal2, maxAge: 300}", "stepUp: {acr: aal2, maxAge: 300, for: [service]}", "exclude"},
		"code without stepUp":           {"stepUp: {acr: aal2, maxAge: 300}\n", "\n", "stepUp"},
		"code with other scopes":        {"- oauth: ['things:write']\n          otp: []", "- oauth: ['things:read']\n          otp: []", "same scopes"},
		"code without a token":          {"- oauth: ['things:write']\n          otp: []", "- otp: []", "oauth"},
		"anonymous alternative":         {"- oauth: ['things:write']\n          otp: []", "- {}", "oauth"},
		"unknown scope":                 {"security:\n        - oauth: ['things:write']", "security:\n        - oauth: ['things:destroy']", "things:destroy"},
		"roles on a public operation":   {"x-fountain: {errors: oauth, sensitive: true}", "x-fountain: {roles: {anyOf: [admin]}}", "public"},
		"roles without users":           {"principals: [user]\n", "principals: [service]\n", "roles"},
		"retry without idempotency":     {"idempotency: required", "idempotency: none", "retry"},
		"key declared but not meant":    {"idempotency: required", "idempotency: none", "Idempotency-Key"},
		"optional key that is required": {"idempotency: required", "idempotency: optional", "required"},
		"required key that is optional": {"{$ref: 'common.yaml#/components/parameters/IdempotencyKey'}", "{name: Idempotency-Key, in: header, schema: {type: string, maxLength: 64}}", "optional"},
		"idempotency without the key":   {"x-fountain: {errors: oauth, sensitive: true}", "x-fountain: {idempotency: optional}", "not declared"},
		"retry of the unknown":          {"retry: {max: 2, on: [connect]}", "retry: {max: 2, on: [timeout]}", "retry.on"},
		"retry for ever":                {"retry: {max: 2, on: [connect]}", "retry: {max: 99, on: [connect]}", "retry.max"},
		"preauth by subject":            {"key: ip, phase: preauth", "key: sub, phase: preauth", "before authentication"},
		"limit by the unknown":          {"key: ip, phase: preauth", "key: moon", "key"},
		"limit without quota":           {"quota: 5, window: 1s", "quota: 0, window: 1s", "quota"},
		"limit without window":          {"quota: 5, window: 1s", "quota: 5", "window"},
		"limit with a quote":            {"name: per-ip", "name: 'per\"ip'", "name"},
		"stream with a timeout":         {"stream: {kind: sse, idle: 5s, maxDuration: 2m}", "timeout: 5s, stream: {kind: sse}", "exempt"},
		"unknown stream":                {"kind: sse", "kind: carrier-pigeon", "stream.kind"},
		"line cap of an sse":            {"kind: sse", "lineMax: 1KiB, kind: sse", "lineMax"},
		"ndjson body without a stream":  {"x-fountain: {stream: {kind: ndjson, lineMax: 4KiB}}", "x-fountain: {timeout: 4s}", "ndjson"},
		"body cap without a body":       {"x-fountain: {stream: {kind: sse,", "x-fountain: {body: {max: 1KiB}, stream: {kind: sse,", "body.max"},
		"errors of another kind":        {"errors: oauth", "errors: soap", "errors"},
		"validate of another kind":      {"x-fountain: {errors: oauth, sensitive: true}", "x-fountain: {validate: {response: perhaps}}", "validate.response"},
		"sample of nothing":             {"x-fountain: {errors: oauth, sensitive: true}", "x-fountain: {validate: {response: 'sample:0'}}", "validate.response"},
		"two servers":                   {"- url: /sample/v1", "- url: /sample/v1\n  - url: /v2", "servers"},
		"absolute server":               {"- url: /sample/v1", "- url: https://api.example/sample/v1", "plain path"},
		"unknown format":                {"format: uuid", "format: guid", "guid"},
		"number format on an integer":   {"big: {type: integer, format: int64}", "big: {type: integer, format: double}", "double"},
		"unsupported media type":        {"text/plain: {schema", "application/xml: {schema", "application/xml"},
		"deep object parameter":         {"{name: q, in: query, schema: {type: string, maxLength: 8}}", "{name: q, in: query, style: deepObject, schema: {type: object}}", "deepObject"},
		"object parameter":              {"{name: q, in: query, schema: {type: string, maxLength: 8}}", "{name: q, in: query, schema: {type: object}}", "boolean, integer"},
		"lookahead":                     {"pattern: '^[a-zä]+$'", "pattern: '^(?=a)$'", "(?="},
		"undeclared path parameter":     {"/things/{thingId}.csv:\n    parameters:\n      - {name: thingId", "/things/{other}.csv:\n    parameters:\n      - {name: thingId", "other"},
		"reference to nothing":          {"either: {anyOf: [{type: string, maxLength: 4}, {type: integer, minimum: 0}]}", "either: {$ref: '#/components/schemas/Nothing'}", "Nothing"},
		"discriminator without mapping": {"        mapping: {circle: '#/components/schemas/Circle', square: '#/components/schemas/Square'}\n", "", "mapping"},
		"basic scheme":                  {"otp: {type: apiKey, in: header, name: X-OTP}", "otp: {type: http, scheme: basic}", "otp"},
		"bad example":                   {"schema: {type: boolean}}", "schema: {type: boolean}, example: 7}", "example"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := patched(t, change.old, change.replacement)
			require.Error(t, err)
			require.Contains(t, err.Error(), change.says)
			require.Regexp(t, `(sample|common)\.yaml:[0-9]+: `, err.Error(), "it says where")
		})
	}
}

func TestCompile_refusesASchemaThatIsPartOfItself(t *testing.T) {
	_, err := patched(t, "    Part:\n      type: object", "    Part:\n      allOf: [{$ref: '#/components/schemas/Part'}]\n      type: object")
	require.Error(t, err)
}

func TestParseSize_readsBinaryUnits(t *testing.T) {
	for text, want := range map[string]int64{"1B": 1, "64KiB": 65536, "2MiB": 2 << 20, "1GiB": 1 << 30} {
		n, err := ParseSize(text)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	for _, text := range []string{"", "64", "KiB", "-1B", "+1B", "1.5MiB", "1KB", "0B", "1 KiB"} {
		_, err := ParseSize(text)
		require.Error(t, err, text)
	}
}

func TestACRSatisfies_keepsTheOrder(t *testing.T) {
	order := []string{"aal1", "aal2", "phr"}
	for i, have := range order {
		for j, want := range order {
			require.Equal(t, i >= j, ACRSatisfies(have, want), "%s for %s", have, want)
		}
		require.False(t, ACRSatisfies("", have))
		require.False(t, ACRSatisfies("AAL2", have))
		require.False(t, ACRSatisfies(have, "unknown"))
	}
}

func TestRoles_permit(t *testing.T) {
	require.True(t, Roles{}.Permit(nil))
	require.True(t, Roles{AnyOf: []string{"a", "b"}}.Permit([]string{"b"}))
	require.False(t, Roles{AnyOf: []string{"a", "b"}}.Permit([]string{"c"}))
	require.True(t, Roles{AllOf: []string{"a", "b"}}.Permit([]string{"b", "a"}))
	require.False(t, Roles{AllOf: []string{"a", "b"}}.Permit([]string{"a"}))
}
