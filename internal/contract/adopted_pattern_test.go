package contract

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAdoptedPatterns_meanWhatECMAScriptSays(t *testing.T) {
	for _, one := range []struct {
		pattern      string
		fits, not    []string
		backtracking bool
	}{
		{`a`, []string{"xay"}, []string{"b"}, false},
		{`^[a-z]+$`, []string{"a"}, []string{"a\n", ""}, false},
		{`^\d{2}\s\w$`, []string{"12\u00a0x", "12 x"}, []string{"１２ x", "12 ä"}, false},
		{`^\S+$`, []string{"a"}, []string{"a\u2003b"}, false},
		{`^.$`, []string{"ä", "😀"}, []string{"\u2028", "\r"}, false},
		{`^\u00e4\x41$`, []string{"äA"}, []string{"uA"}, false},
		{`^[\w\-\.\/_]+$`, []string{"a-b./_"}, []string{"a b"}, false},
		{`^[a-zA-Z0-9-_:;.\/<>{}]{0,9}$`, []string{"a-b:{}"}, []string{"a b"}, false},
		{`^\p{Lu}\p{Script=Greek}$`, []string{"Aα"}, []string{"aα"}, false},
		{`^(?<year>\d{4})$`, []string{"2024"}, []string{"24"}, false},
		{`^[[a]$`, []string{"[", "a"}, []string{"]"}, false},
		{`^(?!\d+$)\w+$`, []string{"1a"}, []string{"12"}, true},
		{`(?<=a)b`, []string{"ab"}, []string{"cb"}, true},
		{`^(a|b)\1$`, []string{"aa"}, []string{"ab"}, true},
		{`^.{2,1500}$`, []string{"ab"}, []string{"a"}, true},
		{`^[^]$`, []string{"\n"}, []string{""}, true},
	} {
		op, warnings := bodyOf(t, "3.0.3", `{type: string, pattern: '`+one.pattern+`'}`)
		for _, text := range one.fits {
			require.NoError(t, fitsBody(op, quoted(text)), "%s: %q", one.pattern, text)
		}
		for _, text := range one.not {
			require.Error(t, fitsBody(op, quoted(text)), "%s: %q", one.pattern, text)
		}
		require.Equal(t, one.backtracking, kinds(warnings)[WarnPattern] > 0, "%s: %v", one.pattern, warnings)
	}
}

func quoted(text string) string {
	return `"` + strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(text) + `"`
}

func TestAdoptedPatterns_thatNobodyCanReadAreTold(t *testing.T) {
	for _, text := range []string{`(`, `[b-a]`, strings.Repeat("a", maxPattern+1)} {
		op, warnings := bodyOf(t, "3.0.3", `{type: string, pattern: '`+text+`'}`)
		require.NoError(t, fitsBody(op, `"x"`))
		require.Equal(t, 1, kinds(warnings)[WarnPattern], text[:min(20, len(text))])
		require.Contains(t, warnings[len(warnings)-1].Cause, "cannot be read; it is not checked")
	}
}

func TestAdoptedPatterns_endEvenWhenTheyBacktrackWithoutEnd(t *testing.T) {
	op, _ := bodyOf(t, "3.0.3", `{type: string, pattern: '^(?!x)(a+)+$'}`)
	require.NoError(t, fitsBody(op, `"aaaa"`))
	require.Error(t, fitsBody(op, `"`+strings.Repeat("a", 60)+`b"`), "a match that takes too long does not fit")
}
