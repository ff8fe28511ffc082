package embedded

import (
	"cmp"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// pin is a document pinned to a position, counted from 1.
type pin struct {
	seq      uint64
	id       string
	position int
}

// effectivePins returns the pins sorted by position. Of several pins for one position or one document, the first counts. Documents that are
// hidden or don't exist are not pinned.
func (r *run) effectivePins() ([]pin, error) {
	if len(r.pins) == 0 {
		return nil, nil
	}
	var ids []string
	for _, p := range r.pins {
		ids = append(ids, p.ID)
	}
	seqs, err := r.collection.seqsOf(ids)
	if err != nil {
		return nil, err
	}
	if r.filterPins {
		if seqs, err = r.passing(seqs); err != nil {
			return nil, err
		}
	}
	var out []pin
	left, taken := map[string]bool{}, map[int]bool{} // IDs that are hidden or already pinned; taken positions
	for _, id := range r.hidden {
		left[id] = true
	}
	for _, p := range r.pins {
		seq, ok := seqs[p.ID]
		if !ok || left[p.ID] || taken[p.Position] && p.Position < everyPosition {
			continue
		}
		left[p.ID], taken[p.Position] = true, true
		out = append(out, pin{seq, p.ID, p.Position})
	}
	slices.SortStableFunc(out, func(a, b pin) int { return cmp.Compare(a.position, b.position) })
	return out, nil
}

// everyPosition is the first position that means the end of the list. Several documents may have such a position.
const everyPosition = 1 << 30

// passing returns the documents that match the filter.
func (r *run) passing(seqs map[string]uint64) (map[string]uint64, error) {
	out := map[string]uint64{}
	for id, seq := range seqs {
		n, err := r.count(both(r.index.Filter, &filter.Node{Op: filter.Leaf, Clause: idClause([]string{id}, false)}), index.Query{All: true})
		if err != nil {
			return nil, err
		}
		if n > 0 {
			out[id] = seq
		}
	}
	return out, nil
}

// foundOf counts the pinned documents that the search would find without the pins.
func (r *run) foundOf(pins []pin) (int, error) {
	var ids []string
	for _, p := range pins {
		ids = append(ids, p.id)
	}
	return r.count(both(r.index.Filter, &filter.Node{Op: filter.Leaf, Clause: idClause(ids, false)}), r.index.Query)
}

func (r *run) count(f *filter.Node, q index.Query) (int, error) {
	plan := *r.index
	plan.Filter, plan.Query, plan.Facets, plan.Limit = f, q, nil, 0
	if q.All {
		plan.Schema = &schema.Schema{}
	}
	res, err := r.collection.find(r.ctx, plan)
	return res.Found, err
}

// place inserts the pinned documents into the rows, and removes their other occurrences.
func place(rows []row, pins []pin) []row {
	pinned := make(map[uint64]bool, len(pins))
	for _, p := range pins {
		pinned[p.seq] = true
	}
	organic := slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return pinned[r.seq] })
	out := make([]row, 0, len(organic)+len(pins))
	for len(organic) > 0 || len(pins) > 0 {
		if len(pins) > 0 && (pins[0].position <= len(out)+1 || len(organic) == 0) {
			out = append(out, row{seq: pins[0].seq, pinned: true})
			pins = pins[1:]
			continue
		}
		out = append(out, organic[0])
		organic = organic[1:]
	}
	return out
}
