// Package projection reduces documents to the requested fields.
package projection

import (
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// Projection defines which fields of a document are shown.
type Projection struct {
	include, exclude []string
}

// New parses include_fields and exclude_fields.
func New(include, exclude string) Projection {
	return Projection{include: Names(include), exclude: Names(exclude)}
}

// Without excludes further fields.
func (p Projection) Without(names []string) Projection {
	p.exclude = append(slices.Clip(p.exclude), names...)
	return p
}

// Names parses a list of names. It trims white space and skips empty names.
func Names(list string) []string {
	var out []string
	for name := range strings.SplitSeq(list, ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

func (p Projection) all() bool { return len(p.include) == 0 && len(p.exclude) == 0 }

// Apply projects an encoded document.
func (p Projection) Apply(doc []byte) ([]byte, error) {
	if p.all() {
		return doc, nil
	}
	d, err := schema.ParseDocument(doc)
	if err != nil {
		return nil, err
	}
	return schema.Document(p.object(d, "")).Encode()
}

// Object projects an object at a path of a document.
func (p Projection) Object(in map[string]any, path string) schema.Document {
	if p.all() {
		return in
	}
	return p.object(in, path+".")
}

// Shows reports whether a field, named by its path, or a part of it is shown.
func (p Projection) Shows(name string) bool {
	return p.relation(p.exclude, name) != covered && (len(p.include) == 0 || p.relation(p.include, name) != apart)
}

type relation uint8

const (
	apart   relation = iota
	above            // a name in the list is inside this object
	covered          // a name in the list covers this path
)

func (p Projection) relation(list []string, path string) relation {
	r := apart
	for _, name := range list {
		switch {
		case name == path, strings.HasPrefix(path, name+"."), strings.HasSuffix(name, "*") && strings.HasPrefix(path, strings.TrimSuffix(name, "*")):
			return covered
		case strings.HasPrefix(name, path+"."):
			r = above
		}
	}
	return r
}

func (p Projection) object(in map[string]any, prefix string) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		path := prefix + k
		if p.relation(p.exclude, path) == covered {
			continue
		}
		included := covered
		if len(p.include) > 0 {
			included = p.relation(p.include, path)
		}
		if included == apart {
			continue
		}
		if shown, ok := p.value(v, path, included); ok {
			out[k] = shown
		}
	}
	return out
}

// value projects objects and lists of objects. A plain value is shown only if it is covered itself.
func (p Projection) value(v any, path string, included relation) (any, bool) {
	switch t := v.(type) {
	case map[string]any:
		return p.object(t, path+"."), true
	case []any:
		if !slices.ContainsFunc(t, func(x any) bool { _, ok := x.(map[string]any); return ok }) {
			return v, included == covered
		}
		list := make([]any, 0, len(t))
		for _, x := range t {
			if m, ok := x.(map[string]any); ok {
				list = append(list, p.object(m, path+"."))
			} else if included == covered {
				list = append(list, x)
			}
		}
		return list, true
	}
	return v, included == covered
}
