package authority

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/fountainai/fountain/internal/contract"
)

// Catalogue knows the service of every contract, and the service that each scope belongs to. It is immutable.
type Catalogue struct {
	issuer string
	family []*contract.Contract
	words  map[string]string // word -> base path
	owner  map[string]string // scope -> word
	scopes []Scope           // sorted
}

// Scope is a permission at one service.
type Scope struct {
	Name        string // <prefix>:<verb>
	Service     string // the audience that it is for
	Description string // only for the family's scopes
}

// NewCatalogue reads the contracts. It fails when two contracts name the same scope, since a token could not say which service it is for.
func NewCatalogue(issuer string, contracts []*contract.Contract) (*Catalogue, error) {
	c := &Catalogue{issuer: issuer, family: contracts, words: map[string]string{}, owner: map[string]string{}}
	for _, one := range contracts {
		c.words[one.Word] = one.BasePath
		for scope, description := range one.Scopes {
			if other, taken := c.owner[scope]; taken {
				return nil, fmt.Errorf("scope %s is in the contracts of %s and of %s", scope, other, one.Word)
			}
			c.owner[scope] = one.Word
			c.scopes = append(c.scopes, Scope{scope, one.Word, description})
		}
	}
	slices.SortFunc(c.scopes, func(a, b Scope) int { return strings.Compare(a.Name, b.Name) })
	return c, nil
}

// Scopes returns every scope of the contracts, sorted by name.
func (c *Catalogue) Scopes() []Scope { return slices.Clone(c.scopes) }

// Known reports whether a contract of the family names the scope.
func (c *Catalogue) Known(scope string) bool { return c.owner[scope] != "" }

// Reserved reports whether a name is unavailable for a registered service: it is a service of the family, a prefix of the family's scopes, or
// a path of the gateway.
func (c *Catalogue) Reserved(name string) bool { return contract.Reserved(name, c.family) }

// prefix returns the part of a scope before the colon. For scopes of registered services this is the service's name.
func prefix(scope string) string {
	before, _, _ := strings.Cut(scope, ":")
	return before
}

// Declares reports whether the registered service of this name may declare the scope.
func (c *Catalogue) Declares(service, scope string) bool {
	return !c.Known(scope) && prefix(scope) == service
}

// Family returns the scopes that belong to the family's services, in the same order.
func (c *Catalogue) Family(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return !c.Known(scope) })
}

// Servers returns the names of the registered services that the scopes belong to, sorted.
func (c *Catalogue) Servers(scopes []string) []string {
	var names []string
	for _, scope := range scopes {
		if !c.Known(scope) {
			names = append(names, prefix(scope))
		}
	}
	sort.Strings(names)
	return slices.Compact(names)
}

// Audience returns the words of the family's services that the scopes belong to, sorted.
func (c *Catalogue) Audience(scopes []string) []string {
	var words []string
	for _, scope := range scopes {
		if word := c.owner[scope]; word != "" {
			words = append(words, word)
		}
	}
	sort.Strings(words)
	return slices.Compact(words)
}

// Within returns the scopes that belong to the service: a service of the family is given by its word, a registered one by its name.
func (c *Catalogue) Within(service string, scopes []string) []string {
	var in []string
	for _, scope := range scopes {
		if owner := c.owner[scope]; owner == service || owner == "" && prefix(scope) == service {
			in = append(in, scope)
		}
	}
	return in
}

// Resource returns the word of the family's service that a resource indicator (RFC 8707) names. The indicator is the word itself or
// <issuer>/<word>/v1; ok is false for any other.
func (c *Catalogue) Resource(resource string) (word string, ok bool) {
	if _, ok := c.words[resource]; ok {
		return resource, true
	}
	for word, base := range c.words {
		if base != "" && resource == c.issuer+base {
			return word, true
		}
	}
	return "", false
}

// Both returns the intersection of a and b, in the order of a.
func Both(a, b []string) []string {
	var out []string
	for _, scope := range a {
		if slices.Contains(b, scope) {
			out = append(out, scope)
		}
	}
	return out
}

// Covers reports whether have contains every scope of need.
func Covers(have, need []string) bool { return len(Both(need, have)) == len(need) }
