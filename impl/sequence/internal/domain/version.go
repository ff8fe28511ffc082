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
	Merge    []byte // a merge patch (RFC 7396) of the current data, in place of Data
	Actor    Actor
}

// Check returns an *InvalidItems when the new data break a rule.
func (r *Revise) Check() error {
	if fault, ok := checkData(r.Data); !ok {
		return &InvalidItems{Faults: []ItemFault{fault}}
	}
	return nil
}

// Apply returns the data of the new version when current are the data now. It returns an *InvalidItems when they break a rule.
func (r *Revise) Apply(current []byte) ([]byte, error) {
	if r.Merge == nil {
		return r.Data, nil
	}
	merged, err := merge(current, r.Merge)
	if err != nil {
		return nil, &InvalidItems{Faults: []ItemFault{{Rule: "mergePatch", Message: "can't be applied to the data"}}}
	}
	if fault, ok := checkData(merged); !ok {
		fault.Property = ""
		return nil, &InvalidItems{Faults: []ItemFault{fault}}
	}
	return merged, nil
}
