package passkey

import (
	"context"
	"errors"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Begin makes a challenge for the caller's passkeys. It replaces an earlier one of the session. ErrNone when the caller has no passkey.
func (s *Service) Begin(ctx context.Context, c factor.Caller) (_ Request, err error) {
	defer tried.To(&err, "begin challenge of passkey")
	if err := s.checkEnabled(); err != nil {
		return Request{}, err
	}
	if c.Session == "" {
		return Request{}, factor.ErrNoSession
	}
	owned, err := s.owned(ctx, c.Subject)
	if err != nil {
		return Request{}, err
	}
	if len(owned) == 0 {
		return Request{}, ErrNone
	}
	made := Challenge{ID: id.New("pkc"), Subject: c.Subject, Session: c.Session, Created: s.now()}
	made.Expires = made.Created.Add(Life)
	if made.Bytes, err = s.newChallenge(); err != nil {
		return Request{}, err
	}
	err = s.Repository.Alter(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.PutChallenge(ctx, made); err != nil {
			return err
		}
		return tx.Audit(ctx, factor.Event{At: made.Created, Action: "createPasskeyChallenge", Subject: c.Subject, Target: made.ID, RequestID: c.RequestID})
	})
	if err != nil {
		return Request{}, err
	}
	s.Metrics.happened(begun)
	return Request{ID: made.ID, Site: *s.Site, Challenge: made.Bytes, Allowed: credentials(owned), Expires: made.Expires}, nil
}

// Verify accepts the answer to a challenge of the caller's session, once, and returns a proof for the session. A challenge accepts one answer, right or
// wrong: one statement uses it up, in the transaction that records the signature or the refusal.
func (s *Service) Verify(ctx context.Context, c factor.Caller, challengeID string, a Assertion) (_ factor.Proof, err error) {
	defer tried.To(&err, "verify passkey")
	if err := s.checkEnabled(); err != nil {
		return factor.Proof{}, err
	}
	if c.Session == "" {
		return factor.Proof{}, factor.ErrNoSession
	}
	now := s.now()
	asked, known, err := s.Repository.PasskeyChallenge(ctx, challengeID)
	if err != nil {
		return factor.Proof{}, err
	}
	if !known || asked.Subject != c.Subject || asked.Session != c.Session {
		return factor.Proof{}, ErrUnknown
	}
	if asked.ended(now) {
		return factor.Proof{}, ErrGone
	}
	take := func(ctx context.Context, tx Tx) error {
		taken, err := tx.TakeChallenge(ctx, asked.ID, now)
		if err == nil && !taken {
			return ErrGone
		}
		return err
	}
	claims := proof.Claims{ID: id.New("prf"), Subject: c.Subject, Client: c.Client, Session: c.Session, Factor: auth.FactorPasskey, At: now}
	event := factor.Event{At: now, Action: "verifyPasskey", Subject: c.Subject, RequestID: c.RequestID}
	used, counter, refused, err := s.answer(ctx, c.Subject, asked.Bytes, a)
	if err != nil {
		return factor.Proof{}, err
	}
	if err := s.settle(ctx, use{take: take, owned: used, counter: counter, refused: refused, event: event, proofID: claims.ID}); err != nil {
		return factor.Proof{}, err
	}
	claims.Methods = used.methods()
	return s.prove(claims)
}

// prove signs the proof of a passkey in a session.
func (s *Service) prove(claims proof.Claims) (factor.Proof, error) {
	token, err := s.ProofKey.Sign(claims)
	if err != nil {
		return factor.Proof{}, err
	}
	return factor.Proof{
		Token: token, ACR: contract.ACRPhishingResistant, AMR: claims.Methods, AuthTime: claims.At.Truncate(time.Second), Expires: claims.Expires(),
	}, nil
}

// answer checks an answer against the active passkey of the subject that it names. It returns the passkey and its new counter, or why the answer is refused.
func (s *Service) answer(ctx context.Context, subject string, challenge []byte, a Assertion) (Owned, uint32, *refused, error) {
	owned, found, err := s.find(ctx, a.RawID)
	if err != nil {
		return Owned{}, 0, nil, err
	}
	if !found || owned.Subject != subject {
		return Owned{}, 0, &refused{reason: "unknown_passkey", err: ErrInvalid}, nil
	}
	counter, no := s.verifyAssertion(owned, challenge, a)
	return owned, counter, no, nil
}

// find returns the active passkey with an id; false when there is none.
func (s *Service) find(ctx context.Context, rawID []byte) (Owned, bool, error) {
	sum, err := s.sum(rawID)
	if err != nil {
		return Owned{}, false, err
	}
	stored, found, err := s.Repository.Passkey(ctx, sum)
	if err != nil || !found {
		return Owned{}, false, err
	}
	owned, err := s.open(stored)
	return owned, err == nil, err
}

// methods returns the amr values (RFC 8176, section 2) of a signature. A passkey that can be copied to other devices is not bound to hardware (swk). The
// authenticator has verified the person (user).
func (o Owned) methods() []string {
	if o.Synced {
		return []string{"swk", "user"}
	}
	return []string{"hwk", "user"}
}

// use is an answer that was checked, with what is needed to record it.
type use struct {
	take    func(ctx context.Context, tx Tx) error // uses up what was answered
	owned   Owned
	counter uint32
	refused *refused // nil: the signature is right
	event   factor.Event
	proofID string
	signIn  bool // the caller has not signed in: a refusal has no actor
}

// errStale says that the passkey has changed since it was read: its counter, or it is no longer active.
type errStale struct{ reason string }

func (e errStale) Error() string { return "passkey: " + e.reason }

// settle records a signature, or a refusal, and uses up the challenge or sign-in in the same transaction.
func (s *Service) settle(ctx context.Context, u use) error {
	if u.refused != nil {
		return s.refuse(ctx, u, u.refused.reason, u.refused)
	}
	err := s.Repository.Alter(ctx, func(ctx context.Context, tx Tx) error {
		if err := u.take(ctx, tx); err != nil {
			return err
		}
		signed, err := tx.Sign(ctx, u.owned.FactorID, u.counter, !u.owned.Synced, u.event.At)
		if err != nil {
			return err
		}
		switch signed {
		case Back:
			return errStale{"counter"}
		case Revoked:
			return errStale{"revoked"}
		}
		e := u.event
		e.Target, e.Detail = u.owned.FactorID, map[string]string{"proof": u.proofID}
		return tx.Audit(ctx, e)
	})
	var stale errStale
	if errors.As(err, &stale) {
		return s.refuse(ctx, u, stale.reason, stale)
	}
	if err == nil {
		s.Metrics.happened(right)
	}
	return err
}

// refuse records a refusal and returns it as ErrInvalid. A counter that went back is a sign that the passkey was copied.
func (s *Service) refuse(ctx context.Context, u use, reason string, why error) error {
	e := u.event
	e.Target, e.Detail = u.owned.FactorID, map[string]string{"reason": reason}
	if u.signIn {
		e.Subject, e.Detail["subject"] = "", u.owned.Subject
	}
	if reason == "counter" {
		e.Detail["security"] = "the counter of a passkey went back: it may have been copied"
		s.Log.WarnContext(ctx, "the counter of a passkey went back: it may have been copied", "factor", u.owned.FactorID)
	}
	if err := s.deny(ctx, e, u.take); err != nil {
		return err
	}
	s.Metrics.happened(wrong)
	return errors.Join(ErrInvalid, why)
}
