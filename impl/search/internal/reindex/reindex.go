// Package reindex moves a collection to another schema while it is being searched and written. Its documents are copied into a new
// collection of the engine. Documents that are written in the meantime are noted and copied again. Then the new collection replaces the old
// one in a single commit.
//
// Writer handles all writes of documents: it reads which collection of the engine is current, notes the documents while a reindex is under
// way, and waits during a swap. Replica reports to the other processes which writes of this process are under way. Worker takes a reindex
// from state to state. Each step can be repeated, also by another process.
package reindex

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
)

// State is the state of a reindex.
type State string

// The states. A reindex can be aborted before Done; the last three are final.
const (
	Created     State = "created"     // the new collection is being created; copying starts when every process notes its writes
	Copying     State = "copying"     // the documents are copied
	Verifying   State = "verifying"   // notes are being applied, and copies are compared
	Swapping    State = "swapping"    // writes wait while the new collection replaces the old one
	Done        State = "done"        // the old collection may still be kept
	RollingBack State = "rollingBack" // the old collection is replacing the new one
	RolledBack  State = "rolledBack"
	Aborted     State = "aborted"
	Failed      State = "failed"
)

// UnderWay reports whether a reindex in the state can be aborted.
func (s State) UnderWay() bool {
	return s == Created || s == Copying || s == Verifying || s == Swapping
}

// Errors of requests that concern reindexes. Nothing was changed.
var (
	ErrUnderWay = errors.New("a reindex of the collection is under way")
	ErrNone     = errors.New("the collection has no such reindex")
	ErrPast     = errors.New("the reindex is in a state that does not allow this")
	ErrVersion  = errors.New("the schema has another version")
)

// Reindex is one reindex of a collection.
type Reindex struct {
	ID string
	owner.Name
	Claimed        time.Time // when the collection was claimed
	State          State
	Source, Target string // collections of the engine
	Wanted         Schema // schema of the target
	Earlier        string // the previous desired schema, as it is stored
	SchemaVersion  int64
	KeepOld        time.Duration
	Documents      int64 // at the start of copying
	Copied         int64
	CaughtUp       int64
	Refused        int64 // notes that the source has refused, after the swap
	Failure        string
	Reason         string
	Cleanup        string // a collection of the engine that is to be dropped, or ""
	CleanupAt      time.Time
	Started        time.Time
	Changed        time.Time
}

// Mapping is what a write needs to know about its collection.
type Mapping struct {
	Physical string // the collection's name at the engine
	Noting   string // the reindex for which writes are noted, or ""
	Held     bool   // writes have to wait
	// Versioned reports whether the collection keeps versions of its documents.
	Versioned bool
}

// Note records that a document was written.
type Note struct {
	Document string // its ID at the engine
	At       int64  // microseconds
}

// Schema is the desired schema of a collection, without the tenant field.
type Schema struct {
	Fields              []engine.Field `json:"fields"`
	DefaultSortingField string         `json:"defaultSortingField,omitempty"`
}

// Collection returns the engine's definition of a collection with this schema.
func (s Schema) Collection(name string, scoped bool) engine.Collection {
	c := engine.Collection{Name: name, Fields: append([]engine.Field{}, s.Fields...), DefaultSortingField: s.DefaultSortingField}
	if scoped {
		c.Fields = append(c.Fields, engine.Field{Name: owner.TenantField, Type: "string"})
	}
	return c
}

// Text returns the schema as it is stored.
func (s Schema) Text() (string, error) {
	text, err := json.Marshal(s)
	return string(text), err
}

// SchemaOf returns the schema of a collection of the engine.
func SchemaOf(c engine.Collection) Schema {
	s := Schema{Fields: make([]engine.Field, 0, len(c.Fields)), DefaultSortingField: c.DefaultSortingField}
	for _, f := range c.Fields {
		if !strings.HasPrefix(f.Name, owner.ReservedPrefix) {
			s.Fields = append(s.Fields, f)
		}
	}
	return s
}
