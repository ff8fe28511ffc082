package screenplay

import "strings"

// parseTitle reads the title page, which is the first block of the source if
// every line of it is "Key: value" or an indented continuation, and at least
// one key has a value (so that an opening "FADE IN:" is not one). It returns
// the fields and the lines that follow.
func parseTitle(lines []line) ([]Field, []line) {
	start := 0
	for start < len(lines) && lines[start].blank() {
		start++
	}
	var fields []Field
	hasValue := false
	i := start
	for ; i < len(lines) && !lines[i].blank(); i++ {
		text := lines[i].text
		value := strings.TrimSpace(text)
		switch key, rest, ok := strings.Cut(text, ":"); {
		case text[0] == ' ' || text[0] == '\t':
			if len(fields) == 0 {
				return nil, lines
			}
			last := &fields[len(fields)-1]
			last.Value = strings.TrimPrefix(last.Value+"\n"+value, "\n")
			hasValue = true
		case ok && isTitleKey(key):
			value = strings.TrimSpace(rest)
			fields = append(fields, Field{Key: strings.TrimSpace(key), Value: value, Line: lines[i].number})
			hasValue = hasValue || value != ""
		default:
			return nil, lines
		}
	}
	if !hasValue {
		return nil, lines
	}
	return fields, lines[i:]
}

// isTitleKey refuses what begins like another element: a forced mark is never
// the beginning of a key.
func isTitleKey(key string) bool {
	return strings.TrimSpace(key) != "" && !strings.ContainsAny(key[:1], "#=!@~>.[")
}
