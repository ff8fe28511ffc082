package reindex

import (
	"regexp"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
)

// Kind is how a field of the engine's schema differs from the wanted one.
type Kind string

// The kinds.
const (
	Missing    Kind = "missing"
	Unexpected Kind = "unexpected"
	Different  Kind = "different"
	Sorting    Kind = "defaultSortingField" // Field is the wanted one, or the one that is not wanted
)

// Change is one difference.
type Change struct {
	Field          string
	Kind           Kind
	Wanted, Actual *engine.Field
}

// Drift returns the differences between the wanted schema and the engine's, by field name. Omitted flags have the engine's defaults. Fields
// that the engine created from patterns, and types that it detected, are not differences.
func Drift(wanted Schema, actual engine.Collection) (all []Change) {
	has := make(map[string]*engine.Field, len(actual.Fields))
	for i := range actual.Fields {
		if f := &actual.Fields[i]; !strings.HasPrefix(f.Name, owner.ReservedPrefix) {
			has[f.Name] = f
		}
	}
	want := make(map[string]*engine.Field, len(wanted.Fields))
	for i := range wanted.Fields {
		w := &wanted.Fields[i]
		want[w.Name] = w
		switch a := has[w.Name]; {
		case a == nil:
			all = append(all, Change{Field: w.Name, Kind: Missing, Wanted: w})
		case !same(w, a):
			all = append(all, Change{Field: w.Name, Kind: Different, Wanted: w, Actual: a})
		}
	}
	for name, a := range has {
		if want[name] == nil && !made(name, wanted.Fields) {
			all = append(all, Change{Field: name, Kind: Unexpected, Actual: a})
		}
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Field, b.Field) })
	if wanted.DefaultSortingField != actual.DefaultSortingField {
		field := wanted.DefaultSortingField
		if field == "" {
			field = actual.DefaultSortingField
		}
		all = append(all, Change{Field: field, Kind: Sorting})
	}
	return all
}

// Alterable reports whether the engine can make the changes in place: it can add optional fields, and drop fields.
func Alterable(changes []Change) bool {
	return !slices.ContainsFunc(changes, func(c Change) bool {
		return c.Kind == Different || c.Kind == Sorting || c.Kind == Missing && !optional(c.Wanted)
	})
}

// made reports whether a pattern among the wanted fields creates a field of that name.
func made(name string, wanted []engine.Field) bool {
	return slices.ContainsFunc(wanted, func(w engine.Field) bool {
		if !pattern(w.Name) {
			return false
		}
		fits, err := regexp.MatchString("^(?:"+w.Name+")$", name)
		return err != nil || fits
	})
}

func pattern(name string) bool { return strings.Contains(name, "*") }

func same(w, a *engine.Field) bool {
	if w.Type != a.Type && w.Type != "auto" {
		return false
	}
	if flagOf(w.Facet, false) != flagOf(a.Facet, false) || flagOf(w.Index, true) != flagOf(a.Index, true) {
		return false
	}
	if optional(w) != optional(a) {
		return false
	}
	return w.Sort == nil || *w.Sort == flagOf(a.Sort, !strings.HasPrefix(a.Type, "string"))
}

// optional reports whether documents may lack a field. Fields from patterns, fields with a detected type and fields that are not indexed
// are always optional.
func optional(f *engine.Field) bool {
	return flagOf(f.Optional, false) || pattern(f.Name) || f.Type == "auto" || !flagOf(f.Index, true)
}

func flagOf(given *bool, otherwise bool) bool {
	if given == nil {
		return otherwise
	}
	return *given
}
