package contract

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// plainPets is a document of a team that does not know FountainAI.
const plainPets = `openapi: 3.0.3
info: {title: Pets, version: 2.1.0}
servers:
  - url: https://{region}.example.com/api/v2/
    variables: {region: {default: eu}}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
security: [{key: []}]
paths:
  /pets:
    get:
      operationId: listPets
      responses: {'200': {description: Pets.}}
    post:
      operationId: addPet
      requestBody: {content: {application/json: {schema: {type: object}}}}
      responses: {'201': {description: Made.}}
  /health:
    get:
      operationId: health
      security: []
      responses: {'204': {description: Lives.}}
`

func kinds(warnings []Warning) map[string]int {
	out := map[string]int{}
	for _, w := range warnings {
		out[w.Kind]++
	}
	return out
}

func TestAdopt_guardsAPlainDocument(t *testing.T) {
	c, warnings := adopt(t, plainPets)
	require.Equal(t, "pets", c.Word)
	require.Equal(t, "/pets", c.Mount)
	require.Equal(t, "/pets/api/v2", c.BasePath)
	require.Equal(t, "2.1.0", c.Version)
	require.Equal(t, map[string]string{"pets:read": "Read from Pets.", "pets:write": "Change things at Pets."}, c.Scopes)
	list, add, health := c.Operation("listPets"), c.Operation("addPet"), c.Operation("health")
	require.Equal(t, "/pets/api/v2/pets", list.Path)
	require.Equal(t, Origin{"pets.yaml", 12}, list.Origin)
	require.Equal(t, []Requirement{{Scopes: []string{"pets:read"}}}, list.Requirements)
	require.Equal(t, []Requirement{{Scopes: []string{"pets:write"}}}, add.Requirements)
	require.Equal(t, []Requirement{{Scopes: []string{"pets:read"}}}, health.Requirements, "what the document leaves open stays closed")
	for _, op := range c.Operations {
		require.False(t, op.Public)
		require.Equal(t, []string{"user", "service"}, op.Policy.Principals)
		require.Equal(t, 30*time.Second, op.Policy.Timeout)
		require.EqualValues(t, 1<<20, op.Policy.Body.Max)
		require.EqualValues(t, 8<<20, op.Policy.Response.Max)
		require.Equal(t, AdoptedConcurrency, op.Policy.Concurrency)
		require.Equal(t, Validation{Request: Mode{Kind: ModeEnforce}, Response: Mode{Kind: ModeReport}}, op.Policy.Validate)
		require.Len(t, op.Policy.Rate, 2)
		require.True(t, op.Policy.Rate[0].Preauth)
		require.Positive(t, op.MemoryBound())
	}
	require.Equal(t, map[string]int{WarnSecurity: 2, WarnBody: 1}, kinds(warnings), warnings)
	require.Contains(t, warnings[0].String(), "pets.yaml:7: the security schemes are replaced by bearer tokens for pets: key (apiKey header X-Key); ")
	require.Contains(t, warnings[1].String(), "pets.yaml:17: the request body is not required: a request without one reaches the service; write required: true")
	require.Contains(t, warnings[2].String(), "pets.yaml:22: GET /health is open in the document; a token is still required; to leave it open, name health under public (fountain adopt --public health)")
}

func TestAdopt_leavesOpenWhatTheOperatorAccepts(t *testing.T) {
	a := Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(plainPets)}, Public: []string{"health"}}
	c, _, err := Adopt(a)
	require.NoError(t, err)
	require.True(t, c.Operation("health").Public)
	require.Empty(t, c.Operation("health").Requirements)
	require.False(t, c.Operation("listPets").Public)
	a.Public = []string{"listPets"}
	_, _, err = Adopt(a)
	require.ErrorContains(t, err, "public names listPets (fountain adopt --public), but the document has no such operation")
}

func TestAdopt_takesScopesOfTheMembersOwn(t *testing.T) {
	document := `
openapi: 3.0.3
info: {title: Pets, version: 1.0.0}
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /t, scopes: {'pets:read': Read., 'pets:feed': Feed.}}}}
    code: {type: apiKey, in: header, name: X-OTP}
    other: {type: http, scheme: basic}
security: [{oauth: ['pets:read']}]
paths:
  /pets:
    get: {operationId: list, responses: {}}
    post: {operationId: feed, security: [{oauth: ['pets:feed'], code: []}], responses: {}}
    put: {operationId: change, security: [{other: []}], responses: {}}
    delete: {operationId: free, security: [{}, {oauth: ['pets:feed']}], responses: {}}
    patch: {operationId: both, security: [{oauth: ['pets:feed'], other: []}], responses: {}}
    options: {operationId: rare, security: [{oauth: ['pets:rare']}], responses: {}}
`
	c, warnings := adopt(t, document)
	require.Equal(t, []Requirement{{Scopes: []string{"pets:read"}}}, c.Operation("list").Requirements)
	require.Equal(t, []Requirement{{Scopes: []string{"pets:feed"}}, {Scopes: []string{"pets:feed"}, OTP: true}}, c.Operation("feed").Requirements)
	require.Equal(t, &StepUp{ACR: ACRSecondFactor, MaxAge: AdoptedStepUpAge * time.Second, For: []string{"user"}}, c.Operation("feed").Policy.StepUp)
	require.Equal(t, []Requirement{{Scopes: []string{"pets:write"}}}, c.Operation("change").Requirements, "an alternative that does not hold opens nothing")
	require.Equal(t, []Requirement{{Scopes: []string{"pets:feed"}}}, c.Operation("free").Requirements, "no credentials are no alternative")
	require.Equal(t, []Requirement{{Scopes: []string{"pets:feed"}}}, c.Operation("both").Requirements, "a token stands for the other scheme beside it")
	require.Equal(t, []Requirement{{Scopes: []string{"pets:rare"}}}, c.Operation("rare").Requirements, "a scope that is not listed is asked for")
	require.Contains(t, c.Scopes, "pets:rare")
	require.Equal(t, 2, kinds(warnings)[WarnSecurity], warnings)
	require.Contains(t, warnings[1].String(), "(and 1 more like it)")
	foreign, _ := adopt(t, strings.ReplaceAll(document, "'pets:read'", "'kms:read'"))
	require.Equal(t, []Requirement{{Scopes: []string{"pets:read"}}}, foreign.Operation("list").Requirements, "scopes of others are never asked for")
	require.NotContains(t, foreign.Scopes, "kms:read")
}

func TestAdopt_sharpensByXFountain(t *testing.T) {
	c, _ := adopt(t, `
openapi: 3.0.3
info: {title: Pets, version: 1.0.0}
x-fountain: {timeout: 2s, rate: [{name: per-subject, key: sub, quota: 5, window: 60s}]}
paths:
  /pets:
    x-fountain: {principals: [user]}
    get: {operationId: list, x-fountain: {roles: {anyOf: [keeper]}, validate: {response: enforce}}, responses: {}}
    delete: {operationId: drop, x-fountain: {stepUp: {acr: aal2, maxAge: 60}}, responses: {}}
`)
	list := c.Operation("list")
	require.Equal(t, 2*time.Second, list.Policy.Timeout)
	require.Equal(t, []string{"user"}, list.Policy.Principals)
	require.Equal(t, []string{"keeper"}, list.Policy.Roles.AnyOf)
	require.Equal(t, ModeEnforce, list.Policy.Validate.Response.Kind)
	require.Equal(t, 5, list.Policy.Rate[1].Quota)
	require.Equal(t, ACRSecondFactor, c.Operation("drop").Policy.StepUp.ACR)
	require.Equal(t, Origin{"pets.yaml", 4}, list.OriginOf("x-fountain.timeout"))
}

func TestAdopt_refusesWhatCannotHold_withPlaceAndHint(t *testing.T) {
	const head = "openapi: 3.0.3\ninfo: {title: Pets, version: 1.0.0}\n"
	for text, want := range map[string]string{
		"":                            "pets.yaml:1: the file is empty",
		"- a\n":                       "pets.yaml:1: the file must contain an object",
		"a: 1\nb: [\n":                "pets.yaml:2: the file is not valid YAML",
		"a: 1\na: 2\n":                `pets.yaml:2: the key "a" occurs twice`,
		"{\n\"a\": 1,\n\"a\": 2}":     "pets.yaml:3: the text has the same key twice",
		"info: {}\npaths: {}\n":       "pets.yaml:1: the document does not declare its version; write openapi: 3.0.3",
		"swagger: '2.0'\npaths: {}\n": "pets.yaml:1: the document is of Swagger 2.0; convert it",
		"openapi: 4.0.0\npaths: {}\n": "pets.yaml:1: OpenAPI 4.0.0 is not supported; write",
		head + "x: 1\n":               "pets.yaml:1: the document has no paths; write paths:",
		head + "x-fountain: {stepup: {acr: aal2, maxAge: 300}}\npaths: {}":                       "pets.yaml:3: x-fountain has no key stepup; write stepUp",
		head + "x-fountain: {rate: [{name: a, quotas: 1}]}\npaths: {}":                           "pets.yaml:3: x-fountain.rate has no key quotas; write quota",
		head + "x-fountain: {quiet: true}\npaths: {}":                                            "pets.yaml:3: x-fountain has no key quiet; it has principals, roles, apiKey",
		head + "x-fountain: {timeout: 5}\npaths: {}":                                             "pets.yaml:3: x-fountain.timeout: must be a text in quotes, and is a JSON number",
		head + "x-fountain: {stepUp: {acr: aal2, maxAge: '300'}}\npaths: {}":                     "pets.yaml:3: x-fountain.stepUp.maxAge: must be a whole number, and is a JSON string",
		head + "x-fountain: {principals: user}\npaths: {}":                                       "pets.yaml:3: x-fountain.principals: must be a list, and is a JSON string",
		head + "x-fountain: 1\npaths: {}":                                                        "pets.yaml:3: x-fountain: must be an object, and is a JSON number",
		"openapi: 3.0.3\npaths:\n  /a:\n\tget: 1\n":                                              "pets.yaml:4: the file is not valid YAML: found character that cannot start any token; indent with spaces instead of tabs",
		head + "paths:\n  /a:\n    get: 1\n   /b:\n    get: 2\n":                                 "pets.yaml:6: the file is not valid YAML: did not find expected key; give all keys of an object the same indentation",
		"openapi: 3.0.3\ninfo:\n  title: Notes: all of them\n":                                   "pets.yaml:3: the file is not valid YAML: mapping values are not allowed in this context; put a text that has",
		"openapi: 3.0.3\npaths:\n  /a: {get: {description: a: b}}\n":                             "pets.yaml:3: the file is not valid YAML: did not find expected ',' or '}'; close the bracket",
		"openapi: 3.0.3\ntags: []\nx-a: [{url: https://b/v1?c}]\n":                               "pets.yaml:3: the file is not valid YAML: did not find expected ',' or '}'; close", // a newer version of the reader takes it
		"openapi: 3.0.3\ninfo: {title: a\npaths:\n  /a: 1\n":                                     "pets.yaml:3: the file is not valid YAML: did not find expected ',' or '}'; close the bracket",
		"openapi: 3.0.3\ninfo:\n  title: 'a\n  version: '1'\n":                                   "pets.yaml:4: the file is not valid YAML: did not find expected key; give all keys",
		"openapi: 3.0.3\ntags:\n  - name: a\n  name: b\n":                                        "pets.yaml:4: the file is not valid YAML: did not find expected '-' indicator; begin each item",
		"openapi: 3.0.3\ninfo:\n  title: *a\n":                                                   "pets.yaml:3: the file is not valid YAML: unknown anchor 'a' referenced; put a text that begins with * into quotes",
		"openapi: 3.0.3\ninfo:\n  title: \"\\d+\"\n":                                             "pets.yaml:3: the file is not valid YAML: found unknown escape character; put the text into single quotes",
		"openapi: 3.0.3\ninfo:\n  title: 'a\n":                                                   "pets.yaml:3: the file is not valid YAML: found unexpected end of stream; close the quote",
		head + "x-fountain: {timout: 3s}\npaths: {}":                                             "pets.yaml:3: x-fountain has no key timout; write timeout",
		head + "paths:\n  /a:\n    get:\n      x-fountain: {timeout: soon}\n      responses: {}": "pets.yaml:6: GET /a: x-fountain.timeout: must be a positive duration such as 3s",
		head + "paths:\n  /a:\n    get:\n      x-fountain:\n        body: {max: 1KiB}":           "pets.yaml:5: GET /a: body.max is set for an operation without a request body",
	} {
		_, _, err := Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(text)}})
		require.ErrorContains(t, err, want, text)
	}
	files := map[string][]byte{"pets.yaml": []byte(plainPets)}
	for _, name := range []string{"", "Pets", "1pets", "a/b", "kms", strings.Repeat("a", 64), "pets:x"} {
		_, _, err := Adopt(Adoption{Name: name, File: "pets.yaml", Files: files})
		require.Error(t, err, name)
	}
	for _, name := range []string{"/pets.yaml", "../pets.yaml", "a/../pets.yaml", "./pets.yaml"} {
		_, _, err := Adopt(Adoption{Name: "pets", File: name, Files: map[string][]byte{name: []byte(plainPets)}})
		require.Error(t, err, name)
	}
	_, _, err := Adopt(Adoption{Name: "pets", File: "other.yaml", Files: files})
	require.ErrorContains(t, err, "not among the files")
}

func TestAdopt_givesNobodyAPathOrAScopeOfTheFamily(t *testing.T) {
	family, err := LoadAll()
	require.NoError(t, err)
	var names []string
	for _, c := range family {
		names = append(names, c.Word)
		for scope := range c.Scopes {
			prefix, _, _ := strings.Cut(scope, ":")
			names = append(names, prefix)
		}
		for _, op := range c.Operations {
			names = append(names, strings.Split(op.Path, "/")[1])
		}
	}
	for _, name := range names {
		_, _, err := Adopt(Adoption{Name: name, File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(plainPets)}})
		require.Error(t, err, name)
	}
}

func TestAdopt_tellsTheWayWhereALineIsNoPlace(t *testing.T) {
	text := `{"openapi":"3.0.3","info":{"title":"Pets","version":"1.0.0","description":"` + strings.Repeat("x", longLine) + `"},"paths":{"/pets":{"get":{"operationId":"list","parameters":[{"name":"a","in":"body"}]}}}}`
	_, warnings, err := Adopt(Adoption{Name: "pets", File: "pets.json", Files: map[string][]byte{"pets.json": []byte(text)}})
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(warnings), "pets.json:1 (/paths/~1pets/get): GET /pets: requests are answered with 501: pets.json:1 (/paths/~1pets/get/parameters/0): a parameter needs")
}

func TestAdopt_takesServersOfAnyForm(t *testing.T) {
	for servers, base := range map[string]string{
		"":                                      "",
		"servers: []":                           "",
		"servers: [{url: /v1}]":                 "/v1",
		"servers: [{url: v1/}]":                 "/v1",
		"servers: [{url: 'https://a.example'}]": "",
		"servers: [{url: 'https://a.example/v1?x=1#y'}]":                                                       "/v1",
		"servers: [{url: '//a.example/v1'}]":                                                                   "/v1",
		"servers: [{url: '{root}/x', variables: {root: {default: 'http://a:80/y'}}}]":                          "/y/x",
		"servers: [{url: 'https://a.example/{v}', variables: {v: {default: 2}}}]":                              "/2",
		"servers: [{url: 'https://a.example/{v}'}]":                                                            "",
		"servers: [{url: 'https://a.example/one'}, {url: 'https://b.example/two'}]":                            "/one",
		"servers: [{url: 'https://a.example/a b'}]":                                                            "/a%20b",
		"servers: [{url: '{p}://{h}:{n}', variables: {p: {default: http}, h: {default: x}, n: {default: 1}}}]": "",
	} {
		c, warnings := adopt(t, "openapi: 3.0.3\ninfo: {title: Pets, version: 1.0.0}\n"+servers+"\npaths: {/pets: {get: {operationId: list, responses: {}}}}\n")
		require.Equal(t, "/pets"+base, c.BasePath, servers)
		if strings.Contains(servers, "/two") || strings.Contains(servers, "/{v}'}") {
			require.Equal(t, 1, kinds(warnings)[WarnServer], servers)
		}
	}
}

func TestAdopt_matchesPathsOfAnyForm(t *testing.T) {
	c, warnings := adopt(t, `
openapi: 3.0.3
info: {title: Pets, version: 1.0.0}
paths:
  /{a}.{b}: {get: {operationId: two, responses: {}}}
  /x/{a}:verb: {post: {operationId: verb, responses: {}}}
  /x/{other}: {post: {operationId: plain, responses: {}}}
  /x/{name}/y: {get: {operationId: nested, responses: {}}}
  /files/{id}/thumbnail.{ext}: {get: {operationId: thumbnail, responses: {}}}
  /compare/{base}...{head}: {get: {operationId: compare, responses: {}}}
  /users/: {get: {operationId: slash, responses: {}}}
  /: {get: {operationId: root, responses: {}}}
  /tokens#refresh: {post: {operationId: refresh, responses: {}}}
  /old?beta=true: {get: {operationId: beta, responses: {}}}
  bare: {get: {operationId: bare, responses: {}}}
  /a b: {get: {operationId: space, responses: {}}}
  /@me: {get: {operationId: me, responses: {}}}
  /tokens: {post: {operationId: late, responses: {}}}
  /double//slash: {get: {operationId: double, responses: {}}}
  /{a}{b}: {get: {operationId: side, responses: {}}}
`)
	for target, want := range map[string]string{
		"GET /img.png": "two", "GET /a.tar.gz": "two", "POST /x/1:verb": "verb", "POST /x/1": "plain", "GET /x/1/y": "nested", "GET /files/7/thumbnail.jpg": "thumbnail",
		"GET /compare/a...b": "compare", "GET /users/": "slash", "GET /": "root", "POST /tokens": "late", "GET /old": "beta", "GET /bare": "bare",
		"GET /a%20b": "space", "GET /@me": "me", "HEAD /@me": "me",
		"GET /users": "", "GET /img.": "", "GET /.png": "", "GET /files/7/thumbnail.": "", "GET /double/slash": "", "GET /x/1/y/": "", "GET /users//": "", "GET ": "",
	} {
		method, path, _ := strings.Cut(target, " ")
		var m Match
		err := c.Match(method, "/pets"+path, &m)
		if want == "" {
			require.Error(t, err, target)
			continue
		}
		require.NoError(t, err, target)
		require.Equal(t, want, m.Operation.ID, target)
	}
	var m Match
	require.NoError(t, c.Match("GET", "/pets/a.tar.gz", &m))
	a, _ := m.Param("a")
	b, _ := m.Param("b")
	require.Equal(t, []string{"a.tar", "gz"}, []string{a, b})
	require.NoError(t, c.Match("GET", "/pets/x/1/y", &m))
	name, _ := m.Param("name")
	require.Equal(t, "1", name, "parameters of one position may have different names")
	told := fmt.Sprint(warnings)
	require.Contains(t, told, "/tokens#refresh has a fragment or a query")
	require.Contains(t, told, "requests of late cannot be distinguished from those of refresh; they pass when they match one of the two")
	require.Contains(t, told, "the path bare does not begin with /")
	require.Contains(t, told, "empty segment")
	require.Contains(t, told, "two parameters are adjacent")
	require.Nil(t, c.Operation("double"))
}

func TestAdopt_takesWhatOneOfTheOperationsOfAPathTakes(t *testing.T) {
	c, warnings := adopt(t, `
openapi: 3.0.3
info: {title: Files, version: 1.0.0}
paths:
  /files/{id}#share:
    put:
      operationId: share
      parameters: [{name: fields, in: query, required: true, schema: {type: integer}}, {name: X-Share, in: header, schema: {type: string}}]
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [link], properties: {link: {type: object, nullable: true}}}}}}
      responses: {'200': {description: Done.}}
  /files/{id}:
    put:
      operationId: change
      requestBody: {content: {application/json: {schema: {type: object, additionalProperties: false, properties: {name: {type: string}}}}, text/plain: {schema: {type: string}}}}
      responses: {'204': {description: Done.}}
  /files/{id}#lock:
    put: {operationId: lock, x-fountain: {roles: {anyOf: [admin]}}, responses: {'204': {description: Done.}}}
`)
	require.Len(t, c.Operations, 1)
	op := c.Operation("change")
	for value, fits := range map[string]bool{`{"name":"a"}`: true, `{"link":null}`: true, `{"name":1}`: false, `{"link":1}`: false, ``: true} {
		require.Equal(t, fits, fitsBody(op, value) == nil, value)
	}
	require.NoError(t, op.CheckBody("text/plain", []byte("a")))
	head := func(method, contentType, body string) error {
		r := httptest.NewRequest(method, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		return op.CheckMedia(r)
	}
	require.NoError(t, head("PUT", "text/plain", "a"))
	require.NoError(t, head("PUT", "", ""))
	require.Error(t, head("PUT", "text/html", "a"))
	var m Match
	require.NoError(t, c.Match("PUT", "/pets/files/7", &m))
	for query, fits := range map[string]bool{"": true, "fields=1": true, "fields=x": true} {
		r := httptest.NewRequest("PUT", "/pets/files/7?"+query, nil)
		require.Equal(t, fits, op.CheckParameters(r, &m) == nil, query)
	}
	require.Equal(t, "fields=1", op.DeclaredQuery("fields=1&other=2"))
	require.Equal(t, []string{"X-Share"}, op.RequestHeaders())
	require.NoError(t, op.CheckResponse(200, http.Header{}, nil))
	require.Error(t, op.CheckResponse(201, http.Header{}, nil))
	require.Empty(t, op.Policy.Roles.AnyOf)
	require.Contains(t, fmt.Sprint(warnings), "requests of lock cannot be distinguished from those of change, which has other requirements for callers; change applies")
}

func TestAdopt_namesOperationsThatHaveNoName(t *testing.T) {
	c, warnings := adopt(t, `
openapi: 3.0.3
info: {title: Pets}
paths:
  /pets/{petId}/toys: {get: {responses: {}}, post: {operationId: same, responses: {}}, put: {operationId: same, responses: {}}}
`)
	require.NotNil(t, c.Operation("getPetsByPetIdToys"))
	require.NotNil(t, c.Operation("same"))
	require.NotNil(t, c.Operation("same2"))
	require.Equal(t, 3, kinds(warnings)[WarnOperation], warnings)
	require.Contains(t, fmt.Sprint(warnings), "write operationId: getPetsByPetIdToys")
}

func TestAdopt_readsOnlyTheFilesThatWereGiven(t *testing.T) {
	document := func(ref string) []byte {
		return []byte(`{openapi: 3.0.3, info: {title: Pets, version: 1.0.0}, paths: {/pets: {post: {operationId: send, requestBody: {content: {application/json: {schema: {$ref: '` + ref + `'}}}}, responses: {}}, get: {operationId: list, responses: {}}}}}`)
	}
	common := []byte("components: {schemas: {'a/b': {type: string}, Far: {$ref: '../more/far.json#/Far'}}}\nwhole: {type: string}\n")
	adopted := func(ref string) *Contract {
		c, _, err := Adopt(Adoption{Name: "pets", File: "api/pets.yaml", Files: map[string][]byte{
			"api/pets.yaml": document(ref), "api/common.yaml": common, "more/far.json": []byte(`{"Far": {"type": "string"}, "type": "string"}`)}})
		require.NoError(t, err)
		require.Empty(t, c.Operation("list").Unsupported, "one operation's fault is not another's")
		return c
	}
	for _, ref := range []string{"common.yaml#/components/schemas/a~1b", "./common.yaml#/components/schemas/Far", "../more/far.json#/Far", "../more/far.json", "common.yaml#/whole"} {
		send := adopted(ref).Operation("send")
		require.Empty(t, send.Unsupported, ref)
		require.Error(t, send.CheckBody("application/json", []byte("1")), ref)
	}
	for ref, why := range map[string]string{
		"https://evil.example/x.yaml#/a": "never followed", "//evil.example/x.yaml": "never followed", "/etc/passwd": "never followed", "file:///etc/passwd": "never followed",
		"../../etc/passwd": "is missing", "other.yaml#/a": "is missing; pass other.yaml too", "common.yaml#/nothing": "leads nowhere", "#/components/schemas/None": "leads nowhere", "%zz": "leads nowhere",
	} {
		require.Contains(t, adopted(ref).Operation("send").Unsupported, why, ref)
	}
}

func TestAdopt_readsYAMLWithinBounds(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x]\n")
	for i := 1; i < 40; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [*a%d, *a%d]\n", i, i, i-1, i-1)
	}
	var deep strings.Builder
	deep.WriteString("a0: &a0 [x]\n")
	for i := 1; i < 90; i++ {
		fmt.Fprintf(&deep, "a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	for name, text := range map[string]string{
		"aliases that grow":   laughs.String() + plainPets,
		"an alias of itself":  "x: &x {a: *x}\n" + plainPets,
		"a chain of aliases":  deep.String() + plainPets,
		"deep lists":          "x: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "\n" + plainPets,
		"deep JSON":           `{"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}",
		"very many values":    "x: [" + strings.Repeat("a,", maxElements) + "]\n" + plainPets,
		"a very large file":   plainPets + "#" + strings.Repeat("x", MaxDocument),
		"a key that is a map": "? {a: 1}\n: 2\n" + plainPets,
	} {
		_, _, err := Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(text)}})
		require.Error(t, err, name)
		require.Contains(t, err.Error(), "pets.yaml:", name)
	}
	files := map[string][]byte{"pets.yaml": []byte(plainPets)}
	for i := range MaxDocumentFiles {
		files[fmt.Sprint(i, ".yaml")] = []byte("{}")
	}
	_, _, err := Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: files})
	require.ErrorContains(t, err, "at most 32")
	half := []byte("x: [" + strings.Repeat("a,", maxElements/2) + "]\n")
	_, _, err = Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(plainPets), "a.yaml": half, "b.yaml": half}})
	require.ErrorContains(t, err, "values together")
	var many strings.Builder
	for i := range MaxOperations + 1 {
		fmt.Fprintf(&many, "  /p%d: {get: {responses: {}}}\n", i)
	}
	_, _, err = Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte("openapi: 3.0.3\npaths:\n" + many.String())}})
	require.ErrorContains(t, err, "more than 2000 operations")
}

func TestAdopt_readsYAMLAsJSONWould(t *testing.T) {
	c, _ := adopt(t, `
openapi: 3.1.0
info: {title: Pets, version: 1.0.0}
x: &limits {minimum: 1, maximum: 0x10}
paths:
  /pets:
    post:
      operationId: send
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                n: {<<: *limits, type: integer, maximum: 5}
                m: {<<: [*limits], type: integer}
                day: {enum: [2024-01-01, on, ~, 1_000]}
      responses: {}
`)
	op := c.Operation("send")
	for value, fits := range map[string]bool{`{"n":5}`: true, `{"n":6}`: false, `{"n":0}`: false, `{"m":16}`: true, `{"m":17}`: false, `{"day":"2024-01-01"}`: true, `{"day":"on"}`: true, `{"day":null}`: true, `{"day":1000}`: true, `{"day":true}`: false} {
		require.Equal(t, fits, fitsBody(op, value) == nil, value)
	}
}

func TestAdopt_readsOddDocumentsAroundTheirFaults(t *testing.T) {
	c, warnings := adopt(t, `
openapi: 3.0.3
info: {title: Pets, version: ''}
webhooks: {a: {post: {requestBody: 1}}}
paths:
  x-internal: 1
  /later: {query: {responses: {}}, get: {operationId: elsewhere, servers: [{url: 'https://b.example'}], responses: {}}}
  /a: {$ref: '#/components/pathItems/A'}
  /b: 7
  /c/{id}:
    get:
      operationId: undeclared
      parameters: [{name: gone, in: path, required: true, schema: {type: string}}]
      callbacks: {x: 1}
      responses: {'200': {$ref: '#/nowhere'}, 2: {description: x}, default: {content: {application/json: {schema: {$ref: '#/nowhere'}, example: 1}}}}
components: {pathItems: {A: {get: {operationId: a, responses: {}}}}}
`)
	require.NotNil(t, c.Operation("a"))
	op := c.Operation("undeclared")
	require.Empty(t, op.Unsupported, "answers that cannot be read are no reason to refuse requests")
	require.NoError(t, sent(c, "/c/7"))
	k := kinds(warnings)
	require.Equal(t, 2, k[WarnParameter], warnings)
	require.Equal(t, 3, k[WarnResponse], warnings)
	require.Equal(t, 2, k[WarnPath], warnings)
	require.Equal(t, 1, k[WarnServer], warnings)
	require.Equal(t, 2, k[WarnOutbound], warnings)
	for _, w := range warnings {
		require.True(t, w.Hint != "" || w.Kind == WarnSecurity || strings.Contains(w.Cause, "; "), "what to write instead: %s", w)
	}
	require.NoError(t, op.CheckResponse(404, http.Header{"Content-Type": {"application/json"}}, []byte(`{}`)))
}

// A key that is nearly a known one, a value in quotes, a parameter as in Swagger 2.0: what would otherwise be ignored silently is reported.
func TestAdopt_tellsOfMisspelledKeys(t *testing.T) {
	_, warnings := adopt(t, `
openapi: 3.1.0
info: {title: Pets, version: 1.0.0}
servres: [{url: /v9}]
paths:
  /a:
    gte: {operationId: lost}
    trace: {operationId: trace, responses: {'200': {description: Done.}}}
    post:
      operationId: a
      reqestBody: {}
      parameters:
        - {name: q, in: query, required: yes, type: integer}
        - {name: r, in: query, Schema: {type: string}}
      requestBody:
        require: true
        content: {application/json: {scheme: {}, schema: {type: object, properties: {propertys: {type: string}}, propertys: {}, addtionalProperties: false, maxlength: 1}}}
      responses: {'200': {descripton: x, content: {text/html: {}, application/json: {schema: {type: array, item: {type: string}, 'x-items': 1, uniqueItems: 'true', note: 1, ref: '#/a'}}}}}
`)
	var told []string
	for _, w := range warnings {
		told = append(told, strings.TrimPrefix(w.String(), "pets.yaml:"))
	}
	for _, want := range []string{
		"4: the key servres is unknown here; it is ignored; write servers",
		"7: the key gte is unknown here; it is ignored; write get",
		"11: POST /a: the key reqestBody", // beside the right one it is not told
		"13: required is neither true nor false; it is read as false; write true or false, without quotes",
		"13: type beside a parameter is from Swagger 2.0; the parameter accepts any text; write schema: {type: integer}",
		"14: the key Schema is unknown here; it is ignored; write schema",
		"16: the key require is unknown here; it is ignored; write required",
		"17: the key addtionalProperties is unknown here; it is ignored; write additionalProperties",
		"17: the key maxlength is unknown here; it is ignored; write maxLength",
		"18: the key descripton is unknown here; it is ignored; write description",
		"18: the key item is unknown here; it is ignored; write items",
		"18: the key ref is unknown here; it is ignored; write $ref",
		"18: uniqueItems is neither true nor false; it is read as false; write true or false, without quotes",
		"18: text/html is active content, which browsers run; answers of it are 502 unless the operator accepts it; accept it (fountain adopt --active-content), or answer with another media type",
		"8: TRACE /a: requests are answered with 501: pets.yaml:8: the gateway lets no TRACE through; use GET or POST",
	} {
		if strings.HasPrefix(want, "11:") {
			require.NotContains(t, strings.Join(told, "\n"), "reqestBody")
			continue
		}
		require.Contains(t, told, want)
	}
	require.Len(t, told, 16, "and what is free, right or far from anything is not: %s", strings.Join(told, "\n")) // with the security schemes
}

// A document can't multiply the work of finding the keys that were meant.
func TestAdopt_looksAtABoundedNumberOfUnknownKeys(t *testing.T) {
	told := func(unknown int) int {
		text := "openapi: 3.1.0\ninfo: {title: Pets, version: 1.0.0}\npaths: {/a: {get: {operationId: a, responses: {}}}}\n"
		for i := range unknown {
			text += fmt.Sprintf("unknown%d: 1\n", i)
		}
		_, warnings := adopt(t, text+"tagz: []\n")
		return kinds(warnings)[WarnSchema]
	}
	require.Equal(t, 1, told(maxUnknownKeys-1))
	require.Zero(t, told(maxUnknownKeys))
}

func TestAdoptedResponses_areJudgedButNeverRefusedForTheirEnvelope(t *testing.T) {
	c, _ := adopt(t, `
openapi: 3.0.3
info: {title: Pets, version: 1.0.0}
paths:
  /pets:
    get:
      operationId: list
      responses:
        '200':
          description: Pets.
          headers: {X-Total: {required: true, schema: {type: integer}}, X-Ids: {schema: {type: array, items: {type: integer}}}}
          content: {application/json: {schema: {type: array, items: {type: object, required: [name], properties: {name: {type: string}}}}}, image/*: {}}
        4XX: {description: Bad., content: {application/problem+json: {schema: {type: object}}}}
  /events:
    get: {operationId: events, responses: {'200': {description: Events., content: {text/event-stream: {}}}}}
`)
	op := c.Operation("list")
	head := func(more ...string) http.Header {
		h := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Total": {"2"}}
		for i := 0; i < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	require.NoError(t, op.CheckResponse(200, head("X-Ids", "1,2", "X-Other", "y", "Set-Cookie", "a=b"), []byte(`[{"name":"a","more":1}]`)))
	require.NoError(t, op.CheckResponse(200, head("Content-Type", "image/png"), []byte{0xff}))
	require.NoError(t, op.CheckResponseHead(200, head()))
	require.NoError(t, op.CheckResponse(404, head("Content-Type", "application/problem+json"), []byte(`{}`)))
	for name, err := range map[string]error{
		"status":     op.CheckResponse(500, head(), nil),
		"media type": op.CheckResponse(200, head("Content-Type", "text/html"), []byte("x")),
		"body":       op.CheckResponse(200, head(), []byte(`[{}]`)),
		"JSON":       op.CheckResponse(200, head(), []byte(`[`)),
		"header":     op.CheckResponse(200, head("X-Total", "x"), []byte(`[]`)),
		"list":       op.CheckResponse(200, head("X-Ids", "1,x"), []byte(`[]`)),
		"coding":     op.CheckResponse(200, head("Content-Type", "image/png", "Content-Encoding", "gzip"), []byte{0xff}),
		"required":   op.CheckResponse(200, http.Header{"Content-Type": {"application/json"}}, []byte(`[]`)),
	} {
		require.Error(t, err, name)
	}
	require.NoError(t, op.CheckEnvelope(Head{Status: 500, Header: http.Header{"Content-Type": {"text/html"}, "Set-Cookie": {"a=b"}}}))
	require.Error(t, op.CheckEnvelope(Head{Status: 200, Header: http.Header{"Content-Encoding": {"gzip"}}}))
	require.NoError(t, op.CheckAccept(http.Header{"Accept": {"text/html"}}), "the service chooses")
	require.Equal(t, StreamSSE, c.Operation("events").Policy.Stream.Kind)
	require.Nil(t, op.Policy.Stream)
	require.Equal(t, []string{"X-Ids", "X-Total"}, slices.Sorted(slices.Values(op.ResponseHeaders())))
}

// adoptedFaults are requests that violate the rules which apply only to documents from outside the family.
func adoptedFaults(t *testing.T) map[Rule]error {
	brackets, _ := parametersOf(t, "/p", `{name: a, in: query, style: deepObject, schema: {type: object}}`)
	upload, _ := contentOf(t, "3.0.3", `multipart/form-data: {}`)
	web, _ := bodyOf(t, "3.0.3", `{$ref: "#/components/schemas/Deep"}`, `Deep: {anyOf: [`+strings.Repeat(`{properties: {n: {$ref: "#/components/schemas/Deep"}}, required: [n, x]}, `, 8)+`{type: string}]}`)
	return map[Rule]error{
		RuleQueryBrackets: sent(brackets, "/p?a[x=1"),
		RuleMultipart:     upload.CheckBody("multipart/form-data; boundary=x", []byte("--y")),
		RuleWork:          fitsBody(web, strings.Repeat(`{"n":`, 60)+`1`+strings.Repeat(`}`, 60)),
	}
}

func TestAdoptedRules_areToldByName(t *testing.T) {
	for rule, err := range adoptedFaults(t) {
		require.Error(t, err)
		require.Equal(t, string(rule), problem.From(err).Fields[0].Keyword)
	}
}

func TestAdopt_joinsTheFamilysTable(t *testing.T) {
	family, err := LoadAll()
	require.NoError(t, err)
	pets, _ := adopt(t, strings.ReplaceAll(plainPets, "listPets", family[0].Operations[0].ID))
	others, _, err := Adopt(Adoption{Name: "others", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(plainPets)}})
	require.NoError(t, err)
	table, err := NewTable(append(family, pets, others)...)
	require.NoError(t, err, "operations of the same id are told apart by their mount")
	var m Match
	require.NoError(t, table.Match("GET", "/others/api/v2/pets", &m))
	require.Equal(t, "others", m.Operation.Word)
	require.NoError(t, table.Match("GET", "/pets/api/v2/pets", &m))
	require.Equal(t, "pets", m.Operation.Word)
	plain := slices.IndexFunc(family[0].Operations, func(op *Operation) bool { return op.Method == "GET" && !strings.Contains(op.Path, "{") })
	path := family[0].Operations[plain].Path
	require.NoError(t, table.Match("GET", path, &m))
	require.Error(t, table.Match("GET", path+"/", &m), "a slash more is another path there, as ever")
}

func TestAdopt_takesWhatTheStrictCompilerTakes(t *testing.T) {
	doc, _, err := LoadModel(sampleFiles, "sample")
	require.NoError(t, err)
	files := map[string][]byte{}
	for _, name := range []string{"sample.yaml", "common.yaml"} {
		files[name], err = fs.ReadFile(sampleFiles, name)
		require.NoError(t, err)
	}
	lenient, _, err := Adopt(Adoption{Name: "other", File: "sample.yaml", Files: files})
	require.NoError(t, err)
	strict, g := sample(t), newGenerator(17)
	taken := 0
	for _, op := range strict.Operations {
		body := doc.Paths.Value(op.template).GetOperation(op.Method).RequestBody
		if body == nil || body.Value.Content["application/json"] == nil {
			continue
		}
		other := lenient.Operation(op.ID)
		require.Empty(t, other.Unsupported)
		for range 3000 {
			text := g.text(body.Value.Content["application/json"].Schema)
			if op.CheckBody("application/json", text) != nil {
				continue
			}
			taken++
			require.NoError(t, other.CheckBody("application/json", text), "%s: %s", op.ID, text)
		}
	}
	require.Greater(t, taken, 3000)
}
