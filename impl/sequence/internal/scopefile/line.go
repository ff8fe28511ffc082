// Package scopefile is the form in which a scope is exported and imported: lines of JSON, of which the last proves the others. It knows the lines' form and order, and
// not where elements are kept.
package scopefile

import (
	"encoding/json"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// MaxLine is the most bytes of a line, with its end: lineMax of the contract.
const MaxLine = 256 << 10

// format is the form of the lines that this package knows.
const format = 1

// line is one of these.
type line struct {
	Export   *header       `json:"export,omitempty"`
	Format   *formatLine   `json:"numberFormat,omitempty"`
	Element  *elementLine  `json:"element,omitempty"`
	Version  *versionLine  `json:"version,omitempty"`
	Checksum *checksumLine `json:"checksum,omitempty"`
}

type header struct {
	Format int    `json:"format"`
	Scope  string `json:"scope"`
}

type formatLine struct {
	ElementType string       `json:"elementType"`
	Prefix      string       `json:"prefix"`
	Padding     int          `json:"padding"`
	Resets      domain.Reset `json:"resets"`
	TimeZone    string       `json:"timeZone"`
	Period      string       `json:"period"`
	Last        int64        `json:"last"`
}

type elementLine struct {
	ElementType string        `json:"elementType"`
	ID          string        `json:"id"`
	Number      int64         `json:"number"`
	Formatted   string        `json:"formattedNumber,omitempty"`
	Status      domain.Status `json:"status"`
	Version     int64         `json:"version"`
	CreatedAt   time.Time     `json:"createdAt"`
	UpdatedAt   time.Time     `json:"updatedAt"`
}

type versionLine struct {
	Version   int64           `json:"version"`
	Comment   *string         `json:"comment,omitempty"`
	Data      json.RawMessage `json:"data"`
	CreatedAt time.Time       `json:"createdAt"`
	CreatedBy string          `json:"createdBy"`
}

type checksumLine struct {
	Elements int64  `json:"elements"`
	Versions int64  `json:"versions"`
	SHA256   string `json:"sha256"`
}

// Sum is what the last line proves.
type Sum struct {
	Elements, Versions int64
	SHA256             string // of all bytes before the last line, in hex
}
