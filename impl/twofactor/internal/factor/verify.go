package factor

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Verify accepts a code of any active factor of the caller, once, and returns a proof for the caller's session. A wrong, used or too old code, and a
// subject without factors, are ErrInvalidCode alike; a locked subject is TooManyAttempts.
//
// The attempt is counted before the code is compared, the step is marked where the count is, and the verdict leaves after the commit of both. So a crash
// opens nothing, and who gets no answer has learned nothing.
func (s *Service) Verify(ctx context.Context, c Caller, code string) (_ Proof, err error) {
	defer tried.To(&err, "verify code")
	if c.Session == "" {
		return Proof{}, ErrNoSession
	}
	now := s.Clock.Now()
	claims := s.claims(c, auth.FactorTOTP, now)
	_, err = s.try(ctx, c.Subject, c.Session, false, code, Event{
		At: now, Action: "verifyOtp", Subject: c.Subject, RequestID: c.RequestID, Address: c.Address, Detail: map[string]string{"proof": claims.ID},
	})
	if err != nil {
		return Proof{}, err
	}
	return s.prove(claims)
}

// claims are those of a proof that the caller gave a right code of a factor of this type now.
func (s *Service) claims(c Caller, factor string, now time.Time) proof.Claims {
	return proof.Claims{ID: id.New("prf"), Subject: c.Subject, Client: c.Client, Session: c.Session, Factor: factor, At: now}
}

// prove signs a proof.
func (s *Service) prove(claims proof.Claims) (Proof, error) {
	token, err := s.ProofKey.Sign(claims)
	if err != nil {
		return Proof{}, err
	}
	return Proof{Token: token, ACR: proof.ACR, AMR: []string{proof.AMR}, AuthTime: claims.At.Truncate(time.Second), Expires: claims.Expires()}, nil
}

// Verified says that a subject's code was right.
type Verified struct {
	FactorID string
	ACR      string
	AMR      []string
	AuthTime time.Time
}

// VerifyFor accepts a code of a subject, once, for a service that asked the person for it. session is the sign-in at the service in which it was given; "" is none of which
// more is known. Whether there is such a subject can't be told from the answer.
func (s *Service) VerifyFor(ctx context.Context, c Caller, subject, session, code string) (_ Verified, err error) {
	defer tried.To(&err, "verify code for service")
	passing := session == ""
	if passing {
		session = id.New("try")
	}
	now := s.Clock.Now()
	used, err := s.try(ctx, subject, c.Subject+" "+session, passing, code, Event{
		At: now, Action: "verifyOtpFor", Subject: c.Subject, RequestID: c.RequestID, Address: c.Address, Service: true,
	})
	if err != nil {
		return Verified{}, err
	}
	return Verified{FactorID: used.ID, ACR: proof.ACR, AMR: []string{proof.AMR}, AuthTime: now.Truncate(time.Second)}, nil
}
