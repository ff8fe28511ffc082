package schema

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
)

// wholeKind is an integer of the given number of bits.
type wholeKind struct {
	plain
	bits int
}

func (k wholeKind) name() string           { return "int" + strconv.Itoa(k.bits) }
func (wholeKind) sorted(array bool) bool   { return !array }
func (wholeKind) counted() bool            { return true }
func (wholeKind) numeric() bool            { return true }
func (wholeKind) shown(v Value) []any      { return anys(v.Ints) }
func (wholeKind) columns(f *Field) Columns { return Columns{Array: f.Array, Ints: f.Index || f.Sort} }

func (wholeKind) order(_ *Field, v Value) (o Order, ok bool) { return wholeOrder(v) }

func (wholeKind) number(text string) (float64, error) { return strconv.ParseFloat(text, 64) }

// wholeOrder returns the sort key of integers.
func wholeOrder(v Value) (o Order, ok bool) {
	if len(v.Ints) == 0 {
		return o, false
	}
	return Order{Whole: v.Ints[0]}, true
}

func (wholeKind) texts(to []string, v Value) []string {
	for _, n := range v.Ints {
		to = append(to, strconv.FormatInt(n, 10))
	}
	return to
}

// detects reports whether raw is a number without a fraction. Such numbers get 64 bits.
func (k wholeKind) detects(raw any) bool {
	n, ok := raw.(json.Number)
	if ok && k.bits == 64 {
		_, ok = parseInt(n.String())
		return ok
	}
	return false
}

func (k wholeKind) read(f *Field, raw any, dirty Dirty) (Value, any, bool, error) {
	return readValues(k, "an "+k.name(), f, raw, dirty)
}

func (wholeKind) one(raw any, coerce bool, v *Value) (any, bool) {
	if !single(raw) {
		return nil, false
	}
	n, stored, ok := asInt(raw, coerce)
	v.Ints = append(v.Ints, n)
	return stored, ok
}

func (k wholeKind) filter(f *Field, w Written, _ func() error) (Condition, error) {
	var want Wholes
	err := numbers(f, w, func(comparator, text string) error {
		r, err := k.interval(f, comparator, text)
		want = append(want, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return want, nil
}

func (k wholeKind) interval(f *Field, comparator, s string) (r Range[int64], err error) {
	if low, high, ok := bounds(comparator, s); ok {
		if r.Low, err = k.integer(f, low, ""); err == nil {
			r.High, err = k.integer(f, high, "")
		}
		return r, err
	}
	n, err := k.integer(f, s, comparator)
	if err != nil {
		return r, err
	}
	r = Range[int64]{n, n}
	switch comparator {
	case ">":
		r = Range[int64]{n + 1, math.MaxInt64}
	case ">=":
		r.High = math.MaxInt64
	case "<":
		r = Range[int64]{math.MinInt64, n - 1}
	case "<=":
		r.Low = math.MinInt64
	}
	if comparator == ">" && n == math.MaxInt64 || comparator == "<" && n == math.MinInt64 {
		r = Range[int64]{1, 0}
	}
	return r, nil
}

func (k wholeKind) integer(f *Field, s, comparator string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, k.bits)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, strconv.ErrRange):
		return 0, refuse("Error with filter field `%s`: The value exceeds the range of an %s.", f.Name, k.name())
	case comparator != "":
		return 0, refuse("Error with filter field `%s`: Not an %s.", f.Name, k.name())
	}
	return 0, comparatorError(f)
}

// asInt accepts integers without a fraction or an exponent. Numbers beyond 64 bits are clamped in the index and unchanged in the document.
func asInt(raw any, coerce bool) (int64, any, bool) {
	n, isNumber := raw.(json.Number)
	if isNumber {
		if v, ok := parseInt(n.String()); ok {
			return v, n, true
		}
	}
	if !coerce {
		return 0, nil, false
	}
	switch t := raw.(type) {
	case bool:
		if t {
			return 1, json.Number("1"), true
		}
		return 0, json.Number("0"), true
	case string:
		n = json.Number(strings.TrimSpace(t))
	}
	if v, ok := parseInt(n.String()); ok {
		return v, json.Number(strconv.FormatInt(v, 10)), true
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if !isNumber || err != nil || math.Abs(f) > 1<<62 {
		return 0, nil, false
	}
	return int64(f), json.Number(strconv.FormatInt(int64(f), 10)), true
}

func parseInt(s string) (int64, bool) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return v, true
	}
	if strings.TrimLeft(s, "-0123456789") == "" && strings.Count(s, "-") <= 1 && len(s) > 1 && len(s) < 21 {
		return v, v != 0 // out of range: ParseInt returns the nearest value
	}
	return 0, false
}
