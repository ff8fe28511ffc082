package twofactor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/twofactor/internal/factor"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/lifecycle"
)

// identity authenticates the service to the kms.
type identity interface {
	lifecycle.Identity
	Introspect(ctx context.Context, token string) (credential.Introspection, error)
}

// administratorRole is the kms's name of the role whose first factor needs an invitation.
const administratorRole = "admin"

// authority implements factor.Authority with calls to the kms.
type authority struct {
	identity identity
	kms      *kms.Client
}

// Standing implements factor.Authority.
func (a authority) Standing(ctx context.Context, token string) (factor.Standing, error) {
	known, err := a.identity.Introspect(ctx, token)
	if err != nil {
		return factor.Standing{}, fmt.Errorf("ask the kms about a session: %w", err)
	}
	return factor.Standing{
		Active: known.Active, Subject: known.Subject, Administrator: slices.Contains(known.Roles, administratorRole),
	}, nil
}

// CheckInvitation implements factor.Authority.
func (a authority) CheckInvitation(ctx context.Context, subject, invitation string) (string, error) {
	answer, err := a.kms.CheckInvitation(ctx, kms.InvitationCheck{UserID: subject, Token: invitation}, func(_ context.Context, r *http.Request) error {
		httpclient.MayRepeat(r) // the check changes nothing
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("check invitation: %w", err)
	}
	defer answer.Body.Close()
	if err := a.refusal(answer, http.StatusOK); err != nil {
		return "", fmt.Errorf("check invitation: %w", err)
	}
	var checked kms.InvitationChecked
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&checked); err != nil {
		return "", fmt.Errorf("read the checked invitation: %w", err)
	}
	return checked.InvitationID, nil
}

// maxAnswer is how many bytes of an answer are read at most.
const maxAnswer = 4096

// UseInvitation implements factor.Authority.
func (a authority) UseInvitation(ctx context.Context, subject, id, factorID string) error {
	answer, err := a.kms.UseInvitation(ctx, id, kms.InvitationUse{UserID: subject, FactorID: factorID})
	if err != nil {
		return fmt.Errorf("use invitation: %w", err)
	}
	defer answer.Body.Close()
	if err := a.refusal(answer, http.StatusNoContent); err != nil {
		return fmt.Errorf("use invitation: %w", err)
	}
	return nil
}

// refusal returns nil for the wanted status, factor.ErrInvitation when the kms refuses an invitation, and another error otherwise.
func (a authority) refusal(answer *http.Response, want int) error {
	if answer.StatusCode == http.StatusUnprocessableEntity {
		return factor.ErrInvitation
	}
	return a.answered(answer, want)
}

// answered returns nil for the wanted status, else an error. It drops a token that the kms no longer accepts, so that the next call gets a new one.
func (a authority) answered(answer *http.Response, want int) error {
	if answer.StatusCode == want {
		return nil
	}
	if answer.StatusCode == http.StatusUnauthorized {
		a.identity.Forget(auth.ProofAudience)
	}
	return fmt.Errorf("the kms answered %d", answer.StatusCode)
}
