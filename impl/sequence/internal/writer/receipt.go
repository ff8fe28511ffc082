package writer

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
)

// receipt is what is kept for the repeat of a request: what the request does not say itself. The repeat brings the rest, for
// its key's fingerprint has shown that it is the same request; so a batch of megabytes is kept in kilobytes.
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

// decodeReceipt gives back what the first request was told, but for the data that a merge patch made: they are those of its version. Nothing is
// touched by a repeat.
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
