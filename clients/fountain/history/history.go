// Package history records what callers of a sequence service are told, and checks that the service kept its guarantees:
// numbers are 1..N without a gap and in commit order, no acknowledged change is lost, versions are 1..k, the change
// feed is complete and in order, and search finds what is stored.
//
// Record calls a running service with several clients and returns the History. Read returns what a scope contains,
// without writing to it. Check checks either one. Write and ReadFile store a History in a file, so that it can be
// checked again elsewhere. Check uses the History alone, and not the service, its code or its database.
package history

import "time"

// Outcome is what the caller of a change knows about its result.
type Outcome string

// Outcomes.
const (
	Acknowledged Outcome = "acknowledged" // the change was made
	Refused      Outcome = "refused"      // the change was certainly not made
	Unknown      Outcome = "unknown"      // there was no response, or one that leaves it open
)

// Call is one requested change and its response.
type Call struct {
	Client          int           `json:"client"`
	ElementType     string        `json:"elementType"`
	ID              string        `json:"id"`
	Begin           time.Duration `json:"begin"` // before the request was sent, in nanoseconds since the start of the history, on one monotonic clock
	End             time.Duration `json:"end"`   // after the response had arrived, or the call was given up
	Outcome         Outcome       `json:"outcome"`
	Number          int64         `json:"number,omitempty"` // from the response; 0 if it had none
	FormattedNumber string        `json:"formattedNumber,omitempty"`
	Version         int64         `json:"version,omitempty"`
	Sum             string        `json:"sum"` // SHA-256 of the data that was sent, in hex
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

// Shifted says that every number from From to To was increased by By.
type Shifted struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
	By   int64 `json:"by"`
}

// Renumber is one element of a reorder.
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

// Format is the number format of a type.
type Format struct {
	ElementType string `json:"elementType"`
	Prefix      string `json:"prefix"`
	Padding     int    `json:"padding"`
	Resets      string `json:"resets"` // never, year, month or day
	Period      string `json:"period"` // of the last formatted number
	Last        int64  `json:"last"`   // last number in the period
}

// Hit is an element as search finds it.
type Hit struct {
	ElementType string `json:"elementType"`
	ID          string `json:"id"`
	Number      int64  `json:"number"` // the number it was searched by
	Version     int64  `json:"version"`
}

// Found is the number of elements of a type that search counts.
type Found struct {
	ElementType string `json:"elementType"`
	Count       int64  `json:"count"`
}

// History is what the callers of one scope were told, and what the scope contains.
type History struct {
	Scope string
	Own   bool // only the recorder has written to the scope
	// Appends and Revisions are the requested changes. They include only the recorder's own.
	Appends, Revisions []Call
	// Followed is the feed as a follower saw it during the calls. Feed is the feed as it was read afterwards.
	Followed, Feed []Change
	Formats        []Format
	Elements       []Element
	Searched       bool // search was asked for all elements until it had them or the time was up
	Hits           []Hit
	Found          []Found
	SearchLag      time.Duration // from the last response until search was seen to have all elements, including the time to read them; not set if it never had
}
