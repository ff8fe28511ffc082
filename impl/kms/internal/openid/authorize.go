package openid

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/auditlog"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/session"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/tried"
)

// Status is the result of an authorization request.
type Status string

// The results of an authorization request.
const (
	Redirect        Status = "redirect"         // the browser goes back to the client
	SignInRequired  Status = "sign_in_required" // a fresh sign-in
	FactorRequired  Status = "factor_required"
	ConsentRequired Status = "consent_required"
)

// Answer is the result of an authorization request, for the page.
type Answer struct {
	Status   Status
	Client   Client
	Location string   // only with Redirect
	Scopes   []string // to ask consent for
}

// Consent is the person's decision on the consent page.
type Consent string

// The decisions on the consent page.
const (
	Unsaid  Consent = ""
	Granted Consent = "granted"
	Denied  Consent = "denied"
)

// codeLife is how long a code can be exchanged (RFC 6749, section 4.1.2, recommends at most ten minutes).
const codeLife = 60 * time.Second

// Check checks a request before the person has signed in. An unregistered client or redirect URI is domain.ValidationFailed.
func (p *Provider) Check(ctx context.Context, r Request) (_ Answer, err error) {
	defer tried.To(&err, "check authorization request")
	j, err := p.checkRequest(ctx, p.DB.Read(ctx), r, authority.Unlocked)
	if err != nil {
		return Answer{}, err
	}
	if j.fault == nil && j.hasPrompt("none") {
		j.fault = &fault{"login_required", "Nobody is signed in."}
	}
	if j.fault != nil {
		return Answer{Status: Redirect, Client: j.client, Location: p.failure(r, *j.fault)}, nil
	}
	return Answer{Status: SignInRequired, Client: j.client}, nil
}

// Authorize issues a code for a client and the person of the caller's session, or returns what is missing. The whole request is checked again, since it comes
// from the page. The caller's token must be from a person's own session (else domain.Forbidden).
func (p *Provider) Authorize(ctx context.Context, caller *auth.Principal, r Request, said Consent) (answer Answer, err error) {
	defer tried.To(&err, "authorize client")
	if caller.SessionID == "" || caller.ClientID != signing.LoginClient {
		return Answer{}, domain.Refuse(domain.Forbidden, "Only a person's own session can sign in to a web app.")
	}
	err = p.DB.Write(ctx, func(ctx context.Context, tx *store.Tx) error {
		held, err := p.Standing.Hold(ctx, tx, caller)
		if err != nil {
			return err
		}
		j, err := p.checkRequest(ctx, tx, r, authority.Shared)
		if err != nil {
			return err
		}
		answer = Answer{Client: j.client, Scopes: j.grantable(held.Caller)}
		asked, err := p.Standing.SecondFactor(ctx, tx, held.Caller)
		if err != nil {
			return err
		}
		// The requirement may have been added after the session began, whose tokens are valid for minutes.
		j.factor = asked.Always && !(contract.ACRSatisfies(caller.ACR, contract.ACRSecondFactor) && asked.AcceptsAtSignIn(caller.Factor))
		status, f, err := p.missing(ctx, tx, caller, j, answer.Scopes, said)
		switch {
		case err != nil:
			return err
		case f != nil:
			answer.Status, answer.Location = Redirect, p.failure(r, *f)
			return nil
		case status != Redirect:
			answer.Status = status
			return nil
		}
		return p.grant(ctx, tx, caller, j, &answer, said)
	})
	if err != nil {
		return Answer{}, err
	}
	return answer, nil
}

// missing returns what a request still needs; Redirect when it needs nothing. With prompt=none, and when the person has refused, the result is a fault that is
// reported to the client.
func (p *Provider) missing(ctx context.Context, tx *store.Tx, caller *auth.Principal, j checkedRequest, scopes []string, said Consent) (Status, *fault, error) {
	if j.fault != nil {
		return "", j.fault, nil
	}
	if said == Denied {
		return "", &fault{"access_denied", "The person has not given consent."}, nil
	}
	unlessNone := func(s Status, f fault) (Status, *fault, error) {
		if j.hasPrompt("none") {
			return "", &f, nil
		}
		return s, nil, nil
	}
	now := p.Clock.Now()
	if j.IDTokenHint != "" {
		hint, err := auth.VerifyIDHint(ctx, j.IDTokenHint, p.Mint.Issuer, p.Ring.Hints(), p.Clock)
		if errors.Is(err, store.ErrUnavailable) {
			return "", nil, err
		}
		if err != nil || hint.Subject != caller.Subject {
			return "", &fault{"login_required", "The signed-in person is not the one in the hint."}, nil
		}
	}
	if age := now.Sub(caller.AuthTime); j.maxAge > 0 && (age > j.maxAge || age < -auth.Leeway) {
		return unlessNone(SignInRequired, fault{"login_required", "The sign-in is too old."})
	}
	if j.factor || len(j.acr) > 0 && !slices.ContainsFunc(j.acr, func(acr string) bool { return contract.ACRSatisfies(caller.ACR, acr) }) {
		return unlessNone(FactorRequired, fault{"unmet_authentication_requirements", "The sign-in does not have the required level."})
	}
	if said == Granted || j.client.Trusted && !j.hasPrompt("consent") {
		return Redirect, nil, nil
	}
	given, err := p.Rows.Consent(ctx, tx, caller.Subject, j.client.ID)
	if err != nil {
		return "", nil, fmt.Errorf("read consent: %w", err)
	}
	if j.hasPrompt("consent") || !authority.Covers(given, scopes) {
		return unlessNone(ConsentRequired, fault{"consent_required", "The person has not given consent yet."})
	}
	return Redirect, nil, nil
}

// grant stores the consent and issues the code. The person's session and the client are locked.
func (p *Provider) grant(ctx context.Context, tx *store.Tx, caller *auth.Principal, j checkedRequest, answer *Answer, said Consent) error {
	now := domain.Now(p.Clock)
	if said == Granted {
		given, err := p.Rows.Consent(ctx, tx, caller.Subject, j.client.ID)
		if err != nil {
			return fmt.Errorf("read consent: %w", err)
		}
		all := append(given, answer.Scopes...)
		slices.Sort(all)
		if err := p.Rows.PutConsent(ctx, tx, caller.Subject, j.client.ID, slices.Compact(all), now); err != nil {
			return fmt.Errorf("store consent: %w", err)
		}
	}
	text := "ac_" + random()
	c := Code{
		ClientID: j.client.ID, SessionID: caller.SessionID, UserID: caller.Subject, RedirectURI: j.RedirectURI, Challenge: j.CodeChallenge, Nonce: j.Nonce,
		Scopes: answer.Scopes, Level: levelOf(caller), AuthTime: caller.AuthTime, CreatedAt: now, ExpiresAt: now.Add(codeLife),
	}
	if err := p.Rows.InsertCode(ctx, tx, hashOf(text), c); err != nil {
		return fmt.Errorf("store code: %w", err)
	}
	answer.Status, answer.Location = Redirect, p.location(j.Request, url.Values{"code": {text}})
	return p.audit.Append(ctx, tx, auditlog.Event{Action: "authorizeClient", Target: j.client.ID, Detail: map[string]string{
		"session": caller.SessionID, "scopes": strings.Join(answer.Scopes, " "),
	}})
}

// levelOf returns the level of a token that is higher than a password's; otherwise the zero Level.
func levelOf(caller *auth.Principal) session.Level {
	if !contract.ACRSatisfies(caller.ACR, contract.ACRSecondFactor) {
		return session.Level{}
	}
	return session.Level{ACR: caller.ACR, AMR: caller.AMR, Factor: caller.Factor, At: caller.AuthTime}
}
