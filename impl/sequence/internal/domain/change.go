package domain

import (
	"errors"
	"time"
)

// Kind is the kind of a change.
type Kind string

// The kinds of changes.
const (
	Created   Kind = "created"
	Revised   Kind = "revised"
	LeftOut   Kind = "omitted"
	Restored  Kind = "restored"
	Reordered Kind = "reordered"
)

// Change is one entry of a scope's feed.
type Change struct {
	Position    int64 // 1, 2, 3 ... in its scope, in the order of the commits
	Kind        Kind
	ElementType string
	ID          string // of the element; empty for reordered
	Version     int64  // of the element, for created and revised
	Number      int64  // of the element at that time; 0 for reordered
	Numbers     []NumberChange
	Shift       *Shift // of a move that renumbered more than MaxMoved elements; Numbers then has only the element that was moved
	At          time.Time
	Actor       string // the subject
}

// Feed is the present state of a scope's feed.
type Feed struct {
	Name  string // of all feeds of the database; it changes when a backup is restored
	Known bool   // the scope has had an element
	Last  int64  // the last position
}

// Admit checks that a caller who has read the feed up to a position can continue there. name is the feed's name as the caller knows it; empty
// means that the caller keeps no name, and is not compared. Errors: ErrOtherFeed, ErrUnknownScope, ErrBeyondFeed.
func (f Feed) Admit(name string, position int64) error {
	switch {
	case name != "" && name != f.Name:
		return ErrOtherFeed
	case !f.Known:
		return ErrUnknownScope
	case position > f.Last:
		return ErrBeyondFeed
	}
	return nil
}

// Errors of Feed.Admit. After a backup is restored, a position from before the restore can denote another change.
var (
	ErrOtherFeed  = errors.New("feed has another name")
	ErrBeyondFeed = errors.New("position is beyond the feed")
)
