package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/fountainai/fountain/internal/audit"
)

// WitnessAudit has the kms record a checkpoint of the service's audit trail, and for how long the service keeps its events, and returns a checkpoint of the kms's own, for the service to record.
// A kms of an older release knows no such time and refuses a body that has one. It gets the checkpoint alone, so that the order of an upgrade leaves no trail without its witness.
func (s *Source) WitnessAudit(ctx context.Context, c audit.Checkpoint, keep time.Duration) (kms audit.Checkpoint, err error) {
	bearer, err := s.Token(ctx, kmsAudience)
	if err != nil {
		return kms, err
	}
	told := struct {
		audit.Checkpoint
		KeptSeconds int64 `json:"keptSeconds"`
	}{c, int64(keep / time.Second)}
	tell := request{method: http.MethodPost, path: "/kms/v1/audit/witness", bearer: bearer, json: told, want: http.StatusOK}
	err = s.call(ctx, tell, &kms)
	if refused := (*Refusal)(nil); errors.As(err, &refused) && refused.Code == "invalid_body" {
		tell.json = c
		err = s.call(ctx, tell, &kms)
	}
	if err != nil {
		return kms, fmt.Errorf("have the kms record an audit checkpoint: %w", err)
	}
	return kms, nil
}

// AuditOrder asks the kms which events of this service's audit trail are archived and may be removed. found is false when there are none.
func (s *Source) AuditOrder(ctx context.Context) (order audit.Order, found bool, err error) {
	bearer, err := s.Token(ctx, kmsAudience)
	if err != nil {
		return order, false, err
	}
	var answer struct {
		Order *struct {
			After      int64            `json:"after"`
			Checkpoint audit.Checkpoint `json:"checkpoint"`
			OrderedBy  string           `json:"orderedBy"`
		} `json:"order"`
	}
	err = s.call(ctx, request{method: http.MethodGet, path: "/kms/v1/audit/order", bearer: bearer, want: http.StatusOK}, &answer)
	if err != nil {
		return order, false, fmt.Errorf("ask the kms for orders to the audit trail: %w", err)
	}
	if answer.Order == nil {
		return order, false, nil
	}
	order = audit.Order{After: answer.Order.After, End: answer.Order.Checkpoint, Event: audit.Event{
		ActorKind: audit.System, Detail: map[string]string{"orderedBy": answer.Order.OrderedBy},
	}}
	return order, true, nil
}
