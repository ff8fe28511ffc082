package schema

import "strings"

// comparators is in the order in which they must be tried.
var comparators = []string{">=", "<=", ">", "<", "!=", "="}

// numbers parses a filter value of numbers. It calls do for each item with the comparator before it.
func numbers(f *Field, w Written, do func(comparator, text string) error) error {
	if w.Negate && !w.Exact || w.Broken || len(w.Items) == 0 {
		return comparatorError(f)
	}
	for _, it := range w.Items {
		comparator, rest := "", it.Text
		for _, s := range comparators {
			if strings.HasPrefix(rest, s) {
				comparator, rest = s, strings.TrimSpace(rest[len(s):])
				break
			}
		}
		if comparator == "!=" && w.List {
			return comparatorError(f)
		}
		if err := do(comparator, rest); err != nil {
			return err
		}
	}
	return nil
}

func comparatorError(f *Field) error {
	return refuse("Error with filter field `%s`: Numerical field has an invalid comparator.", f.Name)
}

// bounds splits "low..high".
func bounds(comparator, s string) (low, high string, ok bool) {
	if comparator != "" && comparator != "=" {
		return "", "", false
	}
	low, high, ok = strings.Cut(s, "..")
	return strings.TrimSpace(low), strings.TrimSpace(high), ok
}

// noRangeIndex refuses range_index for a field that is not numeric.
func noRangeIndex(f *Field) error {
	if f.RangeIndex {
		return refuse("The `range_index` property is only allowed for the numerical fields`")
	}
	return nil
}
