package contract

import (
	"regexp/syntax"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// Bounds of the patterns of an adopted document.
const (
	// maxPattern is the maximum length of a pattern, in bytes.
	maxPattern = 4096
	// maxPatternSize is the maximum number of instructions of a pattern, and maxPatternSizes that of all patterns together, with repetitions
	// expanded.
	maxPatternSize, maxPatternSizes = 50_000, 2_000_000
	// patternTimeout bounds one match by the backtracking engine. A text that takes longer does not match.
	patternTimeout = 50 * time.Millisecond
	// maxBacktracking bounds all matches of one request by the backtracking engine.
	maxBacktracking = 20 * patternTimeout
)

// pattern compiles a pattern of ECMA-262, which is not anchored unless it says so. It returns nil when no engine can parse it. RE2, which takes time
// linear in the text, is used where it can express the pattern; otherwise the backtracking engine is used, within patternTimeout.
func (b *adopter) pattern(at *element) *pattern {
	text := at.str()
	if p, done := b.patterns[text]; done {
		return p
	}
	p, hint := b.compilePattern(text)
	b.patterns[text] = p
	switch {
	case p == nil:
		b.warn(WarnPattern, at, hint, "the pattern %s cannot be read; it is not checked", shortened(text))
	case p.backtracking != nil:
		b.warn(WarnPattern, at, "write it without look-ahead, look-behind and back references to have it matched in steady time",
			"the pattern %s needs backtracking; a match that takes longer than %s fails", shortened(text), patternTimeout)
	}
	return p
}

func (b *adopter) compilePattern(text string) (p *pattern, hint string) {
	if text == "" || len(text) > maxPattern {
		return nil, "write a pattern of at most 4096 characters"
	}
	if re2, ok := forRE2(text); ok {
		tree, err := syntax.Parse(re2, syntax.Perl)
		if err == nil {
			size := expressionSize(tree)
			if b.patternSizes += size; size > maxPatternSize || b.patternSizes > maxPatternSizes {
				return nil, "use maxLength and smaller repetitions in place of a large one"
			}
			if p, err = compilePattern(re2); err == nil {
				if p.cost = size; p.runs != nil {
					p.cost = 1 // a single pass over the text
				}
				return p, ""
			}
		}
	}
	if b.patternSizes += 16 * len(text); b.patternSizes > maxPatternSizes {
		return nil, "use fewer patterns"
	}
	expression, err := regexp2.Compile(text, regexp2.ECMAScript|regexp2.Unicode)
	if err != nil {
		if expression, err = regexp2.Compile(text, regexp2.ECMAScript); err != nil {
			return nil, "correct it; it must be a regular expression of ECMA-262"
		}
	}
	expression.MatchTimeout = patternTimeout
	return &pattern{backtracking: expression, cost: 1}, ""
}

// expressionSize estimates the number of instructions of an expression, with repetitions expanded.
func expressionSize(tree *syntax.Regexp) int {
	size := 1 + len(tree.Rune)
	for _, part := range tree.Sub {
		size += expressionSize(part)
	}
	if tree.Op == syntax.OpRepeat {
		size *= max(tree.Min, tree.Max, 1)
	}
	return min(size, maxPatternSizes)
}

// ecmaSpace is \s of ECMA-262 as ranges for RE2.
const ecmaSpace = `\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}`

// forRE2 translates a pattern of ECMA-262 to RE2. It returns false when RE2 would interpret it differently.
func forRE2(text string) (string, bool) {
	var out strings.Builder
	inClass := false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\':
			n, ok := escapeForRE2(&out, text[i:], inClass)
			if !ok {
				return "", false
			}
			i += n - 1
			continue
		case c == '[' && !inClass:
			if rest := text[i+1:]; strings.HasPrefix(rest, "]") || strings.HasPrefix(rest, "^]") {
				return "", false // matches nothing, or anything, in ECMA-262
			}
			inClass = true
			out.WriteByte(c)
			if i+1 < len(text) && text[i+1] == '^' {
				out.WriteByte('^')
				i++
			}
			continue
		case c == '[':
			out.WriteString(`\[`)
			continue
		case c == ']':
			inClass = false
		case c == '.' && !inClass:
			out.WriteString(`[^\n\r\x{2028}\x{2029}]`)
			continue
		case c == '(' && !inClass && strings.HasPrefix(text[i:], "(?") && !strings.HasPrefix(text[i:], "(?:"):
			if !strings.HasPrefix(text[i:], "(?<") || strings.HasPrefix(text[i:], "(?<=") || strings.HasPrefix(text[i:], "(?<!") {
				return "", false
			}
		}
		out.WriteByte(c)
	}
	return out.String(), true
}

// escapeForRE2 translates the escape at the beginning of text and returns its length.
func escapeForRE2(out *strings.Builder, text string, inClass bool) (n int, ok bool) {
	if len(text) < 2 {
		return 0, false
	}
	switch c := text[1]; {
	case c == 's' && inClass:
		out.WriteString(ecmaSpace)
	case c == 's':
		out.WriteString("[" + ecmaSpace + "]")
	case c == 'S' && !inClass:
		out.WriteString("[^" + ecmaSpace + "]")
	case strings.IndexByte("dDwWtnrfv", c) >= 0, strings.IndexByte("bB", c) >= 0 && !inClass:
		out.WriteString(text[:2])
	case c == 'x' && len(text) >= 4 && isHex(text[2:4]):
		out.WriteString(text[:4])
		return 4, true
	case c == 'u' && len(text) >= 6 && isHex(text[2:6]) && !surrogate(text[2:6]):
		out.WriteString(`\x{` + text[2:6] + `}`)
		return 6, true
	case c == 'p' || c == 'P':
		end := strings.IndexByte(text, '}')
		if !strings.HasPrefix(text[2:], "{") || end < 0 {
			return 0, false
		}
		name := text[3:end]
		for _, property := range []string{"Script=", "sc=", "General_Category=", "gc="} {
			name = strings.TrimPrefix(name, property)
		}
		out.WriteString(text[:2] + "{" + name + "}")
		return end + 1, true
	case c < 0x80 && !unreserved(c) || c == '-' || c == '.' || c == '_' || c == '~':
		if c == '_' || c == '~' {
			out.WriteByte(c)
			break
		}
		out.WriteString(text[:2])
	default:
		return 0, false
	}
	return 2, true
}

func isHex(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && (s[i]|0x20 < 'a' || s[i]|0x20 > 'f') {
			return false
		}
	}
	return true
}

// surrogate reports whether four hexadecimal digits are half of a surrogate pair.
func surrogate(hex string) bool {
	return hex[0]|0x20 == 'd' && (hex[1] == '8' || hex[1] == '9' || !isDigit(hex[1]))
}
