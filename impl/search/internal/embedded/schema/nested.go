package schema

import (
	"maps"
	"slices"
	"strings"
)

// lookup returns the values of a field whose name is a path into objects. Values inside lists of objects form one list.
func (f *Field) lookup(doc Document) (any, bool) {
	if !strings.Contains(f.Name, ".") {
		return nil, false
	}
	if f.kind.composite() {
		return f.located(doc, f.Name)
	}
	var found []any
	list := false
	collect(map[string]any(doc), strings.Split(f.Name, "."), &found, &list)
	switch {
	case len(found) == 0 && !(list && f.Array):
		return nil, false
	case list:
		return slices.DeleteFunc(found, func(v any) bool { return v == nil }), true
	}
	return found[0], true
}

func collect(node any, path []string, found *[]any, list *bool) {
	switch t := node.(type) {
	case []any:
		*list = true
		for _, v := range t {
			collect(v, path, found, list)
		}
		return
	case map[string]any:
		if len(path) == 0 {
			break
		}
		if v, ok := t[path[0]]; ok {
			collect(v, path[1:], found, list)
		}
		return
	}
	if len(path) == 0 {
		*found = append(*found, node)
	}
}

// leaveOut removes values that do not fit from the objects of a document, or all values of the field if fits is nil. An index rebuilt from
// the document thus contains no more than the current one. Coerced values stay unchanged in objects. The objects are copied, because others
// may refer to them.
func (f *Field) leaveOut(doc Document, fits func(item any) bool) {
	name, rest, _ := strings.Cut(f.Name, ".")
	if node, ok := doc[name]; ok {
		doc[name], _ = without(node, strings.Split(rest, "."), fits)
	}
}

// without returns a node without the values at the end of the path that do not fit. It returns false if nothing is left.
func without(node any, path []string, fits func(item any) bool) (any, bool) {
	switch t := node.(type) {
	case []any:
		if len(path) == 0 && fits == nil {
			return nil, false
		}
		out := make([]any, 0, len(t))
		for _, v := range t {
			if v, some := without(v, path, fits); some {
				out = append(out, v)
			}
		}
		return out, true
	case map[string]any:
		if len(path) == 0 {
			break
		}
		v, ok := t[path[0]]
		if !ok {
			return t, true
		}
		out := maps.Clone(t)
		delete(out, path[0])
		if v, some := without(v, path[1:], fits); some {
			out[path[0]] = v
		}
		return out, true
	}
	return node, len(path) > 0 || node == nil || fits != nil && fits(node)
}

// inside creates fields for the undeclared values inside objects. They have the dotted path as their name, are optional, and take the facet
// and index flags from the object. They are in the order of hashedOrder.
func (s *Schema) inside(doc Document, added []*Field, dirty Dirty, typed *Typed) (out []*Field, err error) {
	seen := map[string]bool{}
	for _, f := range slices.Concat(s.Fields, added) {
		seen[f.Name] = true
	}
	var paths []string // of everything inside objects, known or not
	made := map[string]*Field{}
	for _, object := range objectsOf(slices.Concat(s.Fields, added)) {
		raw, ok := doc[object.Name]
		if !ok {
			if raw, ok = object.lookup(doc); !ok {
				continue
			}
		}
		for _, l := range leaves(raw, object.Name, object.Array, nil) {
			if _, again := made[l.path]; again {
				continue
			}
			paths, made[l.path] = append(paths, l.path), nil
			if seen[l.path] {
				continue
			}
			f := &Field{Name: l.path, kind: l.kind, Array: l.array, Facet: object.Facet, Index: object.Index, Optional: true, Locale: object.Locale}
			if f.Text() {
				f.Stem, f.StemDictionary = object.Stem, object.StemDictionary
			}
			f.Sort = f.kind.sorted(f.Array)
			f.analyzer = f.newAnalyzer(s)
			if err := s.checkField(f, doc, dirty, typed); err != nil {
				return nil, err
			}
			made[l.path] = f
		}
	}
	for _, path := range hashedOrder(paths) {
		if f := made[path]; f != nil {
			out = append(out, f)
		}
	}
	return out, nil
}

// objectsOf returns the fields that are objects, in the order of hashedOrder.
func objectsOf(fields []*Field) (out []*Field) {
	var names []string
	byName := map[string]*Field{}
	for _, f := range fields {
		if _, again := byName[f.Name]; f.Nests() && !f.Pattern() && !again {
			names, byName[f.Name] = append(names, f.Name), f
		}
	}
	for _, name := range hashedOrder(names) {
		out = append(out, byName[name])
	}
	return out
}

// leaf is a value inside an object.
type leaf struct {
	path  string
	kind  kind
	array bool
}

// maxNesting limits the depth to which objects are traversed.
const maxNesting = 50

func leaves(node any, path string, array bool, out []leaf) []leaf {
	if strings.Count(path, ".") > maxNesting {
		return out
	}
	switch t := node.(type) {
	case map[string]any:
		for _, k := range sortedKeys(t) {
			out = leaves(t[k], path+"."+k, array, out)
		}
	case []any:
		for _, v := range t {
			out = leaves(v, path, true, out)
		}
	default:
		if found, _, ok := detect(node, false); ok {
			out = append(out, leaf{path, found, array})
		}
	}
	return out
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// Elements returns the objects at a path of a document: those of a list, or a single one.
func Elements(doc Document, path string) (out []Document) {
	raw, ok := doc[path]
	if !ok {
		var found []any
		gather(map[string]any(doc), strings.Split(path, "."), &found)
		raw = found
	}
	var take func(any)
	take = func(v any) {
		switch t := v.(type) {
		case map[string]any:
			out = append(out, t)
		case []any:
			for _, item := range t {
				take(item)
			}
		}
	}
	take(raw)
	return out
}

// gather is collect for whole values, such as objects.
func gather(node any, path []string, found *[]any) {
	if len(path) == 0 {
		*found = append(*found, node)
		return
	}
	switch t := node.(type) {
	case []any:
		for _, v := range t {
			gather(v, path, found)
		}
	case map[string]any:
		if v, ok := t[path[0]]; ok {
			gather(v, path[1:], found)
		}
	}
}

// Inside returns the field's values in one element of an object. prefix is the object's path and a dot. Values that do not fit are omitted,
// because they were not indexed either.
func (f *Field) Inside(element Document, prefix string) (v Value) {
	path := strings.TrimPrefix(f.Name, prefix)
	if f.kind.composite() {
		raw, _ := f.located(element, path)
		return f.taken(raw)
	}
	var found []any
	list := false
	collect(map[string]any(element), strings.Split(path, "."), &found, &list)
	for _, raw := range found {
		_, _ = f.kind.one(raw, false, &v)
	}
	return v
}

// located is lookup for values that are lists themselves. Values in a list of objects form one list of them.
func (f *Field) located(doc Document, path string) (any, bool) {
	var found []any
	gather(map[string]any(doc), strings.Split(path, "."), &found)
	switch {
	case len(found) == 0:
		return nil, false
	case !f.Array:
		return found[0], true
	}
	list := []any{}
	for _, v := range found {
		if _, one := f.kind.one(v, false, new(Value)); one || v == nil {
			if one {
				list = append(list, v)
			}
			continue
		}
		if many, ok := v.([]any); ok {
			list = append(list, many...)
		} else {
			list = append(list, v)
		}
	}
	return list, true
}

// taken converts those of a field's values that fit.
func (f *Field) taken(raw any) (v Value) {
	list := []any{raw}
	if many, ok := raw.([]any); f.Array && ok {
		list = many
	}
	for _, one := range list {
		_, _ = f.kind.one(one, false, &v)
	}
	return v
}

// In returns the field's values in a document, with the precision of the index. Values that do not fit are omitted.
func (f *Field) In(doc Document) Value {
	raw, ok := doc[f.Name]
	if !ok {
		raw, _ = f.lookup(doc)
	}
	return f.taken(raw)
}

// Values returns the typed values of fields in a document. Values that do not fit are omitted, as in the index.
func Values(doc Document, fields []*Field) *Typed {
	t := &Typed{Values: make(map[string]Value, len(fields))}
	t.ID, _ = doc["id"].(string)
	for _, f := range fields {
		raw, ok := doc[f.Name]
		if !ok {
			raw, ok = f.lookup(doc)
		}
		if !ok || raw == nil || !f.Counted() {
			continue
		}
		if v, _, _, err := f.kind.read(f, raw, CoerceOrDrop); err == nil {
			t.Values[f.Name] = v
		}
	}
	return t
}
