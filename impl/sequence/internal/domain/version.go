package domain

import (
	"time"

	"github.com/fountainai/fountain/internal/etag"
)

// Version is what an element was at one time. It never changes.
type Version struct {
	Version   int64 // 1, 2, 3 ... of its element
	Comment   *string
	Data      []byte
	CreatedAt time.Time
	CreatedBy string // the subject that made it
}

// Revise gives an element a new version, provided that it is in use and its current state is still one that the change was made from.
type Revise struct {
	Ref
	Expected etag.Match // what the current version must be, or version, number and status
	Comment  *string
	Data     []byte
	Actor    Actor
}

// Check returns an *InvalidItems when the new data break a rule.
func (r *Revise) Check() error {
	if fault, ok := checkData(r.Data); !ok {
		return &InvalidItems{Faults: []ItemFault{fault}}
	}
	return nil
}
