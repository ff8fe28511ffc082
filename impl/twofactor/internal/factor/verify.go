package factor

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/impl/twofactor/internal/totp"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Verify accepts a code of any active factor of the caller, once, and returns a proof for the caller's session. A wrong, used
// or too old code, and a subject without factors, are invalid_code alike; a locked factor is too_many_attempts.
//
// The attempt is counted and durable before the code is looked at; the step is marked by one statement that only one of
// many contenders can win. Nothing in between is kept in memory, so that a crash costs an attempt and opens nothing.
func (s *Service) Verify(ctx context.Context, c Caller, code string) (_ Proof, err error) {
	defer tried.To(&err, "verify code")
	if c.Session == "" {
		return Proof{}, Refuse(Forbidden, "A code raises a session, and this token belongs to none.")
	}
	now := s.Clock.Now()
	admission, err := s.Repository.Admit(ctx, c.Subject, len(code), now)
	if err != nil {
		return Proof{}, err
	}
	if len(admission.Records) == 0 {
		return Proof{}, admission.refusal(now)
	}
	found := s.match(ctx, admission, code, now)
	if found.winner == nil {
		return Proof{}, s.refuse(ctx, c, admission, found, now)
	}
	claims := proof.Claims{ID: id.New("prf"), Subject: c.Subject, Client: c.Client, Session: c.Session, At: now}
	token, err := s.ProofKey.Sign(claims)
	if err != nil {
		return Proof{}, err
	}
	err = s.use(ctx, c, admission, found, claims.ID, now)
	if errors.Is(err, errLost) {
		found.used = true
		return Proof{}, s.refuse(ctx, c, admission, found, now)
	}
	if err != nil {
		return Proof{}, err
	}
	return Proof{Token: token, ACR: proof.ACR, AMR: []string{proof.AMR}, AuthTime: now.Truncate(time.Second), Expires: claims.Expires()}, nil
}

// match is the result of comparing a code with every admitted factor.
type match struct {
	winner *Record
	step   int64
	used   bool  // the code belongs to a step that was used already
	broken error // a seed did not open
}

// match compares the code with every factor, whether or not one has matched before.
func (s *Service) match(ctx context.Context, a Admission, code string, now time.Time) match {
	var m match
	for i := range a.Records {
		r := &a.Records[i]
		seed, err := s.seed(r)
		if err != nil {
			s.Log.ErrorContext(ctx, "a factor's seed does not open", "factor", r.ID, "error", err)
			m.broken = err
			continue
		}
		step, ok, err := totp.Match(seed, r.Parameters, now, r.Drift, code)
		switch {
		case err != nil:
			m.broken = err
		case !ok || a.Decoy:
		case r.used(step, now):
			m.used = true
		case m.winner == nil:
			m.winner, m.step = r, step
		}
	}
	return m
}

// use marks the step, gives the other factors their attempt back, and records both with the proof's id.
func (s *Service) use(ctx context.Context, c Caller, a Admission, m match, proofID string, now time.Time) error {
	return s.Repository.Write(ctx, func(ctx context.Context, tx Tx) error {
		for i := range a.Records { // by id, so that two of them wait for each other in one direction only
			r := &a.Records[i]
			if r.ID != m.winner.ID {
				if err := tx.Refund(ctx, r.ID); err != nil {
					return err
				}
				continue
			}
			won, err := tx.Use(ctx, r.ID, m.step, now)
			if err != nil {
				return err
			}
			if !won {
				return errLost
			}
		}
		return tx.Audit(ctx, Event{
			At: now, Action: "verifyOtp", Subject: c.Subject, Target: m.winner.ID, RequestID: c.RequestID,
			Detail: map[string]string{"proof": proofID},
		})
	})
}

// refuse records why a code was not taken and answers the same whatever the reason. A used code is recorded as such:
// somebody else may have seen it.
func (s *Service) refuse(ctx context.Context, c Caller, a Admission, m match, now time.Time) error {
	why, attempts, target := "wrong", int64(0), ""
	for i := range a.Records {
		attempts = max(attempts, a.Records[i].Attempts)
	}
	switch {
	case a.Decoy:
		why, attempts = "no_factor", 0
	case m.used:
		why = "used"
	}
	if len(a.Records) == 1 && !a.Decoy {
		target = a.Records[0].ID
	}
	err := s.deny(ctx, Event{
		At: now, Action: "verifyOtp", Subject: c.Subject, Target: target, RequestID: c.RequestID, Detail: reason(why, attempts),
	})
	if err != nil {
		return err
	}
	if m.broken != nil {
		return m.broken
	}
	return invalidCode()
}

// reason is the detail of a refusal: why, how many in a row, and whether it locked the factor.
func reason(why string, attempts int64) map[string]string {
	detail := map[string]string{"reason": why, "attempts": strconv.FormatInt(attempts, 10)}
	if attempts > 0 && attempts%RoundCap == 0 {
		detail["locked"] = "true"
	}
	return detail
}
