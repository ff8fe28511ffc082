package importer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/internal/screenplay"
)

// Change is one difference between the screenplay and what is stored.
type Change struct {
	What string // new, changed, gone
	Type string
	ID   string
	Line int // line in the screenplay; 0 if the element is gone
	// Before and After are the element's content, shortened to a line.
	Before, After string

	item *entry
	old  *stored
}

// place returns the place of a change in the screenplay.
func (c Change) place() string {
	if c.Line == 0 {
		return "in no line"
	}
	return fmt.Sprintf("line %d", c.Line)
}

// entry is one element of the screenplay.
type entry struct {
	screenplay.Item
	key      string
	position float64
	old      *stored // the stored element that it matches
}

// plan is what an import must do.
type plan struct {
	byType  map[string][]*entry
	stored  map[string][]stored
	total   int
	changes []Change
	edited  int // elements that were edited in the service
}

// largest is the most bytes of an element's data that the service accepts.
const largest = 64 << 10

// entries returns the elements of a screenplay.
func entries(script *screenplay.Script) ([]*entry, error) {
	items := screenplay.Outline(script)
	all := make([]*entry, len(items))
	for i, it := range items {
		all[i] = &entry{Item: it, key: keyOf(it.Type, it.Data), position: float64(i + 1)}
		if data, err := all[i].json(); err != nil || len(data) > largest {
			return nil, fmt.Errorf("line %d: too long for one element: divide it", it.Line)
		}
	}
	return all, nil
}

// json returns the element's data.
func (e *entry) json() (json.RawMessage, error) {
	data := maps.Clone(e.Data)
	data["position"] = e.position
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false) // escaping would turn one byte into six
	err := encoder.Encode(data)
	return bytes.TrimSpace(out.Bytes()), err
}

// keyOf returns the content that identifies an element, without its position and layout.
func keyOf(kind string, data map[string]any) string {
	switch kind {
	case screenplay.TypeScript:
		return "script"
	case screenplay.TypeCharacter:
		return fmt.Sprint(data["name"])
	case screenplay.TypeSection:
		return fmt.Sprint(data["kind"], data["heading"])
	}
	return fmt.Sprint(data["character"], "\x00", data["parenthetical"], "\x00", data["style"], data["kind"], "\x00", data["text"])
}

// match matches each element of the screenplay with a stored one, and lists what must be done.
func match(play []*entry, have map[string][]stored) *plan {
	p := &plan{byType: map[string][]*entry{}, stored: have, total: len(play)}
	for _, e := range play {
		p.byType[e.Type] = append(p.byType[e.Type], e)
	}
	active := map[string][]*stored{}
	for _, kind := range types {
		var old []*stored
		for i := range have[kind] {
			if s := &have[kind][i]; s.Status == sequence.ElementStatusActive {
				old = append(old, s)
			}
		}
		slices.SortStableFunc(old, func(a, b *stored) int { // sort is stable: elements without a position stay in the order of their numbers
			x, _ := a.position()
			y, _ := b.position()
			return cmp.Compare(x, y)
		})
		if kind == screenplay.TypeCharacter {
			pairNames(p.byType[kind], old)
		} else {
			pair(p.byType[kind], old)
		}
		active[kind] = old
	}
	place(play)
	for _, kind := range types {
		p.compare(kind, active[kind])
	}
	return p
}

// moved reports whether the element's position among the elements of all types has changed.
func (e *entry) moved() bool {
	at, ok := held(e)
	return ok && at != e.position
}

// compare lists the differences of one type.
func (p *plan) compare(kind string, old []*stored) {
	kept := map[*stored]bool{}
	for _, e := range p.byType[kind] {
		switch {
		case e.old == nil:
			p.changes = append(p.changes, Change{What: "new", Type: kind, Line: e.Line, After: gist(e.Data), item: e})
		case e.moved() || !same(e.Data, e.old.imported):
			p.changes = append(p.changes, Change{What: "changed", Type: kind, ID: e.old.ID, Line: e.Line,
				Before: gist(e.old.data), After: gist(e.Data), item: e, old: e.old})
		}
		if e.old != nil && e.old.edited() {
			p.edited++
		}
		kept[e.old] = true
	}
	for _, s := range old {
		if !kept[s] {
			p.changes = append(p.changes, Change{What: "gone", Type: kind, ID: s.ID, Before: gist(s.data), old: s})
		}
	}
}

// same reports whether two data are equal except for their position.
func same(a, b map[string]any) bool {
	without := func(data map[string]any) string {
		data = maps.Clone(data)
		delete(data, "position")
		raw, err := json.Marshal(data)
		if err != nil {
			return err.Error()
		}
		return string(raw)
	}
	return without(a) == without(b)
}

// gist returns the element's content, shortened to a line.
func gist(data map[string]any) string {
	var parts []string
	for _, property := range []string{"title", "heading", "name", "character", "parenthetical", "text"} {
		if text, ok := data[property].(string); ok && text != "" {
			parts = append(parts, strings.Join(strings.Fields(text), " "))
		}
	}
	runes := []rune(strings.Join(parts, ": "))
	if len(runes) > 60 {
		runes = append(runes[:59], '…')
	}
	return string(runes)
}

// place keeps the position of as many stored elements as possible, and gives the others a position between their
// neighbours. So few elements need a new version.
func place(play []*entry) {
	fixed := fixedPlaces(play)
	last := 0.0
	for i := 0; i < len(play); {
		if at, ok := held(play[i]); ok && fixed[i] {
			play[i].position, last = at, at
			i++
			continue
		}
		to, next := i, 0.0
		for ; to < len(play); to++ {
			if at, ok := held(play[to]); ok && fixed[to] {
				next = at
				break
			}
		}
		natural := play[i].position > last && (next == 0 || play[to-1].position < next)
		for k := i; k < to && !natural; k++ {
			play[k].position = last + float64(k-i+1)
			if next != 0 {
				play[k].position = last + (next-last)*float64(k-i+1)/float64(to-i+1)
			}
		}
		last = play[to-1].position
		i = to
	}
}

// fixedPlaces finds the longest sequence of stored elements whose positions are in the order of the screenplay. It
// returns their indexes in play.
func fixedPlaces(play []*entry) map[int]bool {
	var positions []float64
	for _, e := range play {
		if at, ok := held(e); ok && at > 0 {
			positions = append(positions, at)
		}
	}
	slices.Sort(positions)
	var pairs [][2]int
	for i, e := range play {
		if at, ok := held(e); ok && at > 0 {
			rank, _ := slices.BinarySearch(positions, at)
			pairs = append(pairs, [2]int{i, rank})
		}
	}
	fixed := map[int]bool{}
	for _, p := range increasing(pairs) {
		fixed[p[0]] = true
	}
	return fixed
}

func held(e *entry) (float64, bool) {
	if e.old == nil {
		return 0, false
	}
	return e.old.position()
}

// ids returns a generator of free ids for new elements of a type: spokenWord-17.
func ids(kind string, have []stored) func() string {
	n := len(have)
	for _, s := range have {
		if k, err := strconv.Atoi(strings.TrimPrefix(s.ID, kind+"-")); err == nil {
			n = max(n, k)
		}
	}
	return func() string {
		n++
		return fmt.Sprintf("%s-%d", kind, n)
	}
}

// onlyAdds reports whether the screenplay only appends new elements to what is stored: because an import was
// interrupted, or because the screenplay was continued.
func (p *plan) onlyAdds() bool {
	for _, c := range p.changes {
		if c.What != "new" {
			return false
		}
	}
	for _, all := range p.byType {
		added := false
		for _, e := range all {
			if added && e.old != nil {
				return false
			}
			added = added || e.old == nil
		}
	}
	return true
}

// misplaced returns the smallest range outside of which the numbers are in order.
func misplaced(numbers []int64) (first, last int) {
	ordered := slices.Sorted(slices.Values(numbers))
	for first < len(numbers) && numbers[first] == ordered[first] {
		first++
	}
	for last = len(numbers); last > first && numbers[last-1] == ordered[last-1]; last-- {
	}
	return first, last
}

// sorted sorts changes by their line in the screenplay. Changes without a line come last.
func sorted(changes []Change) []Change {
	slices.SortStableFunc(changes, func(a, b Change) int {
		return cmp.Or(cmp.Compare(b2i(a.Line == 0), b2i(b.Line == 0)), cmp.Compare(a.Line, b.Line))
	})
	return changes
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
