// Package owner says whose a collection of the search service is, and what a caller may do with it.
package owner

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/auth"
)

// Administrators is the owner of what administrators make, and of what nobody else can be told to have made.
const Administrators = "administrators"

// roleAdmin is the role of users who reach every collection; the kms gives it to no user of a tenant.
const roleAdmin = "admin"

// Access is what somebody may do with a collection; each includes those before it.
type Access int

// The kinds of access.
const (
	None Access = iota
	Read
	Write
	Own // delete it, and say who else may use it
)

// Name is a collection's name. Each tenant has names of its own.
type Name struct {
	Tenant string // "" is the default tenant, whose names the services without a tenant and administrators use
	Local  string
}

// Candidates are the names that a caller may mean by a text of the contract's pattern, the nearest first.
func Candidates(text string, p *auth.Principal) []Name {
	if tenant, local, qualified := strings.Cut(text, "."); qualified {
		return []Name{{tenant, local}}
	}
	if p.Tenant == "" {
		return []Name{{"", text}}
	}
	return []Name{{p.Tenant, text}, {"", text}}
}

// Engine is the name at the search engine of a collection that was not reindexed, and of collections in the audit log.
func (n Name) Engine() string {
	if n.Tenant == "" {
		return n.Local
	}
	return n.Tenant + "." + n.Local
}

// FromEngine reads what Engine wrote.
func FromEngine(text string) Name {
	if tenant, local, qualified := strings.Cut(text, "."); qualified {
		return Name{tenant, local}
	}
	return Name{"", text}
}

// For is the name as a caller may write it.
func (n Name) For(p *auth.Principal) string {
	if n.Tenant == p.Tenant {
		return n.Local
	}
	return n.Engine()
}

// OfTenant is the owner of what is made in a tenant.
func OfTenant(tenant string) string { return "tenant:" + tenant }

// Of is the owner of what a caller makes under a name.
func Of(n Name, p *auth.Principal) string {
	switch {
	case n.Tenant != "":
		return OfTenant(n.Tenant)
	case p.Kind == auth.KindService:
		return "service:" + p.Subject
	}
	return Administrators
}

// MayMake reports whether a caller may make a collection of that name: administrators any, others one of their own tenant.
func MayMake(n Name, p *auth.Principal) bool { return n.Tenant == p.Tenant || isAdmin(p) }

func isAdmin(p *auth.Principal) bool {
	return p.Kind == auth.KindUser && p.Tenant == "" && p.HasRole(roleAdmin)
}

// Collection is what is known of a collection beside its schema.
type Collection struct {
	Name
	Owner        string // "service:<id>", "tenant:<name>" or Administrators
	TenantScoped bool
	// Versioned says that the collection keeps a version of each of its documents.
	Versioned bool
	// Claimed is when its owner claimed the name: a later collection of the name has another time.
	Claimed time.Time
	// Physical is the name that a reindex gave the collection at the engine; "" is that of Name.
	Physical string
	// Desired is the schema that it should have, as text, of one that is about to be made; otherwise "".
	Desired string
	// Swapping says that another collection of the engine is about to take its place.
	Swapping bool
	Grants   []Grant // in no order
}

// Engine is the collection's name at the search engine.
func (c *Collection) Engine() string {
	if c.Physical != "" {
		return c.Physical
	}
	return c.Name.Engine()
}

// generation is between a name and the mark of one of its generations. No name of the contract has capitals, so that none is a generation's.
const generation = "__R"

// Generation is the name at the engine of what a reindex makes. mark is of capitals and digits, and no other reindex's.
func (n Name) Generation(mark string) string { return n.Engine() + generation + mark }

// IsGeneration reports whether a reindex made the collection of the engine.
func IsGeneration(physical string) bool { return strings.Contains(physical, generation) }

// Grant lets somebody beside the owner use a collection.
type Grant struct {
	Grantee string // "service:<id>", "user:<id>", "role:<name>" or "tenant:<name>"
	Access  Access // Read or Write
	At      time.Time
}

// Access is what a caller may do with the collection. Of one that is nil nobody may do anything.
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

// isFor reports whether a grant of the collection is for a caller. Roles are the same words in every tenant: one reaches the users of the
// collection's own tenant, and those of others only where each sees no more than the documents of theirs.
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

// Whole reports whether a caller reaches the documents of every tenant: in a tenant-scoped collection the owning service and administrators do.
func (c *Collection) Whole(p *auth.Principal) bool {
	return !c.TenantScoped || p.Tenant == "" && c.Access(p) == Own
}

// TenantField is the field by which documents of tenant-scoped collections are told apart. Names with ReservedPrefix are the service's own.
const (
	ReservedPrefix = "fountain_"
	TenantField    = ReservedPrefix + "tenant"
)

// TenantKey is the value of TenantField. The engine ignores case and punctuation, so that the tenants a-b and ab are one to it; of the keys no
// two are.
func TenantKey(tenant string) string {
	sum := sha256.Sum256([]byte("tenant\x00" + tenant))
	return hex.EncodeToString(sum[:16])
}

// DocumentID is the id of a tenant's document at the engine: tenants don't share ids.
func DocumentID(tenant, id string) string { return tenant + ":" + id }

// SplitID reads what DocumentID wrote.
func SplitID(stored string) (tenant, id string) {
	tenant, id, _ = strings.Cut(stored, ":")
	return tenant, id
}
