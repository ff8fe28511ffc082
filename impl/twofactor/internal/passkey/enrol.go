package passkey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Enrol adds a pending passkey and returns what the browser is to create. The caller needs what enrolling an authenticator needs. It replaces a pending
// enrolment of a passkey of the same subject.
func (s *Service) Enrol(ctx context.Context, c factor.Caller, label, invitation string) (_ Creation, err error) {
	defer tried.To(&err, "enrol passkey")
	if err := s.checkEnabled(); err != nil {
		return Creation{}, err
	}
	permit, err := s.Factors.Permit(ctx, c, invitation)
	if err != nil {
		return Creation{}, err
	}
	owned, err := s.owned(ctx, c.Subject)
	if err != nil {
		return Creation{}, err
	}
	record, challenge, err := s.newPending(c, label)
	if err != nil {
		return Creation{}, err
	}
	record.InvitationID = permit.InvitationID
	err = s.Repository.Alter(ctx, func(ctx context.Context, tx Tx) error {
		counts, err := tx.Lock(ctx, c.Subject, record.Created)
		if err != nil {
			return err
		}
		if err := permit.MayAdd(counts, true); err != nil {
			return err
		}
		dropped, err := tx.DropWaiting(ctx, c.Subject, record.Created)
		if err != nil {
			return err
		}
		if counts.Total-dropped >= factor.MaxFactors {
			return factor.ErrLimit
		}
		if err := tx.InsertWaiting(ctx, record); err != nil {
			return err
		}
		return tx.Audit(ctx, factor.Event{At: record.Created, Action: "enrolPasskey", Subject: c.Subject, Target: record.ID, RequestID: c.RequestID})
	})
	if err != nil {
		return Creation{}, err
	}
	return Creation{
		FactorID: record.ID, Site: *s.Site, Subject: c.Subject, Account: account(c), Challenge: challenge, Known: credentials(owned),
		Life: factor.PendingLife, Expires: record.Expires,
	}, nil
}

// newPending makes a challenge, and the record that stores it until the passkey replaces it.
func (s *Service) newPending(c factor.Caller, label string) (factor.Record, []byte, error) {
	challenge, err := s.newChallenge()
	if err != nil {
		return factor.Record{}, nil, err
	}
	now := s.now()
	r := factor.Record{
		Factor: factor.Factor{
			ID: id.New("fac"), Subject: c.Subject, Type: factor.TypePasskey, Label: label, Status: factor.Pending, Created: now, Expires: now.Add(factor.PendingLife),
		},
		LastStep: -1, SteppedUp: c.SecondFactor == nil,
	}
	if r.SealedSeed, err = s.Sealer.Seal(challenge, enrolmentAAD(r.ID, r.Subject)); err != nil {
		return factor.Record{}, nil, fmt.Errorf("seal challenge: %w", err)
	}
	return r, challenge, nil
}

// errChanged says that a factor is no longer pending.
var errChanged = errors.New("factor has changed")

// Confirm makes a pending passkey active with what the browser has created. For the first factor of a subject without recovery codes it also returns ten of these. In a
// session it returns the proof that Verify would return for a signature, because the authenticator has just verified the person at this site.
func (s *Service) Confirm(ctx context.Context, c factor.Caller, factorID string, made Registration) (_ factor.Confirmed, err error) {
	defer tried.To(&err, "confirm passkey")
	if err := s.checkEnabled(); err != nil {
		return factor.Confirmed{}, err
	}
	now := s.now()
	pending, challenge, err := s.pendingEnrolment(ctx, c, factorID, now)
	if err != nil {
		return factor.Confirmed{}, err
	}
	credential, counter, refused := s.verifyRegistration(c.Subject, challenge, made)
	if refused != nil {
		e := factor.Event{At: now, Action: "confirmPasskey", Subject: c.Subject, Target: factorID, RequestID: c.RequestID, Detail: map[string]string{"reason": refused.reason}}
		if err := s.deny(ctx, e, nothing); err != nil {
			return factor.Confirmed{}, err
		}
		return factor.Confirmed{}, errors.Join(ErrInvalid, refused)
	}
	// After the passkey, so that a wrong one does not use up the invitation.
	if err := s.Factors.UseInvitationOf(ctx, pending, now); err != nil {
		return factor.Confirmed{}, err
	}
	claims := proof.Claims{
		ID: id.New("prf"), Subject: c.Subject, Client: c.Client, Session: c.Session, Factor: auth.FactorPasskey, At: now, Methods: Owned{Credential: credential}.methods(),
	}
	codes, err := s.activate(ctx, c, pending, credential, counter, claims)
	if err != nil {
		return factor.Confirmed{}, err
	}
	confirmed := factor.Confirmed{Factor: pending.Record.Factor, RecoveryCodes: codes}
	confirmed.Factor.Status, confirmed.Factor.Confirmed, confirmed.Factor.LastUsed = factor.Active, now, now
	if c.Session == "" {
		return confirmed, nil
	}
	confirmed.Proof, err = s.prove(claims)
	return confirmed, err
}

// pendingEnrolment returns a pending passkey of the caller with its challenge, after it has checked what confirming needs. factor.ErrExpired when the enrolment has expired.
func (s *Service) pendingEnrolment(ctx context.Context, c factor.Caller, factorID string, now time.Time) (factor.Confirmation, []byte, error) {
	pending, err := s.Factors.Confirming(ctx, c, factorID, now)
	if errors.Is(err, factor.ErrUnknown) {
		expired, lookErr := s.Repository.Expired(ctx, c.Subject, factorID, now)
		if lookErr != nil {
			return pending, nil, lookErr
		}
		if expired {
			return pending, nil, factor.ErrExpired
		}
	}
	if err != nil {
		return pending, nil, err
	}
	if pending.Record.Type != factor.TypePasskey {
		return pending, nil, factor.ErrUnknown
	}
	challenge, err := s.Sealer.Open(pending.Record.SealedSeed, enrolmentAAD(factorID, c.Subject))
	if err != nil {
		return pending, nil, fmt.Errorf("open challenge of %s: %w", factorID, err)
	}
	return pending, challenge, nil
}

func (s *Service) activate(ctx context.Context, c factor.Caller, p factor.Confirmation, made Credential, counter uint32, claims proof.Claims) (codes factor.RecoveryCodes, err error) {
	now := claims.At
	sum, err := s.sum(made.ID)
	if err != nil {
		return codes, err
	}
	stored, err := s.seal(p.Record.ID, c.Subject, made)
	if err != nil {
		return codes, err
	}
	fresh, err := s.Factors.NewRecoveryCodes(c.Subject, now)
	if err != nil {
		return codes, err
	}
	err = s.Repository.Alter(ctx, func(ctx context.Context, tx Tx) error {
		counts, err := tx.Lock(ctx, c.Subject, now)
		if err != nil {
			return err
		}
		if err := p.MayActivate(counts); err != nil {
			return err
		}
		done, err := tx.ActivatePasskey(ctx, stored, sum, counter, now)
		if err != nil {
			return err
		}
		if !done {
			return errChanged
		}
		if codes, err = fresh.KeepIfFirst(ctx, tx, counts); err != nil {
			return err
		}
		if err := tx.Notify(ctx, c.Subject, factor.NoticeAdded, p.Record.ID, now, now); err != nil {
			return err
		}
		return tx.Audit(ctx, factor.Event{At: now, Action: "confirmPasskey", Subject: c.Subject, Target: p.Record.ID, RequestID: c.RequestID, Detail: map[string]string{"proof": claims.ID}})
	})
	if errors.Is(err, errChanged) {
		return factor.RecoveryCodes{}, factor.ErrUnknown
	}
	return codes, err
}
