package history

import (
	"cmp"
	"fmt"
	"slices"
)

// Kind names the property that a fault breaks.
type Kind string

// Kinds of faults.
const (
	NumberGap       Kind = "number_gap"        // the numbers of a type are not 1..N
	NumberTwice     Kind = "number_twice"      // two elements have one number, or two callers were told one number
	IDTwice         Kind = "id_twice"          // two elements have one id
	Lost            Kind = "lost"              // an acknowledged change is missing
	Different       Kind = "different"         // a change is there, but not as it was acknowledged or sent
	RefusedDone     Kind = "refused_done"      // a refused change is there
	Phantom         Kind = "phantom"           // something is there that no caller asked for
	TimeOrder       Kind = "time_order"        // a call that began after another was answered got the lower number or version
	VersionGap      Kind = "version_gap"       // the versions of an element are not 1..k
	VersionTwice    Kind = "version_twice"     // two callers were told one version
	FeedGap         Kind = "feed_gap"          // the positions are not 1..P in order
	FeedState       Kind = "feed_state"        // a change does not follow from those before it, or all of them together do not give what is stored
	FeedOrder       Kind = "feed_order"        // elements were created in another order than that of their numbers
	FeedFollowed    Kind = "feed_followed"     // a follower saw something else than is read later
	SearchMissing   Kind = "search_missing"    // search does not find an element under its number
	SearchStray     Kind = "search_stray"      // search finds or counts something other than what is stored
	FormattedTwice  Kind = "formatted_twice"   // two elements have one formatted number
	FormattedGap    Kind = "formatted_gap"     // the formatted numbers of a period are not 1..k
	FormattedBroken Kind = "formatted_no_form" // a formatted number does not have the format of its type
)

// Fault is one violated guarantee.
type Fault struct {
	Kind        Kind   `json:"kind"`
	ElementType string `json:"elementType,omitempty"`
	ID          string `json:"id,omitempty"`
	Number      int64  `json:"number,omitempty"` // or version, or position
	Detail      string `json:"detail"`
}

func (f Fault) String() string {
	where := f.ElementType
	if f.ID != "" {
		where += "/" + f.ID
	}
	return fmt.Sprintf("%s %s: %s", f.Kind, where, f.Detail)
}

// Result is the result of one check.
type Result struct {
	Name   string  `json:"name"`
	Looked int     `json:"looked"` // number of things that were checked; 0: there was nothing to check
	Faults []Fault `json:"faults"`
}

// Report is the result of Check.
type Report struct {
	Scope   string   `json:"scope"`
	Own     bool     `json:"own"`
	Results []Result `json:"results"`
}

// Faults returns the faults of all results.
func (r Report) Faults() (all []Fault) {
	for _, one := range r.Results {
		all = append(all, one.Faults...)
	}
	return all
}

// key identifies an element in the scope.
type key struct{ elementType, id string }

// judge holds the state that the checks share.
type judge struct {
	h         *History
	stored    map[key]*Element
	reordered map[string]bool // types that were reordered after their numbers were given
	result    *Result
}

func (j *judge) fault(kind Kind, k key, number int64, detail string, args ...any) {
	j.result.Faults = append(j.result.Faults, Fault{Kind: kind, ElementType: k.elementType, ID: k.id, Number: number, Detail: fmt.Sprintf(detail, args...)})
}

// Check checks a history. Its memory use is proportional to the size of the history.
func Check(h *History) Report {
	j := &judge{h: h, stored: map[key]*Element{}, reordered: map[string]bool{}}
	for i := range h.Elements {
		j.stored[key{h.Elements[i].ElementType, h.Elements[i].ID}] = &h.Elements[i]
	}
	for _, c := range h.Feed {
		if c.Kind == reordered {
			j.reordered[c.ElementType] = true
		}
	}
	r := Report{Scope: h.Scope, Own: h.Own}
	for _, check := range []struct {
		name string
		do   func()
	}{
		{"numbers 1..N", j.numbers}, {"acknowledged changes", j.calls}, {"real-time order", j.timeOrder}, {"versions 1..k", j.versions},
		{"change feed", j.feed}, {"formatted numbers", j.formatted}, {"search", j.search},
	} {
		j.result = &Result{Name: check.name, Faults: []Fault{}}
		check.do()
		r.Results = append(r.Results, *j.result)
	}
	return r
}

// numbers checks that ids are unique and that the numbers of each type are 1..N.
func (j *judge) numbers() {
	j.result.Looked = len(j.h.Elements)
	seen := map[key]bool{}
	byType := map[string][]*Element{}
	for i := range j.h.Elements {
		e := &j.h.Elements[i]
		k := key{e.ElementType, e.ID}
		if seen[k] {
			j.fault(IDTwice, k, e.Number, "is stored more than once")
		}
		seen[k] = true
		byType[e.ElementType] = append(byType[e.ElementType], e)
	}
	for elementType, all := range byType {
		slices.SortFunc(all, func(a, b *Element) int { return cmp.Compare(a.Number, b.Number) })
		last := int64(0)
		for _, e := range all {
			switch {
			case e.Number == last:
				j.fault(NumberTwice, key{elementType, e.ID}, e.Number, "has number %d, which another element has", e.Number)
			case e.Number != last+1:
				j.fault(NumberGap, key{elementType, e.ID}, e.Number, "number %d comes after %d", e.Number, last)
			}
			last = e.Number
		}
	}
}

// calls checks that every acknowledged change is stored as it was acknowledged, and that no refused change is stored.
// In a scope of the recorder's own it also checks that nothing is stored that no call asked for.
func (j *judge) calls() {
	j.result.Looked = len(j.h.Appends) + len(j.h.Revisions)
	asked := map[key]map[string]bool{} // checksums of the data that were sent
	sent := func(c *Call) {
		k := key{c.ElementType, c.ID}
		if asked[k] == nil {
			asked[k] = map[string]bool{}
		}
		if c.Outcome != Refused {
			asked[k][c.Sum] = true
		}
	}
	numbers := map[string]map[int64]string{}
	for i := range j.h.Appends {
		c := &j.h.Appends[i]
		sent(c)
		j.append(c)
		if c.Outcome != Acknowledged {
			continue
		}
		if numbers[c.ElementType] == nil {
			numbers[c.ElementType] = map[int64]string{}
		}
		if other, twice := numbers[c.ElementType][c.Number]; twice {
			j.fault(NumberTwice, key{c.ElementType, c.ID}, c.Number, "was acknowledged with number %d, as %s was", c.Number, other)
		}
		numbers[c.ElementType][c.Number] = c.ID
	}
	versions := map[key]map[int64]bool{}
	for i := range j.h.Revisions {
		c := &j.h.Revisions[i]
		sent(c)
		j.revision(c, versions)
	}
	if j.h.Own {
		j.phantoms(asked)
	}
}

func (j *judge) append(c *Call) {
	k := key{c.ElementType, c.ID}
	e := j.stored[k]
	switch c.Outcome {
	case Refused:
		if e != nil {
			j.fault(RefusedDone, k, e.Number, "was refused, but is stored with number %d", e.Number)
		}
	case Acknowledged:
		switch {
		case e == nil:
			j.fault(Lost, k, c.Number, "was acknowledged with number %d, but is not stored", c.Number)
		case e.Number != c.Number && !j.reordered[c.ElementType]:
			j.fault(Different, k, c.Number, "was acknowledged with number %d, and has %d", c.Number, e.Number)
		case e.FormattedNumber != c.FormattedNumber:
			j.fault(Different, k, c.Number, "was acknowledged with another formatted number than it has")
		default:
			j.requireVersion(c, e, 1)
		}
	}
}

func (j *judge) revision(c *Call, told map[key]map[int64]bool) {
	k := key{c.ElementType, c.ID}
	e := j.stored[k]
	switch {
	case c.Outcome == Acknowledged && e == nil:
		j.fault(Lost, k, c.Version, "version %d was acknowledged, but the element is not stored", c.Version)
	case c.Outcome == Acknowledged:
		if told[k] == nil {
			told[k] = map[int64]bool{}
		}
		if told[k][c.Version] {
			j.fault(VersionTwice, k, c.Version, "two calls were acknowledged with version %d", c.Version)
		}
		told[k][c.Version] = true
		j.requireVersion(c, e, c.Version)
	case c.Outcome == Refused && e != nil:
		if slices.ContainsFunc(e.Versions, func(v Version) bool { return v.Sum == c.Sum }) {
			j.fault(RefusedDone, k, 0, "a version was refused, but is stored")
		}
	}
}

// requireVersion checks that the version exists with the data of the call.
func (j *judge) requireVersion(c *Call, e *Element, version int64) {
	k := key{c.ElementType, c.ID}
	at := slices.IndexFunc(e.Versions, func(v Version) bool { return v.Version == version })
	switch {
	case at < 0:
		j.fault(Lost, k, version, "version %d was acknowledged, but is not stored", version)
	case e.Versions[at].Sum != c.Sum:
		j.fault(Different, k, version, "version %d has other data than were sent", version)
	}
}

// phantoms reports elements and versions that no call asked for.
func (j *judge) phantoms(asked map[key]map[string]bool) {
	for i := range j.h.Elements {
		e := &j.h.Elements[i]
		k := key{e.ElementType, e.ID}
		if asked[k] == nil {
			j.fault(Phantom, k, e.Number, "is stored with number %d, but no call appended it", e.Number)
			continue
		}
		for _, v := range e.Versions {
			if !asked[k][v.Sum] {
				j.fault(Phantom, k, v.Version, "version %d is stored, but no call sent its data", v.Version)
			}
		}
	}
}

// timeOrder checks that a call that began after another was answered got the higher number, or the higher version of
// the same element.
func (j *judge) timeOrder() {
	byType, byElement := map[key][]*Call{}, map[key][]*Call{}
	for i := range j.h.Appends {
		if c := &j.h.Appends[i]; c.Outcome == Acknowledged {
			byType[key{c.ElementType, ""}] = append(byType[key{c.ElementType, ""}], c)
			byElement[key{c.ElementType, c.ID}] = []*Call{c}
		}
	}
	for i := range j.h.Revisions {
		if c := &j.h.Revisions[i]; c.Outcome == Acknowledged {
			k := key{c.ElementType, c.ID}
			byElement[k] = append(byElement[k], c)
		}
	}
	for _, calls := range byType {
		j.ordered(calls, "number", func(c *Call) int64 { return c.Number })
	}
	for _, calls := range byElement {
		if len(calls) > 1 {
			j.ordered(calls, "version", func(c *Call) int64 { return c.Version })
		}
	}
}

// ordered goes through the calls by their start time and, in parallel, by their end time. The highest value of the
// calls that have ended must be lower than the value of each call that starts.
func (j *judge) ordered(calls []*Call, what string, of func(*Call) int64) {
	j.result.Looked += len(calls)
	ended := slices.Clone(calls)
	slices.SortFunc(ended, func(a, b *Call) int { return cmp.Compare(a.End, b.End) })
	slices.SortFunc(calls, func(a, b *Call) int { return cmp.Compare(a.Begin, b.Begin) })
	var highest *Call
	next := 0
	for _, c := range calls {
		for ; next < len(ended) && ended[next].End < c.Begin; next++ {
			if highest == nil || of(ended[next]) > of(highest) {
				highest = ended[next]
			}
		}
		if highest != nil && of(highest) > of(c) {
			j.fault(TimeOrder, key{c.ElementType, c.ID}, of(c), "was acknowledged with %s %d, but began after %s had been acknowledged with %d", what, of(c), highest.ID, of(highest))
		}
	}
}

// versions checks that the versions of each element are 1..k, and that k is the current version.
func (j *judge) versions() {
	for i := range j.h.Elements {
		e := &j.h.Elements[i]
		j.result.Looked += len(e.Versions)
		k := key{e.ElementType, e.ID}
		for n, v := range e.Versions {
			if v.Version != int64(n)+1 {
				j.fault(VersionGap, k, v.Version, "has version %d in the place of %d", v.Version, n+1)
				break
			}
		}
		if int64(len(e.Versions)) != e.Version {
			j.fault(VersionGap, k, e.Version, "its version is %d, but %d versions are stored", e.Version, len(e.Versions))
		}
	}
}

// search checks that each element is found under its number and with its version, and that nothing else is found.
func (j *judge) search() {
	if !j.h.Searched {
		return
	}
	j.result.Looked = len(j.h.Hits)
	found := map[key]bool{}
	for _, hit := range j.h.Hits {
		k := key{hit.ElementType, hit.ID}
		e := j.stored[k]
		switch {
		case e == nil:
			j.fault(SearchStray, k, hit.Number, "is found, but is not stored")
		case found[k]:
			j.fault(SearchStray, k, hit.Number, "is found twice")
		case e.Number != hit.Number || e.Version != hit.Version:
			j.fault(SearchStray, k, hit.Number, "is found with number %d and version %d, but has %d and %d", hit.Number, hit.Version, e.Number, e.Version)
		}
		found[k] = true
	}
	count := map[string]int64{}
	for _, e := range j.h.Elements {
		count[e.ElementType]++
		if k := (key{e.ElementType, e.ID}); !found[k] {
			j.fault(SearchMissing, k, e.Number, "number %d is not found", e.Number)
		}
	}
	for _, f := range j.h.Found {
		if f.Count != count[f.ElementType] {
			j.fault(SearchStray, key{f.ElementType, ""}, 0, "search counts %d elements, but %d are stored", f.Count, count[f.ElementType])
		}
	}
}
