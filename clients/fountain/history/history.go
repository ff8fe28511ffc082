// Package history records what callers of a sequence service are told, and judges whether the service kept its promises: numbers 1..N without a gap and in the
// order of the commits, nothing lost that was acknowledged, versions 1..k, a change feed that is complete and in order, a search that finds what is stored.
//
// Record calls a running service as several clients do and returns the History. Read takes what a scope holds without writing to it. Check judges either, and
// Write and ReadFile keep one in a file, so that it can be judged again elsewhere. Check knows the History alone: not the service, its code or its database.
package history

import "time"

// Outcome is what the caller of a change was told.
type Outcome string

// Outcomes.
const (
	Acknowledged Outcome = "acknowledged" // done
	Refused      Outcome = "refused"      // certainly not done
	Unknown      Outcome = "unknown"      // no answer, or one that leaves it open
)

// Call is one change that was asked for, and its answer.
type Call struct {
	Client          int           `json:"client"`
	ElementType     string        `json:"elementType"`
	ID              string        `json:"id"`
	Begin           time.Duration `json:"begin"` // before it was sent, since the history began, in nanoseconds of one monotonic clock
	End             time.Duration `json:"end"`   // after its answer was there, or was given up
	Outcome         Outcome       `json:"outcome"`
	Number          int64         `json:"number,omitempty"` // as answered; 0 where it was not
	FormattedNumber string        `json:"formattedNumber,omitempty"`
	Version         int64         `json:"version,omitempty"`
	Sum             string        `json:"sum"` // SHA-256 of the data that were sent, in hex
}

// Change is one change of the feed.
type Change struct {
	Position    int64      `json:"position"`
	Kind        string     `json:"kind"` // created, revised, omitted, restored or reordered
	ElementType string     `json:"elementType"`
	ID          string     `json:"id,omitempty"`
	Version     int64      `json:"version,omitempty"`
	Number      int64      `json:"number,omitempty"`
	Numbers     []Renumber `json:"numbers,omitempty"`
	Shifted     *Shifted   `json:"shifted,omitempty"`
}

// Shifted says that those who had numbers from From to To have them by By more.
type Shifted struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	By   int64 `json:"by"`
}

// Renumber is one element of a new order.
type Renumber struct {
	ID   string `json:"id"`
	From int64  `json:"from"`
	To   int64  `json:"to"`
}

// Element is an element as it is stored.
type Element struct {
	ElementType     string    `json:"elementType"`
	ID              string    `json:"id"`
	Number          int64     `json:"number"`
	FormattedNumber string    `json:"formattedNumber,omitempty"`
	Omitted         bool      `json:"omitted,omitempty"`
	Version         int64     `json:"version"`
	Versions        []Version `json:"versions"`
}

// Version is a version of an element as it is stored.
type Version struct {
	Version int64  `json:"version"`
	Sum     string `json:"sum"` // SHA-256 of its data, in hex
}

// Format is how the numbers of a type are written.
type Format struct {
	ElementType string `json:"elementType"`
	Prefix      string `json:"prefix"`
	Padding     int    `json:"padding"`
	Resets      string `json:"resets"` // never, year, month or day
	Period      string `json:"period"` // of the last number
	Last        int64  `json:"last"`   // number of the period
}

// Hit is an element as search finds it.
type Hit struct {
	ElementType string `json:"elementType"`
	ID          string `json:"id"`
	Number      int64  `json:"number"` // by which it was asked for
	Version     int64  `json:"version"`
}

// Found is how many elements of a type search counts.
type Found struct {
	ElementType string `json:"elementType"`
	Count       int64  `json:"count"`
}

// History is what callers of one scope were told, and what the scope holds.
type History struct {
	Scope string
	Own   bool // nobody but the recorder has written to the scope
	// Appends and Revisions are the changes that were asked for. Only what the recorder did itself is there.
	Appends, Revisions []Call
	// Followed is the feed as a follower saw it during the calls, Feed as it was read behind them.
	Followed, Feed []Change
	Formats        []Format
	Elements       []Element
	Searched       bool // search was asked for all elements, until it had them or its time was over
	Hits           []Hit
	Found          []Found
	SearchLag      time.Duration // from the last answer to when search was seen to have all, the reading of all of it included; not set where it never had
}
