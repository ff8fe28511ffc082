package authority

import (
	"github.com/fountainai/fountain/internal/auth"
)

// Act is an operation on API keys.
type Act int

// The acts.
const (
	CreateKey Act = iota
	SeeKey
	RotateKey
	RevokeKey
	UpdateKey
)

// whose classifies the owner of a key relative to the caller.
type whose int

const (
	ownKey     whose = iota // the caller's own
	otherUser               // another user's
	outside                 // of a service outside the family
	familyOnes              // of a service of the family
)

// grant says who may perform an act.
type grant struct {
	who    callers
	stepUp bool // requires a second factor
}

type callers int

const (
	nobody callers = iota
	anyone
	administrators
)

// grants defines who may perform which act on whose keys. The scopes of a key are limited separately: see Covers and Reaches.
var grants = map[Act]map[whose]grant{
	//             the caller's own       another user's               an outside service's         a family service's
	CreateKey: {ownKey: {anyone, false}, otherUser: {administrators, true}, outside: {administrators, true}, familyOnes: {nobody, false}}, // by enrolment alone
	SeeKey:    {ownKey: {anyone, false}, otherUser: {administrators, true}, outside: {administrators, true}, familyOnes: {administrators, true}},
	RotateKey: {ownKey: {anyone, false}, otherUser: {administrators, true}, outside: {administrators, true}, familyOnes: {nobody, false}}, // by the service itself
	UpdateKey: {ownKey: {anyone, false}, otherUser: {administrators, true}, outside: {administrators, true}, familyOnes: {nobody, false}},
	RevokeKey: {ownKey: {anyone, false}, otherUser: {administrators, true}, outside: {administrators, true}, familyOnes: {administrators, true}},
}

// Permit is the decision of the grants table.
type Permit struct {
	Allowed bool
	StepUp  bool // only with a second factor
}

// May returns whether the caller may perform the act on a key of the owner.
func May(caller Owner, act Act, owner Owner) Permit {
	g := grants[act][relation(caller, owner)]
	switch g.who {
	case anyone:
		return Permit{true, g.stepUp}
	case administrators:
		return Permit{caller.HasRole(RoleAdmin), g.stepUp}
	}
	return Permit{}
}

func relation(caller, owner Owner) whose {
	switch {
	case caller.Ref == owner.Ref:
		return ownKey
	case owner.Kind == auth.KindUser:
		return otherUser
	case owner.Family:
		return familyOnes
	}
	return outside
}

// Reaches reports whether the caller may pass the scopes on to a key. With a session, the caller may pass on everything that its user may do. A token
// issued for an API key may pass on only the scopes it carries, so that a key can't create a stronger key.
func Reaches(caller *auth.Principal, now Owner, scopes []string) bool {
	if caller.SessionID != "" {
		return true
	}
	return Covers(Both(caller.Scopes, now.Scopes), scopes)
}
