package schema

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzDocument parses possible lines of an import, for each way to handle values of a wrong type. An accepted document is read again from
// the store, as a rebuild of the index does, with the same values and without new fields.
func FuzzDocument(f *testing.F) {
	for _, in := range []string{
		`{"id":"1","s":"x","n":1,"f":1.5,"b":true,"l":["a"],"at":[1.5,2],"o":{"a":{"b":1}},"os":[{"a":1},{"a":[2,3]}],"v":[1,0.5],"x_1":"auto"}`,
		`{"s":7,"n":"8","f":"9e1","b":"true","l":"a","at":["1","2"],"o":[],"os":{},"v":[],"x_2":[1,"a"]}`, `{"n":9223372036854775808,"f":1e999}`, `{"s":"\ud800"}`, `[1]`, `{"a":1}{`,
		`{"s":null,"n":null,"o":null,"os":[null,{"a":null}]}`, `{"id":1}`, `{"v":["x",1]}`, `{"v":[1,"x"],"l":[1,{}],"at":["a",1]}`, `{"os":[{"a":1},{"a":[2,"a"]}]}`, `{"os":[{"a":1},{"a":"2"}]}`, `{"o":{"n":"12","l":["1",2,{},[3]]}}`,
		`{"o":{"n":[1],"l":3},"os":[{"n":"5","x":1},{"n":"x"}]}`, "{\"s\":\"\xff\"}",
		`{"area":"0,0, 1,0, 1,1","o":{"at":[1,2]},"os":[{"at":[1,2]},{"at":[[3,4],[5,6]]}]}`, `{"area":[0,0,1,0,1,1,0,1],"o":{"at":[1,200]},"os":[{"at":["1",2]},{"at":[3,4]}]}`, `{"area":"0,0, 1,1, 1,0, 0,1","o":{"at":null},"os":[{"at":null},{"at":[]}]}`,
	} {
		f.Add([]byte(in))
	}
	s, err := Parse([]byte(`{"name":"x","enable_nested_fields":true,"fields":[{"name":"s","type":"string","optional":true},{"name":"n","type":"int64","optional":true},{"name":"f","type":"float","optional":true},
		{"name":"b","type":"bool","optional":true},{"name":"l","type":"string[]","optional":true},{"name":"at","type":"geopoint","optional":true},{"name":"o","type":"object","optional":true},
		{"name":"os","type":"object[]","optional":true},{"name":"area","type":"geopolygon","optional":true},{"name":"o.at","type":"geopoint","optional":true},{"name":"os.at","type":"geopoint[]","optional":true},
		{"name":"o.n","type":"int64","optional":true},{"name":"o.l","type":"int64[]","optional":true},{"name":"os.n","type":"int64[]","optional":true},{"name":"v","type":"float[]","num_dim":2,"optional":true},{"name":"x_.*","type":"auto"},{"name":"y_.*","type":"string*"}]}`), 100)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, dirty := range []Dirty{Reject, CoerceOrReject, CoerceOrDrop, Drop} {
			doc, err := ParseDocument(line)
			if refused(t, err) {
				return
			}
			typed, added, err := s.Check(doc, dirty)
			if refused(t, err) {
				continue
			}
			stored, err := doc.Encode()
			require.NoError(t, err)
			again, err := ParseDocument(stored)
			require.NoError(t, err)
			next, more, err := s.Extend(added).Check(again, CoerceOrDrop)
			require.NoError(t, err, "stored, and not of the schema: %s", stored)
			require.Empty(t, more)
			require.Equal(t, typed.Values, next.Values, "of %s, %v", stored, dirty)
		}
	})
}

// refused reports whether there is an error, which must be one for the caller.
func refused(t *testing.T, err error) bool {
	var known *Error
	if err != nil && (!errors.As(err, &known) || known.Status < 400 || known.Status > 499) {
		t.Fatalf("unexpected error %v", err)
	}
	return err != nil
}

// Values that are dropped inside an object are not stored; the others stay unchanged. The caller's objects are not modified.
func TestCheck_leavesOutWhatItDropsInsideObjects(t *testing.T) {
	s, err := Parse([]byte(`{"name":"x","enable_nested_fields":true,"fields":[{"name":"o","type":"object"},{"name":"os","type":"object[]"},
		{"name":"o.n","type":"int64","optional":true},{"name":"o.l","type":"int64[]","optional":true},{"name":"os.n","type":"int64[]","optional":true}]}`), 100)
	require.NoError(t, err)
	const line = `{"id":"1","o":{"n":"12","l":["1",2],"other":"y"},"os":[{"n":"5","z":1},{"n":6}]}`
	doc, err := ParseDocument([]byte(line))
	require.NoError(t, err)
	before := doc.Merge(nil)
	_, _, err = s.Check(doc, Drop)
	require.NoError(t, err)
	stored, err := doc.Encode()
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"1","o":{"l":[2],"other":"y"},"os":[{"z":1},{"n":6}]}`, string(stored))
	same, err := before.Encode()
	require.NoError(t, err)
	require.JSONEq(t, line, string(same))
}
