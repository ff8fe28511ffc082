package credential

import (
	"context"
	"fmt"
	"net/http"

	"github.com/fountainai/fountain/internal/audit"
)

// WitnessAudit has the kms record a checkpoint of the service's audit trail, and returns one of the kms's own, for the service to record.
func (s *Source) WitnessAudit(ctx context.Context, c audit.Checkpoint) (kms audit.Checkpoint, err error) {
	bearer, err := s.Token(ctx, kmsAudience)
	if err != nil {
		return kms, err
	}
	err = s.call(ctx, request{method: http.MethodPost, path: "/kms/v1/audit/witness", bearer: bearer, json: c, want: http.StatusOK}, &kms)
	if err != nil {
		return kms, fmt.Errorf("have the kms record an audit checkpoint: %w", err)
	}
	return kms, nil
}
