package factor

import (
	"context"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Enrol adds a pending TOTP factor and returns its seed. A caller who has an active factor needs a second factor. Otherwise the
// sign-in must be fresh, and an administrator needs an invitation ("" for none). once may be nil.
func (s *Service) Enrol(ctx context.Context, c Caller, label string, p totp.Parameters, invitation string, once Once) (_ Enrolment, err error) {
	defer tried.To(&err, "enrol factor")
	now := s.Clock.Now().Truncate(time.Microsecond)
	standing, err := s.standing(ctx, c)
	if err != nil {
		return Enrolment{}, err
	}
	record, enrolment, err := s.newFactor(c, label, p, now)
	if err != nil {
		return Enrolment{}, err
	}
	if record.InvitationID, err = s.invitationOf(ctx, c, standing, invitation); err != nil {
		return Enrolment{}, err
	}
	if once == nil {
		once = func(ctx context.Context, _ Tx, enrol func(context.Context) (Enrolment, error)) (Enrolment, error) {
			return enrol(ctx)
		}
	}
	var kept Enrolment
	err = s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		counts, err := tx.Lock(ctx, c.Subject, now)
		if err != nil {
			return err
		}
		if err := c.mayAdd(counts, standing, &record); err != nil {
			return err
		}
		kept, err = once(ctx, tx, func(ctx context.Context) (Enrolment, error) {
			if counts.Total >= MaxFactors {
				return Enrolment{}, ErrLimit
			}
			if err := tx.Insert(ctx, record); err != nil {
				return Enrolment{}, err
			}
			return enrolment, tx.Audit(ctx, Event{At: now, Action: "enrolTotp", Subject: c.Subject, Target: record.ID, RequestID: c.RequestID})
		})
		return err
	})
	return kept, err
}

// mayAdd returns the refusal that names what the caller lacks to add the factor, or nil.
func (c Caller) mayAdd(counts Counts, standing Standing, r *Record) error {
	switch {
	case counts.Active > 0:
		return c.SecondFactor
	case c.SignIn != nil:
		return c.SignIn
	case standing.Administrator && r.InvitationID == "":
		return ErrInvitationRequired
	}
	return nil
}

// account returns the name that an authenticator shows for the caller.
func (c Caller) account() string {
	if c.Account == "" {
		return c.Subject
	}
	return c.Account
}

// newFactor makes a seed, and the record in which it is stored.
func (s *Service) newFactor(c Caller, label string, p totp.Parameters, now time.Time) (Record, Enrolment, error) {
	if err := p.Validate(); err != nil {
		return Record{}, Enrolment{}, err
	}
	seed, err := totp.NewSeed(s.Random)
	if err != nil {
		return Record{}, Enrolment{}, err
	}
	r := Record{
		Factor: Factor{
			ID: id.New("fac"), Subject: c.Subject, Type: TypeTOTP, Label: label, Status: Pending, Parameters: p,
			Created: now, Expires: now.Add(PendingLife),
		},
		LastStep: -1, SteppedUp: c.SecondFactor == nil,
	}
	if r.SealedSeed, err = s.Sealer.Seal(seed, aad(r.ID, r.Subject)); err != nil {
		return Record{}, Enrolment{}, fmt.Errorf("seal seed: %w", err)
	}
	uri, err := totp.URI(s.Issuer, c.account(), seed, p)
	if err != nil {
		return Record{}, Enrolment{}, err
	}
	return r, Enrolment{FactorID: r.ID, URI: uri, Secret: totp.Base32(seed), Parameters: p, Expires: r.Expires}, nil
}

// URI returns the otpauth URI of a pending TOTP factor, or ErrUnknown. The URI contains the seed. So the caller needs what adding a
// factor needs: otherwise a caller who may not add one could copy it.
func (s *Service) URI(ctx context.Context, c Caller, id string) (_ string, err error) {
	defer tried.To(&err, "show enrolment")
	now := s.Clock.Now()
	standing, err := s.standing(ctx, c)
	if err != nil {
		return "", err
	}
	r, err := s.Repository.Pending(ctx, c.Subject, id, now)
	if err != nil {
		return "", err
	}
	if r.Type != TypeTOTP {
		return "", ErrUnknown
	}
	counts, err := s.Repository.Count(ctx, c.Subject, now)
	if err != nil {
		return "", err
	}
	if err := c.mayAdd(counts, standing, &r); err != nil {
		return "", err
	}
	seed, err := s.seed(&r)
	if err != nil {
		return "", err
	}
	return totp.URI(s.Issuer, c.account(), seed, r.Parameters)
}

// Revoke revokes a factor of the caller. The caller has given a second factor.
func (s *Service) Revoke(ctx context.Context, c Caller, id string) (err error) {
	defer tried.To(&err, "revoke factor")
	if _, err := s.standing(ctx, c); err != nil {
		return err
	}
	now := s.Clock.Now()
	return s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.Lock(ctx, c.Subject, now); err != nil {
			return err
		}
		active, err := tx.IsActive(ctx, c.Subject, id)
		if err != nil {
			return err
		}
		if active {
			if err := tx.Notify(ctx, c.Subject, NoticeRevoked, "", now, now); err != nil {
				return err
			}
		}
		ended, err := tx.Revoke(ctx, c.Subject, id, now)
		if err != nil {
			return err
		}
		if !ended {
			return ErrUnknown
		}
		return tx.Audit(ctx, Event{At: now, Action: "revokeFactor", Subject: c.Subject, Target: id, RequestID: c.RequestID})
	})
}
