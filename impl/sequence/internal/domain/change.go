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
	At          time.Time
	Actor       string // the subject
}

// ErrBeyondFeed refuses a position that the feed has not come to.
var ErrBeyondFeed = errors.New("position is beyond the feed")
