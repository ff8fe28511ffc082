package passkey

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/tried"
)

// Config is what a Service works with. All fields but Site are required.
type Config struct {
	Repository Repository
	Factors    *factor.Service // has the rules for adding a factor
	Site       *Site           // nil: passkeys are off
	Sealer     factor.Sealer
	ProofKey   *proof.Key
	SignsInTo  string    // the client whose sessions a sign-in begins
	Random     io.Reader // crypto/rand.Reader outside tests
	Clock      clock.Clock
	Log        *slog.Logger
	Metrics    *Metrics
}

// Service applies the rules of passkeys.
type Service struct {
	Config
	library *webauthn.WebAuthn // nil: passkeys are off
	decoy   []byte
}

// New returns a Service.
func New(c Config) (*Service, error) {
	s := &Service{Config: c}
	if c.Site == nil {
		return s, nil
	}
	var err error
	if s.library, err = c.Site.library(); err != nil {
		return nil, err
	}
	s.decoy, err = newDecoy(c.Random)
	return s, err
}

// checkEnabled returns ErrOff when passkeys are off.
func (s *Service) checkEnabled() error {
	if s.library == nil {
		return ErrOff
	}
	return nil
}

// now returns the time in microseconds, the precision of the database.
func (s *Service) now() time.Time { return s.Clock.Now().Truncate(time.Microsecond) }

// Sweep deletes what is no longer needed.
func (s *Service) Sweep(ctx context.Context) (err error) {
	defer tried.To(&err, "remove old challenges of passkeys")
	return s.Repository.SweepPasskeys(ctx, s.now())
}

// The parts that are joined here contain no zero byte, so that different parts give different data.
func credentialAAD(factorID, subject string) []byte {
	return []byte("twofactor passkey\x00" + factorID + "\x00" + subject)
}

func enrolmentAAD(factorID, subject string) []byte {
	return []byte("twofactor passkey enrolment\x00" + factorID + "\x00" + subject)
}

// sum returns the keyed hash of a passkey's id, by which the passkey is found.
func (s *Service) sum(credentialID []byte) (string, error) {
	sum, err := s.Sealer.Sum(append([]byte("twofactor passkey id\x00"), credentialID...))
	if err != nil {
		return "", fmt.Errorf("hash id of passkey: %w", err)
	}
	return hex.EncodeToString(sum), nil
}

// seal seals a passkey for storage.
func (s *Service) seal(factorID, subject string, c Credential) (Stored, error) {
	plain, err := json.Marshal(c)
	if err != nil {
		return Stored{}, fmt.Errorf("encode passkey: %w", err)
	}
	sealed, err := s.Sealer.Seal(plain, credentialAAD(factorID, subject))
	if err != nil {
		return Stored{}, fmt.Errorf("seal passkey: %w", err)
	}
	return Stored{FactorID: factorID, Subject: subject, Sealed: sealed}, nil
}

// open opens a stored passkey.
func (s *Service) open(stored Stored) (Owned, error) {
	plain, err := s.Sealer.Open(stored.Sealed, credentialAAD(stored.FactorID, stored.Subject))
	if err != nil {
		return Owned{}, fmt.Errorf("open passkey %s: %w", stored.FactorID, err)
	}
	o := Owned{FactorID: stored.FactorID, Subject: stored.Subject}
	if err := json.Unmarshal(plain, &o.Credential); err != nil {
		return Owned{}, fmt.Errorf("read passkey %s: %w", stored.FactorID, err)
	}
	return o, nil
}

// owned returns the subject's active passkeys.
func (s *Service) owned(ctx context.Context, subject string) ([]Owned, error) {
	stored, err := s.Repository.Passkeys(ctx, subject)
	if err != nil {
		return nil, err
	}
	out := make([]Owned, 0, len(stored))
	for _, one := range stored {
		o, err := s.open(one)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func credentials(owned []Owned) []Credential {
	out := make([]Credential, 0, len(owned))
	for _, o := range owned {
		out = append(out, o.Credential)
	}
	return out
}

// newChallenge returns random bytes that can't be guessed.
func (s *Service) newChallenge() ([]byte, error) {
	challenge := make([]byte, challengeSize)
	if _, err := io.ReadFull(s.Random, challenge); err != nil {
		return nil, fmt.Errorf("make challenge: %w", err)
	}
	return challenge, nil
}

// auditTimeout bounds the recording of a refusal whose caller may have gone.
const auditTimeout = 5 * time.Second

// deny records a refusal, also when the caller has disconnected. first runs in the same transaction.
func (s *Service) deny(ctx context.Context, e factor.Event, first func(ctx context.Context, tx Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	e.Denied = true
	return s.Repository.Alter(ctx, func(ctx context.Context, tx Tx) error {
		if err := first(ctx, tx); err != nil {
			return err
		}
		return tx.Audit(ctx, e)
	})
}

func nothing(context.Context, Tx) error { return nil }
