package schema

// Condition is a condition on the values of a field. The field's kind parses it.
type Condition interface {
	// Meets reports whether one of a document's values meets the condition.
	Meets(f *Field, v Value) bool
}

// Weighed is an expensive condition. Work is its cost per place of a document, relative to a single comparison.
type Weighed interface {
	Condition
	Work() int
}

// LookedUp reports whether the index can evaluate a condition by its words or its sorted numbers. Any other condition is evaluated on the
// values of each document.
func LookedUp(c Condition) bool {
	switch c.(type) {
	case AnyWords, Wholes, Reals:
		return true
	}
	return false
}

// Written is the value of a filter as it was written: its items and the operator before them.
type Written struct {
	Negate, Exact bool
	// List reports that the items were in brackets, and Broken that a bracket is missing.
	List, Broken bool
	Items        []Item
}

// Item is one alternative.
type Item struct {
	Text string
	// Literal reports that the text was in backticks.
	Literal bool
}

// written parses each item of a value. It returns false if there is none, or one can't be parsed.
func written[T any](w Written, parse func(text string) (T, bool)) (all []T, ok bool) {
	for _, it := range w.Items {
		one, ok := parse(it.Text)
		if !ok {
			return nil, false
		}
		all = append(all, one)
	}
	return all, len(all) > 0 && !w.Broken
}

var errSyntax = refuse("Could not parse the filter query.")

// Range is a closed interval.
type Range[T int64 | float64] struct{ Low, High T }

func within[T int64 | float64](ranges []Range[T], values []T) bool {
	for _, v := range values {
		for _, r := range ranges {
			if r.Low <= v && v <= r.High {
				return true
			}
		}
	}
	return false
}

// Wholes requires an integer, or a boolean (0, 1), in one of the ranges. The index evaluates it by its sorted numbers.
type Wholes []Range[int64]

// Meets implements Condition.
func (w Wholes) Meets(_ *Field, v Value) bool { return within(w, v.Ints) }

// Reals is Wholes for floats.
type Reals []Range[float64]

// Meets implements Condition.
func (r Reals) Meets(_ *Field, v Value) bool { return within(r, v.Floats) }
