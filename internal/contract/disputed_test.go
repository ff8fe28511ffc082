package contract

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Common validators disagree about these requests. Each row states the right verdict by the text of OpenAPI and JSON, with documents of our own.
func TestDisputed_isJudgedByTheText(t *testing.T) {
	const asForm = "application/x-www-form-urlencoded"
	body := func(version, schema string, components ...string) func(string) error {
		op, _ := bodyOf(t, version, schema, components...)
		return func(value string) error { return fitsBody(op, value) }
	}
	form := func(schema string) func(string) error {
		op, _ := contentOf(t, "3.0.3", asForm+`: {schema: `+schema+`}`)
		return func(value string) error { return op.CheckBody(asForm, []byte(value)) }
	}
	query := func(path, parameter string) func(string) error {
		c, _ := parametersOf(t, path, parameter)
		return func(target string) error { return sent(c, target) }
	}
	upload, _ := contentOf(t, "3.0.3", `multipart/form-data: {schema: {type: object, required: [file], properties: {file: {type: string, format: binary}}}}`)
	whole := func(string) error {
		contentType, sent := multipartBody(t, goodFile)
		return upload.CheckBody(contentType, sent)
	}
	raw := func(mediaType string) func(string) error {
		op, _ := contentOf(t, "3.0.3", fmt.Sprintf(`%q: {schema: {type: string}}`, mediaType))
		return func(value string) error { return op.CheckBody(mediaType, []byte(value)) }
	}
	// A parameter that is not sent, and whose default violates its own pattern.
	defaulted := query("/p", `{name: a, in: query, schema: {type: string, default: "Current date", pattern: "^[0-9]+$"}}`)
	for _, row := range []struct {
		number string
		check  func(string) error
		sent   string
		fits   bool
	}{
		{"1: bytes after the first JSON value", body("3.0.3", `{type: object}`), `{"a":1}}`, false},
		{"1: white space is none", body("3.0.3", `{type: object}`), "{\"a\":1}\n", true},
		{"2: a form without a required field", form(`{type: object, required: [a], properties: {a: {type: string}, b: {type: integer}}}`), "b=1", false},
		{"2: a form with a wrong type", form(`{type: object, properties: {b: {type: integer}}}`), "b=x", false},
		{"3: digits for an integer of a form", form(`{type: object, properties: {b: {type: integer}}}`), "b=6", true},
		{"4: multipart with all its parts", whole, "", true},
		{"5: a body of XML", raw("application/xml"), "<a/>", true},
		{"5: an image", raw("image/jpeg"), "\xff\xd8", true},
		{"5: multipart/related", raw("multipart/related"), "--x", true},
		{"6: a wrong value for anyOf", query("/p", `{name: a, in: query, schema: {anyOf: [{type: integer, minimum: 1}, {type: string, enum: [all]}]}}`), "/p?a=some", false},
		{"6: a right one", query("/p", `{name: a, in: query, schema: {anyOf: [{type: integer, minimum: 1}, {type: string, enum: [all]}]}}`), "/p?a=all", true},
		{"6: an enum behind allOf", query("/p", `{name: a, in: query, schema: {allOf: [{type: string, enum: [up, down]}]}}`), "/p?a=left", false},
		{"7: ipv4 is asserted", body("3.0.3", `{type: string, format: ipv4}`), `"1.2.3.256"`, false},
		{"7: ipv6 is asserted", body("3.0.3", `{type: string, format: ipv6}`), `"::1"`, true},
		{"8: an escaped path parameter", query("/p/{a}", `{name: a, in: path, required: true, schema: {type: string, pattern: "^(0|[1-9][0-9]*)$"}}`), "/p/%31%32", true},
		{"9: content of JSON that is none", query("/p", `{name: a, in: query, content: {application/json: {schema: {}}}}`), "/p?a=%7B%22id%22%3A", false},
		{"10: content of JSON of a wrong type", query("/p", `{name: a, in: query, content: {application/json: {schema: {type: object, properties: {id: {type: object}}}}}}`), "/p?a=%7B%22id%22%3A1%7D", false},
		{"12: nullable beside allOf without a type", body("3.0.3", `{nullable: true, allOf: [{type: object}]}`), `null`, false},
		{"12: and what allOf takes", body("3.0.3", `{nullable: true, allOf: [{type: object}]}`), `{}`, true},
		{"12: with one", body("3.0.3", `{nullable: true, type: object}`), `null`, true},
		{"13: nullable, but enum has no null", body("3.0.3", `{type: string, nullable: true, enum: [a]}`), `null`, false},
		{"13: an enum that has it", body("3.0.3", `{type: string, nullable: true, enum: [a, null]}`), `null`, true},
		{"14: an exploded object, sent as its members", query("/p", `{name: o, in: query, required: true, schema: {type: object, required: [q], properties: {q: {type: string}}}}`), "/p?q=x", true},
		{"15: another alternative takes what one refuses", body("3.0.3", `{anyOf: [{type: object, properties: {a: {type: string}}}, {type: object}]}`), `{"a":1}`, true},
		{"16: a discriminator that is not there", body("3.0.3", `{oneOf: [{$ref: "#/components/schemas/A"}, {$ref: "#/components/schemas/B"}], discriminator: {propertyName: k}}`,
			`A: {type: object, required: [a]}`, `B: {type: object, required: [b]}`), `{"a":1}`, true},
		{"17: a default is not sent", defaulted, "/p", true},
		{"17: what is sent is checked", defaulted, "/p?a=x", false},
		{"18: a parameter named Accept", query("/p", `{name: Accept, in: header, required: true, schema: {type: integer}}`), "/p", true},
		{"19: a path without a slash", query("pets", ``), "/pets", true},
		{"20: deepObject with any names", query("/p", `{name: metadata, in: query, style: deepObject, schema: {type: object, nullable: true, additionalProperties: {type: string, nullable: true}}}`), "/p?metadata[a]=1", true},
		{"21: a look-ahead that fits", body("3.0.3", `{type: string, pattern: '^(?!\d+$)\w+\S+'}`), `"1A-22"`, true},
		{"21: and one that does not", body("3.0.3", `{type: string, pattern: '^(?!\d+$)\w+\S+'}`), `"123456"`, false},
	} {
		if row.fits {
			require.NoError(t, row.check(row.sent), row.number)
		} else {
			require.Error(t, row.check(row.sent), row.number)
		}
	}
}

func TestDiscriminators_chooseWithAndWithoutMapping(t *testing.T) {
	components := []string{`Cat: {type: object, required: [kind], properties: {kind: {type: string}, lives: {type: integer}}}`, `Dog: {type: object, required: [kind], properties: {kind: {type: string}, lives: {type: string}}}`,
		`Letter: {type: object, required: [kind], properties: {kind: {type: string, enum: [a]}, weight: {type: integer}}}`, `Parcel: {allOf: [{type: object, required: [kind], properties: {kind: {type: string, enum: [b, c]}}}]}`,
		`Bird: {type: object, properties: {lives: {type: boolean}}}`}
	const alternatives = `oneOf: [{$ref: "#/components/schemas/Cat"}, {$ref: "#/components/schemas/Dog"}]`
	for _, one := range []struct {
		schema    string
		fits, not []string
		warns     bool
	}{
		{`{` + alternatives + `, discriminator: {propertyName: kind}}`, []string{`{"kind":"Cat","lives":9}`, `{"kind":"Dog"}`}, []string{`{"kind":"Cat","lives":"x"}`, `{"kind":"Fish","lives":9}`, `{"lives":9}`}, false},
		{`{` + alternatives + `, discriminator: {propertyName: kind, mapping: {meow: "#/components/schemas/Cat", woof: Dog}}}`,
			[]string{`{"kind":"meow","lives":9}`, `{"kind":"woof","lives":"x"}`, `{"kind":"Cat","lives":9}`}, []string{`{"kind":"meow","lives":"x"}`, `{"kind":"Fish"}`}, false},
		{`{` + alternatives + `, discriminator: {propertyName: kind, mapping: {tweet: "#/components/schemas/Bird"}}}`, []string{`{"kind":"tweet","lives":9}`}, []string{`{"kind":"tweet","lives":true}`}, true},
		{`{anyOf: [{$ref: "#/components/schemas/Cat"}, {type: object, required: [fins]}], discriminator: {propertyName: kind}}`, []string{`{"kind":"Fish","fins":2}`, `{"kind":"Cat"}`}, []string{`{"kind":"Cat","lives":"x"}`}, false},
		{`{oneOf: [{$ref: "#/components/schemas/Letter"}, {$ref: "#/components/schemas/Parcel"}], discriminator: {propertyName: kind}}`, []string{`{"kind":"a"}`, `{"kind":"b","weight":1}`, `{"kind":"c"}`},
			[]string{`{"kind":"a","weight":"x"}`, `{"kind":"d"}`, `{}`}, false},
		{`{type: object, required: [kind], properties: {kind: {type: string}}, discriminator: {propertyName: kind}}`, []string{`{"kind":"anything"}`}, []string{`{}`}, false},
	} {
		op, warnings := bodyOf(t, "3.0.3", one.schema, components...)
		require.Empty(t, op.Unsupported, one.schema)
		for _, value := range one.fits {
			require.NoError(t, fitsBody(op, value), "%s: %s", one.schema, value)
		}
		for _, value := range one.not {
			require.Error(t, fitsBody(op, value), "%s: %s", one.schema, value)
		}
		require.Equal(t, one.warns, kinds(warnings)[WarnDiscriminator] > 0, one.schema)
	}
}
