// Package adoption keeps the contracts of adopted services: other teams' OpenAPI documents, which every gateway serves and guards.
package adoption

import (
	"context"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

const (
	// MaxContracts is how many services can be adopted.
	MaxContracts = 200
	// MaxBytes is how much all contracts may take together, as they are stored.
	MaxBytes = 64 << 20
	// MaxText is how much the files of one document may have together.
	MaxText = 8 << 20
	// maxAnswer is how much the files of one document may take as JSON: a live document and its shadow fit into one answer (response.max).
	maxAnswer = 12 << 20
	// maxFindings is how many warnings and changes are kept of a document; what is more is only counted.
	maxFindings = 1000
	// maxName bounds the name of a change, in characters: what a request may say (accept).
	maxName = 256
	// maxSentence bounds each text of a finding, in characters.
	maxSentence = 240
)

// File is one file of a document.
type File struct {
	Name string `json:"name"` // relative path, as references name it
	Text string `json:"text"`
}

// Document is an OpenAPI document with the files that it references.
type Document struct {
	Service string // the adopted service's name
	File    string // the name of the document among Files
	Files   []File // sorted by name
	Public  []string
}

// Finding is something that a document has wrong.
type Finding struct {
	At      string `json:"at"` // file:line
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to write instead
}

// Change is something by which a document breaks clients of another, or asks for less.
type Change struct {
	Name    string `json:"name"` // by which it is accepted
	Kind    string `json:"kind"` // breaking or looser
	Message string `json:"message"`
}

// Verdict is what is known of a document.
type Verdict struct {
	Version  string    // info.version
	Scopes   []string  // that its operations ask for
	Faults   []Finding // why it can't be adopted; none: it can
	Warnings []Finding // what it is adopted around
	Changes  []Change  // from the document before
}

// Judge knows OpenAPI.
type Judge interface {
	// Judge says whether a document can be adopted, and by what it breaks clients of the one before, or asks for less; before is nil when there
	// is none. It may take seconds of one core, and is called once at a time. An error is the judge's own.
	Judge(before *Document, d Document) (Verdict, error)
}

// Edition is a document as it was put: the live one of a contract, or its shadow.
type Edition struct {
	Document
	Digest       string // SHA-256 of File and Files, hexadecimal
	Version      string // info.version
	Warnings     []Finding
	WarningCount int
	Changes      []Change // of a shadow, from the live document
	ChangeCount  int
	Size         int64 // as it is stored, in bytes
	UpdatedAt    time.Time
	UpdatedBy    string // the user's id
}

// Contract is what the kms knows of an adopted service.
type Contract struct {
	Name          string
	ServiceID     string
	Active        bool  // the service is
	Version       int64 // raised by every put, and when the service is enabled or disabled; never that of another contract
	Upstreams     []string
	ActiveContent bool // whether answers may be of a media type that a browser runs
	CreatedAt     time.Time
	Live          Edition
	Shadow        *Edition // nil: none
}

// size is what the contract takes.
func (c Contract) size() int64 {
	if c.Shadow != nil {
		return c.Live.Size + c.Shadow.Size
	}
	return c.Live.Size
}

// Room is what contracts take together.
type Room struct {
	Contracts int
	Bytes     int64
}

// Rows is what the domain asks of the database.
type Rows interface {
	// Take makes the room that is taken larger, or smaller, within the limit, and returns the next version; false when there is not so much room.
	Take(ctx context.Context, tx *store.Tx, more, limit Room) (version int64, taken bool, err error)
	// Get reads a contract without files, warnings and changes; false when there is none.
	Get(ctx context.Context, q store.Querier, name string) (Contract, bool, error)
	// Whole reads a contract with all that it has; false when there is none.
	Whole(ctx context.Context, q store.Querier, name string) (Contract, bool, error)
	// List returns contracts by name, those after the given one, as Get does.
	List(ctx context.Context, q store.Querier, after string, limit int) ([]Contract, error)
	// Put stores a contract's version, upstreams and activeContent.
	Put(ctx context.Context, tx *store.Tx, c Contract) error
	// PutEdition stores the live document of a contract that is there, or its shadow.
	PutEdition(ctx context.Context, tx *store.Tx, shadow bool, e Edition) error
	// DropShadow deletes the shadow of a contract, if it has one.
	DropShadow(ctx context.Context, tx *store.Tx, name string) error
	// SetVersion gives a contract its next version.
	SetVersion(ctx context.Context, tx *store.Tx, name string, version int64) error
	// Delete removes a contract with its documents.
	Delete(ctx context.Context, tx *store.Tx, name string) error
}
