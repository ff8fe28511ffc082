package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// TokenLife is the lifetime of an enrolment token that an administrator has requested.
const TokenLife = 10 * time.Minute

// Enrolment is a single-use token that a service exchanges for its first key.
type Enrolment struct {
	Token     string
	ExpiresAt time.Time
}

// Keys creates the key that a token is exchanged for.
type Keys interface {
	// Grant creates a key that follows its owner's scopes. The transaction has locked the owner's row.
	Grant(ctx context.Context, tx *store.Tx, owner authority.Owner, name string) (apikey.Key, string, error)
}

// NewEnrolment creates a token, and invalidates older unused ones of the service. A disabled service is domain.StateConflict.
func (s *Services) NewEnrolment(ctx context.Context, tx *store.Tx, caller *auth.Principal, serviceID string) (_ Enrolment, err error) {
	defer tried.To(&err, "make enrolment token")
	if err := s.standing.HoldAdministrator(ctx, tx, caller, serviceRef(serviceID)); err != nil {
		return Enrolment{}, err
	}
	found, ok, err := s.rows.Get(ctx, tx, serviceID)
	if err != nil {
		return Enrolment{}, fmt.Errorf("read service: %w", err)
	}
	if !ok {
		return Enrolment{}, notFound()
	}
	if found.Family && found.Name == authority.Twofactor {
		// A caller who enrols as twofactor can forge second factors, so an administrator could impersonate any other.
		return Enrolment{}, domain.Refuse(domain.Forbidden, "The service twofactor can only be enrolled on the machine of the kms, with its token file or with fountain recover.")
	}
	if found.Status != Active {
		return Enrolment{}, domain.Refuse(domain.StateConflict, "The service is disabled.")
	}
	if err := s.rows.SupersedeTokens(ctx, tx, serviceID, domain.Now(s.clock)); err != nil {
		return Enrolment{}, fmt.Errorf("end older enrolment tokens: %w", err)
	}
	made, err := s.issue(ctx, tx, serviceID, TokenLife)
	if err != nil {
		return Enrolment{}, err
	}
	return made, s.audit.Append(ctx, tx, auditlog.Event{Action: "createEnrolmentToken", Target: serviceID})
}

func (s *Services) issue(ctx context.Context, tx *store.Tx, serviceID string, life time.Duration) (Enrolment, error) {
	random := make([]byte, 32)
	rand.Read(random) // never fails (crypto/rand)
	now := domain.Now(s.clock)
	made := Enrolment{Token: "et_" + base64.RawURLEncoding.EncodeToString(random), ExpiresAt: now.Add(life)}
	return made, s.rows.InsertToken(ctx, tx, tokenHash(made.Token), serviceID, now, made.ExpiresAt)
}

// tokenHash needs no key: the token has 256 random bits.
func tokenHash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// Enrol exchanges a token for the service's key. A token that is unknown, expired, superseded or used is domain.InvalidEnrolmentToken. A second use is also
// recorded as a security event, since the token may have leaked.
func (s *Services) Enrol(ctx context.Context, token string) (key apikey.Key, text string, err error) {
	defer tried.To(&err, "enrol service")
	hash := tokenHash(token)
	refused := false
	err = s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		owner, err := s.holdForToken(ctx, tx, hash)
		if err != nil {
			return err
		}
		serviceID, used, err := s.rows.UseToken(ctx, tx, hash, domain.Now(s.clock))
		if err != nil {
			return fmt.Errorf("use enrolment token: %w", err)
		}
		if refused = !used || !owner.Active; refused {
			return s.recordReuse(ctx, tx, hash)
		}
		// Other tokens of this service are no longer needed, and must not remain usable.
		if err := s.rows.SupersedeTokens(ctx, tx, serviceID, domain.Now(s.clock)); err != nil {
			return fmt.Errorf("end older enrolment tokens: %w", err)
		}
		if key, text, err = s.keys.Grant(ctx, tx, owner, "enrolled"); err != nil {
			return err
		}
		return s.audit.Append(ctx, tx, auditlog.Event{
			Action: "enrolService", Actor: serviceID, Kind: auth.KindService, Target: serviceID, Detail: map[string]string{"key": key.ID},
		})
	})
	if err == nil && refused {
		err = domain.Refuse(domain.InvalidEnrolmentToken, "The enrolment token is unknown, used or expired.")
	}
	return key, text, err
}

// holdForToken locks the service of an enrolment token, so that no key is created while the service is being disabled or deleted. For an unknown token it
// returns the zero Owner.
func (s *Services) holdForToken(ctx context.Context, tx *store.Tx, hash []byte) (authority.Owner, error) {
	serviceID, found, err := s.rows.TokenService(ctx, tx, hash)
	if err != nil {
		return authority.Owner{}, fmt.Errorf("read enrolment token: %w", err)
	}
	if !found {
		return authority.Owner{}, nil
	}
	owner, _, err := s.standing.Rows.Owner(ctx, tx, serviceRef(serviceID), authority.Exclusive)
	if err != nil {
		return owner, fmt.Errorf("lock service: %w", err)
	}
	return owner, nil
}

// recordReuse records the security event if the refused token was used before.
func (s *Services) recordReuse(ctx context.Context, tx *store.Tx, hash []byte) error {
	serviceID, used, err := s.rows.TokenUsed(ctx, tx, hash)
	if err != nil {
		return fmt.Errorf("read used enrolment token: %w", err)
	}
	if !used {
		return nil
	}
	return s.audit.Append(ctx, tx, auditlog.Event{
		Action: "enrolService", Target: serviceID, Outcome: auditlog.Denied, Detail: map[string]string{"security": "enrolment token used twice"},
	})
}

// sweep deletes tokens that expired longer than usedMemory ago.
func (s *Services) sweep(ctx context.Context) error {
	return s.db.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.rows.SweepTokens(ctx, tx, domain.Now(s.clock).Add(-usedMemory))
	})
}

func isTaken(err error) bool { return errors.Is(err, domain.AlreadyExists) }
