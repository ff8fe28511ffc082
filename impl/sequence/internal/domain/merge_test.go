package domain_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

func merged(t testing.TB, data, patch string) string {
	out, err := (&domain.Revise{Merge: []byte(patch)}).Apply([]byte(data))
	require.NoError(t, err)
	return string(out)
}

// TestMerge_isThatOfRFC7396 tests the table of RFC 7396, appendix A, byte for byte.
func TestMerge_isThatOfRFC7396(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		require.Equal(t, c[2], merged(t, c[0], c[1]), "%s and %s", c[0], c[1])
	}
}

func TestMerge_keepsTheTextOfWhatIsNotNamed(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"<b> & c","n":1.0e2,"x":1}`, `{"x":2}`, `{"a":"<b> & c","n":1.0e2,"x":2}`},
		{`{"a":"\u0026\u2028","k\u00e9":12345678901234567890}`, `{"b":"<\u2028>"}`, `{"a":"\u0026\u2028","k\u00e9":12345678901234567890,"b":"<\u2028>"}`},
		{"{\"a\":\"\u2028\u2029\"}", "{\"b\":\"\u2028&\"}", "{\"a\":\"\u2028\u2029\",\"b\":\"\u2028&\"}"},
		{`{"k\u00e9":1,"z":2}`, `{"ké":3}`, `{"k\u00e9":3,"z":2}`}, // the same name
		{`{"z":1,"y":2,"x":3}`, `{"y":null}`, `{"z":1,"x":3}`},
		{`{"z":{"b":1,"a":[ 1, {"n": null} ]}}`, `{"z":{"b":2}}`, `{"z":{"b":2,"a":[ 1, {"n": null} ]}}`},
		{"{ \"a\" : 1 ,\n\"b\" : 2 }", ` { "c" : 3 , "a" : null } `, `{"b":2,"c":3}`},
	} {
		require.Equal(t, c[2], merged(t, c[0], c[1]), "%s and %s", c[0], c[1])
	}
}

func TestMerge_addsInTheOrderOfThePatch(t *testing.T) {
	require.Equal(t, `{"m":0,"z":1,"y":2,"x":3,"w":4,"v":{"u":5,"t":6,"s":7}}`,
		merged(t, `{"m":0}`, `{"z":1,"y":2,"x":3,"w":4,"v":{"u":5,"t":6,"s":7,"r":null}}`))
}

func TestMerge_keepsNullsInsideArrays(t *testing.T) {
	require.Equal(t, `{"a":[{"b":null,"c":1},null]}`, merged(t, `{"a":1}`, `{"a":[{"b":null,"c":1},null]}`))
}

// byMaps is the algorithm of RFC 7396, section 2, on maps.
func byMaps(target, patch any) any {
	changes, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	into, ok := target.(map[string]any)
	if !ok {
		into = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(into, name)
		} else {
			into[name] = byMaps(into[name], value)
		}
	}
	return into
}

func decodeExactly(text []byte) (out any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return out, decoder.Decode(&out)
}

func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":{"b":1,"c":[{"d":null}]},"e":"<&>"}`), []byte(`{"a":{"b":null,"x":{"y":null}},"e":{"f":1.0}}`))
	f.Add([]byte(`{"\u0061":1 , "b" : {}}`), []byte(` {"a":null,"c":[1, 2]}`))
	f.Fuzz(func(t *testing.T, data, patch []byte) {
		if len(data)+len(patch) > domain.MaxData || !json.Valid(data) || !json.Valid(patch) || twice(data) || twice(patch) {
			return // the contract refuses them
		}
		target, err := decodeExactly(data)
		require.NoError(t, err)
		change, err := decodeExactly(patch)
		require.NoError(t, err)
		out, err := (&domain.Revise{Merge: patch}).Apply(data)
		require.NoError(t, err)
		got, err := decodeExactly(out)
		require.NoError(t, err, "%q", out)
		require.Equal(t, byMaps(target, change), got)
	})
}

// twice reports whether an object has a name twice.
func twice(text []byte) bool {
	decoder := json.NewDecoder(bytes.NewReader(text))
	var inside func() bool
	inside = func() bool {
		token, err := decoder.Token()
		open, ok := token.(json.Delim)
		if err != nil || !ok {
			return false
		}
		names := map[string]bool{}
		for decoder.More() {
			if open == '{' {
				name, _ := decoder.Token()
				if names[name.(string)] {
					return true
				}
				names[name.(string)] = true
			}
			if inside() {
				return true
			}
		}
		_, _ = decoder.Token()
		return false
	}
	return inside()
}
