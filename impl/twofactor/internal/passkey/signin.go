package passkey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// signInPrefix is the prefix of the ids of sign-ins.
const signInPrefix = "psi_"

// BeginSignIn returns what any passkey of the site is to sign. Nothing is stored, so that a caller without a passkey can't fill the database. The id contains the
// time when it was made, and the challenge is a keyed hash of the id. Only the use of a sign-in is stored.
func (s *Service) BeginSignIn() (_ Request, err error) {
	defer tried.To(&err, "begin sign-in by passkey")
	if err := s.checkEnabled(); err != nil {
		return Request{}, err
	}
	now := s.Clock.Now().Truncate(time.Millisecond)
	made, err := ulid.New(ulid.Timestamp(now), s.Random)
	if err != nil {
		return Request{}, fmt.Errorf("make id: %w", err)
	}
	r := Request{ID: signInPrefix + made.String(), Site: *s.Site, Expires: now.Add(Life)}
	if r.Challenge, err = s.challengeOf(r.ID); err != nil {
		return Request{}, err
	}
	s.Metrics.happened(begun)
	return r, nil
}

// challengeOf returns the challenge of a sign-in. It can't be computed without the key of the service, so a caller has it only from BeginSignIn.
func (s *Service) challengeOf(signInID string) ([]byte, error) {
	sum, err := s.Sealer.Sum([]byte("twofactor passkey sign-in\x00" + signInID))
	if err != nil {
		return nil, fmt.Errorf("make challenge: %w", err)
	}
	return sum, nil
}

// beganAt returns when a sign-in began; false when the id is not one of a sign-in.
func beganAt(signInID string) (time.Time, bool) {
	text, ok := strings.CutPrefix(signInID, signInPrefix)
	if !ok {
		return time.Time{}, false
	}
	parsed, err := ulid.ParseStrict(text)
	return ulid.Time(parsed.Time()), err == nil
}

// VerifySignIn accepts the answer to a sign-in, once, and returns the proof with which the kms begins a session. Every refusal is ErrInvalid, after the same
// work: whatever is wrong, the passkey is looked up and a signature is checked.
func (s *Service) VerifySignIn(ctx context.Context, signInID string, a Assertion, requestID string) (_ SignIn, err error) {
	defer tried.To(&err, "verify sign-in by passkey")
	if err := s.checkEnabled(); err != nil {
		return SignIn{}, err
	}
	now := s.now()
	challenge, err := s.challengeOf(signInID)
	if err != nil {
		return SignIn{}, err
	}
	owned, found, err := s.find(ctx, a.RawID)
	if err != nil {
		return SignIn{}, err
	}
	if !found {
		owned = s.decoyFor(a)
	}
	counter, no := s.verifyAssertion(owned, challenge, a)
	began, ok := beganAt(signInID)
	switch {
	case no != nil:
	case len(a.UserHandle) == 0:
		no = &refused{reason: "owner", err: ErrInvalid}
	case !ok || !now.Before(began.Add(Life)) || began.After(now.Add(clock.Slack)):
		no = &refused{reason: "expired", err: ErrInvalid}
	}
	if !found {
		s.Metrics.happened(unknown) // a caller without a known passkey writes nothing to the database
		return SignIn{}, ErrInvalid
	}
	return s.signIn(ctx, signInID, began, owned, counter, no, factor.Event{At: now, Action: "verifyPasskeySignIn", Subject: owned.Subject, RequestID: requestID})
}

// signIn records the answer of a known passkey, and returns the proof when it is right.
func (s *Service) signIn(ctx context.Context, signInID string, began time.Time, o Owned, counter uint32, no *refused, e factor.Event) (SignIn, error) {
	claims := proof.Claims{ID: id.New("prf"), Subject: o.Subject, Client: s.SignsInTo, Factor: auth.FactorPasskey, At: e.At, Methods: o.methods()}
	take := func(ctx context.Context, tx Tx) error {
		if no != nil {
			return nil // only a right answer uses up a sign-in
		}
		taken, err := tx.TakeSignIn(ctx, signInID, began, began.Add(Life))
		if err == nil && !taken {
			return ErrGone
		}
		return err
	}
	err := s.settle(ctx, use{take: take, owned: o, counter: counter, refused: no, event: e, proofID: claims.ID, signIn: true})
	if errors.Is(err, ErrGone) {
		return SignIn{}, s.refuse(ctx, use{take: nothing, owned: o, event: e, signIn: true}, "used", ErrInvalid)
	}
	if err != nil {
		return SignIn{}, err
	}
	token, err := s.ProofKey.SignIn(claims)
	if err != nil {
		return SignIn{}, err
	}
	return SignIn{Proof: token, Expires: claims.Expires()}, nil
}
