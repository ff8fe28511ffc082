package domain

import (
	"errors"
	"time"
)

// Kind says what a change did.
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
	ID          string // of the element; empty: reordered
	Version     int64  // created and revised
	Number      int64  // at that time; 0: reordered
	Numbers     []NumberChange
	Shift       *Shift // of a move that is told so; Numbers has the element that was moved alone
	At          time.Time
	Actor       string // the subject
}

// Feed is what a scope's feed is now.
type Feed struct {
	Name  string // of the database's feeds; another one follows a restore
	Known bool   // the scope has had an element
	Last  int64  // position
}

// Admit checks that a caller who knows the feed up to a position can go on there. An empty name says that the caller keeps none. Errors:
// ErrOtherFeed, ErrUnknownScope, ErrBeyondFeed.
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

// What is wrong with where a caller wants to go on: from before a restore, positions are those of other changes.
var (
	ErrOtherFeed  = errors.New("feed has another name")
	ErrBeyondFeed = errors.New("position is beyond the feed")
)
