package contract

import (
	"regexp"
	"regexp/syntax"
	"slices"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// pattern is a regular expression for the whole of a string. Contracts mostly use a sequence of repeated character sets, which may be followed by
// another sequence that is repeated as a whole (words between dots). Such a pattern is matched by one walk over the string. All others use package
// regexp.
type pattern struct {
	expression *regexp.Regexp
	runs       []run // nil: only the expression can match
	tail       tail  // follows the runs

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

// tail is a sequence of runs that is repeated as a whole up to the end. Each round begins with a single character that is in no run of variable
// length before it, so the number of rounds is unambiguous.
type tail struct {
	runs     []run // nil: nothing is repeated
	min, max int   // max -1: no bound
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
	p.runs, p.tail = wholeOf(tree)
	return p, nil
}

// wholeOf returns the row of sets that an expression is, with its tail, or nil when it is something else.
func wholeOf(tree *syntax.Regexp) ([]run, tail) {
	if tree.Op != syntax.OpConcat || len(tree.Sub) < 3 || tree.Sub[0].Op != syntax.OpBeginText || tree.Sub[len(tree.Sub)-1].Op != syntax.OpEndText {
		return nil, tail{}
	}
	parts := tree.Sub[1 : len(tree.Sub)-1]
	if runs := runsOf(parts); runs != nil {
		return runs, tail{}
	}
	end := tailOf(parts[len(parts)-1])
	runs := runsOf(parts[:len(parts)-1])
	// Two rounds of the tail are enough: what may follow a run in one round may follow it in every other.
	if end.runs == nil || runs == nil || !determined(slices.Concat(runs, end.runs, end.runs)) {
		return nil, tail{}
	}
	return runs, end
}

// tailOf returns the row that is repeated as a whole, or none.
func tailOf(part *syntax.Regexp) tail {
	low, high, ok := repeats(part)
	if !ok || len(part.Sub) != 1 {
		return tail{}
	}
	inner := part.Sub[0]
	if inner.Op == syntax.OpCapture {
		inner = inner.Sub[0]
	}
	if inner.Op != syntax.OpConcat {
		return tail{}
	}
	runs := runsOf(inner.Sub)
	if runs == nil || runs[0].min != 1 || runs[0].max != 1 {
		return tail{}
	}
	return tail{runs, low, high}
}

// repeats returns how often a part may occur (high -1: no bound). ok is false for a non-greedy repetition, which a walk can't match.
func repeats(part *syntax.Regexp) (low, high int, ok bool) {
	switch part.Op {
	case syntax.OpStar:
		low, high = 0, -1
	case syntax.OpPlus:
		low, high = 1, -1
	case syntax.OpQuest:
		low, high = 0, 1
	case syntax.OpRepeat:
		low, high = part.Min, part.Max
	default:
		return 1, 1, true
	}
	return low, high, part.Flags&syntax.NonGreedy == 0
}

// runsOf returns the row of sets that parts of an expression are, or nil when they are something else.
func runsOf(parts []*syntax.Regexp) []run {
	var runs []run
	for _, part := range parts {
		if part.Op == syntax.OpLiteral && part.Flags&syntax.FoldCase == 0 {
			for _, r := range part.Rune {
				runs = append(runs, newRun([]rune{r, r}, 1, 1))
			}
			continue
		}
		low, high, ok := repeats(part)
		if part.Op != syntax.OpCharClass {
			if len(part.Sub) != 1 || !ok {
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
	at, fits := walk(p.runs, s, 0)
	rounds := 0
	for fits && len(p.tail.runs) > 0 && at < len(s) && rounds != p.tail.max {
		at, fits = walk(p.tail.runs, s, at)
		rounds++
	}
	return fits && at == len(s) && rounds >= p.tail.min
}

// walk matches the runs in s from position at, and returns the position after them; false when a run is too short.
func walk(runs []run, s string, at int) (int, bool) {
	for i := range runs {
		r, n := &runs[i], 0
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
			return at, false
		}
	}
	return at, true
}
