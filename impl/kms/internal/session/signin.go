package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// SignedIn is the result of a sign-in with a correct password.
type SignedIn struct {
	signing.Issued
	Waits *Wait // nil: the sign-in is complete
}

// Wait describes a sign-in that still requires its second factor. Its token has only the scopes of authority.SigningIn.
type Wait struct {
	Until   time.Time
	Factors []string // the accepted types; nil: all but sent codes
}

// wait starts a session that waits for its second factor. The transaction has locked the user's row.
func (s *Sessions) wait(ctx context.Context, tx *store.Tx, owner authority.Owner, asked authority.SecondFactor) (SignedIn, error) {
	now := domain.Now(s.Clock)
	f := Family{
		ID: id.New("ses"), UserID: owner.ID, ClientID: signing.LoginClient,
		AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(waitLife), Waits: true, UserAgent: agent(ctx),
	}
	if err := s.Rows.InsertFamily(ctx, tx, f); err != nil {
		return SignedIn{}, fmt.Errorf("begin session that waits: %w", err)
	}
	scopes := authority.SigningIn()
	issued, err := s.Mint.Issue(signing.Grant{
		Subject: owner.ID, Username: owner.Name, Kind: auth.KindUser, ClientID: f.ClientID, SessionID: f.ID, Epoch: owner.Epoch,
		Scopes: scopes, Audience: s.Mint.Catalogue.Audience(scopes), Roles: owner.Roles, Tenant: owner.Tenant,
		ACR: contract.ACRPassword, AMR: []string{"pwd"}, AuthTime: f.AuthTime, Life: waitLife,
	})
	if err != nil {
		return SignedIn{}, err
	}
	return SignedIn{issued, &Wait{Until: f.ExpiresAt, Factors: asked.AtSignIn()}}, s.audit.Append(ctx, tx, auditlog.Event{
		Action: "loginUser", Actor: owner.ID, Kind: auth.KindUser, Target: owner.ID,
		Detail: auditlog.Granted(map[string]string{"session": f.ID, "waits": "for a second factor"}, scopes, nil),
	})
}

// started issues the first tokens of a completed sign-in: an access token of its level, and a refresh token.
func (s *Sessions) started(ctx context.Context, tx *store.Tx, owner authority.Owner, f Family, raised bool, now time.Time) (signing.Issued, error) {
	issued, err := s.access(owner, f, raised, signing.Request{})
	if err != nil {
		return signing.Issued{}, err
	}
	issued.Refresh = newRefresh()
	if err := s.Rows.InsertToken(ctx, tx, refreshHash(issued.Refresh), f.ID, now, now.Add(idleLife)); err != nil {
		return signing.Issued{}, fmt.Errorf("store refresh token: %w", err)
	}
	return issued, nil
}

// CompleteSignIn ends the wait of the caller's session. It takes a second-factor proof of that session (else domain.InvalidProof), which can be used once
// (domain.ProofUsed), of a factor type that every role of the user accepts (domain.FactorNotAccepted). A session that does not wait is refused with
// domain.StateConflict, one that has ended with domain.Ended.
func (s *Sessions) CompleteSignIn(ctx context.Context, caller *auth.Principal, proof string) (issued signing.Issued, err error) {
	defer tried.To(&err, "complete sign-in")
	claims, err := auth.VerifyProof(ctx, proof, s.ProofKeys, s.Clock)
	if err != nil {
		return signing.Issued{}, err
	}
	if err := checkProof(claims, caller); err != nil {
		return signing.Issued{}, err
	}
	if !contract.ACRSatisfies(claims.ACR, contract.ACRSecondFactor) {
		return signing.Issued{}, invalidProof("its level is not that of a second factor")
	}
	var refused error
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, waits, err := s.Standing.HoldSigningIn(ctx, tx, caller)
		if err != nil {
			return err
		}
		if !waits {
			return domain.Refuse(domain.StateConflict, "The sign-in is complete.")
		}
		event := auditlog.Event{Action: "completeSignIn", Target: caller.SessionID, Detail: map[string]string{"acr": claims.ACR, "factor": claims.Factor}}
		if refused, err = s.takeProof(ctx, tx, held.Caller, claims, authority.SecondFactor.AcceptsAtSignIn); err != nil {
			return err
		}
		if refused != nil {
			event.Outcome, event.Detail["security"] = auditlog.Denied, refusalReason(refused)
			return s.audit.Append(ctx, tx, event)
		}
		if issued, err = s.complete(ctx, tx, held.Caller, caller, claims); err != nil {
			return err
		}
		event.Detail = auditlog.Granted(event.Detail, issued.Scopes, held.Caller.Roles)
		return s.audit.Append(ctx, tx, event)
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return signing.Issued{}, err
	}
	return issued, nil
}

// takeProof marks a proof as used, unless accepts rejects its type of factor. The refusal is returned separately from err, so that the caller can
// commit its audit event first.
func (s *Sessions) takeProof(ctx context.Context, tx *store.Tx, owner authority.Owner, claims *auth.ProofClaims, accepts func(authority.SecondFactor, string) bool) (refused, err error) {
	asked, err := s.Standing.SecondFactor(ctx, tx, owner)
	if err != nil {
		return nil, err
	}
	if !accepts(asked, claims.Factor) {
		return authority.FactorNotAccepted(), nil
	}
	// The record is kept until the proof has expired by every clock, including those that are off by the leeway.
	fresh, err := s.Rows.UseProof(ctx, tx, claims.ID, claims.ExpiresAt.Add(2*auth.Leeway))
	if err != nil {
		return nil, fmt.Errorf("use proof: %w", err)
	}
	if !fresh {
		return domain.Refuse(domain.ProofUsed, "The proof was used before."), nil
	}
	return nil, nil
}

// refusalReason returns the reason of a refusal of takeProof for the audit log.
func refusalReason(refused error) string {
	if errors.Is(refused, domain.ProofUsed) {
		return "proof used twice"
	}
	return "factor is not accepted"
}

// complete raises the waiting session to the level of the proof and issues its tokens.
func (s *Sessions) complete(ctx context.Context, tx *store.Tx, owner authority.Owner, caller *auth.Principal, claims *auth.ProofClaims) (signing.Issued, error) {
	now := domain.Now(s.Clock)
	level := Level{ACR: claims.ACR, AMR: methods(caller.AMR, claims.AMR), Factor: claims.Factor, At: time.Unix(claims.AuthTime, 0)}
	f, first, err := s.Rows.Complete(ctx, tx, caller.SessionID, level, now, now.Add(absoluteLife))
	if err != nil {
		return signing.Issued{}, fmt.Errorf("end the wait of a session: %w", err)
	}
	if !first {
		return signing.Issued{}, authority.Ended()
	}
	return s.started(ctx, tx, owner, f, true, now)
}

// SignInWithPasskey starts a session with the proof that twofactor issues for a passkey alone. Every refusal is the same domain.InvalidCredentials,
// whether the proof is invalid or used, the user unknown or disabled, or a role of the user accepts no passkey.
func (s *Sessions) SignInWithPasskey(ctx context.Context, proof string) (issued signing.Issued, err error) {
	defer tried.To(&err, "sign in with a passkey")
	claims, err := auth.VerifySignInProof(ctx, proof, s.ProofKeys, s.Clock)
	if err != nil && !errors.Is(err, auth.ErrInvalidProof) {
		return signing.Issued{}, err
	}
	if err != nil || claims.AuthorizedParty != signing.LoginClient || claims.Factor != auth.FactorPasskey {
		return signing.Issued{}, s.refusePasskey(ctx)
	}
	known, good := false, false
	err = s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		owner, active, err := s.Active(ctx, tx, claims.Subject)
		if known = active; err != nil || !active {
			return err
		}
		event := auditlog.Event{Action: "signInWithPasskey", Actor: owner.ID, Kind: auth.KindUser, Target: owner.ID}
		refused, err := s.takeProof(ctx, tx, owner, claims, authority.SecondFactor.AcceptsAtSignIn)
		if err != nil {
			return err
		}
		if good = refused == nil; !good {
			event.Outcome, event.Detail = auditlog.Denied, map[string]string{"security": refusalReason(refused)}
			return s.audit.Append(ctx, tx, event)
		}
		f := s.byPasskey(claims)
		f.UserAgent = agent(ctx)
		if err := s.Rows.InsertFamily(ctx, tx, f); err != nil {
			return fmt.Errorf("begin session: %w", err)
		}
		if issued, err = s.started(ctx, tx, owner, f, true, f.CreatedAt); err != nil {
			return err
		}
		event.Detail = auditlog.Granted(map[string]string{"session": f.ID, "acr": f.Level.ACR}, issued.Scopes, owner.Roles)
		return s.audit.Append(ctx, tx, event)
	})
	if err != nil {
		return signing.Issued{}, err
	}
	switch {
	case !known:
		return signing.Issued{}, s.refusePasskey(ctx)
	case !good:
		return signing.Issued{}, noPasskey()
	}
	return issued, nil
}

// byPasskey returns the new session for the proof of a passkey.
func (s *Sessions) byPasskey(claims *auth.ProofClaims) Family {
	now, at := domain.Now(s.Clock), time.Unix(claims.AuthTime, 0)
	return Family{
		ID: id.New("ses"), UserID: claims.Subject, ClientID: signing.LoginClient, AuthTime: at, CreatedAt: now, ExpiresAt: now.Add(absoluteLife),
		Level: Level{ACR: claims.ACR, AMR: claims.AMR, Factor: claims.Factor, At: at},
	}
}

// refusePasskey records a refused sign-in and returns the refusal.
func (s *Sessions) refusePasskey(ctx context.Context) error {
	err := s.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		return s.Refusals.Append(ctx, tx, auditlog.Event{Action: "signInWithPasskey"})
	})
	if err != nil {
		return fmt.Errorf("record refused sign-in: %w", err)
	}
	return noPasskey()
}

func noPasskey() error {
	return domain.Refuse(domain.InvalidCredentials, "This passkey can't be used to sign in.")
}
