package factor

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/tried"
)

// Verify accepts a code of any active TOTP factor of the caller, once, and returns a proof for the caller's session. A wrong, used or too old code, and a
// subject without factors, all give ErrInvalidCode. A locked subject gives *TooManyAttempts.
//
// One commit counts a wrong code, or marks the step of a right one as used. The verdict is returned after that commit. So a crash makes no code valid again
// and hides no guess, and a caller who gets no answer has learned nothing.
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

// claims returns the claims of a proof that the caller gave a right code of a factor of this type at now.
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

// VerifyFor accepts a code of a subject, once, for a service that asked the person for it. session is the session at the service in which the code was given; "" when the
// service names none. The answer does not tell whether the subject exists.
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
