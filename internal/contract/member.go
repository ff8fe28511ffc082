package contract

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// memberName is what a service of others may be called.
var memberName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,62}$`)

// Reserved reports whether a name can't be that of a service of others: it is a word of the family or the beginning of its scopes, or the
// first word of a path that the gateway serves itself.
func Reserved(name string, family []*Contract) bool {
	if slices.Contains(reservedNames, name) {
		return true
	}
	return slices.ContainsFunc(family, func(c *Contract) bool {
		if c.Word == name {
			return true
		}
		for scope := range c.Scopes {
			if before, _, _ := strings.Cut(scope, ":"); before == name {
				return true
			}
		}
		return false
	})
}

// CheckMemberName says why a service of others can't have this name; nil when it can. Its mount, its audience and the beginning of its scopes are
// the name, so that it can take none of another's.
func CheckMemberName(name string, family []*Contract) error {
	switch {
	case !memberName.MatchString(name):
		return errors.New("a name has 2 to 63 small letters, digits and hyphens, and begins with a letter")
	case Reserved(name, family):
		return errors.New("the name is reserved for the family")
	}
	return nil
}
