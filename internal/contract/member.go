package contract

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// memberName is the syntax of an adopted service's name.
var memberName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,62}$`)

// Reserved reports whether an adopted service must not have this name: it is a word of the family, a prefix of its scopes, or the first segment of a
// path that the gateway serves itself.
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

// CheckMemberName returns an error when an adopted service must not have this name. The name is its mount, its audience and the prefix of its scopes,
// so it must not be that of another one.
func CheckMemberName(name string, family []*Contract) error {
	switch {
	case !memberName.MatchString(name):
		return errors.New("a name has 2 to 63 small letters, digits and hyphens, and begins with a letter")
	case Reserved(name, family):
		return errors.New("the name is reserved for the family")
	}
	return nil
}
