package verify

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckObject_refusesWhatTwoReadersCouldReadDifferently(t *testing.T) {
	for raw, good := range map[string]bool{
		`{}`: true, ` { "a" : 1 , "b" : [ {"c":null} , "x" ] } `: true, `{"a":"}\""}`: true,
		`{"a":1,"a":2}`: false, `{"a":1,"A":2}`: false, `{"b":{"a":1,"A":2}}`: false, `{"b":[{"a":1,"a":1}]}`: false, "{\"K\":1,\"\u212a\":2}": false,
		`{"\u0061":1}`: false, `{"b":{"\u0061":1}}`: false, `{"a":1} x`: false, `{"a":1}{}`: false, `[]`: false, `"a"`: false, ``: false, `{`: false, `{"a"`: false,
		`{"a":}`: false, `{"a":1,}`: false, `{,}`: false, `{"a" 1}`: false, `{"a":"`: false, `{"a":[1}`: false, `{1:2}`: false,
		`{"a":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`: false, `{"a":` + strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 21): false,
	} {
		err := checkObject([]byte(raw), nil)
		require.Equal(t, good, err == nil, "%s: %v", raw, err)
	}
	got := map[string]string{}
	require.NoError(t, checkObject([]byte(`{ "a" :  [1, 2] , "b":"x:,"}`), func(name string, value json.RawMessage) error {
		got[name] = string(value)
		return nil
	}))
	require.Equal(t, map[string]string{"a": "[1, 2]", "b": `"x:,"`}, got, "values come as they are written")
}
