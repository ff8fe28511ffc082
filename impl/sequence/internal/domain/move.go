package domain

import "slices"

const (
	// MaxMoved is how many elements a change of the order lists one by one at most. A move that renumbers more of them is described by a Shift.
	MaxMoved = 10_000
	// MaxPlaces is how many places an element can be moved at most.
	MaxPlaces = 1_000_000
)

// Move puts an element directly before or directly after another element of its group, the anchor. One of Before and After is set.
type Move struct {
	Ref
	Before, After string // id of the anchor
	Actor         Actor
}

// Check refuses a move of an element beside itself, and one that sets both or neither of Before and After. It returns an *InvalidItems or nil.
func (m *Move) Check() error {
	property, anchor := m.anchor()
	switch {
	case (m.Before == "") == (m.After == ""):
		return &InvalidItems{Faults: []ItemFault{{Rule: "oneOf", Message: "names one of before and after"}}}
	case anchor == m.ID:
		return &InvalidItems{Faults: []ItemFault{{Property: property, Rule: "other", Message: "is the element itself"}}}
	}
	return nil
}

func (m *Move) anchor() (property, id string) {
	if m.Before != "" {
		return "before", m.Before
	}
	return "after", m.After
}

// Span returns the lowest and the highest number that the move can change. held has the present numbers of the element and its anchor, by id.
// Errors: ErrUnknownElement when held has no number of the element, *InvalidItems when it has none of the anchor, or the two are more than
// MaxPlaces apart.
func (m *Move) Span(held map[string]int64) (low, high int64, err error) {
	property, anchor := m.anchor()
	from, there := held[m.ID]
	beside, known := held[anchor]
	switch {
	case !there:
		return 0, 0, ErrUnknownElement
	case !known:
		return 0, 0, &InvalidItems{Faults: []ItemFault{{Property: property, Rule: "exists", Message: "is not an element of this type in this scope"}}}
	}
	low, high = min(from, beside), max(from, beside)
	if high-low > MaxPlaces {
		return 0, 0, &InvalidItems{Faults: []ItemFault{{Property: property, Rule: "maxItems", Message: "is more than 1,000,000 places away"}}}
	}
	return low, high, nil
}

// Anchor returns the id of the element beside which this one is put.
func (m *Move) Anchor() string { _, id := m.anchor(); return id }

// Shift is what a move does to the elements between the old and the new place: they all move by one place.
type Shift struct {
	From, To int64 // first and last old number of these elements
	By       int64 // is added to each of these numbers: 1 or -1
}

// Count returns how many elements the shift renumbers.
func (s *Shift) Count() int64 { return s.To - s.From + 1 }

// Far returns what the move does, without reading the elements between: the number change of the element itself, and the shift of the others. held has the present
// numbers of the element and its anchor, by id, and Span must have accepted them. A move to the place where the element already is changes nothing: From and To of
// the change are equal, and the Shift is nil.
func (m *Move) Far(held map[string]int64) (NumberChange, *Shift) {
	c := NumberChange{ID: m.ID, From: held[m.ID], To: held[m.Anchor()]}
	switch {
	case m.Before != "" && c.To > c.From: // the anchor keeps its number
		c.To--
	case m.Before == "" && c.To < c.From:
		c.To++
	}
	switch {
	case c.To > c.From:
		return c, &Shift{From: c.From + 1, To: c.To, By: -1}
	case c.To < c.From:
		return c, &Shift{From: c.To, To: c.From - 1, By: 1}
	}
	return c, nil
}

// Reorder returns the move as a Reorder. ids are the elements in the span of the move, in the order of their present numbers.
func (m *Move) Reorder(ids []string) *Reorder {
	order := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == m.ID })
	at := slices.Index(order, m.Anchor())
	if m.After != "" {
		at++
	}
	return &Reorder{Group: m.Group, Order: slices.Insert(order, at, m.ID), Actor: m.Actor}
}
