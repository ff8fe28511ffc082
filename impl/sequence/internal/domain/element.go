// Package domain defines elements, and the rules for their numbers and versions. It knows neither HTTP nor the database.
package domain

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Limits of the contract that the domain enforces.
const (
	MaxData   = 64 << 10  // bytes of one element's data
	MaxBatch  = 1000      // elements appended together
	MaxNumber = 1<<53 - 1 // the largest integer that every JSON reader represents exactly (RFC 8259, section 6)
)

// Status says whether an element is in use. An omitted element keeps its number.
type Status string

// The statuses.
const (
	Active  Status = "active"
	Omitted Status = "omitted"
)

// Group is an element type in a scope. Each group has its own sequence of numbers.
type Group struct{ Scope, ElementType string }

// Compare orders groups. A transaction that locks several groups locks them in this order.
func (g Group) Compare(other Group) int {
	return cmp.Or(strings.Compare(g.Scope, other.Scope), strings.Compare(g.ElementType, other.ElementType))
}

// Ref identifies one element.
type Ref struct {
	Group
	ID string
}

// Compare orders references by group, then by id.
func (r Ref) Compare(other Ref) int {
	return cmp.Or(r.Group.Compare(other.Group), strings.Compare(r.ID, other.ID))
}

// Element is an element in its present state.
type Element struct {
	Ref
	Number    int64  // in its group, where numbers are 1..N without a gap
	Formatted string // formatted number; empty: the group had no format when the element was created
	Status    Status
	Version   int64   // the current version, from 1
	Comment   *string // of the current version
	Data      []byte  // of the current version: the caller's JSON object, byte for byte
	CreatedAt time.Time
	UpdatedAt time.Time
}

// StateWords returns what the entity tag of an element holds in addition to the version (etag.OfState): the state that can change without a new version.
func StateWords(number int64, status Status) []string {
	return []string{strconv.FormatInt(number, 10), string(status)}
}

// Draft is an element before it has a number.
type Draft struct {
	ID      string // empty: Name chooses one
	Comment *string
	Data    []byte

	named bool // Name chose the id, so no other element has it
}

// Named reports whether Name chose the id. No other element has such an id.
func (d Draft) Named() bool { return d.named }

// Actor is the caller who makes a change, as versions and the audit chain record it.
type Actor struct {
	Subject   string
	Kind      string // user or service
	RequestID string
	Address   string // network address of the client
}

// Create appends elements to a group: all or none, in one contiguous block of numbers in the order given.
type Create struct {
	Group
	Drafts []Draft
	Actor  Actor
}

// Name fills in the ids that the caller left empty. newID must never return the same id twice.
func (c *Create) Name(newID func() string) {
	for i := range c.Drafts {
		if c.Drafts[i].ID == "" {
			c.Drafts[i].ID, c.Drafts[i].named = newID(), true
		}
	}
}

// Check validates the drafts, as far as that is possible without the elements that exist. It returns an *InvalidItems or nil.
func (c *Create) Check() error {
	var faults []ItemFault
	seen := make(map[string]bool, len(c.Drafts))
	for i, draft := range c.Drafts {
		if seen[draft.ID] {
			faults = append(faults, ItemFault{Index: i, Property: "id", Rule: "unique", Message: "occurs twice in this batch"})
		}
		seen[draft.ID] = true
		if fault, ok := checkData(draft.Data); !ok {
			fault.Index = i
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return &InvalidItems{Faults: faults}
	}
	return nil
}

// Number makes elements of the drafts, with consecutive numbers up to and including last.
func (c *Create) Number(last int64, at time.Time) []Element {
	out := make([]Element, len(c.Drafts))
	first := last - int64(len(c.Drafts)) + 1
	for i, draft := range c.Drafts {
		out[i] = Element{
			Ref: Ref{c.Group, draft.ID}, Number: first + int64(i), Status: Active, Version: 1,
			Comment: draft.Comment, Data: draft.Data, CreatedAt: at, UpdatedAt: at,
		}
	}
	return out
}

// Restate takes an element out of use (Omitted) or puts it back into use (Active). Repeating it changes nothing.
type Restate struct {
	Ref
	Status Status
	Actor  Actor
}

func checkData(data []byte) (ItemFault, bool) {
	if len(data) > MaxData {
		return ItemFault{Property: "data", Rule: "maxBytes", Message: fmt.Sprintf("is longer than %d bytes", MaxData)}, false
	}
	return ItemFault{}, true
}
