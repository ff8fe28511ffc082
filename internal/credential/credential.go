// Package credential maintains a service's own credentials at the kms: it exchanges the enrolment token for an API key, the key for short-lived
// access tokens, and replaces the key long before it expires. When the kms does not accept the key any more, the service is not ready until a new
// enrolment token appears; no restart is needed.
package credential

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/fountainai/fountain/internal/clock"
)

// ErrNotEnrolled means that the service has no key that the kms accepts, and waits for one.
var ErrNotEnrolled = errors.New("the service waits for an enrolment token")

// maxSkew is how far the service's clock may differ from the kms's: the validity of tokens and one-time codes depends on it.
const maxSkew = 15 * time.Second

// pollInterval is how often the enrolment token's file is checked.
const pollInterval = time.Second

// Config identifies the service and its files. All fields except HTTPClient, Clock and Log are required.
type Config struct {
	Word           string       // the service's word: its name at the kms and that of its keyring
	Dir            string       // of credential.json, made 0700
	EnrolTokenFile string       // where the kms puts the enrolment token
	KMSURL         string       // base URL of the kms, without /kms/v1
	HTTPClient     *http.Client // default: a client with a timeout of 10 s
	Clock          clock.Clock
	Log            *slog.Logger
}

// Source is a service's credential. It is safe for concurrent use.
type Source struct {
	Config
	flight singleflight.Group

	mu      sync.Mutex
	held    held
	refused bool                   // the kms answered invalid_client for held
	again   time.Time              // when a refused key is tried again
	tokens  map[string]cachedToken // by audience
	skew    time.Duration          // the kms's clock minus ours when it last answered
}

// Open reads the credential of an earlier run, if any. It makes no call.
func Open(c Config) (*Source, error) {
	if c.Word == "" || c.Dir == "" || c.KMSURL == "" {
		return nil, errors.New("credential: word, directory and address of the kms are required")
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{Timeout: 10 * time.Second}
	}
	if c.Clock == nil {
		c.Clock = clock.System
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.KMSURL = strings.TrimSuffix(c.KMSURL, "/")
	s := &Source{Config: c, tokens: map[string]cachedToken{}}
	var err error
	if s.held, err = readHeld(s.path()); err != nil {
		return nil, fmt.Errorf("read credential: %w", err)
	}
	return s, nil
}

// ErrClock means that the service's clock or the kms's is wrong. Its text may be published.
var ErrClock = errors.New("its clock differs from the kms's by more than 15 s")

// Ready returns nil while the service has a key that the kms accepts and a correct clock; otherwise the error says why not, in words that may be
// published.
func (s *Source) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.Key == "" || s.refused {
		return ErrNotEnrolled
	}
	if s.skew > maxSkew || s.skew < -maxSkew {
		return ErrClock
	}
	return nil
}

// Run enrols when there is an enrolment token and no working key, and rotates the key after half of its life, until ctx ends. It never gives up: the
// kms may start later.
func (s *Source) Run(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	b := backoff{clock: time.Now}
	for {
		if b.due() {
			err := s.step(ctx)
			if err != nil && ctx.Err() == nil {
				s.Log.Log(ctx, b.level(err), "own credential needs attention", "error", err)
			}
			b.note(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// step does whatever is due.
func (s *Source) step(ctx context.Context) error {
	s.mu.Lock()
	h, refused := s.held, s.refused
	_, asked := s.tokens[kmsAudience]
	s.mu.Unlock()
	switch {
	case h.Key == "", refused && s.hasEnrolmentToken():
		return s.enrolFromFile(ctx)
	case refused:
		return s.retryRefused(ctx, h)
	case !asked:
		// Find out at once whether the key is still accepted, and let the kms see that the service has it.
		_, err := s.Token(ctx, kmsAudience)
		return err
	case h.enrolmentDue(s.Clock.Now()) && s.hasEnrolmentToken():
		return s.enrolFromFile(ctx)
	case h.rotationDue(s.Clock.Now()):
		return s.rotate(ctx)
	}
	return nil
}

// retryInterval is the interval at which a refused key is tried again.
const retryInterval = 5 * time.Second

// retryRefused checks whether the kms accepts a key again that it refused: its clock may have been ahead, or its database was restored. It gives no
// enrolment token to a service whose key it considers valid.
func (s *Source) retryRefused(ctx context.Context, h held) error {
	s.mu.Lock()
	early := time.Now().Before(s.again)
	if !early {
		s.again = time.Now().Add(retryInterval)
	}
	s.mu.Unlock()
	if early {
		return nil
	}
	_, err := s.fetch(ctx, h, kmsAudience)
	if errors.Is(err, ErrNotEnrolled) {
		return nil // still refused
	}
	if err != nil {
		return fmt.Errorf("try a refused key again: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.KeyID == h.KeyID {
		s.refused = false
	}
	s.Log.InfoContext(ctx, "the kms accepts the service's key again", "keyId", h.KeyID)
	return nil
}

// hasEnrolmentToken reports whether there is an enrolment token that was not refused before.
func (s *Source) hasEnrolmentToken() bool {
	raw, err := os.ReadFile(s.EnrolTokenFile)
	text := strings.TrimSpace(string(raw))
	return err == nil && text != "" && !s.wasRefused(text)
}

// enrolFromFile exchanges the token in the file for a key, unless that token was refused before.
func (s *Source) enrolFromFile(ctx context.Context) error {
	raw, err := os.ReadFile(s.EnrolTokenFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read enrolment token: %w", err)
	}
	text := strings.TrimSpace(string(raw))
	if text == "" || s.wasRefused(text) {
		return nil
	}
	var made keyWithSecret
	// A token works once: if the answer were abandoned, the key would be lost. The HTTP client bounds the wait.
	err = s.call(context.WithoutCancel(ctx), request{
		method: http.MethodPost, path: "/kms/v1/services/enrol", json: map[string]string{"token": text}, want: http.StatusCreated,
	}, &made)
	var answer *Refusal
	if errors.As(err, &answer) && answer.Status >= 400 && answer.Status < 500 && answer.Status != http.StatusTooManyRequests {
		s.mu.Lock()
		s.held.RefusedToken = fingerprint(text)
		s.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("enrol: %w", err)
	}
	if err := s.keep(made.held()); err != nil {
		return err
	}
	s.Log.InfoContext(ctx, "service is enrolled", "keyId", made.APIKey.ID)
	_, err = s.Token(ctx, kmsAudience)
	return err
}

func (s *Source) wasRefused(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held.RefusedToken == fingerprint(token)
}

// keep writes a new key to disk and uses it from then on.
func (s *Source) keep(h held) error {
	if err := writeHeld(s.path(), h); err != nil {
		return fmt.Errorf("write credential: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.refused = h, false
	clear(s.tokens) // the next token is requested with the new key, which tells the kms that it arrived
	return nil
}

// refuse records that the kms does not accept the key, unless it was replaced meanwhile. It reports whether that is new.
func (s *Source) refuse(keyID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held.KeyID != keyID || s.refused {
		return false
	}
	s.refused, s.again = true, time.Now().Add(retryInterval)
	clear(s.tokens)
	return true
}

// quiet is the pause from which on an unreachable kms is logged as a warning, which is after 7 seconds.
const quiet = 4 * time.Second

// backoff spaces failed attempts: 1, 2, 4 and so on up to 30 seconds.
type backoff struct {
	clock func() time.Time
	next  time.Time
	pause time.Duration
}

// level returns the log level for err after the failures so far. A kms that starts a moment later is no reason for a warning.
func (b *backoff) level(err error) slog.Level {
	var refusal *Refusal
	refused := errors.As(err, &refusal) && refusal.Status < http.StatusInternalServerError
	if b.pause < quiet && !refused {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func (b *backoff) due() bool { return !b.clock().Before(b.next) }

func (b *backoff) note(err error) {
	if err == nil {
		*b = backoff{clock: b.clock}
		return
	}
	b.pause = min(max(2*b.pause, pollInterval/2), 30*time.Second)
	b.next = b.clock().Add(b.pause)
}
