package change

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

// For any documents the comparison ends, and a document has no change from itself.
func FuzzCompare(f *testing.F) {
	f.Add(notes, withSchema("3.1.0", "{type: string}"))
	for _, n := range narrowings {
		f.Add(withSchema(n.version, n.wide), withSchema(n.version, n.narrow))
	}
	for _, loop := range []string{
		"{$ref: '#/components/schemas/Note'}", "{allOf: [{$ref: '#/components/schemas/Note'}]}", "{oneOf: [{$ref: '#/components/schemas/Note'}, {type: string}]}",
		"{anyOf: [{anyOf: [{$ref: '#/components/schemas/Note'}, {}]}, {}]}", "{items: {$ref: '#/components/schemas/Note'}, properties: {a: {$ref: '#/components/schemas/Note'}}}",
		"{properties: {a: &a {}, b: &b [*a, *a], c: &c [*b, *b]}, enum: [*c]}", "&a {properties: {a: *a}}", "{enum: [&b [*b]]}", "{type: {type: object}}", "{required: {a: b}}", "{properties: [a]}", "{minimum: 1e999999999}",
	} {
		f.Add(withSchema("3.1.0", loop), withSchema("3.1.0", "{type: string}"))
		f.Add(withSchema("3.0.3", loop), withSchema("3.0.3", loop))
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		versions := make([]Version, 2)
		for i, text := range []string{one, two} {
			v := Version{Contract: &contract.Contract{}, File: "notes.yaml", Files: map[string][]byte{"notes.yaml": []byte(text)}}
			if _, err := readDocument(v); err != nil {
				return
			}
			versions[i] = routed(t, text)
		}
		changes, err := Compare(versions[0], versions[0])
		if err == nil {
			require.Empty(t, changes)
		}
		_, _ = Compare(versions[0], versions[1]) // it ends
	})
}
