package session

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// StepUp exchanges a second-factor proof for an access token of the proof's level, for one service, without a refresh token. The proof must be for
// the caller's user, session and client (domain.InvalidProof), and of a factor type that the user's roles accept (domain.FactorNotAccepted). It can be
// used once (domain.ProofUsed).
func (s *Sessions) StepUp(ctx context.Context, caller *auth.Principal, proof, resource string) (_ signing.Issued, err error) {
	defer tried.To(&err, "step up")
	word, family := s.Mint.Catalogue.Resource(resource)
	if !family {
		word = resource // a registered service's name, or one for which no scope is found below
	}
	claims, err := auth.VerifyProof(ctx, proof, s.ProofKeys, s.Clock)
	if err != nil {
		return signing.Issued{}, err
	}
	if err := checkProof(claims, caller); err != nil {
		return signing.Issued{}, err
	}
	var grant signing.Grant
	var refused error
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := s.Standing.Hold(ctx, tx, caller)
		if err != nil {
			return err
		}
		if grant, err = s.raised(held.Caller, caller, claims, word); err != nil {
			if !family && errors.Is(err, domain.InsufficientScope) {
				return domain.Refuse(domain.ValidationFailed, "The resource is not a service, or none of this session's scopes is for it.").
					WithField("body", "/resource", "enum", "must be the word or the URI of a service, or the name of a registered one")
			}
			return err
		}
		if refused, err = s.takeProof(ctx, tx, held.Caller, claims, authority.SecondFactor.Accepts); err != nil {
			return err
		}
		event := auditlog.Event{Action: "completeStepUp", Target: caller.SessionID, Detail: auditlog.Granted(map[string]string{"acr": claims.ACR, "audience": word}, grant.Scopes, grant.Roles)}
		if refused != nil {
			event.Outcome, event.Detail = auditlog.Denied, map[string]string{"security": refusalReason(refused)}
		}
		return s.audit.Append(ctx, tx, event)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return signing.Issued{}, err
	}
	return s.Mint.Issue(grant)
}

// checkProof checks that the proof was issued for this caller and that its level and factor are consistent. auth.VerifyProof has already verified its
// signature and times.
func checkProof(c *auth.ProofClaims, caller *auth.Principal) error {
	switch {
	case caller.SessionID == "":
		return invalidProof("the caller's token belongs to no session")
	case c.Subject != caller.Subject || c.SessionID != caller.SessionID || c.AuthorizedParty != caller.ClientID:
		return invalidProof("it belongs to another session")
	case !contract.ACRSatisfies(c.ACR, contract.ACRPassword):
		return invalidProof("its level is unknown")
	case contract.ACRSatisfies(c.ACR, contract.ACRPhishingResistant) && c.Factor != auth.FactorPasskey:
		return invalidProof("its factor is not of its level")
	}
	return nil
}

func invalidProof(why string) error {
	return domain.Refuse(domain.InvalidProof, "The second-factor proof is not valid.").Because(errors.New(why))
}

// raised returns the grant of a step-up: the user's scopes at the one service that the caller's token carries too. The token of a session carries no
// scopes of registered services. For those it must carry all scopes that the user has at the kms, which shows that it was not narrowed.
func (s *Sessions) raised(u authority.Owner, caller *auth.Principal, c *auth.ProofClaims, word string) (signing.Grant, error) {
	catalogue := s.Mint.Catalogue
	scopes := catalogue.Within(word, u.Scopes)
	if len(catalogue.Family(scopes)) > 0 || !authority.Covers(caller.Scopes, catalogue.Within("kms", u.Scopes)) {
		scopes = authority.Both(scopes, caller.Scopes)
	}
	if len(scopes) == 0 {
		return signing.Grant{}, domain.Refuse(domain.InsufficientScope, "None of this session's scopes is for the service.")
	}
	return signing.Grant{
		Subject: u.ID, Username: u.Name, Kind: auth.KindUser, ClientID: caller.ClientID, SessionID: caller.SessionID, Epoch: u.Epoch,
		Scopes: scopes, Audience: []string{word}, Roles: u.Roles, Tenant: u.Tenant,
		ACR: c.ACR, AMR: methods(caller.AMR, c.AMR), Factor: c.Factor, AuthTime: time.Unix(c.AuthTime, 0), Life: signing.StepUpLife,
	}, nil
}

// methods returns the authentication methods of a sign-in and of a proof (RFC 8176), without duplicates.
func methods(before, proved []string) []string {
	amr := slices.Clone(before)
	for _, method := range proved {
		if !slices.Contains(amr, method) {
			amr = append(amr, method)
		}
	}
	return amr
}
