package screenplay

import (
	"strings"
	"unicode"
)

// scriptData returns the data of the script item: each field of the title page as a property, and all fields as written.
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

// propertyOf returns the property for a key of the title page, or "" when there is none.
func propertyOf(key string) string {
	switch property := camelCase(key); property {
	case "authors":
		return "author"
	case "layout", "titlePage", "position": // have another meaning
		return ""
	default:
		return property
	}
}

// camelCase converts "Draft date" to a JSON property: draftDate. It returns "" for a key with a letter that is not ASCII.
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

// keyOf converts a property to a key of the title page: draftDate to "Draft date".
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
