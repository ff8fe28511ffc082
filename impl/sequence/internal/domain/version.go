package domain

import (
	"time"

	"github.com/fountainai/fountain/internal/etag"
)

// Version is one version of an element's data, with its comment. It never changes.
type Version struct {
	Version   int64 // 1, 2, 3 ... of its element
	Comment   *string
	Data      []byte
	CreatedAt time.Time
	CreatedBy string // the subject who created it
}

// Revise gives an element a new version. It succeeds only when the element is in use and its current state matches Expected.
type Revise struct {
	Ref
	Expected etag.Match // the current version that is required, or version, number and status
	Comment  *string
	Data     []byte
	Merge    []byte // a merge patch (RFC 7396) of the current data, in place of Data
	Actor    Actor
}

// Check returns an *InvalidItems when Data break a rule. Apply checks what a merge patch makes.
func (r *Revise) Check() error {
	if fault, ok := checkData(r.Data); !ok {
		return &InvalidItems{Faults: []ItemFault{fault}}
	}
	return nil
}

// Apply returns the data of the new version, given the current data. It returns an *InvalidItems when the merge patch can't be applied, or its result breaks a rule.
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
