package challenge

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/delivery"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// errLost says that between the check and the update another attempt was accepted, the code was replaced or the factor was revoked.
var errLost = errors.New("challenge was used or its code replaced")

// Verify accepts the code of an open challenge of the caller, once. With wantProof, for which the caller must be a user with a session, it returns a proof
// with which the kms raises the session.
//
// The attempt is counted, and the count durable, before the code is compared. So of any number of parallel guesses no more are compared than there are
// attempts left. One statement ends the challenge, so that of any number of right codes one wins.
func (s *Service) Verify(ctx context.Context, c Caller, challengeID, code string, wantProof bool) (_ Challenge, p factor.Proof, err error) {
	defer tried.To(&err, "verify challenge")
	now := s.now()
	was, err := s.own(ctx, c, challengeID)
	if err != nil {
		return Challenge{}, p, err
	}
	if was.enrols() {
		return Challenge{}, p, notFound() // its code belongs to confirmDelivery
	}
	if wantProof {
		if err := s.checkRaise(c, was.Channel); err != nil {
			return Challenge{}, p, err
		}
	}
	admitted, err := s.admit(ctx, c, was, now)
	if err != nil {
		return Challenge{}, p, err
	}
	if err := s.checkCode(ctx, c, admitted, code, now); err != nil {
		return Challenge{}, p, err
	}
	var proofID string
	if wantProof {
		if p, proofID, err = s.prove(c, was.Channel, now); err != nil {
			return Challenge{}, factor.Proof{}, err
		}
	}
	err = s.accept(ctx, admitted, now, func(ctx context.Context, tx Tx) error {
		detail := map[string]string{"purpose": was.Purpose, "subject": was.Subject}
		if wantProof {
			detail["proof"] = proofID
		}
		return tx.Record(ctx, Event{
			At: now, Action: "verifyChallenge", Actor: c.Subject, Service: c.Service, Target: was.ID, RequestID: c.RequestID, Detail: detail,
		})
	})
	if err != nil {
		return Challenge{}, factor.Proof{}, err
	}
	return admitted, p, nil
}

// checkRaise refuses a request for a proof that could raise no session.
func (s *Service) checkRaise(c Caller, channel delivery.Channel) error {
	switch {
	case c.Service || c.Session == "":
		return refuse(NoRaise, "A code can only raise a session, and this token belongs to none.")
	case !s.raises(channel):
		return refuse(NoRaise, "Codes of this channel can't raise a session: the server does not allow it.")
	}
	return nil
}

// prove signs the proof of a code that is about to be accepted.
func (s *Service) prove(c Caller, channel delivery.Channel, now time.Time) (factor.Proof, string, error) {
	claims := proof.Claims{ID: id.New("prf"), Subject: c.Subject, Client: c.Client, Session: c.Session, Factor: string(channel), At: now, Methods: []string{proof.AMR}}
	if channel == delivery.SMS {
		claims.Methods = append(claims.Methods, "sms") // RFC 8176, section 2; mail and webhooks have no value there
	}
	token, err := s.ProofKey.Sign(claims)
	if err != nil {
		return factor.Proof{}, "", err
	}
	return factor.Proof{Token: token, ACR: proof.ACR, AMR: claims.Methods, AuthTime: now.Truncate(time.Second), Expires: claims.Expires()}, claims.ID, nil
}

// admit counts an attempt for a challenge and for its subject, and returns the challenge after it.
func (s *Service) admit(ctx context.Context, c Caller, was Challenge, now time.Time) (admitted Challenge, err error) {
	key, err := s.hashed(guess, was.Subject)
	if err != nil {
		return Challenge{}, err
	}
	err = s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error {
		left, err := tx.Spend(ctx, guess, key, GuessCap, GuessWindow, now)
		if err != nil {
			return err
		}
		if !left {
			return refuseFor(TooMany, untilNext(GuessWindow, now), "Too many wrong codes were entered; use another factor.")
		}
		var open bool
		admitted, open, err = tx.Admit(ctx, was.ID, c.Client, now)
		if err != nil || open {
			return err
		}
		return s.refusalNow(ctx, was.ID, now)
	})
	return admitted, err
}

// refusalNow returns the refusal of a challenge that accepts no attempt.
func (s *Service) refusalNow(ctx context.Context, challengeID string, now time.Time) error {
	is, known, err := s.Repository.Challenge(ctx, challengeID)
	if err != nil {
		return err
	}
	if !known {
		return notFound()
	}
	if err := refusalOf(is.StatusAt(now), true); err != nil {
		return err
	}
	return refuse(Gone, "The challenge has ended; begin a new one.")
}

// refusalOf returns the refusal of a challenge with a status, or nil for an open one. attempt says that a code was given.
func refusalOf(status Status, attempt bool) error {
	switch status {
	case Open:
		return nil
	case Verified:
		return refuse(Used, "The code of this challenge was already used.")
	case Exhausted:
		if attempt {
			return refuseFor(TooMany, ResendPause, "Too many codes were entered for this challenge; begin a new one.")
		}
	}
	return refuse(Gone, "The challenge has ended; begin a new one.")
}

// checkCode compares the code of an admitted attempt. It returns nil when the code is right, and otherwise records the refusal and returns it.
func (s *Service) checkCode(ctx context.Context, c Caller, admitted Challenge, code string, now time.Time) error {
	if s.Keys.Verify(admitted.CodeSum, codeData(admitted.ID, code)) == nil {
		return nil
	}
	s.Metrics.happened(wrong)
	return s.deny(ctx, c, admitted, now)
}

// accept ends the challenge of a right code. first runs in the same transaction.
func (s *Service) accept(ctx context.Context, admitted Challenge, now time.Time, first func(ctx context.Context, tx Tx) error) error {
	key, err := s.hashed(guess, admitted.Subject)
	if err != nil {
		return err
	}
	err = s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error {
		if err := first(ctx, tx); err != nil {
			return err
		}
		if err := tx.GiveBack(ctx, guess, key, GuessWindow, now); err != nil {
			return err
		}
		won, err := tx.Accept(ctx, admitted.ID, admitted.CodeSum, now)
		if err != nil {
			return err
		}
		if !won {
			return errLost
		}
		if err := tx.Drop(ctx, admitted.ID, "used", now); err != nil {
			return err
		}
		return tx.MarkUsed(ctx, admitted.FactorID, now)
	})
	if errors.Is(err, errLost) {
		return s.refusalNow(ctx, admitted.ID, now)
	}
	if err == nil {
		s.Metrics.happened(verified)
	}
	return err
}

// auditTimeout bounds the recording of a refusal whose caller may have gone.
const auditTimeout = 5 * time.Second

// deny records a wrong code and returns the refusal. It does so also when the caller has disconnected.
func (s *Service) deny(ctx context.Context, c Caller, ch Challenge, now time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditTimeout)
	defer cancel()
	action := "verifyChallenge"
	if ch.enrols() {
		action = "confirmDelivery"
	}
	err := s.Repository.Change(ctx, func(ctx context.Context, tx Tx) error {
		return tx.Record(ctx, Event{
			At: now, Action: action, Actor: c.Subject, Service: c.Service, Target: ch.ID, Denied: true, RequestID: c.RequestID,
			Detail: map[string]string{"reason": "wrong", "attempts": strconv.Itoa(ch.Attempts), "subject": ch.Subject},
		})
	})
	if err != nil {
		return err
	}
	return refuse(Wrong, "The code is not valid.")
}
