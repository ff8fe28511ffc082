package rawjson_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/rawjson"
)

func TestMembers_givesPartsOfTheText(t *testing.T) {
	var got []string
	require.NoError(t, rawjson.Members([]byte(` {"a" : 9007199254740993 , "b":"}\"\\","c":[{"d":"]"},[]] ,"\u0064":-1.50e+3,"e":null}`+"\n"), func(name, value []byte) error {
		got = append(got, string(name)+"="+string(value))
		return nil
	}))
	require.Equal(t, []string{`a=9007199254740993`, `b="}\"\\"`, `c=[{"d":"]"},[]]`, `\u0064=-1.50e+3`, `e=null`}, got)

	stop := errors.New("enough")
	require.ErrorIs(t, rawjson.Members([]byte(`{"a":1,"b":2}`), func(name, _ []byte) error {
		require.Equal(t, "a", string(name))
		return stop
	}), stop)
}

func TestMembers_refusesWhatIsNoObject(t *testing.T) {
	for _, text := range []string{``, ` `, `1`, `"a"`, `[]`, `null`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a":1}}`, `{"a":1}{}`, `{a:1}`, `{"a" 1}`, `{"a":"b}`, `{"a":"\"}`, `{"a":[1}`, `{1:2}`, `{"a":?}`} {
		require.ErrorIs(t, rawjson.Members([]byte(text), func(_, _ []byte) error { return nil }), rawjson.ErrMalformed, text)
	}
}

func TestPlain_isOfStringsWithoutEscapes(t *testing.T) {
	for value, text := range map[string]string{`"a"`: "a", `""`: "", `"é}"`: "é}"} {
		got, ok := rawjson.Plain([]byte(value))
		require.True(t, ok)
		require.Equal(t, text, got)
	}
	for _, value := range []string{`"a\n"`, `1`, `null`, `["a"]`, ``, `"`} {
		_, ok := rawjson.Plain([]byte(value))
		require.False(t, ok, value)
	}
}

// FuzzMembers compares the members of an object with those that encoding/json decodes.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{`{"a":1,"b":[{"c":"\\\""}]}`, `{"":{}}`, ` { "a" : true } `, `{"a":1}}`, `[1]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got := map[string]string{}
		err := rawjson.Members(text, func(name, value []byte) error {
			var read string
			if json.Unmarshal(append(append([]byte{'"'}, name...), '"'), &read) == nil {
				got[read] = string(value)
			}
			return nil
		})
		var want map[string]json.RawMessage
		if json.Unmarshal(text, &want) != nil || want == nil {
			return // what is no JSON it may take for some
		}
		require.NoError(t, err, "%q", text)
		require.Len(t, got, len(want), "%q", text)
		for name, value := range want {
			require.Equal(t, string(value), got[name], "%q", text)
		}
	})
}

// FuzzAppendString compares with encoding/json: the result is a string with the same content.
func FuzzAppendString(f *testing.F) {
	for _, text := range []string{"", "a", `a"b\c`, "\n\x00", "é<>&", "\xff", "\u2028"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		var want, got string
		require.NoError(t, json.Unmarshal(quoted, &want))
		require.NoError(t, json.Unmarshal(rawjson.AppendString(nil, text), &got))
		require.Equal(t, want, got)
	})
}
