// Package authority defines which scopes each role grants, which service each scope belongs to, and which services make up the family. It is
// the only source of these facts.
package authority

import (
	"maps"
	"slices"
	"sort"
)

// The built-in roles of users.
const (
	RoleAdmin  = "admin"
	RoleEditor = "editor"
	RoleReader = "reader"
)

// own are the scopes that every user has for their own session, factors, sent codes and API keys.
var own = []string{"session:manage", "factors:manage", "challenges:use", "keys:read", "keys:write"}

// CompleteSignIn is the scope to complete one's own sign-in with a second factor. No role grants it.
const CompleteSignIn = "session:complete"

// SigningIn returns the scopes of a token whose session waits for its second factor. They allow the user to obtain a proof, enrol a first factor,
// and complete or cancel the sign-in.
func SigningIn() []string { return []string{"challenges:use", "factors:manage", CompleteSignIn} }

// roleScopes maps each built-in role to its scopes. admin has every scope that some operation open to users requires.
var roleScopes = map[string][]string{
	RoleAdmin: slices.Concat(own, []string{
		"audit:read", "audit:write", "signing-keys:read", "signing-keys:write", "root-key:read", "root-key:write", "upkeep:read", "keyrings:read", "keyrings:write", "keyrings:use", "users:read", "users:write", "services:read", "services:write", "contracts:read", "keys:verify", "secrets:read", "secrets:write", "secret-policies:read", "secret-policies:write",
		"elements:read", "elements:write", "collections:read", "collections:write", "documents:write", "documents:search", "deliveries:read",
	}),
	RoleEditor: slices.Concat(own, []string{"elements:read", "elements:write", "documents:search", "collections:read"}),
	RoleReader: slices.Concat(own, []string{"elements:read", "documents:search", "collections:read"}),
}

// BuiltIn reports whether the role is built in, not defined by an administrator.
func BuiltIn(role string) bool { return roleScopes[role] != nil }

// BuiltIns returns the built-in roles, sorted.
func BuiltIns() []string { return slices.Sorted(maps.Keys(roleScopes)) }

// Definitions are the roles defined by administrators, each with its scopes, and the scopes declared by registered services.
type Definitions struct {
	Roles    map[string][]string
	Declared []string
}

// ScopesOf returns the union of the scopes that the roles grant, sorted. Every role includes what each user may do with their own
// objects; admin includes all declared scopes.
func ScopesOf(roles []string, d Definitions) []string {
	var all []string
	for _, role := range roles {
		switch {
		case role == RoleAdmin:
			all = append(append(all, roleScopes[role]...), d.Declared...)
		case BuiltIn(role):
			all = append(all, roleScopes[role]...)
		case d.Roles[role] != nil:
			all = append(append(all, own...), d.Roles[role]...)
		}
	}
	sort.Strings(all)
	return slices.Compact(all)
}

// ReadAudit is the scope to read and verify the audit trail. A defined role may carry it, so an auditor need not be an administrator.
const ReadAudit = "audit:read"

// secretScopes are the scopes for secrets. A role gains nothing by them until a policy says which secrets it may use.
var secretScopes = []string{"secrets:read", "secrets:write"}

// Assignable reports whether a defined role may carry a scope of the family: one of sequence or search that users may have, ReadAudit, or one
// for secrets. Administrators' other rights at the kms and twofactor cannot be granted piecemeal.
func (c *Catalogue) Assignable(scope string) bool {
	return slices.Contains(secretScopes, scope) || c.Delegable(scope)
}

// Delegable reports whether a web app may have a scope of the family on behalf of its users: one that is Assignable, except those for secrets,
// which are never read through an app.
func (c *Catalogue) Delegable(scope string) bool {
	word := c.owner[scope]
	return scope == ReadAudit || word != "" && word != "kms" && word != Twofactor && slices.Contains(roleScopes[RoleAdmin], scope)
}

// RotateOwn is the scope that every key of a service carries in addition to its own scopes: to rotate itself.
const RotateOwn = "keys:rotate-own"

// Twofactor is the one service that may register proof keys.
const Twofactor = "twofactor"

// Gateway is the one service that may read the contracts of adopted services.
const Gateway = "gateway"

// Member is a service of the family, which the kms registers itself.
type Member struct {
	Name   string
	Scopes []string
}

// Family lists the services that the kms registers and issues enrolment tokens to.
func Family() []Member {
	return []Member{
		{Twofactor, []string{"invitations:use", "keyrings:use", "mails:deliver", "proofs:register", "revocations:read"}},
		{"search", []string{"keyrings:use", "revocations:read", "secrets:read", "secrets:write"}},
		{"sequence", []string{"collections:read", "collections:write", "documents:search", "documents:write", "keyrings:use", "revocations:read"}},
		{Gateway, []string{"contracts:read", "revocations:read"}},
	}
}
