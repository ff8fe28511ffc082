package credential

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// kmsAudience is the audience of tokens for the kms itself.
const kmsAudience = "kms"

// lastMinute is how long before its end a token is not handed out any more.
const lastMinute = time.Minute

// accessed is an access token that is kept.
type accessed struct {
	text           string
	renew, expires time.Time
}

// Token returns an access token for one service of the family, from memory while it is young. Of many who ask at once, one asks the
// kms. Without a key that holds it is ErrNotEnrolled; while the kms is away, a token that has not ended is still given.
func (s *Source) Token(ctx context.Context, audience string) (string, error) {
	now := s.Clock.Now()
	kept, young := s.kept(audience, now)
	if young {
		return kept.text, nil
	}
	s.mu.Lock()
	h, refused := s.held, s.refused
	s.mu.Unlock()
	if h.Key == "" || refused {
		return "", ErrNotEnrolled
	}
	result := s.flight.DoChan(audience, func() (any, error) {
		fetch, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if kept, young := s.kept(audience, now); young { // who came late: somebody has asked meanwhile
			return kept.text, nil
		}
		return s.fetch(fetch, h, audience)
	})
	select {
	case got := <-result:
		if got.Err == nil {
			return got.Val.(string), nil
		}
		if kept.text != "" && !errors.Is(got.Err, ErrNotEnrolled) && now.Before(kept.expires.Add(-lastMinute)) {
			return kept.text, nil
		}
		return "", got.Err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// kept returns the token that is held for a service; young says that it need not be renewed yet.
func (s *Source) kept(audience string, now time.Time) (token accessed, young bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token = s.tokens[audience]
	return token, token.text != "" && now.Before(token.renew)
}

// fetch asks the kms for a token by client_credentials (RFC 6749, section 4.4).
func (s *Source) fetch(ctx context.Context, h held, audience string) (string, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	asked := s.Clock.Now() // a token lives from before it was made, however late its answer comes
	err := s.call(ctx, request{
		method: http.MethodPost, path: "/kms/v1/oauth2/token", id: h.KeyID, secret: h.Key, want: http.StatusOK,
		form: url.Values{"grant_type": {"client_credentials"}, "resource": {audience}}, again: true,
	}, &answer)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Code == "invalid_client" {
		if s.refuse(h.KeyID) {
			s.Log.ErrorContext(ctx, "the kms does not accept the service's key any more; waiting for an enrolment token", "keyId", h.KeyID)
		}
		return "", fmt.Errorf("%w: %w", ErrNotEnrolled, err)
	}
	if err != nil {
		return "", fmt.Errorf("token for %s: %w", audience, err)
	}
	life := time.Duration(answer.ExpiresIn) * time.Second
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.KeyID == h.KeyID {
		s.tokens[audience] = accessed{text: answer.AccessToken, renew: asked.Add(life * 2 / 3), expires: asked.Add(life)}
	}
	return answer.AccessToken, nil
}

// Forget drops the kept token for an audience: for callers whom a service has answered invalid_token.
func (s *Source) Forget(audience string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, audience)
}

// Editor returns a request editor for the generated clients that sends the token for an audience.
func (s *Source) Editor(audience string) func(ctx context.Context, r *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		text, err := s.Token(ctx, audience)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+text)
		return nil
	}
}

// overlap is how long the old key still works after a rotation, in seconds: other replicas that were given a copy of this data
// directory, and requests in flight, have the time to notice.
const overlap = 3600

// rotate replaces the key. The Idempotency-Key is on disk before the request goes out, so that after a crash or a lost answer the same
// new key is asked for again; only when the kms has forgotten that answer, another key is.
func (s *Source) rotate(ctx context.Context) error {
	bearer, err := s.Token(ctx, kmsAudience)
	if err != nil {
		return err
	}
	s.mu.Lock()
	h := s.held
	s.mu.Unlock()
	if h.Rotation == "" {
		h.Rotation = rand.Text()
		if err := s.begin(h); err != nil {
			return err
		}
	}
	var made keyWithSecret
	err = s.call(ctx, request{
		method: http.MethodPost, path: "/kms/v1/keys/current/rotate", bearer: bearer, idempotency: h.Rotation,
		json: map[string]int{"overlapSeconds": overlap}, want: http.StatusCreated,
	}, &made)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.Code == "invalid_token" {
		s.Forget(kmsAudience) // the next attempt asks for another
	}
	if errors.As(err, &refusal) && (refusal.Code == "replay_expired" || refusal.Code == "idempotency_conflict") {
		h.Rotation = "" // that answer can't be had again; the kms lets a key rotate again whose successor nobody used
		return errors.Join(fmt.Errorf("rotate own key: %w", err), s.begin(h))
	}
	if err != nil {
		return fmt.Errorf("rotate own key: %w", err)
	}
	if err := s.keep(made.held()); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "own key rotated", "keyId", made.APIKey.ID)
	_, err = s.Token(ctx, kmsAudience)
	return err
}

// begin writes the rotation's Idempotency-Key, or that there is none any more, to disk.
func (s *Source) begin(h held) error {
	if err := writeHeld(s.path(), h); err != nil {
		return fmt.Errorf("write credential: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.KeyID == h.KeyID {
		s.held.Rotation = h.Rotation
	}
	return nil
}
