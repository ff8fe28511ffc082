package screenplay

import (
	"strings"
	"unicode"
)

// scriptData makes the data of the script item: each field of the title page as a property, and all as written.
func scriptData(s *Script) map[string]any {
	data := map[string]any{}
	page := []any{}
	for _, f := range s.Title {
		page = append(page, map[string]any{"key": f.Key, "value": f.Value})
		key := propertyOf(f.Key)
		if _, again := data[key]; key != "" && f.Value != "" && !again {
			data[key] = PlainText(f.Value)
		}
	}
	if _, ok := data["title"]; !ok {
		data["title"] = untitled
	}
	data["titlePage"] = page
	return data
}

const untitled = "Untitled"

// propertyOf is the property that a key of the title page becomes, "" for none.
func propertyOf(key string) string {
	switch property := camelCase(key); property {
	case "authors":
		return "author"
	case "layout", "titlePage", "position": // have a meaning of their own
		return ""
	default:
		return property
	}
}

// camelCase makes "Draft date" a JSON property: draftDate. A key with a letter
// that is not ASCII has no such form and gives "".
func camelCase(key string) string {
	var b strings.Builder
	upper := false
	for _, r := range strings.ToLower(key) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' && b.Len() > 0:
			if upper && b.Len() > 0 {
				r = unicode.ToUpper(r)
			}
			b.WriteRune(r)
			upper = false
		case r > unicode.MaxASCII:
			return ""
		default:
			upper = true
		}
	}
	if b.Len() > 64 {
		return ""
	}
	return b.String()
}

// keyOf makes a key of the title page of a property: "Draft date" of draftDate.
func keyOf(property string) string {
	var b strings.Builder
	for i, r := range property {
		switch {
		case i == 0:
			r = unicode.ToUpper(r)
		case unicode.IsUpper(r):
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}
