package schema

// Condition is what a filter wants of the values of a field. The field's kind makes it of what is written.
type Condition interface {
	// Meets says whether one of a document's values meets it.
	Meets(f *Field, v Value) bool
}

// Weighed is a condition that takes its time: Work is that for one place of a document beside a single comparison.
type Weighed interface {
	Condition
	Work() int
}

// LookedUp says that the index finds what meets a condition by its words or in the order of numbers. Of any other it looks at the values of each document.
func LookedUp(c Condition) bool {
	switch c.(type) {
	case AnyWords, Wholes, Reals:
		return true
	}
	return false
}

// Written is the value of a filter as it is written: its items and what stood before them.
type Written struct {
	Negate, Exact bool
	// List says that the items stood between brackets, Broken that one of these is missing.
	List, Broken bool
	Items        []Item
}

// Item is one alternative.
type Item struct {
	Text string
	// Literal says that it stood between backticks.
	Literal bool
}

// written reads each item of a value; false where there is none, or one is no such thing.
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

// Wholes wants a whole number, or a bool (0, 1), in one of the ranges. The index finds what meets it in the order of numbers.
type Wholes []Range[int64]

// Meets implements Condition.
func (w Wholes) Meets(_ *Field, v Value) bool { return within(w, v.Ints) }

// Reals is Wholes for floats.
type Reals []Range[float64]

// Meets implements Condition.
func (r Reals) Meets(_ *Field, v Value) bool { return within(r, v.Floats) }
