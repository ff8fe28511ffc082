package change

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

// compiled compiles an OpenAPI 3.0 document as one of the family.
func compiled(t *testing.T, text string) Version {
	t.Helper()
	c, err := contract.LoadFS(fstest.MapFS{"notes.yaml": {Data: []byte(text)}}, "notes")
	require.NoError(t, err, text)
	return Version{Contract: c, File: "notes.yaml", Files: map[string][]byte{"notes.yaml": []byte(text)}}
}

// routed returns a version of any document of which only the operations are known, not their checks.
func routed(t testing.TB, text string) Version {
	t.Helper()
	v := Version{Contract: &contract.Contract{}, File: "notes.yaml", Files: map[string][]byte{"notes.yaml": []byte(text)}}
	d, err := readDocument(v)
	require.NoError(t, err)
	for _, variants := range writtenIn(d.root) {
		w := variants[0]
		w.item.members(func(method string, operation *node) {
			if operation == w.operation {
				op := &contract.Operation{ID: operation.get("operationId").str(), Method: strings.ToUpper(method), Path: w.path}
				v.Contract.Operations = append(v.Contract.Operations, op)
			}
		})
	}
	return v
}

func names(t *testing.T, live, next Version) []string {
	t.Helper()
	changes, err := Compare(live, next)
	require.NoError(t, err)
	out := []string{}
	for _, c := range changes {
		out = append(out, c.Name)
		require.NotZero(t, c.Origin, c.Name)
		require.NotEmpty(t, c.Text, c.Name)
	}
	return out
}

// withSchema returns a document with one operation that accepts and returns a schema, which has this name too.
func withSchema(version, schema string) string {
	return "openapi: " + version + `
info: {title: Notes, version: 1.0.0}
servers: [{url: /notes/v1}]
paths:
  /notes:
    post:
      operationId: makeNote
      security: []
      parameters: [{name: Idempotency-Key, in: header, schema: {type: string}}]
      requestBody: {content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'200': {description: Done., content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}}
components:
  schemas:
    Note: ` + schema + `
    Other: {type: object, properties: {size: {type: integer}}}
    Third: {type: object, required: [third], properties: {third: {type: boolean}}}
`
}

// narrowings are pairs of a schema and a narrower one. In requests the change to the narrower one is breaking, in answers the change back is. The
// other two are not.
var narrowings = []struct {
	version, wide, narrow string
	request, answer       string // the names without "Note in requests: "; "" for none
}{
	{"3.0.3", "{}", "{type: string}", "type narrowed, null refused", "null added, type widened"},
	{"3.0.3", "{type: number}", "{type: integer}", "type narrowed", "type widened"},
	{"3.0.3", "{type: string, nullable: true}", "{type: string}", "null refused", "null added"},
	{"3.1.0", "{type: [string, integer]}", "{type: string}", "type narrowed", "type widened"},
	{"3.1.0", "{type: [string, 'null']}", "{type: string}", "null refused", "null added"},
	{"3.1.0", "{anyOf: [{type: string}, {type: 'null'}]}", "{type: string}", "null refused", "null added"},
	{"3.1.0", "{anyOf: [{$ref: '#/components/schemas/Other'}, {type: 'null'}]}", "{$ref: '#/components/schemas/Other'}", "null refused", "null added"},
	{"3.0.3", "{type: string, enum: [a, b]}", "{type: string, enum: [a]}", `enum value "b" removed`, `enum value "b" added`},
	{"3.0.3", "{type: string}", "{type: string, enum: [a]}", "enum added", "enum removed"},
	{"3.0.3", "{type: integer, enum: [1, 2]}", "{type: integer, enum: [1]}", "enum value 2 removed", "enum value 2 added"},
	{"3.1.0", "{enum: [a, b]}", "{const: a}", `enum value "b" removed`, `enum value "b" added`},
	{"3.0.3", "{type: integer}", "{type: integer, minimum: 1}", "minimum raised", "minimum lowered"},
	{"3.0.3", "{type: integer, minimum: 1}", "{type: integer, minimum: 2}", "minimum raised", "minimum lowered"},
	{"3.0.3", "{type: integer, minimum: 1}", "{type: integer, minimum: 1, exclusiveMinimum: true}", "minimum raised", "minimum lowered"},
	{"3.1.0", "{type: integer, minimum: 1}", "{type: integer, exclusiveMinimum: 1}", "minimum raised", "minimum lowered"},
	{"3.0.3", "{type: number, maximum: 2.5}", "{type: number, maximum: 2}", "maximum lowered", "maximum raised"},
	{"3.0.3", "{type: number}", "{type: number, maximum: 1e3}", "maximum lowered", "maximum raised"},
	{"3.0.3", "{type: integer, multipleOf: 2}", "{type: integer, multipleOf: 4}", "multipleOf narrowed", "multipleOf widened"},
	{"3.0.3", "{type: number}", "{type: number, multipleOf: 0.5}", "multipleOf narrowed", "multipleOf widened"},
	{"3.0.3", "{type: string}", "{type: string, minLength: 1}", "minLength raised", "minLength lowered"},
	{"3.0.3", "{type: string, maxLength: 9}", "{type: string, maxLength: 8}", "maxLength lowered", "maxLength raised"},
	{"3.0.3", "{type: array, items: {}}", "{type: array, items: {}, minItems: 1}", "minItems raised", "minItems lowered"},
	{"3.0.3", "{type: array, items: {}}", "{type: array, items: {}, maxItems: 1}", "maxItems lowered", "maxItems raised"},
	{"3.0.3", "{type: object}", "{type: object, minProperties: 1}", "minProperties raised", "minProperties lowered"},
	{"3.0.3", "{type: object, maxProperties: 2}", "{type: object, maxProperties: 1}", "maxProperties lowered", "maxProperties raised"},
	{"3.0.3", "{type: array, items: {}}", "{type: array, items: {}, uniqueItems: true}", "unique items demanded", "unique items no longer promised"},
	{"3.0.3", "{type: string}", "{type: string, pattern: '^a$'}", "pattern changed", "pattern changed"},
	{"3.0.3", "{type: string}", "{type: string, format: uuid}", "format narrowed", "format widened"},
	{"3.0.3", "{type: integer, format: int64}", "{type: integer, format: int32}", "format narrowed", "format widened"},
	{"3.0.3", "{type: array, items: {type: string}}", "{type: array, items: {type: string, maxLength: 1}}", "/[]: maxLength lowered", "/[]: maxLength raised"},
	{"3.1.0", "{type: array, prefixItems: [{type: string}]}", "{type: array, prefixItems: [{type: string, maxLength: 1}]}", "/0: maxLength lowered", "/0: maxLength raised"},
	{"3.0.3", "{type: object, properties: {a: {type: string}}}", "{type: object, required: [a], properties: {a: {type: string}}}", "/a: became required", "/a: became optional"},
	{"3.0.3", "{type: object, properties: {a: {type: string}}}", "{type: object, properties: {a: {type: string, maxLength: 1}}}", "/a: maxLength lowered", "/a: maxLength raised"},
	{"3.0.3", "{type: object, additionalProperties: {type: string}}", "{type: object, additionalProperties: {type: string, maxLength: 1}}", "/{}: maxLength lowered", "/{}: maxLength raised"},
	{"3.0.3", "{type: object}", "{type: object, additionalProperties: false}", "further properties refused", ""},
	{"3.0.3", "{type: object, properties: {a: {type: string, readOnly: true}}}", "{type: object, required: [a], properties: {a: {type: string, readOnly: true}}}", "", "/a: became optional"},
	{"3.0.3", "{type: object, properties: {a: {type: string, writeOnly: true}}}", "{type: object, required: [a], properties: {a: {type: string, writeOnly: true}}}", "/a: became required", ""},
	{"3.0.3", "{type: string}", "{type: string, not: {enum: [a]}}", "not changed", "not changed"},
	{"3.1.0", "{type: object}", "{type: object, patternProperties: {'^x-': {type: string}}}", "patternProperties changed", "patternProperties changed"},
	{"3.1.0", "{type: object}", "{type: object, if: {required: [a]}, then: {required: [b]}}", "if changed, then changed", "if changed, then changed"},
	{"3.1.0", "{type: array}", "{type: array, contains: {type: string}}", "contains changed", "contains changed"},
	{"3.0.3", "{anyOf: [{$ref: '#/components/schemas/Other'}, {$ref: '#/components/schemas/Third'}]}", "{anyOf: [{$ref: '#/components/schemas/Other'}]}", "/third: removed", "/size: removed"},
	{"3.0.3", "{anyOf: [{type: string}, {$ref: '#/components/schemas/Other'}, {$ref: '#/components/schemas/Third'}]}", "{anyOf: [{type: string}, {$ref: '#/components/schemas/Other'}]}", "alternative Third removed", "alternative Third added"},
	{"3.0.3", "{anyOf: [{type: string}, {type: integer}]}", "{oneOf: [{type: string}, {type: integer}]}", "anyOf became oneOf", "oneOf became anyOf"},
	{"3.0.3", "{type: object}", "{oneOf: [{type: object, required: [a]}, {type: object, required: [b]}]}", "alternatives added", "alternatives removed"},
	{"3.0.3", "{type: string}", "{allOf: [{type: string}, {maxLength: 3}]}", "maxLength lowered", "maxLength raised"},
	{"3.0.3", "{type: object, properties: {a: {type: string}}}", "{allOf: [{type: object, properties: {a: {type: string}}}, {required: [a]}]}", "/a: became required", "/a: became optional"},
	{"3.0.3", "{oneOf: [{type: string}, {type: boolean}]}", "{oneOf: [{type: string}, {type: boolean, enum: [true]}]}", "alternative 2 removed", "alternative 2 added"},
	{"3.0.3", "{oneOf: [{type: string}, {type: integer}]}", "{type: string}", "type narrowed", "type widened"},
	{"3.1.0", "true", "false", "nothing is taken any more", "nothing was answered"},
}

func TestCompare_findsEveryNarrowing(t *testing.T) {
	for _, n := range narrowings {
		wide, narrow := routed(t, withSchema(n.version, n.wide)), routed(t, withSchema(n.version, n.narrow))
		require.Empty(t, names(t, wide, wide), n.wide)
		require.Empty(t, names(t, narrow, narrow), n.narrow)
		said := func(list, in string) []string {
			out := []string{}
			for part := range strings.SplitSeq(list, ", ") {
				if part != "" {
					out = append(out, "Note in "+in+": "+part)
				}
			}
			return out
		}
		require.ElementsMatch(t, said(n.request, "requests"), names(t, wide, narrow), "from %s\nto   %s", n.wide, n.narrow)
		require.ElementsMatch(t, said(n.answer, "answers"), names(t, narrow, wide), "from %s\nto   %s", n.narrow, n.wide)
	}
}

// others are changes that do not narrow: what is breaking in each of them, and in the change back.
var others = []struct {
	version, one, two string
	there, back       string
}{
	{"3.0.3", "{type: object, properties: {a: {type: string}, b: {type: string}}}", "{type: object, properties: {a: {type: string}}}",
		"Note in requests: /b: removed, Note in answers: /b: removed", ""},
	{"3.0.3", "{type: object, properties: {a: {type: string}}, additionalProperties: {type: string}}", "{type: object, properties: {a: {type: string}}, additionalProperties: false}",
		"Note in requests: further properties refused, Note in answers: further properties removed", ""},
	{"3.0.3", "{type: object, properties: {a: {type: string}}}", "{type: object, properties: {a: {type: string, readOnly: true}}}", "Note in requests: /a: became readOnly", ""},
	{"3.0.3", "{type: object, properties: {a: {type: string}}}", "{type: object, properties: {a: {type: string, writeOnly: true}}}", "Note in answers: /a: became writeOnly", ""},
	{"3.0.3", "{type: object, required: [a], properties: {a: {type: string, readOnly: true}}}", "{type: object, required: [a], properties: {a: {type: string}}}",
		"Note in requests: /a: became required", "Note in requests: /a: became readOnly"},
	{"3.0.3", "{type: object, properties: {a: {type: string, default: x}}}", "{type: object, properties: {a: {type: string, default: y}}}",
		"Note in requests: /a: default changed", "Note in requests: /a: default changed"},
	{"3.0.3", "{type: object, properties: {a: {type: string, default: x}}}", "{type: object, properties: {a: {type: string}}}",
		"Note in requests: /a: default changed", "Note in requests: /a: default changed"},
	{"3.0.3", "{type: string}", "{type: integer}", "Note in requests: type narrowed, Note in answers: type widened", "Note in requests: type narrowed, Note in answers: type widened"},
	{"3.0.3", "{type: string, pattern: '^a$'}", "{type: string, pattern: '^b$'}", "Note in requests: pattern changed, Note in answers: pattern changed", "Note in requests: pattern changed, Note in answers: pattern changed"},
	{"3.0.3", "{type: object, properties: {a: {$ref: '#/components/schemas/Other'}}}", "{type: object, properties: {a: {$ref: '#/components/schemas/Third'}}}",
		"Note in requests: /a/size: removed, Note in requests: /a/third: became required, Note in answers: /a/size: removed",
		"Note in requests: /a/third: removed, Note in answers: /a/third: removed"},
	{"3.0.3", "{oneOf: [{$ref: '#/components/schemas/Other'}, {$ref: '#/components/schemas/Third'}], discriminator: {propertyName: k, mapping: {o: '#/components/schemas/Other', t: '#/components/schemas/Third'}}}",
		"{oneOf: [{$ref: '#/components/schemas/Other'}, {$ref: '#/components/schemas/Third'}], discriminator: {propertyName: k, mapping: {o: '#/components/schemas/Other'}}}",
		`Note in requests: discriminator value t removed`, `Note in answers: discriminator value t added`},
	{"3.0.3", "{allOf: [{type: object, additionalProperties: {type: string}}, {additionalProperties: {minLength: 1}}]}", "{allOf: [{type: object, additionalProperties: {type: string, maxLength: 3}}, {additionalProperties: {minLength: 1}}]}",
		"Note in requests: /{}: maxLength lowered", "Note in answers: /{}: maxLength raised"},
	// A new property, where any property was accepted.
	{"3.0.3", "{type: object}", "{type: object, properties: {a: {type: string}}}", "Note in requests: /a: type narrowed, Note in requests: /a: null refused", "Note in requests: /a: removed, Note in answers: /a: removed"},
	{"3.0.3", "{type: object, properties: {b: {}}, additionalProperties: {type: integer}}", "{type: object, properties: {b: {}, a: {type: string}}, additionalProperties: {type: integer}}",
		"Note in requests: /a: type narrowed, Note in answers: /a: type widened", "Note in requests: /a: type narrowed, Note in answers: /a: type widened"},
	{"3.0.3", "{type: object, properties: {b: {}}}", "{type: object, properties: {b: {}, a: {type: string}}}", "", "Note in requests: /a: removed, Note in answers: /a: removed"},
	// A value that fits two alternatives of oneOf is refused.
	{"3.0.3", "{type: object, required: [a, b]}", "{oneOf: [{type: object, required: [a]}, {type: object, required: [b]}]}",
		"Note in requests: oneOf may fit twice, Note in answers: /a: became optional, Note in answers: /b: became optional", "Note in requests: /a: became required, Note in requests: /b: became required"},
	{"3.0.3", "{oneOf: [{type: object, required: [a]}, {type: string}]}", "{oneOf: [{type: object, required: [a]}, {type: string}, {type: object, required: [b]}]}",
		"Note in requests: oneOf may fit twice, Note in answers: alternative 3 added", "Note in requests: alternative 3 removed"},
	{"3.0.3", "{oneOf: [{type: object, required: [a]}, {type: string}]}", "{oneOf: [{type: object, required: [a]}, {type: string}, {type: boolean}]}",
		"Note in answers: type widened, Note in answers: alternative 3 added", "Note in requests: type narrowed, Note in requests: alternative 3 removed"},
	{"3.0.3", "{oneOf: [{type: object, required: [k], properties: {k: {enum: [a]}}}, {type: string}]}",
		"{oneOf: [{type: object, required: [k], properties: {k: {enum: [a]}}}, {type: string}, {type: object, required: [k], properties: {k: {enum: [b]}}}]}",
		"Note in answers: alternative 3 added", "Note in requests: alternative 3 removed"},
	// Different texts with the same meaning.
	{"3.0.3", "{type: object, properties: {a: {type: string}}}", "{allOf: [{type: object}, {properties: {a: {type: string}}}]}", "", ""},
	{"3.0.3", "{type: object, properties: {size: {type: integer}}}", "{$ref: '#/components/schemas/Other'}", "", ""},
	{"3.0.3", "{type: integer}", "{type: integer, format: int64, description: A number., example: 3}", "", ""},
	{"3.1.0", "{type: [string, 'null']}", "{oneOf: [{type: string}, {type: 'null'}]}", "", ""},
	{"3.1.0", "{const: a}", "{enum: [a]}", "", ""},
	{"3.0.3", "{type: string, enum: [a, b]}", "{type: string, enum: [b, a]}", "", ""},
	{"3.0.3", "{type: string}", "{type: string, format: colour}", "", ""},
	{"3.0.3", "{oneOf: [{type: string}, {type: integer}]}", "{oneOf: [{type: integer}, {type: string}]}", "", ""},
	{"3.0.3", "{type: number, maximum: 10}", "{type: number, maximum: 1e1}", "", ""},
}

func TestCompare_findsWhatBreaksBothWays(t *testing.T) {
	for _, o := range others {
		one, two := routed(t, withSchema(o.version, o.one)), routed(t, withSchema(o.version, o.two))
		require.ElementsMatch(t, list(o.there), names(t, one, two), "from %s\nto   %s", o.one, o.two)
		require.ElementsMatch(t, list(o.back), names(t, two, one), "from %s\nto   %s", o.two, o.one)
	}
}

func list(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ", ")
}

// notes is a contract of the family. Each test case replaces a part of it.
const notes = `openapi: 3.0.3
info: {title: Notes, version: 1.0.0}
servers: [{url: /notes/v1}]
x-fountain: {principals: [user, service], body: {max: 80KiB}, rate: [{name: per-subject, key: sub, quota: 60000, window: 60s, burst: 100}]}
paths:
  /notes:
    get:
      operationId: listNotes
      security: [{oauth: ["notes:read"]}]
      parameters:
        - {name: limit, in: query, schema: {type: integer, maximum: 100, default: 10}}
        - {name: tag, in: query, explode: true, schema: {type: array, items: {type: string}}}
        - {name: X-Kind, in: header, schema: {type: string}}
      responses:
        "200":
          description: Notes.
          headers: {ETag: {required: true, schema: {type: string}}, X-Total: {schema: {type: integer}}}
          content:
            application/json: {schema: {type: array, items: {$ref: '#/components/schemas/Note'}}}
            text/plain: {schema: {type: string}}
        "404": {description: None.}
    post:
      operationId: createNote
      security: [{oauth: ["notes:write"]}]
      x-fountain: {idempotency: optional, stepUp: {acr: aal2, maxAge: 300}, roles: {anyOf: [editor]}}
      parameters:
        - {name: Idempotency-Key, in: header, schema: {type: string}}
      requestBody:
        content:
          application/json: {schema: {$ref: '#/components/schemas/Note'}}
          text/plain: {schema: {type: string}}
      responses:
        "201": {description: The note.}
  /notes/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string, maxLength: 20}}]
    delete:
      operationId: deleteNote
      security: [{oauth: ["notes:write"]}]
      x-fountain: {stepUp: {acr: aal2, maxAge: 300}}
      responses: {"204": {description: Gone.}}
components:
  schemas:
    Note: {type: object, required: [text], properties: {text: {type: string, maxLength: 100}, owner: {type: string}}}
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /token, scopes: {"notes:read": Read., "notes:write": Write., "notes:all": All.}}}}
`

var steps = []struct {
	from, to    string
	there, back string
}{
	// Operations.
	{"  /notes/{id}:\n", "  /note/{id}:\n", "deleteNote: operation removed", "deleteNote: operation removed"},
	{"operationId: deleteNote", "operationId: removeNote", "deleteNote: operationId changed", "removeNote: operationId changed"},
	{"url: /notes/v1", "url: /notes/v2", "contract: base-path-changed", "contract: base-path-changed"},
	// Parameters. The name of a path parameter does not matter.
	{"/notes/{id}:\n    parameters: [{name: id,", "/notes/{note}:\n    parameters: [{name: note,", "", ""},
	{"maxLength: 20}}]", "maxLength: 10}}]", "deleteNote: path id: maxLength lowered", ""},
	{"maximum: 100", "maximum: 50", "listNotes: query limit: maximum lowered", ""},
	{"default: 10", "default: 20", "listNotes: query limit: default changed", "listNotes: query limit: default changed"},
	{"        - {name: X-Kind, in: header, schema: {type: string}}\n", "", "listNotes: header X-Kind: removed", ""},
	{"{name: X-Kind, in: header,", "{name: x-kind, in: header,", "", ""},
	{"{name: X-Kind, in: header,", "{name: X-Kind, in: header, required: true,", "listNotes: header X-Kind: became required", ""},
	{"        - {name: X-Kind, in: header, schema", "        - {name: X-New, in: header, required: true, schema: {type: string}}\n        - {name: X-Kind, in: header, schema", "listNotes: header X-New: added as required", "listNotes: header X-New: removed"},
	{"explode: true", "explode: false", "listNotes: query tag: written otherwise", "listNotes: query tag: written otherwise"},
	{"in: query, explode: true", "in: query, allowEmptyValue: true, explode: true", "", "listNotes: query tag: empty value refused"},
	// Bodies.
	{"      requestBody:\n", "      requestBody:\n        required: true\n", "createNote: body: became required", ""},
	{"          application/json: {schema: {$ref: '#/components/schemas/Note'}}\n          text/plain: {schema: {type: string}}\n      responses:\n        \"201\"",
		"          application/json: {schema: {$ref: '#/components/schemas/Note'}}\n      responses:\n        \"201\"", "createNote: body text/plain: removed", ""},
	{"      requestBody:\n        content:\n          application/json: {schema: {$ref: '#/components/schemas/Note'}}\n          text/plain: {schema: {type: string}}\n", "", "createNote: body: removed", ""},
	{"required: [text], ", "", "Note in answers: /text: became optional", "Note in requests: /text: became required"},
	{"maxLength: 100", "maxLength: 99", "Note in requests: /text: maxLength lowered", "Note in answers: /text: maxLength raised"},
	{", owner: {type: string}", "", "Note in requests: /owner: removed, Note in answers: /owner: removed", ""},
	// Answers.
	{"        \"404\": {description: None.}\n", "", "listNotes: answer 404: removed", ""},
	{"\"404\": {description", "\"4XX\": {description", "", "listNotes: answer 4XX: removed"},
	{"            text/plain: {schema: {type: string}}\n        \"404\"", "        \"404\"", "listNotes: answer 200 text/plain: removed", ""},
	{", X-Total: {schema: {type: integer}}", "", "listNotes: answer 200 header X-Total: removed", ""},
	{"ETag: {required: true, schema", "ETag: {schema", "listNotes: answer 200 header ETag: became optional", ""},
	{"X-Total: {schema: {type: integer}}", "X-Total: {schema: {type: number}}", "listNotes: answer 200 header X-Total: type widened", ""},
	// The law.
	{"[user, service]", "[user]", "listNotes: principals-tightened, createNote: principals-tightened, deleteNote: principals-tightened",
		"listNotes: principals-loosened, createNote: principals-loosened, deleteNote: principals-loosened"},
	{"maxAge: 300}, roles: {anyOf: [editor]}", "maxAge: 300}", "createNote: roles-loosened", "createNote: roles-tightened"},
	{"{stepUp: {acr: aal2, maxAge: 300}}", "{}", "deleteNote: step-up-loosened", "deleteNote: step-up-tightened"},
	{`["notes:read"]`, "[]", "listNotes: security-loosened", "listNotes: security-tightened"},
	{`["notes:read"]`, `["notes:all"]`, "listNotes: security-loosened, listNotes: security-tightened", "listNotes: security-loosened, listNotes: security-tightened"},
	{"quota: 60000", "quota: 60", "listNotes: rate-tightened, createNote: rate-tightened, deleteNote: rate-tightened",
		"listNotes: rate-loosened, createNote: rate-loosened, deleteNote: rate-loosened"},
	{"idempotency: optional, stepUp: {acr: aal2, maxAge: 300}, roles: {anyOf: [editor]}}\n      parameters:\n        - {name: Idempotency-Key, in: header, schema",
		"idempotency: required, stepUp: {acr: aal2, maxAge: 300}, roles: {anyOf: [editor]}}\n      parameters:\n        - {name: Idempotency-Key, in: header, required: true, schema", "createNote: idempotency-lowered, createNote: header Idempotency-Key: became required", ""},
	{"max: 80KiB", "max: 1KiB", "listNotes: body-max-lowered, createNote: body-max-lowered, deleteNote: body-max-lowered", ""},
	// Requests that another operation guarded.
	{"  /notes/{id}:\n", "  /notes/mine:\n    delete: {operationId: deleteMine, security: [{oauth: [\"notes:write\"]}], responses: {\"204\": {description: Gone.}}}\n  /notes/{id}:\n",
		"deleteNote as deleteMine: step-up-loosened", "deleteMine: operation removed"},
}

func TestCompare_refusesEachStepUntilItIsAcceptedByName(t *testing.T) {
	live := compiled(t, notes)
	require.Empty(t, names(t, live, live))
	for _, s := range steps {
		text := strings.Replace(notes, s.from, s.to, 1)
		require.NotEqual(t, notes, text, "%q is not in the contract", s.from)
		next := compiled(t, text)
		there, back := names(t, live, next), names(t, next, live)
		require.ElementsMatch(t, list(s.there), there, "from %s\nto   %s", s.from, s.to)
		require.ElementsMatch(t, list(s.back), back, "from %s\nto   %s", s.to, s.from)

		changes, err := Compare(live, next)
		require.NoError(t, err)
		refused, unused := Refused(changes, there)
		require.Empty(t, refused)
		require.Empty(t, unused)
		if len(changes) > 0 {
			refused, unused = Refused(changes, append([]string{"listNotes: something else"}, there[1:]...))
			require.Equal(t, changes[:1], refused[:1])
			require.Equal(t, []string{"listNotes: something else"}, unused)
		}
	}
}

func TestCompare_tellsKindOperationAndPlace(t *testing.T) {
	live := compiled(t, notes)
	next := compiled(t, strings.NewReplacer("{stepUp: {acr: aal2, maxAge: 300}}", "{}", "maxLength: 100", "maxLength: 99", "maximum: 100", "maximum: 50").Replace(notes))
	changes, err := Compare(live, next)
	require.NoError(t, err)
	line := func(text string) int { return 1 + strings.Count(notes[:strings.Index(notes, text)], "\n") }
	origin := func(text string) contract.Origin { return contract.Origin{File: "notes.yaml", Line: line(text)} }
	require.Equal(t, []Change{
		{"Note in requests: /text: maxLength lowered", Breaking, "createNote", origin("    Note: {"), "99 in one version and 100 in the other"},
		{"deleteNote: step-up-loosened", Looser, "deleteNote", origin("    delete:"), "no second factor is required any more"},
		{"listNotes: query limit: maximum lowered", Breaking, "listNotes", origin("{name: limit"), "maximum is 50 in one version and 100 in the other"},
	}, changes)
	require.Equal(t, "notes.yaml:"+strings.TrimPrefix(changes[1].Origin.String(), "notes.yaml:")+": looser: deleteNote: step-up-loosened; no second factor is required any more", changes[1].String())
}

// A change of a shared schema is reported once, under the schema's own name.
func TestCompare_tellsSharedSchemasOnce(t *testing.T) {
	var paths strings.Builder
	for _, path := range []string{"a", "b", "c"} {
		paths.WriteString("  /" + path + ": {get: {operationId: " + path + ", responses: {'200': {content: {application/json: {schema: {$ref: '#/components/schemas/Tree'}}}}}}}\n")
	}
	text := func(kind string) string {
		return "openapi: 3.1.0\npaths:\n" + paths.String() + "components: {schemas: {Tree: {type: object, properties: {kind: {type: " + kind + "}, sub: {type: array, items: {$ref: '#/components/schemas/Tree'}}}}}}\n"
	}
	require.Equal(t, []string{"Tree in answers: /kind: type widened"}, names(t, routed(t, text("integer")), routed(t, text("number"))))
	require.Empty(t, names(t, routed(t, text("number")), routed(t, text("integer"))))
}

// A referenced element is found in each of the ways in which it can be named.
func TestCompare_followsEveryReference(t *testing.T) {
	text := func(schema, limit string) string {
		return "openapi: 3.1.0\nx-limits: &limits {maxLength: " + limit + "}\npaths: {/a: {get: {operationId: a, responses: {'200': {content: {application/json: {schema: " + schema + "}}}}}}}\n" +
			"components: {schemas: {Text: {$anchor: text, $id: 'https://example.com/text', type: string, maxLength: " + limit + "}}}\n"
	}
	for schema, name := range map[string]string{
		"{$ref: '#/components/schemas/Text'}":                       "Text in answers: maxLength raised",
		"{$ref: '#%2Fcomponents/schemas/Text'}":                     "Text in answers: maxLength raised",
		"{$ref: '#text'}":                                           "#text in answers: maxLength raised",
		"{$ref: 'https://example.com/text'}":                        "text in answers: maxLength raised",
		"{$dynamicRef: '#text'}":                                    "a: answer 200 application/json: maxLength raised",
		"{type: string, <<: *limits}":                               "a: answer 200 application/json: maxLength raised",
		"{<<: [{type: string}, *limits]}":                           "a: answer 200 application/json: maxLength raised",
		"{allOf: [{$ref: '#/components/schemas/Text'}]}":            "a: answer 200 application/json: maxLength raised",
		"{$ref: '#/components/schemas/Text', description: A text.}": "Text in answers: maxLength raised",
		"{$ref: '#/components/schemas/Text', minLength: 1}":         "a: answer 200 application/json: maxLength raised",
		"{type: array, items: {$ref: '#/components/schemas/Text'}}": "Text in answers: maxLength raised",
		"{type: object, additionalProperties: {$ref: '#text'}}":     "#text in answers: maxLength raised",
	} {
		require.Equal(t, []string{name}, names(t, routed(t, text(schema, "0x10")), routed(t, text(schema, "17"))), schema)
		require.Empty(t, names(t, routed(t, text(schema, "17")), routed(t, text(schema, "0x10"))), schema)
		require.Empty(t, names(t, routed(t, text(schema, "16")), routed(t, text(schema, "0x10"))), schema)
	}
}

// Media types and headers that the family's own contracts do not have.
func TestCompare_comparesMediaTypesAndHeadersOfOthers(t *testing.T) {
	text := func(body, answer string) string {
		return "openapi: 3.1.0\npaths: {/a: {post: {operationId: a, requestBody: {content: {" + body + "}}, responses: {'200': {" + answer + "}}}}}\n"
	}
	const form, tags = "multipart/form-data: {schema: {type: object}", "headers: {Tags: {schema: {type: array, items: {type: string}}"
	for _, s := range []struct{ one, two, there, back string }{
		{text(form+"}", ""), text(form+", encoding: {a: {contentType: image/png}}}", ""), "a: body multipart/form-data: encoding changed", "a: body multipart/form-data: encoding changed"},
		{text("image/*: {}", ""), text("image/png: {}", ""), "a: body image/*: removed", ""},
		{text("'*/*': {}", ""), text("Image/PNG; q=1: {}", ""), "a: body */*: removed", ""},
		{text("", tags+"}}"), text("", tags+", explode: true}}"), "a: answer 200 header Tags: written otherwise", "a: answer 200 header Tags: written otherwise"},
		{text("", "content: {application/json: {}}"), text("", ""), "a: answer 200: body removed", ""},
		{text("", "content: {'*/*': {}}"), text("", "content: {application/json: {}}"), "", ""},
	} {
		require.ElementsMatch(t, list(s.there), names(t, routed(t, s.one), routed(t, s.two)), "from %s\nto   %s", s.one, s.two)
		require.ElementsMatch(t, list(s.back), names(t, routed(t, s.two), routed(t, s.one)), "from %s\nto   %s", s.two, s.one)
	}
}

func TestCompare_tellsOperationsThatItCannotFind(t *testing.T) {
	live := compiled(t, notes)
	other := *live.Contract.Operation("deleteNote")
	other.Path = "/notes/v1/elsewhere"
	lost := live
	c := *live.Contract
	c.Operations = []*contract.Operation{&other}
	lost.Contract = &c
	both := strings.Replace(notes, "  /notes/{id}:", "  /elsewhere:\n    delete: {operationId: deleteElse, security: [], responses: {'204': {description: Gone.}}}\n  /notes/{id}:", 1)
	require.Contains(t, names(t, lost, compiled(t, both)), "deleteNote: not comparable")
}

func TestCompare_readsFilesThatAreGivenAlone(t *testing.T) {
	text := "openapi: 3.1.0\npaths: {/a: {get: {operationId: a, responses: {'200': {content: {application/json: {schema: {$ref: 'more/schemas.yaml#/A~1B'}}}}}}}}\n"
	with := func(schema string) Version {
		v := routed(t, text)
		v.Files["more/schemas.yaml"] = []byte("A/B: {$ref: '#/C'}\nC: " + schema + "\n")
		return v
	}
	require.Equal(t, []string{"A~1B in answers: maxLength raised"}, names(t, with("{type: string, maxLength: 1}"), with("{type: string}")))
	alone := routed(t, text)
	require.Empty(t, names(t, alone, alone))
	require.NotEmpty(t, names(t, with("{type: string}"), alone)) // its present meaning is unknown
}

// adopted compiles a document from outside the family.
func adopted(t *testing.T, text string) Version {
	t.Helper()
	files := map[string][]byte{"pets.yaml": []byte(text)}
	c, _, err := contract.Adopt(contract.Adoption{Name: "pets", File: "pets.yaml", Files: files})
	require.NoError(t, err)
	return Version{Contract: c, File: "pets.yaml", Files: files}
}

const pets = `openapi: 3.1.0
info: {title: Pets, version: "1"}
servers: [{url: https://pets.example.com/api}]
paths:
  pets/{id}#read:
    get: {operationId: readPet, responses: {"200": {description: A pet., content: {application/json: {schema: {type: [object, "null"], properties: {name: {type: string}}}}}}}}
    put: {operationId: writePet, x-fountain: {stepUp: {acr: aal2, maxAge: 300}}, requestBody: {content: {application/json: {schema: {type: object}}}}, responses: {"204": {description: Done.}}}
`

func TestCompare_comparesAdoptedDocuments(t *testing.T) {
	live := adopted(t, pets)
	require.Empty(t, names(t, live, live))
	for _, s := range []struct{ from, to, there, back string }{
		{", properties: {name: {type: string}}", "", "readPet: answer 200 application/json /name: removed", ""},
		{`type: [object, "null"]`, "type: object", "", "readPet: answer 200 application/json: null added"},
		{"x-fountain: {stepUp: {acr: aal2, maxAge: 300}}, ", "", "writePet: step-up-loosened", "writePet: step-up-tightened"},
		{"/api}", "/v2}", "contract: base-path-changed", "contract: base-path-changed"},
		{"pets/{id}#read:", "/pets/{pet}:", "", ""},
		{"  pets/{id}#read:\n", "  /pets/{id}:\n    get: {operationId: thePet, responses: {\"200\": {description: A pet.}}}\n  pets/{id}#read:\n", "readPet: operationId changed", "thePet: operationId changed, thePet: operation removed"},
		{"requestBody: {content", "requestBody: {$ref: '#/nowhere', content", "writePet: no longer supported", ""},
	} {
		text := strings.Replace(pets, s.from, s.to, 1)
		require.NotEqual(t, pets, text, "%q is not in the document", s.from)
		next := adopted(t, text)
		require.ElementsMatch(t, list(s.there), names(t, live, next), "from %s\nto   %s", s.from, s.to)
		require.ElementsMatch(t, list(s.back), names(t, next, live), "from %s\nto   %s", s.to, s.from)
	}
}

// Without a limit on the work, each of these would take minutes, or more memory than there is.
func TestCompare_endsOnHostileDocuments(t *testing.T) {
	many := func(n int, one func(i int) string) string {
		out := make([]string, n)
		for i := range out {
			out[i] = one(i)
		}
		return strings.Join(out, ", ")
	}
	parts := func(name string) string {
		return "{oneOf: [" + many(3000, func(i int) string { return fmt.Sprintf("{type: object, required: [%s%d]}", name, i) }) + "]}"
	}
	groups := "{allOf: [" + many(40, func(i int) string { return fmt.Sprintf("{oneOf: [{required: [a%d]}, {required: [b%d]}]}", i, i) }) + "]}"
	nested := "{type: string}"
	for i := range 24 {
		nested = fmt.Sprintf("{anyOf: [%s, {required: [a%d]}], oneOf: [{minLength: 1}, {maxLength: 3}]}", nested, i)
	}
	for _, pair := range [][2]string{{parts("a"), parts("b")}, {groups, "{required: [z]}"}, {nested, "{type: string, maxLength: 2}"}} {
		one, two := routed(t, withSchema("3.1.0", pair[0])), routed(t, withSchema("3.1.0", pair[1]))
		_, err := Compare(one, two)
		require.ErrorIs(t, err, ErrTooDifferent)
	}
}
