package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

// Source is a fountain.TokenSource with the access tokens of the session in a file.
type Source struct {
	file   *File
	client *fountain.Client // no credentials; for refreshing

	mu     sync.Mutex
	tokens map[string]token // by audience; "" for the FountainAI services
}

// token is an access token and the time until which it is used.
type token struct {
	text  string
	until time.Time
}

// family lists the services that one login token is valid for.
var family = []string{"kms", "twofactor", "search", "sequence", "gateway"}

// NewSource returns the source for the file's session at the services of client.
func NewSource(file *File, client *fountain.Client) *Source {
	return &Source{file: file, client: client, tokens: map[string]token{}}
}

// Token returns the access token for a service. It renews a token when a minute or less of its lifetime is left. All
// FountainAI services share a login token. A token for a registered service is for that service alone.
func (s *Source) Token(ctx context.Context, audience string) (string, error) {
	if slices.Contains(family, audience) {
		audience = ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.tokens[audience]; known.text != "" && time.Now().Before(known.until) {
		return known.text, nil
	}
	if err := s.file.locked(func() error { return s.renew(ctx, audience) }); err != nil {
		return "", err
	}
	return s.tokens[audience].text, nil
}

// Invalidate drops a token that was refused.
func (s *Source) Invalidate(refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for audience, known := range s.tokens {
		if known.text == refused {
			delete(s.tokens, audience)
		}
	}
}

// renew uses the refresh token that is in the file now, which another process may have changed, and stores the new one.
func (s *Source) renew(ctx context.Context, audience string) error {
	kept, err := s.file.Load()
	if err != nil {
		return err
	}
	asked := time.Now()
	t, err := s.refresh(ctx, kept.RefreshToken, audience)
	if errors.Is(err, fountain.ErrUnauthenticated) || errors.Is(err, fountain.CodeInvalidGrant) {
		return fmt.Errorf("the session has ended: sign in again with fountain login (%w)", err)
	}
	if err != nil {
		return err
	}
	if t.RefreshToken != nil {
		kept.RefreshToken = *t.RefreshToken
		if err := s.file.Save(kept); err != nil {
			return err
		}
	}
	s.tokens[audience] = token{t.AccessToken, asked.Add(time.Duration(t.ExpiresIn)*time.Second - time.Minute)}
	return nil
}

func (s *Source) refresh(ctx context.Context, refreshToken, audience string) (*kms.TokenResponse, error) {
	if audience == "" {
		return s.client.KMS.RefreshToken(ctx, kms.Refresh{RefreshToken: refreshToken})
	}
	return s.client.KMS.IssueToken(ctx, kms.TokenRequest{GrantType: "refresh_token", RefreshToken: &refreshToken, Resource: &[]string{audience}})
}

// End ends the file's session at its services. client has no credentials; opts are for further clients.
func End(ctx context.Context, file *File, client *fountain.Client, opts []fountain.Option) error {
	kept, err := file.Load()
	if err != nil {
		return err
	}
	signedIn, err := fountain.New(kept.URL, append(opts, fountain.WithTokenSource(NewSource(file, client)))...)
	if err != nil {
		return err
	}
	return signedIn.KMS.LogoutUser(ctx)
}
