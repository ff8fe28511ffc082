// Package owner determines who owns a collection of the search service and what a caller may do with it.
package owner

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/auth"
)

// Administrators is the owner of what administrators create, and of everything whose creator is unknown.
const Administrators = "administrators"

// roleAdmin is the role of users who have access to every collection. The kms gives it to no user of a tenant.
const roleAdmin = "admin"

// Access is what a caller may do with a collection. Each level includes those before it.
type Access int

// The levels of access.
const (
	None Access = iota
	Read
	Write
	Own // delete it, and grant access to others
)

// Name is the name of a collection. Each tenant has its own namespace.
type Name struct {
	Tenant string // "" is the default tenant, whose names services without a tenant and administrators use
	Local  string
}

// Candidates returns the names that a caller may mean by a text that matches the contract's pattern, nearest first.
func Candidates(text string, p *auth.Principal) []Name {
	if tenant, local, qualified := strings.Cut(text, "."); qualified {
		return []Name{{tenant, local}}
	}
	if p.Tenant == "" {
		return []Name{{"", text}}
	}
	return []Name{{p.Tenant, text}, {"", text}}
}

// Engine returns the engine's name of a collection that was not reindexed. It also identifies collections in the audit trail.
func (n Name) Engine() string {
	if n.Tenant == "" {
		return n.Local
	}
	return n.Tenant + "." + n.Local
}

// FromEngine parses the result of Engine.
func FromEngine(text string) Name {
	if tenant, local, qualified := strings.Cut(text, "."); qualified {
		return Name{tenant, local}
	}
	return Name{"", text}
}

// For returns the name in the form in which the caller may write it.
func (n Name) For(p *auth.Principal) string {
	if n.Tenant == p.Tenant {
		return n.Local
	}
	return n.Engine()
}

// OfTenant returns the owner of what is created in a tenant.
func OfTenant(tenant string) string { return "tenant:" + tenant }

// Of returns the owner of what a caller creates under a name.
func Of(n Name, p *auth.Principal) string {
	switch {
	case n.Tenant != "":
		return OfTenant(n.Tenant)
	case p.Kind == auth.KindService:
		return "service:" + p.Subject
	}
	return Administrators
}

// MayMake reports whether a caller may create a collection of that name. Administrators may use any name, and others the names of their own
// tenant.
func MayMake(n Name, p *auth.Principal) bool { return n.Tenant == p.Tenant || isAdmin(p) }

func isAdmin(p *auth.Principal) bool {
	return p.Kind == auth.KindUser && p.Tenant == "" && p.HasRole(roleAdmin)
}

// Collection is what is stored about a collection, apart from its schema.
type Collection struct {
	Name
	Owner        string // "service:<id>", "tenant:<name>" or Administrators
	TenantScoped bool
	// Versioned reports whether the collection keeps versions of its documents.
	Versioned bool
	// Claimed is when the owner claimed the name. It distinguishes the collection from a later one with the same name.
	Claimed time.Time
	// Physical is the name that a reindex gave the collection at the engine. If it is "", the name is that of Name.Engine.
	Physical string
	// Desired is the desired schema as text, for a collection that is about to be created. Otherwise it is "".
	Desired string
	// Swapping reports that another collection of the engine is about to replace this one.
	Swapping bool
	Grants   []Grant // in no particular order
}

// Engine returns the collection's name at the engine.
func (c *Collection) Engine() string {
	if c.Physical != "" {
		return c.Physical
	}
	return c.Name.Engine()
}

// generation separates a name from the mark of a generation. Names in the contract have no capitals, so that none collides with a
// generation.
const generation = "__R"

// Generation returns the engine's name of a collection that a reindex creates. mark consists of capitals and digits and is unique to the
// reindex.
func (n Name) Generation(mark string) string { return n.Engine() + generation + mark }

// IsGeneration reports whether a reindex created the collection of the engine.
func IsGeneration(physical string) bool { return strings.Contains(physical, generation) }

// Grant gives access to a collection to somebody other than the owner.
type Grant struct {
	Grantee string // "service:<id>", "user:<id>", "role:<name>" or "tenant:<name>"
	Access  Access // Read or Write
	At      time.Time
}

// Access returns what a caller may do with the collection. It returns None if c is nil.
func (c *Collection) Access(p *auth.Principal) Access {
	if c == nil {
		return None
	}
	if isAdmin(p) || c.Owner == p.Kind+":"+p.Subject || p.Tenant != "" && c.Owner == OfTenant(p.Tenant) {
		return Own
	}
	most := None
	for _, g := range c.Grants {
		if g.Access > most && c.isFor(g.Grantee, p) {
			most = g.Access
		}
	}
	return most
}

// isFor reports whether a grant of the collection applies to a caller. Roles have the same names in all tenants. A role reaches the users
// of the collection's own tenant. It reaches users of other tenants only if the collection is tenant-scoped, where each user sees only the
// documents of their own tenant.
func (c *Collection) isFor(grantee string, p *auth.Principal) bool {
	kind, who, _ := strings.Cut(grantee, ":")
	switch kind {
	case "tenant":
		return p.Tenant != "" && p.Tenant == who
	case "role":
		return p.Kind == auth.KindUser && slices.Contains(p.Roles, who) && (c.TenantScoped || c.Tenant == p.Tenant)
	}
	return kind == p.Kind && who == p.Subject
}

// Whole reports whether a caller reaches the documents of all tenants. In a tenant-scoped collection only the owning service and
// administrators do.
func (c *Collection) Whole(p *auth.Principal) bool {
	return !c.TenantScoped || p.Tenant == "" && c.Access(p) == Own
}

// TenantField is the field that holds the tenant of each document in a tenant-scoped collection. Field names with ReservedPrefix are
// reserved for the service.
const (
	ReservedPrefix = "fountain_"
	TenantField    = ReservedPrefix + "tenant"
)

// TenantKey returns the value of TenantField for a tenant. The engine ignores case and punctuation, and would not distinguish the tenants
// a-b and ab. The key is therefore a hash in lower-case hexadecimal digits.
func TenantKey(tenant string) string {
	sum := sha256.Sum256([]byte("tenant\x00" + tenant))
	return hex.EncodeToString(sum[:16])
}

// DocumentID returns the engine's ID of a tenant's document. Tenants have separate namespaces of IDs.
func DocumentID(tenant, id string) string { return tenant + ":" + id }

// SplitID parses the result of DocumentID.
func SplitID(stored string) (tenant, id string) {
	tenant, id, _ = strings.Cut(stored, ":")
	return tenant, id
}
