package highlight

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// nested highlights a field inside objects, or a whole object. The tree has the shape of the document along the field's path. The older
// list does not include such fields. If nothing matched, nothing is added.
func (m *Marker) nested(a *Marks, f *schema.Field, doc schema.Document, words map[string]int) {
	path := strings.Split(f.Name, ".")
	node, ok := doc[path[0]]
	if !ok {
		return
	}
	tree, matched := m.along(f, node, path[1:], words)
	if !matched {
		return
	}
	a.Tree[path[0]] = merge(a.Tree[path[0]], tree)
}

// along follows the path. At its end everything is highlighted.
func (m *Marker) along(f *schema.Field, node any, path []string, words map[string]int) (tree any, matched bool) {
	switch t := node.(type) {
	case []any:
		list := make([]any, 0, len(t))
		for _, v := range t {
			item, ok := m.along(f, v, path, words)
			list, matched = append(list, item), matched || ok
		}
		return list, matched
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, v := range t {
			if len(path) > 0 && k != path[0] {
				continue
			}
			item, ok := m.along(f, v, path[min(1, len(path)):], words)
			out[k], matched = item, matched || ok
		}
		return out, matched
	}
	text := leafText(node)
	if one, ok := m.text(f, text, words); ok {
		return one, true
	}
	return marked{Matched: []string{}, Snippet: text}, false
}

func leafText(v any) string {
	switch t := v.(type) {
	case string:
		return t
	case json.Number:
		return t.String()
	case bool:
		return strconv.FormatBool(t)
	}
	return ""
}

// merge combines the highlights of several fields in the same object.
func merge(old, add any) any {
	switch t := add.(type) {
	case map[string]any:
		if o, ok := old.(map[string]any); ok {
			for k, v := range t {
				o[k] = merge(o[k], v)
			}
			return o
		}
	case []any:
		if o, ok := old.([]any); ok && len(o) == len(t) {
			for i, v := range t {
				o[i] = merge(o[i], v)
			}
			return o
		}
	}
	return add
}
