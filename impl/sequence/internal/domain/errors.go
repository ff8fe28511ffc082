package domain

import (
	"errors"
	"fmt"
)

// Errors of requests, in addition to *InvalidItems, *Exists and *Stale.
var (
	ErrUnknownScope   = errors.New("scope has no element")
	ErrUnknownElement = errors.New("element does not exist")
	ErrUnknownVersion = errors.New("element has no such version")
	ErrOmitted        = errors.New("element is omitted")
	ErrExhausted      = errors.New("all numbers are used")
	ErrOrdering       = errors.New("another change of the order is under way")
	ErrOrderChanged   = errors.New("the order has changed since the walk began")
)

// ItemFault says which rule an item of a request breaks. A request that has a single item has it at index 0.
type ItemFault struct {
	Index    int    // in the list that was sent
	Property string // of the item; empty: the item itself
	Rule     string
	Message  string // never contains what was sent
}

// InvalidItems says which items break a rule. Nothing was changed.
type InvalidItems struct{ Faults []ItemFault }

func (e *InvalidItems) Error() string {
	f := e.Faults[0]
	return fmt.Sprintf("%d invalid items, the first at %d: %s %s", len(e.Faults), f.Index, f.Property, f.Message)
}

// Exists says which drafts, by index, have an id that another element of the group already has. Nothing was changed.
type Exists struct{ Indexes []int }

func (e *Exists) Error() string { return fmt.Sprintf("%d ids are taken", len(e.Indexes)) }

// Stale says that the element is no longer in the state that the change expected. Nothing was changed.
type Stale struct {
	Version, Number int64 // current values, as Status
	Status          Status
}

func (e *Stale) Error() string { return fmt.Sprintf("version %d is current", e.Version) }
