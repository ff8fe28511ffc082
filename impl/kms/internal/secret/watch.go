package secret

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/policy"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

const (
	// MaxWatch is how long a request may wait for a new version.
	MaxWatch = 25 * time.Second

	watchPause = time.Second // between two checks for changes by other replicas
)

// Watch returns the secret as soon as known is false for its current version, or after wait (at most MaxWatch). A missing secret and one that the
// caller may not read give the same domain.NotFound. The value is not read, and nothing is recorded.
func (s *Secrets) Watch(ctx context.Context, caller *auth.Principal, name string, known func(version int64) bool, wait time.Duration) (found Secret, err error) {
	defer tried.To(&err, "watch secret")
	over := time.NewTimer(min(wait, MaxWatch))
	defer over.Stop()
	look := time.NewTicker(watchPause)
	defer look.Stop()
	for first := true; ; first = false {
		changed := s.changed()
		if found, err = s.described(ctx, caller, name, first); err != nil || first && (wait <= 0 || !known(found.Version)) {
			return found, err
		}
		if !known(found.Version) {
			break
		}
		select {
		case <-changed:
		case <-look.C:
		case <-over.C:
			return s.described(ctx, caller, name, true)
		case <-s.over:
			return found, nil
		case <-ctx.Done():
			return found, nil // the caller disconnected, which is no failure
		}
	}
	return s.described(ctx, caller, name, true) // a caller whose session has ended while it waited gets nothing
}

// Run waits for ctx to end, and then releases all waiting requests.
func (s *Secrets) Run(ctx context.Context) error {
	<-ctx.Done()
	close(s.over)
	return nil
}

// described reads a secret without its value. With hold it first checks the caller's rows and the policies.
func (s *Secrets) described(ctx context.Context, caller *auth.Principal, name string, hold bool) (Secret, error) {
	if hold {
		if err := s.entered(ctx, caller, policy.WatchSecret, name, func(context.Context, *store.Tx) error { return nil }); err != nil {
			return Secret{}, err
		}
	}
	found, ok, err := s.rows.Get(ctx, s.db.Read(ctx), name)
	if err != nil {
		return Secret{}, err
	}
	if !ok {
		return Secret{}, domain.Refuse(domain.NotFound, "There is no such secret.")
	}
	return found.Secret, nil
}

// changed returns a channel that is closed when this replica changes the current version of any secret.
func (s *Secrets) changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.more
}

// wake makes all waiting requests look for changes.
func (s *Secrets) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.more)
	s.more = make(chan struct{})
}
