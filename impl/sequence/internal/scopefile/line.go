// Package scopefile defines the file format of exported scopes: lines of JSON, of which the last has the checksum of the others. It knows the format and the order of the lines, and
// nothing of how elements are stored.
package scopefile

import (
	"encoding/json"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// MaxLine is the maximum length of a line with its line end, in bytes: lineMax of the contract.
const MaxLine = 256 << 10

// format is the version of the file format that this package reads and writes.
const format = 1

// line is one line of the file. Exactly one field is set.
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

// Sum is the content of the last line, which proves that the file is complete.
type Sum struct {
	Elements, Versions int64
	SHA256             string // of all bytes before the last line, in hex
}
