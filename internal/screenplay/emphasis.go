package screenplay

import "strings"

// PlainText returns a text without its emphasis marks and without the backslashes that escape them: `_**BRICK & STEEL**_` becomes "BRICK & STEEL",
// `\*9\*` becomes "*9*". A mark without a partner on the same line, or with a space on its inner side, is text.
func PlainText(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = plainLine(l)
	}
	return strings.Join(lines, "\n")
}

// run is a part of a line: a run of one emphasis character, or text.
type run struct {
	text           string
	mark           bool
	opens, closes  bool // space does not follow it, space does not precede it
	partnerRemoved bool
}

func plainLine(l string) string {
	runs := splitRuns(l)
	open := map[string]int{} // mark -> index of the run that is not closed yet
	for i := range runs {
		r := &runs[i]
		if !r.mark {
			continue
		}
		if j, ok := open[r.text]; ok && r.closes {
			runs[j].partnerRemoved, r.partnerRemoved = true, true
			delete(open, r.text)
		} else if r.opens {
			open[r.text] = i
		}
	}
	var b strings.Builder
	for _, r := range runs {
		if !r.partnerRemoved {
			b.WriteString(r.text)
		}
	}
	return b.String()
}

// splitRuns divides a line into text and runs of * (at most three) and _.
func splitRuns(l string) []run {
	var runs []run
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			runs = append(runs, run{text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(l); {
		c := l[i]
		switch {
		case c == '\\' && i+1 < len(l) && (l[i+1] == '*' || l[i+1] == '_' || l[i+1] == '\\'):
			text.WriteByte(l[i+1])
			i += 2
		case c == '*' || c == '_':
			end := i + 1
			for end < len(l) && l[end] == c && end-i < 3 && c == '*' {
				end++
			}
			flush()
			runs = append(runs, run{text: l[i:end], mark: true,
				opens: end < len(l) && l[end] != ' ', closes: i > 0 && l[i-1] != ' '})
			i = end
		default:
			text.WriteByte(c)
			i++
		}
	}
	flush()
	return runs
}
