// Package authority says which scopes a role gives, which service each scope belongs to, and who the services of the family
// are. It is the only place that knows.
package authority

import (
	"maps"
	"slices"
	"sort"
)

// The roles of users.
const (
	RoleAdmin  = "admin"
	RoleEditor = "editor"
	RoleReader = "reader"
)

// own is what every user may do with what is theirs: session, factors, codes that are sent, and API keys.
var own = []string{"session:manage", "factors:manage", "challenges:use", "keys:read", "keys:write"}

// CompleteSignIn is the scope to end one's own sign-in with a second factor. No role gives it.
const CompleteSignIn = "session:complete"

// SigningIn is what a token carries whose session waits for its second factor: get a proof, enrol a first factor, end the sign-in or give it up.
func SigningIn() []string { return []string{"challenges:use", "factors:manage", CompleteSignIn} }

// roleScopes is the one table from roles to scopes. admin has every scope of which some operation is open to users.
var roleScopes = map[string][]string{
	RoleAdmin: slices.Concat(own, []string{
		"audit:read", "audit:write", "signing-keys:read", "signing-keys:write", "root-key:read", "root-key:write", "upkeep:read", "keyrings:read", "keyrings:write", "keyrings:use", "users:read", "users:write", "services:read", "services:write", "contracts:read", "keys:verify", "secrets:read", "secrets:write", "secret-policies:read", "secret-policies:write",
		"elements:read", "elements:write", "collections:read", "collections:write", "documents:write", "documents:search", "deliveries:read",
	}),
	RoleEditor: slices.Concat(own, []string{"elements:read", "elements:write", "documents:search", "collections:read"}),
	RoleReader: slices.Concat(own, []string{"elements:read", "documents:search", "collections:read"}),
}

// BuiltIn reports whether the role is the release's.
func BuiltIn(role string) bool { return roleScopes[role] != nil }

// BuiltIns returns the roles of the release, sorted.
func BuiltIns() []string { return slices.Sorted(maps.Keys(roleScopes)) }

// Definitions are the roles that administrators have defined, and the scopes that registered services declare.
type Definitions struct {
	Roles    map[string][]string
	Declared []string
}

// ScopesOf returns the scopes that the roles give together, sorted. Every role gives what each user may do with what is theirs; admin gives
// all that is declared.
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

// ReadAudit is the scope to read and verify the audit trail: an auditor need not be an administrator.
const ReadAudit = "audit:read"

// secretScopes are those of secrets: of no use to a role of which no policy says with which.
var secretScopes = []string{"secrets:read", "secrets:write"}

// Assignable reports whether a defined role may carry a scope of the family: one of sequence or search that users may have, ReadAudit, or one of secrets. What else the
// kms and twofactor let administrators do is not handed out in parts.
func (c *Catalogue) Assignable(scope string) bool {
	return slices.Contains(secretScopes, scope) || c.Delegable(scope)
}

// Delegable reports whether a web app may have a scope of the family for its people: one that is Assignable, but none of secrets, which nobody reads through an app.
func (c *Catalogue) Delegable(scope string) bool {
	word := c.owner[scope]
	return scope == ReadAudit || word != "" && word != "kms" && word != Twofactor && slices.Contains(roleScopes[RoleAdmin], scope)
}

// RotateOwn is the scope that every key of a service carries besides its own: to replace itself.
const RotateOwn = "keys:rotate-own"

// Twofactor is the one service that may register proof keys.
const Twofactor = "twofactor"

// Gateway is the one service that may read the contracts of adopted services.
const Gateway = "gateway"

// Member is a service of the family: the kms registers it by itself.
type Member struct {
	Name   string
	Scopes []string
}

// Family lists the services that the kms registers and gives enrolment tokens to.
func Family() []Member {
	return []Member{
		{Twofactor, []string{"invitations:use", "keyrings:use", "mails:deliver", "proofs:register", "revocations:read"}},
		{"search", []string{"keyrings:use", "revocations:read", "secrets:read", "secrets:write"}},
		{"sequence", []string{"collections:read", "collections:write", "documents:search", "documents:write", "keyrings:use", "revocations:read"}},
		{Gateway, []string{"contracts:read", "revocations:read"}},
	}
}
