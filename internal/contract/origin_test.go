package contract

import (
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/openapi"
)

func TestLoadFS_namesTheLineOfEveryFault(t *testing.T) {
	text, err := os.ReadFile("testdata/sample.yaml")
	require.NoError(t, err)
	for _, c := range []struct {
		old, replacement string
		after            int // lines from the changed text to the one that is named
	}{
		{"timeout: 3s", "timeout: soon", 0},
		{"x-fountain: {errors: oauth, sensitive: true}", "x-fountain: {errors: oauth, sensible: true}", 0},
		{"quota: 5, window: 1s", "quota: 0, window: 1s", 0},
		{"stepUp: {acr: aal2, maxAge: 300}", "stepUp: {maxAge: 300}", 0},
		{"security:\n        - oauth: ['things:write']", "security:\n        - oauth: ['things:destroy']", 0},
		{"{name: q, in: query, schema: {type: string, maxLength: 8}}", "{name: q, in: query, schema: {type: object}}", 0},
		{"format: uuid", "format: guid", 0},
		{"pattern: '^[a-zä]+$'", "pattern: '^(?=a)$'", 0},
		{"text/plain: {schema", "application/xml: {schema", -3},
		{"schema: {type: boolean}}", "schema: {type: boolean}, example: 7}", 0},
		{"$ref: '#/components/schemas/Part'", "$ref: '#/components/schemas/Nothing'", 0},
		{"kind: sse, idle: 5s", "kind: sse, idle: -5s", 0},
		{"operationId: listThings", "operationId: ''", -1},
		{"- url: /sample/v1", "- url: https://api.example", -1},
		{"servers:\n  - url: /sample/v1\n", "", -2},
	} {
		line := 1 + strings.Count(string(text[:strings.Index(string(text), c.old)]), "\n")
		_, err := patched(t, c.old, c.replacement)
		require.Error(t, err, c.replacement)
		require.Contains(t, err.Error(), " "+Origin{"sample.yaml", line + c.after}.String()+": ", c.replacement)
	}
	_, err = LoadFS(fstest.MapFS{"sample.yaml": {Data: []byte("openapi: 3.0.3\npaths: [\n")}}, "sample")
	require.ErrorContains(t, err, "sample.yaml:")
}

func TestOriginOf_findsWhatTheContractSays(t *testing.T) {
	text, err := os.ReadFile("testdata/sample.yaml")
	require.NoError(t, err)
	common, err := os.ReadFile("testdata/common.yaml")
	require.NoError(t, err)
	line := func(o Origin) string {
		if o.Line == 0 {
			return ""
		}
		return strings.TrimSpace(strings.Split(map[string]string{"sample.yaml": string(text), "common.yaml": string(common)}[o.File], "\n")[o.Line-1])
	}
	c := sample(t)
	op := c.Operation("createThing")
	require.Equal(t, "post:", line(op.Origin))
	for what, want := range map[string]string{
		"security":                              "security:",
		"requestBody":                           "requestBody:",
		"parameters.header.Idempotency-Key":     "IdempotencyKey:",
		"responses.201":                         "'201':",
		"responses.4XX":                         "4XX: ",
		"x-fountain.stepUp":                     "stepUp: ",
		"x-fountain.roles":                      "roles: ",
		"x-fountain.timeout":                    "timeout: 3s",             // the root's
		"x-fountain.body":                       "body: {max: 8KiB}",       // the root's
		"x-fountain.rate.per-ip":                "rate: [{name: per-ip, ",  // its own
		"x-fountain.rate.per-sub":               "rate: [{name: per-sub, ", // the root's
		"x-fountain.concurrency":                "",                        // it is not stated
		"parameters.query.limit":                "",
		"x-fountain.rate.per-ip.nothing.within": "",
	} {
		require.Contains(t, line(op.OriginOf(what)), want, what)
		require.Equal(t, want == "", op.OriginOf(what) == Origin{}, what)
	}
	require.Equal(t, "common.yaml", op.OriginOf("parameters.header.Idempotency-Key").File)
	require.Contains(t, line(c.Operation("getThing").OriginOf("x-fountain.timeout")), "timeout: 7s", "the path's is nearer than the root's")
	require.Contains(t, line(c.Operation("getThing").OriginOf("security")), "security:")
	require.Contains(t, line(c.Operation("getThing").OriginOf("parameters.path.thingId")), "name: thingId")
	require.Empty(t, Origin{}.String())
}

func TestOriginOf_knowsEveryCheckOfTheFamily(t *testing.T) {
	all, err := LoadAll()
	require.NoError(t, err)
	for _, c := range all {
		for _, op := range c.Operations {
			require.Equal(t, c.Word+".yaml", op.Origin.File, op.ID)
			require.NotZero(t, op.OriginOf("security"), op.ID)
			for _, p := range op.parameters {
				require.NotZero(t, op.OriginOf("parameters."+p.in+"."+p.name), "%s: %s", op.ID, p.name)
			}
			for _, r := range op.Policy.Rate {
				require.NotZero(t, op.OriginOf("x-fountain.rate."+r.Name), "%s: %s", op.ID, r.Name)
			}
			require.Equal(t, op.body != nil, op.OriginOf("requestBody") != Origin{}, op.ID)
			require.Equal(t, op.Policy.StepUp != nil, op.OriginOf("x-fountain.stepUp") != Origin{}, op.ID)
		}
	}
}

func TestLoadFS_letsTheModelGo(t *testing.T) {
	doc, text, err := LoadModel(openapi.Files, "kms")
	require.NoError(t, err)
	nodes := newSource(openapi.Files).root("kms.yaml")
	c, err := compile("kms", doc, text, nodes)
	require.NoError(t, err)
	model, tree := weak.Make(doc), weak.Make(nodes.node)
	operation := weak.Make(doc.Paths.Map()["/auth/login"].Post)
	doc, nodes = nil, place{}
	for range 3 {
		runtime.GC()
	}
	require.Nil(t, model.Value(), "the model of kin-openapi, with the origin of each element")
	require.Nil(t, operation.Value())
	require.Nil(t, tree.Value(), "the YAML nodes")
	runtime.KeepAlive(c)
}
