package handlers

import (
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/apikey"
	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/credential"
	"github.com/fountainai/fountain/impl/kms/internal/role"
	"github.com/fountainai/fountain/impl/kms/internal/service"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/impl/kms/internal/user"
	"github.com/fountainai/fountain/internal/page"
)

const (
	defaultLimit = 50
	maxLimit     = 200
)

func limit(p *int32) int {
	if p == nil {
		return defaultLimit
	}
	n := int(*p)
	return page.Limit(&n, defaultLimit, maxLimit)
}

func text[T ~string](p *T) string {
	if p == nil {
		return ""
	}
	return string(*p)
}

// present returns a pointer to s, nil when it is empty.
func present(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// list returns an empty list for nil, which JSON would encode as null.
func list(words []string) []string {
	if words == nil {
		return []string{}
	}
	return words
}

func tokenBody(t signing.Issued) kmsapi.TokenResponse {
	return kmsapi.TokenResponse{
		AccessToken: t.Access, TokenType: kmsapi.TokenResponseTokenTypeBearer, ExpiresIn: int64(t.ExpiresIn / time.Second),
		RefreshToken: present(t.Refresh), Scope: strings.Join(t.Scopes, " "),
	}
}

func userBody(u user.User) kmsapi.User {
	return kmsapi.User{
		ID: u.ID, Username: u.Username, Roles: list(u.Roles), Tenant: present(u.Tenant), Status: kmsapi.UserStatus(u.Status), Version: u.Version,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Email: present(u.Email),
	}
}

func createdBody(c user.Created) kmsapi.UserCreated {
	u := userBody(c.User)
	body := kmsapi.UserCreated{
		ID: u.ID, Username: u.Username, Roles: u.Roles, Tenant: u.Tenant, Status: kmsapi.UserCreatedStatus(u.Status), Version: u.Version,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Email: u.Email,
	}
	if c.Invitation.Token != "" {
		invitation := invitationBody(c.Invitation)
		body.Invitation = &invitation
	}
	return body
}

func invitationBody(i user.Invitation) kmsapi.Invitation {
	return kmsapi.Invitation{Token: i.Token, ExpiresAt: i.ExpiresAt}
}

func serviceBody(s service.Service) kmsapi.Service {
	body := kmsapi.Service{
		ID: s.ID, Name: s.Name, Scopes: list(s.Scopes), DeclaredScopes: list(s.Declared), Tenant: present(s.Tenant),
		Status: kmsapi.ServiceStatus(s.Status), Version: s.Version, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
	if !s.LastUsedAt.IsZero() {
		body.LastUsedAt = &s.LastUsedAt
	}
	return body
}

func roleBody(r role.Role) kmsapi.Role {
	body := kmsapi.Role{Name: r.Name, Scopes: list(r.Scopes), BuiltIn: r.BuiltIn(), SecondFactor: policyBody(r.SecondFactor), Version: new(r.Tag())}
	if !r.BuiltIn() {
		body.CreatedAt, body.UpdatedAt = &r.CreatedAt, &r.UpdatedAt
	}
	return body
}

func policyBody(p authority.SecondFactor) kmsapi.SecondFactorPolicy {
	body := kmsapi.SecondFactorPolicy{Required: kmsapi.SecondFactorPolicyRequiredOnOperations, Factors: factorWords(p.Factors)}
	if p.Always {
		body.Required = kmsapi.SecondFactorPolicyRequiredAlways
	}
	if p.MaxAge > 0 {
		body.MaxAge = new(int64(p.MaxAge / time.Second))
	}
	return body
}

func policyOf(body kmsapi.SecondFactorPolicyPut) authority.SecondFactor {
	p := authority.SecondFactor{Always: body.Required == kmsapi.SecondFactorPolicyPutRequiredAlways}
	if body.Factors != nil {
		for _, factor := range *body.Factors {
			p.Factors = append(p.Factors, string(factor))
		}
	}
	if body.MaxAge != nil {
		p.MaxAge = time.Duration(*body.MaxAge) * time.Second
	}
	return p
}

// factorWords converts types of factors; nil, which means all, stays nil.
func factorWords(types []string) *[]kmsapi.FactorWord {
	if types == nil {
		return nil
	}
	words := make([]kmsapi.FactorWord, len(types))
	for i, factor := range types {
		words[i] = kmsapi.FactorWord(factor)
	}
	return &words
}

func scopeBody(s authority.Scope) kmsapi.Scope {
	return kmsapi.Scope{Scope: s.Name, Service: s.Service, Description: present(s.Description)}
}

func enrolmentBody(e service.Enrolment) kmsapi.Enrolment {
	return kmsapi.Enrolment{Token: e.Token, ExpiresAt: e.ExpiresAt}
}

func keyBody(k apikey.Key, now time.Time) kmsapi.APIKey {
	body := kmsapi.APIKey{
		ID: k.ID, Name: k.Name, Start: k.Start, OwnerKind: kmsapi.APIKeyOwnerKind(k.Owner.Kind), OwnerID: k.Owner.ID,
		Tenant: present(k.Tenant), Scopes: list(k.Scopes), Status: kmsapi.APIKeyStatus(k.Status(now)), CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
		Environment: kmsapi.APIKeyEnvironment(k.Environment()), Metadata: wordsOf(k.Metadata), Uses: k.Uses, Version: k.Version,
		ReplacedBy: present(k.ReplacedBy), RotatedFrom: present(k.ParentID), RootID: k.RootID, GrantedUntil: k.GrantedUntil,
	}
	if !k.LastUsedAt.IsZero() {
		body.LastUsedAt = &k.LastUsedAt
	}
	body.RateLimit = limitBody(k.Limit)
	return body
}

// limitBody returns nil for a key without a limit.
func limitBody(l apikey.RateLimit) *kmsapi.KeyRateLimit {
	if l.Uses == 0 {
		return nil
	}
	return &kmsapi.KeyRateLimit{Limit: l.Uses, WindowSeconds: int64(l.Window / time.Second)}
}

// wordsOf returns nil for empty metadata.
func wordsOf(words map[string]string) *kmsapi.KeyMetadata {
	if len(words) == 0 {
		return nil
	}
	return &words
}

func rotationBody(r apikey.Rotation, now time.Time) kmsapi.APIKeyRotation {
	return kmsapi.APIKeyRotation{APIKey: keyBody(r.Key, now), Key: r.Text, Replaces: r.Replaces, ReplacedExpiresAt: r.OldExpires}
}

func verdictBody(v *credential.Verdict) kmsapi.APIKeyVerdict {
	body := kmsapi.APIKeyVerdict{Valid: v.Code == credential.Valid, Code: kmsapi.APIKeyVerdictCode(v.Code)}
	if v.Key.ID == "" {
		return body
	}
	of := &struct { // a single allocation, since this is the most frequent answer
		keyID, ownerID string
		kind           kmsapi.APIKeyVerdictOwnerKind
		environment    kmsapi.APIKeyVerdictEnvironment
		scopes         []string
		expires        time.Time
	}{
		v.Key.ID, v.Key.Owner.ID, kmsapi.APIKeyVerdictOwnerKind(v.Key.Owner.Kind), kmsapi.APIKeyVerdictEnvironment(v.Key.Environment()), list(v.Scopes), v.Key.ExpiresAt,
	}
	body.KeyID, body.OwnerID, body.OwnerKind, body.Environment, body.Scopes, body.ExpiresAt = &of.keyID, &of.ownerID, &of.kind, &of.environment, &of.scopes, &of.expires
	body.Tenant, body.Metadata = present(v.Key.Tenant), wordsOf(v.Key.Metadata)
	if v.Rate.Limit > 0 {
		body.RateLimit = &kmsapi.KeyRateState{Limit: v.Rate.Limit, Remaining: v.Rate.Remaining, ResetAt: v.Rate.ResetAt}
	}
	return body
}

// bodies converts the items of a page.
func bodies[D, B any](items []D, convert func(D) B) []B {
	out := make([]B, len(items))
	for i, item := range items {
		out[i] = convert(item)
	}
	return out
}
