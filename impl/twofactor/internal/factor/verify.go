package factor

import (
	"context"
	"time"

	"github.com/fountainai/fountain/impl/twofactor/internal/proof"
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
	claims := proof.Claims{ID: id.New("prf"), Subject: c.Subject, Client: c.Client, Session: c.Session, At: now}
	_, err = s.try(ctx, c.Subject, c.Session, code, Event{
		At: now, Action: "verifyOtp", Subject: c.Subject, RequestID: c.RequestID, Detail: map[string]string{"proof": claims.ID},
	})
	if err != nil {
		return Proof{}, err
	}
	token, err := s.ProofKey.Sign(claims)
	if err != nil {
		return Proof{}, err
	}
	return Proof{Token: token, ACR: proof.ACR, AMR: []string{proof.AMR}, AuthTime: now.Truncate(time.Second), Expires: claims.Expires()}, nil
}
