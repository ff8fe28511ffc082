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

// expiryMargin is how long before its expiry a token is not handed out any more.
const expiryMargin = time.Minute

// cachedToken is a cached access token.
type cachedToken struct {
	text           string
	renew, expires time.Time
}

// Token returns an access token for one service of the family, from the cache while it is fresh. Of concurrent callers only one calls the kms. It
// returns ErrNotEnrolled without a valid key; while the kms is unreachable, a cached token that has not expired is still returned.
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
		if kept, young := s.kept(audience, now); young { // another caller has fetched one meanwhile
			return kept.text, nil
		}
		return s.fetch(fetch, h, audience)
	})
	select {
	case got := <-result:
		if got.Err == nil {
			return got.Val.(string), nil
		}
		if kept.text != "" && !errors.Is(got.Err, ErrNotEnrolled) && now.Before(kept.expires.Add(-expiryMargin)) {
			return kept.text, nil
		}
		return "", got.Err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// kept returns the cached token for a service; young means that it need not be renewed yet.
func (s *Source) kept(audience string, now time.Time) (token cachedToken, young bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	token = s.tokens[audience]
	return token, token.text != "" && now.Before(token.renew)
}

// fetch requests a token from the kms by client_credentials (RFC 6749, section 4.4).
func (s *Source) fetch(ctx context.Context, h held, audience string) (string, error) {
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	asked := s.Clock.Now() // before the request: the token's life begins no earlier, however late its answer comes
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
		s.tokens[audience] = cachedToken{text: answer.AccessToken, renew: asked.Add(life * 2 / 3), expires: asked.Add(life)}
	}
	return answer.AccessToken, nil
}

// Forget drops the cached token for an audience, after a service has answered invalid_token.
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

// overlap is how long the old key still works after a rotation, in seconds: requests in flight, and replicas with a copy of this data directory, have
// time to notice.
const overlap = 3600

// rotate replaces the key. The Idempotency-Key is on disk before the request is sent, so that after a crash or a lost answer the same new key is
// requested again. Only when the kms no longer has that answer is another key requested.
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
		s.Forget(kmsAudience) // the next attempt fetches a new token
	}
	if errors.As(err, &refusal) && (refusal.Code == "replay_expired" || refusal.Code == "idempotency_conflict") {
		h.Rotation = "" // that answer cannot be replayed any more; the kms lets a key rotate again whose successor was never used
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

// begin writes the rotation's Idempotency-Key to disk, or removes it.
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
