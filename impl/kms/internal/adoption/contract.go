// Package adoption is the domain of adopted services' contracts: OpenAPI documents of other teams, which every gateway routes, validates and authorizes.
package adoption

import (
	"context"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

const (
	// MaxContracts is the limit of adopted services.
	MaxContracts = 200
	// MaxBytes is the limit for the stored size of all contracts together.
	MaxBytes = 64 << 20
	// MaxText is the limit for the files of one document together, in bytes.
	MaxText = 8 << 20
	// maxAnswer is the limit for the files of one document as JSON, in bytes. A live document and its shadow then fit into one answer (response.max).
	maxAnswer = 12 << 20
	// maxFindings is how many warnings and changes are stored per document; further ones are only counted.
	maxFindings = 1000
	// maxName is the longest name of a change, in characters: the longest that a request may list in accept.
	maxName = 256
	// maxSentence is the longest text of a finding, in characters.
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

// Finding is a fault or a warning about a document.
type Finding struct {
	At      string `json:"at"` // file:line
	Message string `json:"message"`
	Hint    string `json:"hint"` // what to write instead
}

// Change is a difference from an earlier document that breaks its clients or loosens a check.
type Change struct {
	Name    string `json:"name"` // the name by which it can be accepted
	Kind    string `json:"kind"` // breaking or looser
	Message string `json:"message"`
}

// Verdict is the result of checking a document.
type Verdict struct {
	Version  string    // info.version
	Scopes   []string  // required by its operations
	Faults   []Finding // why it can't be adopted; empty if it can
	Warnings []Finding // parts that are left out or ignored
	Changes  []Change  // compared with the previous document
}

// Judge checks OpenAPI documents.
type Judge interface {
	// Judge returns whether a document can be adopted, and which of its changes from before break clients or loosen checks; before is nil when there is no
	// live document. It may take seconds of CPU time on one core, and is never called concurrently. An error means that the check itself failed.
	Judge(before *Document, d Document) (Verdict, error)
}

// Edition is a stored document: the live one of a contract, or its shadow.
type Edition struct {
	Document
	Digest       string // SHA-256 of File and Files, hexadecimal
	Version      string // info.version
	Warnings     []Finding
	WarningCount int
	Changes      []Change // of a shadow, compared with the live document
	ChangeCount  int
	Size         int64 // of the stored document, in bytes
	UpdatedAt    time.Time
	UpdatedBy    string // the user's id
}

// Contract is an adopted service with its documents.
type Contract struct {
	Name          string
	ServiceID     string
	Active        bool  // whether the service is active
	Version       int64 // changes with every put, and when the service is enabled or disabled; unique across contracts
	Upstreams     []string
	ActiveContent bool // whether answers may have a media type that browsers execute
	CreatedAt     time.Time
	Live          Edition
	Shadow        *Edition // nil: none
}

// size returns the stored size of the contract, in bytes.
func (c Contract) size() int64 {
	if c.Shadow != nil {
		return c.Live.Size + c.Shadow.Size
	}
	return c.Live.Size
}

// Room is the number and size of contracts, as used or as a limit.
type Room struct {
	Contracts int
	Bytes     int64
}

// Rows are the queries of the domain.
type Rows interface {
	// Take changes the used room by more, which may be negative, within the limit, and returns the next version; false when the limit would be exceeded.
	Take(ctx context.Context, tx *store.Tx, more, limit Room) (version int64, taken bool, err error)
	// Get reads a contract without files, warnings and changes; false when there is none.
	Get(ctx context.Context, q store.Querier, name string) (Contract, bool, error)
	// Whole reads a contract completely; false when there is none.
	Whole(ctx context.Context, q store.Querier, name string) (Contract, bool, error)
	// List returns contracts by name, starting after the given name. They are read as by Get.
	List(ctx context.Context, q store.Querier, after string, limit int) ([]Contract, error)
	// Put stores a contract's version, upstreams and activeContent.
	Put(ctx context.Context, tx *store.Tx, c Contract) error
	// PutEdition stores the live document of an existing contract, or its shadow.
	PutEdition(ctx context.Context, tx *store.Tx, shadow bool, e Edition) error
	// DropShadow deletes the shadow of a contract, if it has one.
	DropShadow(ctx context.Context, tx *store.Tx, name string) error
	// SetVersion sets the version of a contract.
	SetVersion(ctx context.Context, tx *store.Tx, name string, version int64) error
	// Delete deletes a contract with its documents.
	Delete(ctx context.Context, tx *store.Tx, name string) error
}
