package contract

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// pattern is a regular expression for a whole string. The most common form in contracts, a sequence of repeated character sets, is matched in one
// pass over the string; everything else by package regexp.
type pattern struct {
	expression *regexp.Regexp
	runs       []run // nil: only expression can match it

	backtracking *regexp2.Regexp // in place of expression, in an adopted document
	cost         int             // cost per byte, in an adopted document; 0: not counted
}

// run is a repeated character set. The set that follows a run of variable length has no character in common with it, so that the run ends where its
// set does.
type run struct {
	ascii    [2]uint64
	wide     []rune // ranges beyond ASCII, in pairs
	min, max int    // max -1: no bound
}

// rewriteCodepoints finds ECMA's four-digit escapes, which RE2 writes differently.
var rewriteCodepoints = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)

// maxRuns bounds the memory of a pattern.
const maxRuns = 64

// compilePattern compiles a pattern of a contract.
func compilePattern(text string) (*pattern, error) {
	text = rewriteCodepoints.ReplaceAllString(text, `\x{$1}`)
	expression, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	p := &pattern{expression: expression}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, err
	}
	p.runs = runsOf(tree)
	return p, nil
}

// runsOf converts an expression to a sequence of runs, or returns nil when it has another form.
func runsOf(tree *syntax.Regexp) []run {
	if tree.Op != syntax.OpConcat || len(tree.Sub) < 3 || tree.Sub[0].Op != syntax.OpBeginText || tree.Sub[len(tree.Sub)-1].Op != syntax.OpEndText {
		return nil
	}
	var runs []run
	for _, part := range tree.Sub[1 : len(tree.Sub)-1] {
		if part.Op == syntax.OpLiteral && part.Flags&syntax.FoldCase == 0 {
			for _, r := range part.Rune {
				runs = append(runs, newRun([]rune{r, r}, 1, 1))
			}
			continue
		}
		low, high := 1, 1
		switch part.Op {
		case syntax.OpStar:
			low, high = 0, -1
		case syntax.OpPlus:
			low, high = 1, -1
		case syntax.OpQuest:
			low, high = 0, 1
		case syntax.OpRepeat:
			low, high = part.Min, part.Max
		}
		if part.Op != syntax.OpCharClass {
			if len(part.Sub) != 1 || part.Flags&syntax.NonGreedy != 0 {
				return nil
			}
			part = part.Sub[0]
		}
		set := setOf(part)
		if set == nil {
			return nil
		}
		runs = append(runs, newRun(set, low, high))
	}
	if len(runs) > maxRuns || !determined(runs) {
		return nil
	}
	return runs
}

// setOf returns the ranges of a character set, or nil.
func setOf(part *syntax.Regexp) []rune {
	switch {
	case part.Op == syntax.OpCharClass:
		return part.Rune
	case part.Op == syntax.OpLiteral && len(part.Rune) == 1 && part.Flags&syntax.FoldCase == 0:
		return []rune{part.Rune[0], part.Rune[0]}
	}
	return nil
}

func newRun(ranges []rune, low, high int) run {
	r := run{min: low, max: high}
	for i := 0; i < len(ranges); i += 2 {
		from, to := ranges[i], ranges[i+1]
		for c := from; c <= min(to, utf8.RuneSelf-1); c++ {
			r.ascii[c>>6] |= 1 << (c & 63)
		}
		if to >= utf8.RuneSelf {
			r.wide = append(r.wide, max(from, utf8.RuneSelf), to)
		}
	}
	return r
}

// determined reports whether the length of every run is unambiguous.
func determined(runs []run) bool {
	for i, r := range runs {
		if r.min == r.max {
			continue
		}
		for _, next := range runs[i+1:] {
			if r.meets(next) {
				return false
			}
			if next.min > 0 {
				break
			}
		}
	}
	return true
}

func (r run) meets(other run) bool {
	if r.ascii[0]&other.ascii[0]|r.ascii[1]&other.ascii[1] != 0 {
		return true
	}
	for i := 0; i < len(r.wide); i += 2 {
		for j := 0; j < len(other.wide); j += 2 {
			if r.wide[i] <= other.wide[j+1] && other.wide[j] <= r.wide[i+1] {
				return true
			}
		}
	}
	return false
}

func (r *run) has(c rune) bool {
	if c < utf8.RuneSelf {
		return r.ascii[c>>6]&(1<<(c&63)) != 0
	}
	i, _ := slices.BinarySearch(r.wide, c) // the first bound that is not below c: at an odd index it ends a range that contains c
	return i < len(r.wide) && (i&1 == 1 || r.wide[i] == c)
}

// match reports whether the string matches.
func (p *pattern) match(s string) bool {
	if p.runs == nil {
		if p.backtracking != nil {
			ok, err := p.backtracking.MatchString(s)
			return ok && err == nil // an error is a match that took too long
		}
		return p.expression.MatchString(s)
	}
	at := 0
	for i := range p.runs {
		r, n := &p.runs[i], 0
		for at < len(s) && n != r.max {
			c, size := rune(s[at]), 1
			if c >= utf8.RuneSelf {
				c, size = utf8.DecodeRuneInString(s[at:])
			}
			if !r.has(c) {
				break
			}
			at += size
			n++
		}
		if n < r.min {
			return false
		}
	}
	return at == len(s)
}
