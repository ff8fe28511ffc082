package credential

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// Introspection is the kms's current answer about an access token (RFC 7662, section 2.2). Only Active is set when the token is not valid.
type Introspection struct {
	Active  bool     `json:"active"`
	Subject string   `json:"sub"`
	Session string   `json:"sid"`
	Roles   []string `json:"roles"` // the user's current roles
}

// Introspect asks the kms whether an access token that was sent to this service is valid now. It returns ErrNotEnrolled when the service has no key
// that the kms accepts.
func (s *Source) Introspect(ctx context.Context, token string) (Introspection, error) {
	s.mu.Lock()
	h, refused := s.held, s.refused
	s.mu.Unlock()
	if h.Key == "" || refused {
		return Introspection{}, ErrNotEnrolled
	}
	var answer Introspection
	err := s.call(ctx, request{
		method: http.MethodPost, path: "/kms/v1/oauth2/introspect", id: h.KeyID, secret: h.Key, want: http.StatusOK,
		form: url.Values{"token": {token}}, again: true,
	}, &answer)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Code == "invalid_client" {
		s.refuse(h.KeyID)
		return Introspection{}, fmt.Errorf("%w: %w", ErrNotEnrolled, err)
	}
	if err != nil {
		return Introspection{}, fmt.Errorf("introspect token: %w", err)
	}
	return answer, nil
}
