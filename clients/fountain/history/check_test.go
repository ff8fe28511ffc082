package history_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/clients/fountain/history"
)

// good simulates a service that keeps its guarantees: random steps, one instant each, with concurrent clients.
func good(t *rapid.T) *history.History {
	w := &world{h: &history.History{Scope: "checked", Own: true, Searched: true}}
	if rapid.Bool().Draw(t, "formatted") {
		w.h.Formats = []history.Format{{ElementType: "line", Prefix: "L1-", Padding: 3, Resets: "year", Period: "2026"}}
	}
	w.append("first", 0, history.Acknowledged)
	for n := range rapid.IntRange(6, 25).Draw(t, "steps") {
		width := time.Duration(rapid.IntRange(0, 4).Draw(t, "width"))
		switch rapid.SampledFrom([]string{"append", "append", "append", "revise", "omit", "reorder", "far", "unanswered", "refused", "lost"}).Draw(t, "step") {
		case "append":
			w.append(fmt.Sprint("e", n), width, history.Acknowledged)
		case "unanswered":
			w.append(fmt.Sprint("e", n), width, history.Unknown)
		case "refused":
			w.call(&w.h.Appends, fmt.Sprint("e", n), width, history.Refused)
		case "lost": // no response, and not done
			w.call(&w.h.Appends, fmt.Sprint("e", n), width, history.Unknown)
		case "revise":
			w.revise(rapid.IntRange(0, len(w.h.Elements)-1).Draw(t, "which"), width)
		case "omit":
			w.omit(rapid.IntRange(0, len(w.h.Elements)-1).Draw(t, "which"))
		case "reorder":
			w.reorder(rapid.IntRange(0, len(w.h.Elements)-1).Draw(t, "one"), rapid.IntRange(0, len(w.h.Elements)-1).Draw(t, "other"))
		case "far":
			w.far(rapid.IntRange(0, len(w.h.Elements)-1).Draw(t, "which"))
		}
	}
	w.end()
	return w.h
}

type world struct {
	h   *history.History
	now time.Duration
}

// call records a call around this instant that begins and ends up to width instants away.
func (w *world) call(to *[]history.Call, id string, width time.Duration, outcome history.Outcome) *history.Call {
	w.now += 2
	*to = append(*to, history.Call{ElementType: "line", ID: id, Begin: w.now - width, End: w.now + width, Outcome: outcome, Sum: fmt.Sprint("sum", w.now)})
	return &(*to)[len(*to)-1]
}

func (w *world) tell(c history.Change) {
	c.Position, c.ElementType = int64(len(w.h.Feed))+1, "line"
	w.h.Feed = append(w.h.Feed, c)
}

func (w *world) append(id string, width time.Duration, outcome history.Outcome) {
	c := w.call(&w.h.Appends, id, width, outcome)
	number, formatted := int64(len(w.h.Elements))+1, ""
	if len(w.h.Formats) > 0 {
		formatted = fmt.Sprintf("L1-2026-%03d", number)
		w.h.Formats[0].Last = number
	}
	if outcome == history.Acknowledged {
		c.Number, c.Version, c.FormattedNumber = number, 1, formatted
	}
	w.h.Elements = append(w.h.Elements, history.Element{
		ElementType: "line", ID: id, Number: number, FormattedNumber: formatted, Version: 1, Versions: []history.Version{{Version: 1, Sum: c.Sum}},
	})
	w.tell(history.Change{Kind: "created", ID: id, Number: number, Version: 1})
}

func (w *world) revise(which int, width time.Duration) {
	e := &w.h.Elements[which]
	c := w.call(&w.h.Revisions, e.ID, width, history.Acknowledged)
	e.Version++
	c.Number, c.Version = e.Number, e.Version
	e.Versions = append(e.Versions, history.Version{Version: e.Version, Sum: c.Sum})
	w.tell(history.Change{Kind: "revised", ID: e.ID, Number: e.Number, Version: e.Version})
}

func (w *world) omit(which int) {
	e := &w.h.Elements[which]
	e.Omitted = !e.Omitted
	w.tell(history.Change{Kind: map[bool]string{true: "omitted", false: "restored"}[e.Omitted], ID: e.ID, Number: e.Number})
}

func (w *world) reorder(one, other int) {
	if one == other {
		return
	}
	a, b := &w.h.Elements[one], &w.h.Elements[other]
	w.tell(history.Change{Kind: "reordered", Numbers: []history.Renumber{{ID: a.ID, From: a.Number, To: b.Number}}}) // in two parts, as a long reorder is
	w.tell(history.Change{Kind: "reordered", Numbers: []history.Renumber{{ID: b.ID, From: b.Number, To: a.Number}}})
	a.Number, b.Number = b.Number, a.Number
}

// far moves an element behind all others. The feed reports it as a shift, as for a move over many elements.
func (w *world) far(which int) {
	e, last := &w.h.Elements[which], int64(len(w.h.Elements))
	if e.Number == last {
		return
	}
	w.tell(history.Change{Kind: "reordered", Numbers: []history.Renumber{{ID: e.ID, From: e.Number, To: last}}, Shifted: &history.Shifted{From: e.Number + 1, To: last, By: -1}})
	for i := range w.h.Elements {
		if w.h.Elements[i].Number > e.Number {
			w.h.Elements[i].Number--
		}
	}
	e.Number = last
}

func (w *world) end() {
	for _, e := range w.h.Elements {
		w.h.Hits = append(w.h.Hits, history.Hit{ElementType: "line", ID: e.ID, Number: e.Number, Version: e.Version})
	}
	w.h.Found = []history.Found{{ElementType: "line", Count: int64(len(w.h.Elements))}}
	w.h.Followed = slices.Clone(w.h.Feed)
}

func kinds(h *history.History) (all []history.Kind) {
	for _, f := range history.Check(h).Faults() {
		all = append(all, f.Kind)
	}
	return all
}

func TestCheck_findsNothingInAGoodHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := good(t)
		require.Empty(t, history.Check(h).Faults())
	})
}

// A far move is checked against the numbers before it: the element that it names may not be one of those that it shifts, which would hide that an earlier
// move is missing.
func TestCheck_findsAFarMoveWhoseElementHadAnotherNumber(t *testing.T) {
	w := &world{h: &history.History{Scope: "checked", Own: true, Searched: true}}
	for _, id := range []string{"a", "b", "c"} {
		w.append(id, 0, history.Acknowledged)
	}
	w.far(0)
	w.far(1)
	w.far(2)
	w.end()
	require.Empty(t, history.Check(w.h).Faults())
	w.h.Feed = slices.Delete(w.h.Feed, 3, 4)
	renumber(w.h)
	require.Contains(t, kinds(w.h), history.FeedState)
}

// plants each plant one fault into a good history. They return false if there is no place for it.
var plants = map[string]struct {
	want  history.Kind
	plant func(t *rapid.T, h *history.History) bool
}{
	"an element is gone": {history.Lost, func(t *rapid.T, h *history.History) bool {
		c, ok := acknowledged(t, h.Appends)
		return ok && remove(h, c.ID)
	}},
	"a number is left out": {history.NumberGap, func(_ *rapid.T, h *history.History) bool {
		last(h).Number++
		return true
	}},
	"two elements have a number": {history.NumberTwice, func(_ *rapid.T, h *history.History) bool {
		if len(h.Elements) < 2 {
			return false
		}
		h.Elements[0].Number = h.Elements[1].Number
		return true
	}},
	"a refused version is there": {history.RefusedDone, func(_ *rapid.T, h *history.History) bool {
		if len(h.Revisions) == 0 {
			return false
		}
		h.Revisions[0].Outcome = history.Refused
		return true
	}},
	"two calls were told a number": {history.NumberTwice, func(_ *rapid.T, h *history.History) bool {
		var all []*history.Call
		for i := range h.Appends {
			if h.Appends[i].Outcome == history.Acknowledged {
				all = append(all, &h.Appends[i])
			}
		}
		if len(all) < 2 {
			return false
		}
		all[1].Number = all[0].Number
		return true
	}},
	"an id is there twice": {history.IDTwice, func(t *rapid.T, h *history.History) bool {
		h.Elements = append(h.Elements, *anyElement(t, h))
		last(h).Number = int64(len(h.Elements))
		return true
	}},
	"another number than was told": {history.Different, func(t *rapid.T, h *history.History) bool {
		c, ok := acknowledged(t, h.Appends)
		if !ok || slices.ContainsFunc(h.Feed, func(c history.Change) bool { return c.Kind == "reordered" }) {
			return false
		}
		c.Number += 1000
		return true
	}},
	"another formatted number than was told": {history.Different, func(t *rapid.T, h *history.History) bool {
		c, ok := acknowledged(t, h.Appends)
		if !ok {
			return false
		}
		c.FormattedNumber = "L1-2026-900"
		return true
	}},
	"other data than were sent": {history.Different, func(t *rapid.T, h *history.History) bool {
		c, ok := acknowledged(t, h.Appends)
		if !ok {
			return false
		}
		find(h, c.ID).Versions[0].Sum = "other"
		return true
	}},
	"a refused append is there": {history.RefusedDone, func(_ *rapid.T, h *history.History) bool {
		for i := range h.Appends {
			if h.Appends[i].Outcome == history.Acknowledged {
				h.Appends[i].Outcome = history.Refused
				return true
			}
		}
		return false
	}},
	"an element that nobody appended": {history.Phantom, func(_ *rapid.T, h *history.History) bool {
		h.Elements = append(h.Elements, history.Element{ElementType: "line", ID: "phantom", Number: int64(len(h.Elements)) + 1, Version: 1, Versions: []history.Version{{Version: 1}}})
		return true
	}},
	"a version that nobody sent": {history.Phantom, func(t *rapid.T, h *history.History) bool {
		e := anyElement(t, h)
		e.Version++
		e.Versions = append(e.Versions, history.Version{Version: e.Version, Sum: "phantom"})
		return true
	}},
	"a lower number after a higher one": {history.TimeOrder, func(_ *rapid.T, h *history.History) bool {
		var all []*history.Call
		for i := range h.Appends {
			if h.Appends[i].Outcome == history.Acknowledged {
				all = append(all, &h.Appends[i])
			}
		}
		if len(all) < 2 {
			return false
		}
		all[0].Begin, all[0].End = 1_000_000, 1_000_001
		return true
	}},
	"a lower version after a higher one": {history.TimeOrder, func(_ *rapid.T, h *history.History) bool {
		for i := range h.Revisions {
			for j := range i {
				if h.Revisions[j].ID == h.Revisions[i].ID {
					h.Revisions[j].Begin, h.Revisions[j].End = 1_000_000, 1_000_001
					return true
				}
			}
		}
		return false
	}},
	"a version is gone": {history.VersionGap, func(t *rapid.T, h *history.History) bool {
		e := anyElement(t, h)
		e.Versions = e.Versions[1:]
		return true
	}},
	"an acknowledged version is gone": {history.Lost, func(_ *rapid.T, h *history.History) bool {
		for i := range h.Revisions {
			e := find(h, h.Revisions[i].ID)
			e.Versions = e.Versions[:1]
			return true
		}
		return false
	}},
	"two calls were told a version": {history.VersionTwice, func(_ *rapid.T, h *history.History) bool {
		if len(h.Revisions) == 0 {
			return false
		}
		h.Revisions = append(h.Revisions, h.Revisions[0])
		return true
	}},
	"a change is gone": {history.FeedGap, func(t *rapid.T, h *history.History) bool {
		if len(h.Feed) < 2 {
			return false
		}
		at := rapid.IntRange(0, len(h.Feed)-2).Draw(t, "position")
		h.Feed = slices.Delete(h.Feed, at, at+1)
		h.Followed = slices.Clone(h.Feed)
		return true
	}},
	"a change is gone, and its position too": {history.FeedState, func(t *rapid.T, h *history.History) bool {
		at := rapid.IntRange(0, len(h.Feed)-1).Draw(t, "position")
		h.Feed = slices.Delete(h.Feed, at, at+1)
		renumber(h)
		return true
	}},
	"two creations have changed places": {history.FeedOrder, func(_ *rapid.T, h *history.History) bool {
		for i := range len(h.Feed) - 1 {
			if h.Feed[i].Kind == "created" && h.Feed[i+1].Kind == "created" {
				h.Feed[i], h.Feed[i+1] = h.Feed[i+1], h.Feed[i]
				renumber(h)
				return true
			}
		}
		return false
	}},
	"a range is shifted the other way": {history.FeedState, func(t *rapid.T, h *history.History) bool {
		at := slices.IndexFunc(h.Feed, func(c history.Change) bool { return c.Shifted != nil })
		if at < 0 {
			return false
		}
		shifted := *h.Feed[at].Shifted
		shifted.By = -shifted.By
		h.Feed[at].Shifted = &shifted
		h.Followed = slices.Clone(h.Feed)
		return true
	}},
	"a change has another version": {history.FeedState, func(t *rapid.T, h *history.History) bool {
		c := &h.Feed[rapid.IntRange(0, len(h.Feed)-1).Draw(t, "position")]
		c.Version++
		h.Followed = slices.Clone(h.Feed)
		return c.Kind == "created" || c.Kind == "revised"
	}},
	"a follower missed a change": {history.FeedFollowed, func(t *rapid.T, h *history.History) bool {
		at := rapid.IntRange(0, len(h.Feed)-1).Draw(t, "position")
		h.Followed = slices.Delete(h.Followed, at, at+1)
		return true
	}},
	"a follower was told nothing": {history.FeedFollowed, func(_ *rapid.T, h *history.History) bool {
		h.Followed = nil
		return true
	}},
	"search misses an element": {history.SearchMissing, func(t *rapid.T, h *history.History) bool {
		at := rapid.IntRange(0, len(h.Hits)-1).Draw(t, "hit")
		h.Hits = slices.Delete(h.Hits, at, at+1)
		return true
	}},
	"search has an old number": {history.SearchStray, func(t *rapid.T, h *history.History) bool {
		h.Hits[rapid.IntRange(0, len(h.Hits)-1).Draw(t, "hit")].Number += 1000
		return true
	}},
	"search has an old version": {history.SearchStray, func(t *rapid.T, h *history.History) bool {
		h.Hits[rapid.IntRange(0, len(h.Hits)-1).Draw(t, "hit")].Version--
		return true
	}},
	"search finds an element twice": {history.SearchStray, func(_ *rapid.T, h *history.History) bool {
		h.Hits = append(h.Hits, h.Hits[0])
		return true
	}},
	"search finds what is not there": {history.SearchStray, func(_ *rapid.T, h *history.History) bool {
		h.Hits = append(h.Hits, history.Hit{ElementType: "line", ID: "gone"})
		return true
	}},
	"search counts more": {history.SearchStray, func(_ *rapid.T, h *history.History) bool {
		h.Found[0].Count++
		return true
	}},
	"two elements have a formatted number": {history.FormattedTwice, func(_ *rapid.T, h *history.History) bool {
		if len(h.Formats) == 0 || len(h.Elements) < 2 {
			return false
		}
		h.Elements[0].FormattedNumber = h.Elements[1].FormattedNumber
		return true
	}},
	"a formatted number is left out": {history.FormattedGap, func(_ *rapid.T, h *history.History) bool {
		if len(h.Formats) == 0 {
			return false
		}
		h.Elements[0].FormattedNumber = "L1-2026-901"
		return true
	}},
	"the last formatted number is gone": {history.FormattedGap, func(_ *rapid.T, h *history.History) bool {
		if len(h.Formats) == 0 {
			return false
		}
		h.Formats[0].Last++
		return true
	}},
	"a formatted number of another form": {history.FormattedBroken, func(t *rapid.T, h *history.History) bool {
		if len(h.Formats) == 0 {
			return false
		}
		anyElement(t, h).FormattedNumber = rapid.SampledFrom([]string{"L1-2026-01", "L1-2026-0001", "L2-2026-001", "L1-001", "L1-2026-", "L1-2026-00x", "L1-2026-+01", "L1-2026-000"}).Draw(t, "text")
		return true
	}},
}

func TestCheck_findsWhatIsPlanted(t *testing.T) {
	for name, p := range plants {
		t.Run(name, func(t *testing.T) {
			planted := 0
			rapid.Check(t, func(t *rapid.T) {
				h := good(t)
				if !p.plant(t, h) {
					return
				}
				planted++
				require.Contains(t, kinds(h), p.want)
			})
			require.Positive(t, planted, "it was never planted")
		})
	}
}

// TestCheck_ofOthersScopesKnowsWhatItCanNot has a feed from an upgrade: creations from before the feed existed are in
// the order of their times, with the numbers of the upgrade.
func TestCheck_ofOthersScopesKnowsWhatItCanNot(t *testing.T) {
	w := &world{h: &history.History{Searched: true}}
	w.append("a", 0, history.Acknowledged)
	w.append("b", 0, history.Acknowledged)
	w.end()
	w.h.Appends, w.h.Followed = nil, nil
	w.h.Feed[0].ID, w.h.Feed[0].Number, w.h.Feed[1].ID, w.h.Feed[1].Number = "b", 2, "a", 1
	require.Empty(t, kinds(w.h))
	w.h.Own = true
	require.Contains(t, kinds(w.h), history.FeedOrder)
	require.Contains(t, kinds(w.h), history.Phantom)
}

func acknowledged(t *rapid.T, calls []history.Call) (*history.Call, bool) {
	var all []*history.Call
	for i := range calls {
		if calls[i].Outcome == history.Acknowledged {
			all = append(all, &calls[i])
		}
	}
	if len(all) == 0 {
		return nil, false
	}
	return rapid.SampledFrom(all).Draw(t, "call"), true
}

func anyElement(t *rapid.T, h *history.History) *history.Element {
	return &h.Elements[rapid.IntRange(0, len(h.Elements)-1).Draw(t, "element")]
}

func last(h *history.History) *history.Element {
	at := 0
	for i := range h.Elements {
		if h.Elements[i].Number > h.Elements[at].Number {
			at = i
		}
	}
	return &h.Elements[at]
}

func find(h *history.History, id string) *history.Element {
	return &h.Elements[slices.IndexFunc(h.Elements, func(e history.Element) bool { return e.ID == id })]
}

func remove(h *history.History, id string) bool {
	h.Elements = slices.DeleteFunc(h.Elements, func(e history.Element) bool { return e.ID == id })
	return true
}

// renumber renumbers the positions without a gap, and makes the follower see the same.
func renumber(h *history.History) {
	for i := range h.Feed {
		h.Feed[i].Position = int64(i) + 1
	}
	h.Followed = slices.Clone(h.Feed)
}
