package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

// Source gives access tokens of the session in a file. It is a fountain.TokenSource.
type Source struct {
	file   *File
	client *fountain.Client // without credentials, for refreshing

	mu    sync.Mutex
	token string
	until time.Time
}

// NewSource returns the source of the file's session at the family of client.
func NewSource(file *File, client *fountain.Client) *Source {
	return &Source{file: file, client: client}
}

// Token returns the access token, renewed when a minute or less is left of it. A login token is for every service.
func (s *Source) Token(ctx context.Context, _ string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" && time.Now().Before(s.until) {
		return s.token, nil
	}
	if err := s.file.locked(func() error { return s.renew(ctx) }); err != nil {
		return "", err
	}
	return s.token, nil
}

// Invalidate forgets a token that was refused.
func (s *Source) Invalidate(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}

// renew uses the refresh token that the file holds now, which another process may have changed, and keeps its successor.
func (s *Source) renew(ctx context.Context) error {
	kept, err := s.file.Load()
	if err != nil {
		return err
	}
	asked := time.Now()
	t, err := s.client.KMS.RefreshToken(ctx, kms.Refresh{RefreshToken: kept.RefreshToken})
	if errors.Is(err, fountain.ErrUnauthenticated) {
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
	s.token, s.until = t.AccessToken, asked.Add(time.Duration(t.ExpiresIn)*time.Second-time.Minute)
	return nil
}

// End signs the file's session out at its family. client has no credentials; opts are those of further clients.
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
