package handlers

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

// GetNumberFormat returns how a type's numbers are written.
func (s *Server) GetNumberFormat(ctx context.Context, r sequenceapi.GetNumberFormatRequestObject) (sequenceapi.GetNumberFormatResponseObject, error) {
	return s.numberFormat(ctx, group(r.Scope, r.ElementType))
}

// PutNumberFormat sets how a type's numbers are written.
func (s *Server) PutNumberFormat(ctx context.Context, r sequenceapi.PutNumberFormatRequestObject) (sequenceapi.PutNumberFormatResponseObject, error) {
	g := group(r.Scope, r.ElementType)
	format := domain.Format{Group: g, Prefix: r.Body.Prefix, Padding: int(r.Body.Padding), Reset: domain.Reset(r.Body.Resets), TimeZone: r.Body.TimeZone}
	if err := s.Writer.PutFormat(ctx, format, actor(ctx)); err != nil {
		return nil, refuse(err, body)
	}
	return s.numberFormat(ctx, g)
}

func (s *Server) numberFormat(ctx context.Context, g domain.Group) (answer, error) {
	f, err := s.Store.Format(ctx, g)
	if err != nil {
		return answer{}, refuse(err, nil)
	}
	next, err := f.Next(s.Writer.Clock.Now())
	if err != nil {
		return answer{}, err
	}
	return ok(sequenceapi.NumberFormat{
		Scope: g.Scope, ElementType: g.ElementType, Prefix: f.Prefix, Padding: int32(f.Padding), Resets: sequenceapi.NumberFormatResets(f.Reset), TimeZone: f.TimeZone, Next: next,
	}), nil
}

func (a answer) VisitGetNumberFormatResponse(w http.ResponseWriter) error { return a.write(w) }
func (a answer) VisitPutNumberFormatResponse(w http.ResponseWriter) error { return a.write(w) }
