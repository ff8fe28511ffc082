package screenplay

import "strings"

// parseTitle parses the title page: the first block of the source if each of its lines is "Key: value" or an indented continuation, and at least one
// key has a value (so that an opening "FADE IN:" is not a title page). It returns the fields and the following lines.
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

// isTitleKey refuses the beginning of another element: a key never begins with a mark.
func isTitleKey(key string) bool {
	return strings.TrimSpace(key) != "" && !strings.ContainsAny(key[:1], "#=!@~>.[")
}
