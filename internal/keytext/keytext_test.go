package keytext

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// scannable is the expression for secret scanners.
var scannable = regexp.MustCompile(`^fk_(live|test)_[0-9A-HJKMNP-TV-Z]{26}_[0-9A-Za-z]{49}$`)

func TestNew_isParsedAndTellsItsID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, text := New(Live)
		require.Regexp(t, scannable, text)
		got, ok := Parse(text)
		require.True(t, ok)
		require.Equal(t, id, got)
		require.False(t, seen[text])
		seen[text] = true
		require.NotContains(t, Start(text), text[textLen-sumDigits-randomDigits:textLen-sumDigits], "what is shown of a key holds none of its secret")
	}
}

func TestParse_findsEveryMistypedCharacter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, text := New(Live)
		at := rapid.IntRange(0, len(text)-1).Draw(t, "at")
		with := rapid.ByteRange('!', '~').Draw(t, "with")
		if text[at] == with {
			return
		}
		if _, ok := Parse(text[:at] + string(with) + text[at+1:]); ok {
			t.Fatalf("a key with character %d replaced is taken", at)
		}
	})
}

func FuzzParse(f *testing.F) {
	_, text := New(Live)
	for _, seed := range []string{text, "", "fk_live_", strings.Repeat("0", textLen), text + "0", text[:textLen-1]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := Parse(s); ok && (len(id) != 30 || !scannable.MatchString(s)) {
			t.Fatalf("%q is taken for a key", s)
		}
	})
}
