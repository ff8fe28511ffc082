package contract

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// patternsOf returns the patterns of the family's contracts and of the sample.
func patternsOf(t testing.TB) []string {
	seen := map[string]bool{}
	for _, o := range oracles(t) {
		for _, op := range o.contract.Operations {
			for _, p := range op.parameters {
				if p.scalar.pattern != nil {
					seen[p.scalar.pattern.expression.String()] = true
				}
			}
		}
		for _, ref := range o.doc.Components.Schemas {
			walkPatterns(ref, seen, 0)
		}
	}
	out := []string{`^a*b+c?$`, `^[a-c]{0,3}[c-e]$`, `^é+[^a-zé]$`, `^x{2,}y{0,2}$`, `^$`, `a`, `^(a|b)$`, `^(?i)ab$`, `^[\x{80}-\x{ff}\x{1f600}]{1,2}.$`, `^[a-z]{2}[a-z]*$`,
		`^a+(-[a-c]{1,2}){0,2}$`, `^a?(b)+$`, `^[a-c](_é*){2}$`, `^aa(ab*){1,3}$`}
	for p := range seen {
		out = append(out, p)
	}
	return out
}

func walkPatterns(ref *openapi3.SchemaRef, seen map[string]bool, depth int) {
	if ref == nil || ref.Value == nil || depth > 8 {
		return
	}
	if ref.Value.Pattern != "" {
		seen[ref.Value.Pattern] = true
	}
	walkPatterns(ref.Value.Items, seen, depth+1)
	for _, p := range ref.Value.Properties {
		walkPatterns(p, seen, depth+1)
	}
}

func TestPattern_matchesAsTheExpressionDoes(t *testing.T) {
	byRuns := 0
	for _, text := range patternsOf(t) {
		p, err := compilePattern(text)
		require.NoError(t, err)
		if p.runs != nil {
			byRuns++
		}
		texts := rapid.OneOf(rapid.StringMatching(text), rapid.StringN(0, 8, 32), rapid.StringMatching(`[a-c]{0,4}[0-9A-Z_. é]{0,3}`))
		rapid.Check(t, func(t *rapid.T) {
			s := texts.Draw(t, "string")
			if cut := rapid.IntRange(0, 9).Draw(t, "cut"); cut < len(s) {
				s = s[:cut] + s[min(len(s), cut+rapid.IntRange(0, 1).Draw(t, "gap")):]
			}
			require.Equal(t, p.expression.MatchString(s), p.match(s), "%s of %q", text, s)
		})
	}
	require.Greater(t, byRuns, 20, "most patterns are rows of sets")
}

func TestPattern_leavesChoicesToTheExpression(t *testing.T) {
	for text, row := range map[string]bool{
		`^[a-z]{1,64}$`: true, `^usr_[0-9A-Z]{26}$`: true, `^[a-z][a-z0-9-]{0,62}$`: true, `^[*]$`: true, `^[^"]*"$`: true,
		`^[a-z]*z$`: false, `^(a|b)c$`: true, `^(ab|b)c$`: false, `[a-z]+`: false, `^a`: false, `^[a-z]?[0-9]*[a-z]$`: false, `^(?i)k$`: false,
		`^[a-z]{1,9}([.][a-z]{1,9}){0,7}$`: true, `^a(b*c){2,}$`: false, `^a(bc*)*$`: true, `^[a-z]+(-?[a-z]){0,3}$`: false, `^a*(ab)+$`: false, `^x(ab?)+$`: true, `^x(aa?)+$`: false, `^x(ab?)+?$`: false, `^x(ab)*y$`: false,
	} {
		tree, err := compilePattern(text)
		require.NoError(t, err)
		require.Equal(t, row, tree.runs != nil, text)
		require.Equal(t, regexp.MustCompile(text).String(), tree.expression.String())
	}
}

// somePattern makes an expression of rows of sets, many of which a walk can match and many not.
func somePattern(r *rand.Rand) string {
	sets := []string{"a", "b", "[ab]", "[^a]", "[a\n]", "é", "[^bé]", `\x{fffd}`, "(a)", "[à-ü]"}
	times := []string{"", "", "", "?", "*", "+", "{2}", "{0,2}", "{1,2}", "{2,}", "{0}"}
	row := func(n int) string {
		out := ""
		for range n {
			out += sets[r.IntN(len(sets))] + times[r.IntN(len(times))]
		}
		return out
	}
	text := row(r.IntN(4))
	if r.IntN(2) == 0 {
		text += "(" + sets[r.IntN(len(sets))] + row(r.IntN(3)) + ")" + times[r.IntN(len(times))]
	}
	return "^" + text + "$"
}

// What a walk says of a string is what package regexp says, whatever row it is: of every string of up to five characters, among them a line's end and a byte that is no UTF-8.
func TestPattern_walksEveryRowAsTheExpressionMatchesIt(t *testing.T) {
	all := []string{""}
	for begin, length := 0, 1; length <= 5; length++ {
		end := len(all)
		for _, s := range all[begin:end] {
			for _, c := range []string{"a", "b", "é", "\n", "\xff"} {
				all = append(all, s+c)
			}
		}
		begin = end
	}
	r := rand.New(rand.NewPCG(11, 30)) //nolint:gosec // a repeatable choice of patterns
	seen, tails := map[string]bool{}, 0
	for walked := 0; walked < 250; {
		text := somePattern(r)
		p, err := compilePattern(text)
		require.NoError(t, err, text)
		if seen[text] || p.runs == nil {
			continue
		}
		seen[text] = true
		walked++
		if p.tail.runs != nil {
			tails++
		}
		for _, s := range all {
			if p.match(s) != p.expression.MatchString(s) {
				require.Equal(t, p.expression.MatchString(s), p.match(s), "%s of %q", text, s)
			}
		}
		long := strings.Repeat("a", 200) + "é"
		require.Equal(t, p.expression.MatchString(long), p.match(long), text)
	}
	require.Greater(t, tails, 50)
}
