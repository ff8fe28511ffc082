package schema

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func anything(depth int) *rapid.Generator[any] {
	leaf := rapid.OneOf(rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Float64Range(-1e9, 1e9), func(x float64) any { return x }), rapid.Just[any](nil))
	if depth == 0 {
		return leaf
	}
	return rapid.OneOf(leaf, rapid.Map(rapid.SliceOfN(anything(depth-1), 0, 3), func(l []any) any { return l }),
		rapid.Map(rapid.MapOfN(rapid.String(), anything(depth-1), 0, 3), func(m map[string]any) any { return m }))
}

func TestReadPart_readsWhatParseDocumentReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Document(rapid.MapOfN(rapid.String(), anything(3), 0, 6).Draw(t, "document"))
		body, err := d.Encode()
		require.NoError(t, err)
		whole, err := ParseDocument(body)
		require.NoError(t, err)
		for name, want := range whole {
			part, err := ReadPart(body, []*Field{{Name: name}, {Name: name + ".inner"}})
			require.NoError(t, err, "%s", body)
			require.Equal(t, want, part[name], "%q of %s", name, body)
		}
		none, err := ReadPart(body, []*Field{{Name: "\x01 not there"}})
		require.NoError(t, err)
		if _, ok := whole["id"]; !ok {
			require.Empty(t, none)
		}
	})
}

func FuzzReadPart(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1}`, `{"a":[1,{"b":"}"}],"c":"\\\""}`, `{`, `{"a"`, `{"a":`, `[]`, ``, `{"a":1`, `{"a":1,`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, body []byte) { _, _ = ReadPart(body, []*Field{{Name: "a"}}) }) // it may not panic
}
