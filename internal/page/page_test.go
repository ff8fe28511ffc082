package page_test

import (
	"encoding/base64"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/page"
)

func TestDecode_returnsWhatEncodeWasGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, name := rapid.Int64().Draw(t, "at"), rapid.String().Draw(t, "name")
		raw, flag := rapid.SliceOf(rapid.Byte()).Draw(t, "raw"), rapid.Bool().Draw(t, "flag")
		cursor := page.Encode("users", at, name, raw, flag)
		var gotAt int64
		var gotName string
		var gotRaw []byte
		var gotFlag bool
		require.NoError(t, page.Decode("users", cursor, &gotAt, &gotName, &gotRaw, &gotFlag))
		require.Equal(t, at, gotAt)
		require.Equal(t, name, gotName)
		require.Equal(t, string(raw), string(gotRaw))
		require.Equal(t, flag, gotFlag)
		require.Regexp(t, `^[A-Za-z0-9_-]+$`, cursor, "fits a URL as it is")
	})
}

func TestDecode_refusesEveryAlteredCursor(t *testing.T) {
	cursor := page.Encode("users", int64(1234567), "usr_1")
	alphabet := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range cursor {
		for _, c := range alphabet {
			if altered := cursor[:i] + string(c) + cursor[i+1:]; altered != cursor {
				require.ErrorIs(t, decode("users", altered), page.ErrInvalid)
			}
		}
		require.ErrorIs(t, decode("users", cursor[:i]), page.ErrInvalid)
	}
}

func TestDecode_refusesForeignCursors(t *testing.T) {
	good := page.Encode("users", int64(1), "a")
	for name, cursor := range map[string]string{
		"other list":     page.Encode("keys", int64(1), "a"),
		"more keys":      page.Encode("users", int64(1), "a", "b"),
		"fewer keys":     page.Encode("users", int64(1)),
		"other types":    page.Encode("users", "a", int64(1)),
		"null key":       page.Encode("users", nil, "a"),
		"empty":          "",
		"padded":         good + "=",
		"with newline":   good + "\n",
		"standard alpha": "++//",
		"too long":       strings.Repeat("A", 1<<20),
		"random":         base64.RawURLEncoding.EncodeToString([]byte("c123456[1,\"a\"]")),
	} {
		require.ErrorIs(t, decode("users", cursor), page.ErrInvalid, name)
	}
	require.NoError(t, decode("users", good))
}

func decode(list, cursor string) error {
	var at int64
	var name string
	return page.Decode(list, cursor, &at, &name)
}

func TestLimit_staysInItsBounds(t *testing.T) {
	of := func(n int) *int { return &n }
	require.Equal(t, 50, page.Limit(nil, 50, 200))
	require.Equal(t, 7, page.Limit(of(7), 50, 200))
	require.Equal(t, 1, page.Limit(of(0), 50, 200))
	require.Equal(t, 1, page.Limit(of(math.MinInt), 50, 200))
	require.Equal(t, 200, page.Limit(of(math.MaxInt), 50, 200))
}

func FuzzDecode(f *testing.F) {
	f.Add(page.Encode("users", int64(1), "a"))
	f.Add("")
	f.Fuzz(func(t *testing.T, cursor string) {
		var at int64
		var name string
		if page.Decode("users", cursor, &at, &name) == nil && page.Encode("users", at, name) != cursor {
			t.Errorf("accepted a cursor that Encode does not make")
		}
	})
}
