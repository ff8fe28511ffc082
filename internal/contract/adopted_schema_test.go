package contract

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
)

// adopt adopts a document named pets.yaml as the member pets.
func adopt(t testing.TB, text string) (*Contract, []Warning) {
	t.Helper()
	c, warnings, err := Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(text)}})
	require.NoError(t, err)
	return c, warnings
}

// bodyOf adopts a document of a version with one operation, POST /pets, whose body is JSON of a schema written as JSON or YAML flow.
func bodyOf(t testing.TB, version, schema string, components ...string) (*Operation, []Warning) {
	t.Helper()
	named := strings.Join(components, ", ")
	c, warnings := adopt(t, fmt.Sprintf(`{openapi: %s, info: {title: Pets, version: 1.0.0}, components: {schemas: {%s}}, paths: {/pets: {post: {operationId: send,
  requestBody: {required: true, content: {application/json: {schema: %s}}}, responses: {"204": {description: Done.}}}}}}`, version, named, schema))
	return c.Operation("send"), warnings
}

func fitsBody(op *Operation, value string) error {
	return op.CheckBody("application/json", []byte(value))
}

func TestAdoptedSchemas_meanWhatJSONSchemaSays(t *testing.T) {
	for _, one := range []struct {
		version, schema string
		fits, not       []string
	}{
		{"3.1.0", `{type: [string, "null"]}`, []string{`"a"`, `null`}, []string{`1`, `{}`}},
		{"3.1.0", `{const: {a: 1}}`, []string{`{"a":1}`, `{"a":1.0}`}, []string{`{"a":2}`, `1`}},
		{"3.1.0", `{type: number, exclusiveMinimum: 1, exclusiveMaximum: 3, minimum: 0}`, []string{`2`, `1.1`}, []string{`1`, `3`, `0.5`}},
		{"3.1.0", `{prefixItems: [{type: string}, {type: integer}], items: {type: boolean}}`, []string{`["a"]`, `["a",1,true]`, `[]`, `{}`}, []string{`[1]`, `["a",1,2]`}},
		{"3.1.0", `{prefixItems: [{type: string}], items: false}`, []string{`["a"]`}, []string{`["a",1]`}},
		{"3.1.0", `{allOf: [{properties: {a: {type: string}}}], properties: {b: {}}, unevaluatedProperties: false}`, []string{`{"a":"x","b":1}`}, []string{`{"a":"x","c":1}`, `{"a":1}`}},
		{"3.1.0", `{anyOf: [{required: [a], properties: {a: {}}}, {required: [b], properties: {b: {}}}], unevaluatedProperties: {type: integer}}`, []string{`{"a":"x","b":1}`, `{"a":"x","b":"y"}`, `{"a":"x","c":1}`}, []string{`{"a":"x","c":"y"}`}},
		{"3.1.0", `{prefixItems: [true], contains: {const: 2}, unevaluatedItems: false}`, []string{`[1,2,2]`}, []string{`[1,2,3]`, `[1]`}},
		{"3.1.0", `{$defs: {small: {maximum: 3}}, type: integer, $ref: "#/paths/~1pets/post/requestBody/content/application~1json/schema/$defs/small"}`, []string{`3`}, []string{`4`, `"a"`}},
		{"3.1.0", `{properties: {a: true, b: false}}`, []string{`{"a":1}`, `{}`}, []string{`{"b":1}`}},
		{"3.1.0", `{if: {properties: {kind: {const: cat}}, required: [kind]}, then: {required: [lives]}, else: {required: [name]}}`, []string{`{"kind":"cat","lives":9}`, `{"name":"x"}`}, []string{`{"kind":"cat"}`, `{}`}},
		{"3.1.0", `{dependentRequired: {card: [address]}}`, []string{`{}`, `{"card":1,"address":2}`}, []string{`{"card":1}`}},
		{"3.1.0", `{dependentSchemas: {card: {properties: {limit: {minimum: 5}}}}}`, []string{`{"limit":1}`, `{"card":1,"limit":5}`}, []string{`{"card":1,"limit":1}`}},
		{"3.1.0", `{patternProperties: {"^x-": {type: string}}, additionalProperties: false, properties: {a: {}}}`, []string{`{"a":1,"x-b":"c"}`}, []string{`{"x-b":1}`, `{"b":1}`}},
		{"3.1.0", `{propertyNames: {maxLength: 2}}`, []string{`{"ab":1}`}, []string{`{"abc":1}`}},
		{"3.1.0", `{contains: {type: string}, minContains: 2, maxContains: 3}`, []string{`["a","b"]`, `["a","b","c",1]`}, []string{`["a"]`, `["a","b","c","d"]`}},
		{"3.1.0", `{type: "null"}`, []string{`null`}, []string{`0`}},
		{"3.1.0", `{enum: [null, 1]}`, []string{`null`, `1`}, []string{`2`}},
		{"3.0.3", `{type: string, nullable: true}`, []string{`"a"`, `null`}, []string{`1`}},
		{"3.0.3", `{type: integer, minimum: 1, exclusiveMinimum: true}`, []string{`2`}, []string{`1`}},
		{"3.0.3", `{type: integer, format: int32}`, []string{`1`, `1.0`, `1e2`, `3000000000`}, []string{`1.5`, `"1"`}},
		{"3.0.3", `{type: integer, format: uint64, maximum: 18446744073709551615}`, []string{`18446744073709551615`}, []string{`18446744073709551616`}},
		{"3.0.3", `{}`, []string{`null`, `1`, `{}`, `[]`}, nil},
		{"3.0.3", `{type: object, properties: {foo: {type: string}, Foo: {type: integer}}}`, []string{`{"foo":"a","Foo":1}`, `{"FOO":true}`}, []string{`{"foo":1}`}},
		{"3.0.3", `{not: {type: string}}`, []string{`1`, `null`}, []string{`"a"`}},
		{"3.0.3", `{type: object, required: [id, name], properties: {id: {type: string, readOnly: true}, name: {type: string}}}`, []string{`{"name":"a"}`}, []string{`{"id":"a","name":"a"}`, `{}`}},
		{"3.0.3", `{type: number, multipleOf: 0.01}`, []string{`1.15`, `0`}, []string{`1.155`}},
	} {
		op, _ := bodyOf(t, one.version, one.schema)
		require.Empty(t, op.Unsupported, one.schema)
		for _, value := range one.fits {
			require.NoError(t, fitsBody(op, value), "%s: %s", one.schema, value)
		}
		for _, value := range one.not {
			require.Error(t, fitsBody(op, value), "%s: %s", one.schema, value)
		}
	}
}

func TestAdoptedSchemas_readOtherVersionsKeywordsWithAWarning(t *testing.T) {
	for _, one := range []struct{ version, schema, fits, not, line string }{
		{"3.0.1", `{const: a}`, `"a"`, `"b"`, "const is not of OpenAPI 3.0"},
		{"3.0.1", `{type: [string, integer]}`, `1`, `true`, "a list of types is not of OpenAPI 3.0"},
		{"3.0.1", `{type: integer, exclusiveMinimum: 3}`, `4`, `3`, "exclusiveMinimum has the form of another version"},
		{"3.1.0", `{type: integer, minimum: 3, exclusiveMinimum: true}`, `4`, `3`, "exclusiveMinimum has the form of another version"},
		{"3.1.0", `{type: string, nullable: true}`, `null`, `1`, "nullable is not of OpenAPI 3.1"},
		{"3.1.0", `{type: array, items: [{type: string}]}`, `["a"]`, `[1]`, "items is a list"},
		{"3.1.0", `{$recursiveRef: "#", type: string}`, `"a"`, `1`, "$recursiveRef"},
		{"3.1.0", `{$recursiveAnchor: true, type: object, properties: {in: {type: array, items: {oneOf: [{type: string}, {$recursiveRef: "#"}]}}}}`, `{"in":["a",{"in":[]}]}`, `{"in":[{"in":[1]}]}`, "$recursiveAnchor"},
		{"3.0.1", `{type: strin}`, `1`, ``, "strin is not a type"},
		{"3.0.1", `{type: string, minLength: "2"}`, `"a"`, `1`, "minLength is not a whole number"},
		{"3.0.1", `{type: object, required: true}`, `{}`, `1`, "required is not a list"},
		{"3.0.1", `{type: string, format: snowflake}`, `"a"`, `1`, "the format snowflake is not checked"},
	} {
		op, warnings := bodyOf(t, one.version, one.schema)
		require.NoError(t, fitsBody(op, one.fits), one.schema)
		if one.not != "" {
			require.Error(t, fitsBody(op, one.not), one.schema)
		}
		require.Contains(t, fmt.Sprint(warnings), one.line)
	}
}

func TestAdoptedSchemas_refsWithSiblings(t *testing.T) {
	const short = `Short: {type: string, maxLength: 3}`
	op, _ := bodyOf(t, "3.1.0", `{$ref: "#/components/schemas/Short", minLength: 2}`, short)
	require.NoError(t, fitsBody(op, `"ab"`))
	require.Error(t, fitsBody(op, `"a"`), "a sibling counts in 3.1")
	require.Error(t, fitsBody(op, `"abcd"`))
	op, warnings := bodyOf(t, "3.0.3", `{$ref: "#/components/schemas/Short", minLength: 2}`, short)
	require.NoError(t, fitsBody(op, `"a"`), "and not in 3.0")
	require.Error(t, fitsBody(op, `"abcd"`))
	require.Contains(t, fmt.Sprint(warnings), "beside $ref")
}

func TestAdoptedSchemas_thatArePartOfThemselvesAreHeldAgainstAValueOnce(t *testing.T) {
	// Inheritance as generators write it: the base lists its subtypes, and each subtype includes the base with allOf.
	op, _ := bodyOf(t, "3.0.3", `{$ref: "#/components/schemas/Pet"}`,
		`Pet: {type: object, required: [kind], properties: {kind: {type: string}}, discriminator: {propertyName: kind}, oneOf: [{$ref: "#/components/schemas/Cat"}, {$ref: "#/components/schemas/Dog"}]}`,
		`Cat: {allOf: [{$ref: "#/components/schemas/Pet"}, {type: object, required: [lives], properties: {lives: {type: integer}}}]}`,
		`Dog: {allOf: [{$ref: "#/components/schemas/Pet"}, {type: object, required: [bark], properties: {bark: {type: string}}}]}`)
	require.Empty(t, op.Unsupported)
	require.NoError(t, fitsBody(op, `{"kind":"Cat","lives":9}`))
	require.Error(t, fitsBody(op, `{"kind":"Cat","bark":"loud"}`))
	require.Error(t, fitsBody(op, `{"lives":9}`))
	op, _ = bodyOf(t, "3.1.0", `{$ref: "#/components/schemas/Tree"}`, `Tree: {type: object, properties: {inner: {anyOf: [{$ref: "#/components/schemas/Tree"}, {type: "null"}]}}, unevaluatedProperties: false, allOf: [{anyOf: [true, {$ref: "#/components/schemas/Tree"}]}]}`)
	require.NoError(t, fitsBody(op, `{"inner":{"inner":null}}`))
	require.Error(t, fitsBody(op, `{"inner":{"other":null}}`))
}

func TestAdoptedSchemas_anAbsurdWebOfAlternativesEndsInTime(t *testing.T) {
	// Each level is checked against the next one in eight ways, and so on at every level.
	alternatives := strings.Repeat(`{properties: {n: {$ref: "#/components/schemas/Deep"}}, required: [n, x]}, `, 8)
	op, _ := bodyOf(t, "3.0.3", `{$ref: "#/components/schemas/Deep"}`, `Deep: {anyOf: [`+alternatives+`{type: string}]}`)
	require.Empty(t, op.Unsupported)
	err := fitsBody(op, strings.Repeat(`{"n":`, 60)+`1`+strings.Repeat(`}`, 60))
	require.ErrorContains(t, err, "")
	require.Contains(t, fmt.Sprintf("%+v", err), "does not match")
	// Only composition: a chain in which each schema includes the next one twice.
	var chain []string
	for i := range 40 {
		chain = append(chain, fmt.Sprintf(`S%d: {allOf: [{$ref: "#/components/schemas/S%d"}, {$ref: "#/components/schemas/S%d"}]}`, i, i+1, i+1))
	}
	op, _ = bodyOf(t, "3.0.3", `{$ref: "#/components/schemas/S0"}`, append(chain, `S40: {type: string}`)...)
	require.Contains(t, op.Unsupported, "schemas")
}

// schemaGenerator generates schemas of JSON Schema 2020-12 and values for them.
type schemaGenerator struct{ *rand.Rand }

func (g schemaGenerator) one(of ...string) string { return of[g.IntN(len(of))] }

func (g schemaGenerator) schema(depth int) string {
	if depth > 3 || g.IntN(12) == 0 {
		return g.one("true", "false", "{}", `{"type":"string"}`, `{"type":"integer"}`, `{"type":["null","boolean"]}`)
	}
	if g.IntN(8) == 0 {
		return g.one(`{"$ref":"#/$defs/A"}`, `{"$ref":"#/$defs/B"}`, `{"$ref":"#/$defs/A","maxProperties":2}`)
	}
	var parts []string
	put := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	sub := func() string { return g.schema(depth + 1) }
	for range 1 + g.IntN(3) {
		switch g.IntN(26) {
		case 0:
			put(`"type":%s`, g.one(`"string"`, `"integer"`, `"number"`, `"object"`, `"array"`, `["object","null"]`, `["array","string"]`, `"boolean"`))
		case 1:
			put(`"enum":[%s,%s]`, g.value(2), g.value(2))
		case 2:
			put(`"const":%s`, g.value(2))
		case 3:
			put(`"minimum":%d`, g.IntN(4))
		case 4:
			put(`"exclusiveMaximum":%d`, g.IntN(4))
		case 5:
			put(`"multipleOf":%s`, g.one("2", "0.5", "1"))
		case 6:
			put(`"maxLength":%d`, g.IntN(3))
		case 7:
			put(`"pattern":%s`, g.one(`"^a"`, `"b$"`, `"[0-9]"`))
		case 8:
			put(`"prefixItems":[%s,%s]`, sub(), sub())
		case 9:
			put(`"items":%s`, sub())
		case 10:
			put(`"contains":%s`, sub())
		case 11:
			put(`"uniqueItems":true`)
		case 12, 13:
			put(`"properties":{"a":%s,"b":%s}`, sub(), sub())
		case 14:
			put(`"required":[%s]`, g.one(`"a"`, `"b"`, `"a","c"`))
		case 15:
			put(`"additionalProperties":%s`, sub())
		case 16:
			put(`"patternProperties":{"%s":%s}`, g.one("^a", "b", "c$"), sub())
		case 17:
			put(`"propertyNames":%s`, g.one(`{"maxLength":1}`, `{"enum":["a","b"]}`))
		case 18:
			put(`"dependentRequired":{"a":["b"]}`)
		case 19:
			put(`"dependentSchemas":{"a":%s}`, sub())
		case 20:
			put(`"if":%s,"then":%s,"else":%s`, sub(), sub(), sub())
		case 21:
			put(`"allOf":[%s,%s]`, sub(), sub())
		case 22:
			put(`"anyOf":[%s,%s]`, sub(), sub())
		case 23:
			put(`"oneOf":[%s,%s]`, sub(), sub())
		case 24:
			put(`"not":%s`, sub())
		case 25:
			put(`"%s":%s`, g.one("unevaluatedProperties", "unevaluatedItems"), g.one("false", sub()))
		}
	}
	seen, kept := map[string]bool{}, parts[:0]
	for _, p := range parts {
		if key, _, _ := strings.Cut(p, ":"); !seen[key] {
			seen[key] = true
			kept = append(kept, p)
		}
	}
	return "{" + strings.Join(kept, ",") + "}"
}

func (g schemaGenerator) value(depth int) string {
	if depth > 3 || g.IntN(3) == 0 {
		return g.one("null", "true", "0", "1", "2", "1.5", "2.0", "3", `""`, `"a"`, `"ab"`, `"7"`, `"b"`, "[]", "{}")
	}
	if g.IntN(2) == 0 {
		var items []string
		for range g.IntN(4) {
			items = append(items, g.value(depth+1))
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	var members []string
	for _, name := range []string{"a", "b", "c", "ab"} {
		if g.IntN(2) == 0 {
			members = append(members, fmt.Sprintf("%q:%s", name, g.value(depth+1)))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func TestAdoptedSchemas_agreeWithAnotherValidator(t *testing.T) {
	g := schemaGenerator{rand.New(rand.NewPCG(11, 7))}
	fits, not := 0, 0
	for range 1500 {
		a, b, root := g.schema(1), g.schema(1), g.schema(0)
		var text any
		require.NoError(t, json.Unmarshal([]byte(fmt.Sprintf(`{"$defs":{"A":%s,"B":%s},"allOf":[%s]}`, a, b, root)), &text))
		compiler := jsonschema.NewCompiler()
		require.NoError(t, compiler.AddResource("mem:///s.json", text))
		theirs, err := compiler.Compile("mem:///s.json")
		require.NoError(t, err)
		here := strings.NewReplacer("#/$defs/", "#/components/schemas/")
		op, _ := bodyOf(t, "3.1.0", here.Replace(root), `"A": `+here.Replace(a), `"B": `+here.Replace(b))
		if strings.Contains(op.Unsupported, "form a cycle") {
			continue // A is B and B is A
		}
		require.Empty(t, op.Unsupported, root)
		if endless(op.body.media["application/json"].schema, map[*schema]bool{}) {
			continue
		}
		for range 20 {
			value := g.value(0)
			instance, err := jsonschema.UnmarshalJSON(strings.NewReader(value))
			require.NoError(t, err)
			ours := fitsBody(op, value)
			require.Equal(t, theirs.Validate(instance) == nil, ours == nil, "%s with A %s and B %s: %s: %v", root, a, b, value, ours)
			if ours == nil {
				fits++
			} else {
				not++
			}
		}
	}
	require.Greater(t, fits, 3000)
	require.Greater(t, not, 3000)
}

// endless reports whether a schema that s requires contains itself, which the other validator treats as an error.
func endless(s *schema, seen map[*schema]bool) bool {
	if seen[s] {
		return false
	}
	seen[s] = true
	return s.adopted.again || slices.ContainsFunc(s.needs(), func(one *schema) bool { return endless(one, seen) })
}
