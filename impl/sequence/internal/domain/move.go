package domain

import "slices"

// MaxMoved bounds over how many places an element moves, as a reorder is bounded.
const MaxMoved = 10_000

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
// first, *InvalidItems without the second or beyond MaxMoved.
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
	if high-low >= MaxMoved {
		return 0, 0, &InvalidItems{Faults: []ItemFault{{Property: property, Rule: "maxItems", Message: "is more than 10,000 places away"}}}
	}
	return low, high, nil
}

// Anchor is the id of the element that the other is moved beside.
func (m *Move) Anchor() string { _, id := m.anchor(); return id }

// Reorder returns the order that the move makes of ids, those in its span in the order of their numbers.
func (m *Move) Reorder(ids []string) *Reorder {
	order := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == m.ID })
	at := slices.Index(order, m.Anchor())
	if m.After != "" {
		at++
	}
	return &Reorder{Group: m.Group, Order: slices.Insert(order, at, m.ID), Actor: m.Actor}
}
