package writer

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
)

// receipt is what is stored to answer a repeat of a request: the part of the outcome that is not in the request. The repeat
// itself has the rest, because the fingerprint of its key has shown that it is the same request. So the receipt of a batch of
// megabytes takes kilobytes.
type receipt struct {
	Elements []receiptElement `json:"elements"`
}

type receiptElement struct {
	ID        string        `json:"id"`
	Number    int64         `json:"number"`
	Formatted string        `json:"formatted,omitempty"`
	Version   int64         `json:"version"`
	Status    domain.Status `json:"status"`
	CreatedAt int64         `json:"createdAt"` // unix microseconds
	UpdatedAt int64         `json:"updatedAt"`
}

func encodeReceipt(done store.Done) ([]byte, error) {
	r := receipt{Elements: make([]receiptElement, len(done.Elements))}
	for i, e := range done.Elements {
		r.Elements[i] = receiptElement{
			ID: e.ID, Number: e.Number, Formatted: e.Formatted, Version: e.Version, Status: e.Status,
			CreatedAt: e.CreatedAt.UnixMicro(), UpdatedAt: e.UpdatedAt.UnixMicro(),
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode receipt: %w", err)
	}
	return text, nil
}

// decodeReceipt returns the outcome of the first request. It leaves out the data that a merge patch made, which the caller reads from the version.
// Touched is empty, because a repeat changes nothing.
func decodeReceipt(text []byte, r Request) (store.Done, error) {
	var kept receipt
	if err := json.Unmarshal(text, &kept); err != nil {
		return store.Done{}, fmt.Errorf("decode receipt: %w", err)
	}
	var drafts []domain.Draft
	var group domain.Group
	switch {
	case r.Create != nil:
		group, drafts = r.Create.Group, r.Create.Drafts
	case r.Revise != nil:
		group, drafts = r.Revise.Group, []domain.Draft{{Comment: r.Revise.Comment, Data: r.Revise.Data}}
	}
	if len(drafts) != len(kept.Elements) {
		return store.Done{}, errReceipt
	}
	done := store.Done{Elements: make([]domain.Element, len(drafts))}
	for i, e := range kept.Elements {
		done.Elements[i] = domain.Element{
			Ref: domain.Ref{Group: group, ID: e.ID}, Number: e.Number, Formatted: e.Formatted, Version: e.Version, Status: e.Status,
			Comment: drafts[i].Comment, Data: drafts[i].Data,
			CreatedAt: time.UnixMicro(e.CreatedAt).UTC(), UpdatedAt: time.UnixMicro(e.UpdatedAt).UTC(),
		}
	}
	return done, nil
}
