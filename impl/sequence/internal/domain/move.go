package domain

import "slices"

const (
	// MaxMoved bounds how many elements a change of the order names one by one. A move that gives more of them another number tells a Shift.
	MaxMoved = 10_000
	// MaxPlaces bounds over how many places an element moves.
	MaxPlaces = 1_000_000
)

// Move puts an element right before or right behind another of its group; one of Before and After is set.
type Move struct {
	Ref
	Before, After string // ids
	Actor         Actor
}

// Check refuses a move beside itself, and none or two places. It returns an *InvalidItems or nil.
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

// Span returns the numbers between which everything moves when held are those of the element and its anchor: ErrUnknownElement without the
// first, *InvalidItems without the second or beyond MaxPlaces.
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

// Anchor is the id of the element that the other is moved beside.
func (m *Move) Anchor() string { _, id := m.anchor(); return id }

// Shift is what a move does to those between.
type Shift struct {
	From, To int64 // elements with numbers from one to the other
	By       int64 // have them by so much more: 1 or -1
}

// Count is how many elements it gives another number.
func (s *Shift) Count() int64 { return s.To - s.From + 1 }

// Far returns what the move does when held are the numbers of the element and its anchor, which Span has admitted, without a look at those between: the element's own
// change, and theirs. A move to where the element is does nothing: the change has one number twice, and there is no Shift.
func (m *Move) Far(held map[string]int64) (NumberChange, *Shift) {
	c := NumberChange{ID: m.ID, From: held[m.ID], To: held[m.Anchor()]}
	switch {
	case m.Before != "" && c.To > c.From: // which leaves its place to the anchor's side
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

// Reorder returns the order that the move makes of ids, those in its span in the order of their numbers.
func (m *Move) Reorder(ids []string) *Reorder {
	order := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == m.ID })
	at := slices.Index(order, m.Anchor())
	if m.After != "" {
		at++
	}
	return &Reorder{Group: m.Group, Order: slices.Insert(order, at, m.ID), Actor: m.Actor}
}
