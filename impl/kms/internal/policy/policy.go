// Package policy decides who may do what with which secret. It is the only place that does. Everything is denied unless a policy allows it. Policies only
// add up: none takes away what another one grants.
package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/internal/auth"
)

// Capability is a kind of access to a secret.
type Capability string

// The capabilities, in canonical order.
const (
	List    Capability = "list"    // see its name, and its versions without values
	Read    Capability = "read"    // read its values, and wait for a new version
	Write   Capability = "write"   // store, promote and undelete versions
	Delete  Capability = "delete"  // delete versions, which can be undeleted
	Destroy Capability = "destroy" // destroy versions permanently
	Rotate  Capability = "rotate"  // set and see how it is rotated, rotate it and roll back
)

// Capabilities returns all capabilities, in canonical order.
func Capabilities() []Capability { return []Capability{List, Read, Write, Delete, Destroy, Rotate} }

// scope returns the scope that a caller needs besides the capability.
func (c Capability) scope() string {
	if c == List || c == Read {
		return "secrets:read"
	}
	return "secrets:write"
}

// Operation is an operation of the contract on one secret.
type Operation struct {
	ID    string
	Needs Capability
	// Absent is the answer when there is no such secret or version. A caller without any capability for the secret gets the same answer.
	Absent string
	// Makes says that the operation may create the secret, so that a missing one is no reason to refuse.
	Makes bool
}

const (
	noSecret   = "There is no such secret."
	noVersion  = "There is no such version of a secret."
	noRotation = "There is no such secret, or it is not rotated."
)

// The operations on a secret. A test compares them with the contract.
var (
	PutSecret        = Operation{ID: "putSecret", Needs: Write, Absent: noSecret, Makes: true}
	GetSecret        = Operation{ID: "getSecret", Needs: Read, Absent: noSecret}
	WatchSecret      = Operation{ID: "watchSecret", Needs: Read, Absent: noSecret}
	ListVersions     = Operation{ID: "listSecretVersions", Needs: List, Absent: noSecret}
	GetVersion       = Operation{ID: "getSecretVersion", Needs: Read, Absent: noVersion}
	DeleteVersion    = Operation{ID: "deleteSecretVersion", Needs: Delete, Absent: noVersion}
	UndeleteVersion  = Operation{ID: "undeleteSecretVersion", Needs: Write, Absent: noVersion}
	DestroyVersion   = Operation{ID: "destroySecretVersion", Needs: Destroy, Absent: noVersion}
	PromoteVersion   = Operation{ID: "promoteSecretVersion", Needs: Write, Absent: noVersion}
	PutRotation      = Operation{ID: "putSecretRotation", Needs: Rotate, Absent: noSecret}
	GetRotation      = Operation{ID: "getSecretRotation", Needs: Rotate, Absent: noRotation}
	DeleteRotation   = Operation{ID: "deleteSecretRotation", Needs: Rotate, Absent: noSecret}
	RotateSecret     = Operation{ID: "rotateSecret", Needs: Rotate, Absent: noSecret}
	RollbackRotation = Operation{ID: "rollbackSecretRotation", Needs: Rotate, Absent: noSecret}

	// SendValue and UseCredential are further requirements of putSecretRotation when values are sent outside: the first for the secret, the second for
	// its credential. A caller who decides where values are sent can read them there.
	SendValue     = Operation{ID: "putSecretRotation", Needs: Read, Absent: noSecret}
	UseCredential = Operation{ID: "putSecretRotation", Needs: Read, Absent: "There is no such secret as the credential."}
)

// Operations returns every operation on one secret.
func Operations() []Operation {
	return []Operation{
		PutSecret, GetSecret, WatchSecret, ListVersions, GetVersion, DeleteVersion, UndeleteVersion, DestroyVersion, PromoteVersion,
		PutRotation, GetRotation, DeleteRotation, RotateSecret, RollbackRotation,
	}
}

// The kinds of subjects.
const (
	OfRole    = "role"    // users who have the role
	OfUser    = "user"    // one user
	OfService = "service" // one service, or Each
)

// Each is the ID of the subject that stands for every service.
const Each = "*"

// Subject is the user, service or role that a policy applies to.
type Subject struct {
	Kind string
	ID   string // name of a role, id of a user or service, or Each
}

// The paths that are not prefixes of names.
const (
	Everything = "*"         // every secret
	Own        = "{service}" // the secrets of the calling service's name
)

// Policy grants a subject capabilities for the secrets of a path: the secret of that name, and those whose names continue it after a dot.
type Policy struct {
	Name                 string
	Subject              Subject
	Path                 string
	Capabilities         []Capability // in canonical order
	Version              int64
	CreatedAt, UpdatedAt time.Time
}

// Word distinguishes a policy from an earlier, deleted one of the same name. It is part of the ETag beside the version.
func (p Policy) Word() string { return strconv.FormatInt(p.CreatedAt.UnixMicro(), 36) }

// within reports whether a name equals the path, or continues it after a dot.
func within(name, path string) bool {
	return path != "" && strings.HasPrefix(name, path) && (len(name) == len(path) || name[len(path)] == '.')
}

// above returns every path that a name is within.
func above(name string) []string {
	paths := []string{name}
	for i := strings.LastIndexByte(name, '.'); i > 0; i = strings.LastIndexByte(name[:i], '.') {
		paths = append(paths, name[:i])
	}
	return paths
}

// asker is the caller of an operation, from their current row.
type asker struct {
	kind, id string
	roles    []string // of a user
	own      string   // name of a service
}

func askerOf(o authority.Owner) asker {
	if o.Kind == auth.KindService {
		return asker{kind: OfService, id: o.ID, own: o.Name}
	}
	return asker{kind: OfUser, id: o.ID, roles: o.Roles}
}

// subjects returns the subjects that apply to the asker.
func (a asker) subjects() []Subject {
	var all []Subject
	if a.id != "" {
		all = append(all, Subject{a.kind, a.id})
	}
	if a.kind == OfService {
		return append(all, Subject{OfService, Each})
	}
	for _, role := range a.roles {
		all = append(all, Subject{OfRole, role})
	}
	return all
}

// Grants are the policies that apply to an asker.
type Grants struct {
	asker    asker
	policies []Policy
}

// Through returns the policies that cover a secret.
func (g Grants) Through(name string) (about []Policy) {
	subjects := g.asker.subjects()
	for _, p := range g.policies {
		if slices.Contains(subjects, p.Subject) && g.covers(p, name) {
			about = append(about, p)
		}
	}
	return about
}

func (g Grants) covers(p Policy, name string) bool {
	switch p.Path {
	case Everything:
		return true
	case Own:
		return within(name, g.asker.own)
	}
	return within(name, p.Path)
}

// Of returns the capabilities for a secret, in canonical order.
func (g Grants) Of(name string) (may []Capability) {
	about := g.Through(name)
	for _, c := range Capabilities() {
		if slices.ContainsFunc(about, func(p Policy) bool { return slices.Contains(p.Capabilities, c) }) {
			may = append(may, c)
		}
	}
	return may
}

// Range is the names from From (inclusive) to Before (exclusive); an empty Before has no upper bound.
type Range struct{ From, Before string }

// Ranges returns the names for which the capability is granted, as sorted, disjoint ranges. Names consist of a-z, 0-9, "-" and "."; of these "-" sorts first, and
// "/" sorts right after ".".
func (g Grants) Ranges(c Capability) (ranges []Range) {
	var paths []string
	subjects := g.asker.subjects()
	for _, p := range g.policies {
		if !slices.Contains(subjects, p.Subject) || !slices.Contains(p.Capabilities, c) {
			continue
		}
		switch p.Path {
		case Everything:
			return []Range{{}}
		case Own:
			paths = append(paths, g.asker.own)
		default:
			paths = append(paths, p.Path)
		}
	}
	for _, path := range outermost(paths) {
		ranges = append(ranges, Range{path, path + "-"}, Range{path + ".", path + "/"})
	}
	slices.SortFunc(ranges, func(a, b Range) int { return strings.Compare(a.From, b.From) })
	return ranges
}

// outermost removes empty paths and those that are within others.
func outermost(paths []string) (left []string) {
	slices.SortFunc(paths, func(a, b string) int { return len(a) - len(b) })
	for _, path := range paths {
		if path != "" && !slices.ContainsFunc(left, func(outer string) bool { return within(path, outer) }) {
			left = append(left, path)
		}
	}
	return left
}
