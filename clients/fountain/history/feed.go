package history

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Kinds of changes.
const (
	created   = "created"
	revised   = "revised"
	omitted   = "omitted"
	restored  = "restored"
	reordered = "reordered"
)

// replay is the state of the scope according to the feed.
type replay struct {
	j        *judge
	elements map[key]*Element
	holder   map[string]map[int64]string // type -> number -> id
	last     map[string]int64            // type -> number that was given last
}

// feed checks that the positions are 1..P, that each change follows from those before it, that the result is what is
// stored, and that a follower saw the same changes.
func (j *judge) feed() {
	j.result.Looked = len(j.h.Feed)
	for i, c := range j.h.Feed {
		if c.Position != int64(i)+1 {
			j.fault(FeedGap, key{c.ElementType, c.ID}, c.Position, "has position %d in the place of %d", c.Position, i+1)
			break
		}
	}
	j.followed()
	r := &replay{j: j, elements: map[key]*Element{}, holder: map[string]map[int64]string{}, last: map[string]int64{}}
	for i := 0; i < len(j.h.Feed); {
		if j.h.Feed[i].Kind != reordered {
			r.one(j.h.Feed[i])
			i++
			continue
		}
		end := i // one reorder is several changes; all but the last may give numbers that other elements still have
		for end < len(j.h.Feed) && j.h.Feed[end].Kind == reordered && j.h.Feed[end].ElementType == j.h.Feed[i].ElementType {
			end++
		}
		r.order(j.h.Feed[i:end])
		i = end
	}
	r.compare()
}

// followed checks that what a follower saw is the beginning of what is read later.
func (j *judge) followed() {
	for i, c := range j.h.Followed {
		if i >= len(j.h.Feed) || !reflect.DeepEqual(c, j.h.Feed[i]) {
			j.fault(FeedFollowed, key{c.ElementType, c.ID}, c.Position, "a follower saw position %d with another content than it has now", c.Position)
			return
		}
	}
	if j.h.Own && len(j.h.Followed) < len(j.h.Feed) {
		j.fault(FeedFollowed, key{}, int64(len(j.h.Followed)), "a follower received only %d of %d changes", len(j.h.Followed), len(j.h.Feed))
	}
}

func (r *replay) broken(c Change, detail string, args ...any) {
	r.j.fault(FeedState, key{c.ElementType, c.ID}, c.Position, "position "+strconv.FormatInt(c.Position, 10)+": "+detail, args...)
}

func (r *replay) one(c Change) {
	k := key{c.ElementType, c.ID}
	e := r.elements[k]
	if c.Kind == created {
		r.create(k, c)
		return
	}
	if e == nil {
		r.broken(c, "%s before it was created", c.Kind)
		return
	}
	if c.Number != e.Number {
		r.broken(c, "%s with number %d, but it had %d", c.Kind, c.Number, e.Number)
	}
	switch c.Kind {
	case revised:
		if c.Version != e.Version+1 {
			r.broken(c, "version %d comes after %d", c.Version, e.Version)
		}
		e.Version = c.Version
	case omitted, restored:
		if e.Omitted == (c.Kind == omitted) {
			r.broken(c, "%s, which it was", c.Kind)
		}
		e.Omitted = c.Kind == omitted
	default:
		r.broken(c, "its kind is unknown")
	}
}

func (r *replay) create(k key, c Change) {
	if r.elements[k] != nil {
		r.broken(c, "created twice")
		return
	}
	if c.Version != 1 {
		r.broken(c, "created with version %d", c.Version)
	}
	if r.holder[c.ElementType] == nil {
		r.holder[c.ElementType] = map[int64]string{}
	}
	if other, taken := r.holder[c.ElementType][c.Number]; taken {
		r.broken(c, "created with number %d, which %s had", c.Number, other)
	}
	if r.j.h.Own && c.Number != r.last[c.ElementType]+1 { // in a scope of others, elements may be older than the feed
		r.j.fault(FeedOrder, k, c.Position, "position %d: created with number %d after %d", c.Position, c.Number, r.last[c.ElementType])
	}
	r.last[c.ElementType] = c.Number
	r.holder[c.ElementType][c.Number] = c.ID
	r.elements[k] = &Element{ElementType: c.ElementType, ID: c.ID, Number: c.Number, Version: c.Version}
}

// order applies all parts of a reorder, or of several reorders in a row. Within each part, the elements must have the
// numbers that the part moves them from.
func (r *replay) order(parts []Change) {
	holder := r.holder[parts[0].ElementType]
	touched := map[string]bool{}
	for _, c := range parts {
		for id, number := range r.shift(c) {
			e := r.elements[key{c.ElementType, id}]
			if holder[e.Number] == id {
				delete(holder, e.Number)
			}
			e.Number = number
			touched[id] = true
		}
		for _, n := range c.Numbers {
			e := r.elements[key{c.ElementType, n.ID}]
			if e == nil {
				r.broken(c, "gives %s a number, before it was created", n.ID)
				continue
			}
			if e.Number != n.From {
				r.broken(c, "moves %s from number %d, but it had %d", n.ID, n.From, e.Number)
			}
			if holder[e.Number] == n.ID {
				delete(holder, e.Number)
			}
			e.Number = n.To
			touched[n.ID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(touched)) {
		number := r.elements[key{parts[0].ElementType, id}].Number
		if other, taken := holder[number]; taken && other != id {
			r.broken(parts[len(parts)-1], "leaves %s and %s with number %d", other, id, number)
		}
		holder[number] = id
	}
}

// shift returns the new numbers of the elements that a change shifts. Every number of the range must have an element. An element that the change names
// is not shifted: its own number was outside the range, and its old number is checked as it was before the change.
func (r *replay) shift(c Change) map[string]int64 {
	if c.Shifted == nil {
		return nil
	}
	out := map[string]int64{}
	named := func(id string) bool {
		return slices.ContainsFunc(c.Numbers, func(n Renumber) bool { return n.ID == id })
	}
	for k, e := range r.elements {
		if k.elementType == c.ElementType && !named(k.id) && e.Number >= c.Shifted.From && e.Number <= c.Shifted.To {
			out[k.id] = e.Number + c.Shifted.By
		}
	}
	if int64(len(out)) != c.Shifted.To-c.Shifted.From+1 {
		r.broken(c, "shifts the numbers from %d to %d, which %d elements have", c.Shifted.From, c.Shifted.To, len(out))
	}
	return out
}

// compare checks that the feed results in what is stored.
func (r *replay) compare() {
	for k, e := range r.j.stored {
		told := r.elements[k]
		switch {
		case told == nil:
			r.j.fault(FeedState, k, e.Number, "is stored, but is not in the feed")
		case told.Number != e.Number || told.Version != e.Version || told.Omitted != e.Omitted:
			r.j.fault(FeedState, k, e.Number, "the feed ends with number %d, version %d, omitted %t; stored are %d, %d, %t",
				told.Number, told.Version, told.Omitted, e.Number, e.Version, e.Omitted)
		}
	}
	for k, told := range r.elements {
		if r.j.stored[k] == nil {
			r.j.fault(FeedState, k, told.Number, "is in the feed, but is not stored")
		}
	}
}

// formatted checks that formatted numbers are unique within their type, and 1..k in each period.
func (j *judge) formatted() {
	formats := map[string]Format{}
	for _, f := range j.h.Formats {
		formats[f.ElementType] = f
	}
	given := map[string]map[string][]int64{} // type -> period -> numbers
	seen := map[key]string{}
	for _, e := range j.h.Elements {
		if e.FormattedNumber == "" {
			continue
		}
		j.result.Looked++
		k := key{e.ElementType, e.ID}
		if other, twice := seen[key{e.ElementType, e.FormattedNumber}]; twice {
			j.fault(FormattedTwice, k, e.Number, "%s has its formatted number too", other)
		}
		seen[key{e.ElementType, e.FormattedNumber}] = e.ID
		period, number, ok := formats[e.ElementType].parse(e.FormattedNumber)
		if !ok {
			j.fault(FormattedBroken, k, e.Number, "its formatted number does not have the form of its type")
			continue
		}
		if given[e.ElementType] == nil {
			given[e.ElementType] = map[string][]int64{}
		}
		given[e.ElementType][period] = append(given[e.ElementType][period], number)
	}
	for elementType, periods := range given {
		for period, numbers := range periods {
			j.period(formats[elementType], period, numbers)
		}
	}
}

func (j *judge) period(f Format, period string, numbers []int64) {
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	for i, n := range numbers {
		if n != int64(i)+1 {
			j.fault(FormattedGap, key{f.ElementType, ""}, n, "period %q: number %d is in the place of %d", period, n, i+1)
			return
		}
	}
	if last := numbers[len(numbers)-1]; period == f.Period && last != f.Last {
		j.fault(FormattedGap, key{f.ElementType, ""}, last, "period %q ends with %d, and its counter with %d", period, last, f.Last)
	}
}

// periodLength is the length of the text of a period, including the dash after it.
var periodLength = map[string]int{"never": 0, "year": len("2026-"), "month": len("2026-11-"), "day": len("2026-11-29-")}

// parse splits a formatted number into its period and its number.
func (f Format) parse(text string) (period string, number int64, ok bool) {
	length, known := periodLength[f.Resets]
	text, fits := strings.CutPrefix(text, f.Prefix)
	if !known || !fits || len(text) <= length {
		return "", 0, false
	}
	if length > 0 && text[length-1] != '-' {
		return "", 0, false
	}
	period, digits := strings.TrimSuffix(text[:length], "-"), text[length:]
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || number < 1 || len(digits) < f.Padding || (len(digits) > f.Padding && digits[0] == '0') || digits[0] == '+' {
		return "", 0, false
	}
	return period, number, true
}
