package factor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/tried"
)

// Sealer encrypts seeds; *seal.Key is one.
type Sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
	Sum(data []byte) ([]byte, error) // a keyed hash
}

// Config is what a Service works with. All fields are required.
type Config struct {
	Repository Repository
	Authority  Authority
	Sealer     Sealer
	ProofKey   *proof.Key
	Issuer     string    // of the otpauth URI: what the authenticator app shows
	Random     io.Reader // crypto/rand.Reader outside tests
	Clock      clock.Clock
	Log        *slog.Logger
}

// Service applies the rules of second factors.
type Service struct {
	Config
	decoy Record // a seed of no subject; codes of a subject without factors are compared with it, so that the answer takes the same work
}

// decoyID is the id of the decoy.
const decoyID = "decoy"

// New returns a Service.
func New(c Config) (*Service, error) {
	if err := totp.CheckIssuer(c.Issuer); err != nil {
		return nil, err
	}
	s := &Service{Config: c}
	seed, err := totp.NewSeed(s.Random)
	if err != nil {
		return nil, err
	}
	decoy := Record{Factor: Factor{ID: decoyID}}
	if decoy.SealedSeed, err = s.Sealer.Seal(seed, aad(decoy.ID, decoy.Subject)); err != nil {
		return nil, fmt.Errorf("seal decoy: %w", err)
	}
	s.decoy = decoy
	return s, nil
}

// aad binds a sealed seed to its factor and its subject. Neither contains a zero byte.
func aad(id, subject string) []byte { return []byte("twofactor seed\x00" + id + "\x00" + subject) }

// seed opens the seed of a record.
func (s *Service) seed(r *Record) ([]byte, error) {
	seed, err := s.Sealer.Open(r.SealedSeed, aad(r.ID, r.Subject))
	if err != nil {
		return nil, fmt.Errorf("open seed of factor %s: %w", r.ID, err)
	}
	return seed, nil
}

// List returns a page of the subject's factors, oldest first.
func (s *Service) List(ctx context.Context, subject string, after Cursor, limit int) (_ []Factor, err error) {
	defer tried.To(&err, "list factors")
	now := s.Clock.Now()
	records, err := s.Repository.List(ctx, subject, after, limit, now)
	if err != nil {
		return nil, err
	}
	tries, err := s.Repository.Tries(ctx, subject)
	if err != nil {
		return nil, err
	}
	factors := make([]Factor, 0, len(records))
	for i := range records {
		f := records[i].Factor
		if f.Type == TypeTOTP && f.Status == Active && tries.Locked(now) {
			f.Status = Locked
		}
		factors = append(factors, f)
	}
	return factors, nil
}

// Sweep deletes what is no longer needed.
func (s *Service) Sweep(ctx context.Context) (err error) {
	defer tried.To(&err, "remove old factors")
	ahead, err := s.Repository.Sweep(ctx, s.Clock.Now())
	if ahead > 0 {
		s.Log.WarnContext(ctx, "locks or last codes of factors were in the future and were removed: the clock had been ahead", "factors", ahead)
	}
	return err
}

// auditTimeout bounds the recording of a refusal whose caller may have gone.
const auditTimeout = 5 * time.Second

// deny records a refusal, also when ctx has ended: a caller who disconnects at once must be recorded too.
func (s *Service) deny(ctx context.Context, e Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	e.Denied = true
	return s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error { return tx.Audit(ctx, e) })
}
