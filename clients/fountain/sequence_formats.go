package fountain

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/clients/sequence"
)

// GetNumberFormat reads how a type's numbers are written, and the next one. ErrNotFound: it has no format.
func (s *Sequence) GetNumberFormat(ctx context.Context, scope, elementType string, opts ...CallOption) (*sequence.NumberFormat, error) {
	return send[sequence.NumberFormat](ctx, s.client, opGetNumberFormat, opts, func(server string) (*http.Request, error) {
		return sequence.NewGetNumberFormatRequest(server, scope, elementType)
	})
}

// PutNumberFormat says how a type's numbers are written from then on: each new element has a FormattedNumber. It asks for a second factor. CodeStateConflict: another
// format has given numbers.
func (s *Sequence) PutNumberFormat(ctx context.Context, scope, elementType string, body sequence.NumberFormatPut, opts ...CallOption) (*sequence.NumberFormat, error) {
	return send[sequence.NumberFormat](ctx, s.client, opPutNumberFormat, opts, func(server string) (*http.Request, error) {
		return sequence.NewPutNumberFormatRequest(server, scope, elementType, body)
	})
}
