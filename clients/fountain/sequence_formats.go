package fountain

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/clients/sequence"
)

// GetNumberFormat reads how the numbers of a type are formatted, and the next formatted number. Error: ErrNotFound if
// the type has no format.
func (s *Sequence) GetNumberFormat(ctx context.Context, scope, elementType string, opts ...CallOption) (*sequence.NumberFormat, error) {
	return send[sequence.NumberFormat](ctx, s.client, opGetNumberFormat, opts, func(server string) (*http.Request, error) {
		return sequence.NewGetNumberFormatRequest(server, scope, elementType)
	})
}

// PutNumberFormat sets how the numbers of a type are formatted from now on. Each new element gets a FormattedNumber.
// Users need a second factor. Error: CodeStateConflict if numbers were already issued in another format.
func (s *Sequence) PutNumberFormat(ctx context.Context, scope, elementType string, body sequence.NumberFormatPut, opts ...CallOption) (*sequence.NumberFormat, error) {
	return send[sequence.NumberFormat](ctx, s.client, opPutNumberFormat, opts, func(server string) (*http.Request, error) {
		return sequence.NewPutNumberFormatRequest(server, scope, elementType, body)
	})
}
