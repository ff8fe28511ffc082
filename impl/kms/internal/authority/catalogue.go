package authority

import (
	"fmt"
	"slices"
	"sort"

	"github.com/fountainai/fountain/internal/contract"
)

// Catalogue knows every service of the contracts and which of them each scope belongs to. It is immutable.
type Catalogue struct {
	issuer string
	words  map[string]string // word -> base path
	owner  map[string]string // scope -> word
	scopes []string
}

// NewCatalogue reads the contracts. A scope that two of them name is an error: a token could not say which one it is for.
func NewCatalogue(issuer string, contracts []*contract.Contract) (*Catalogue, error) {
	c := &Catalogue{issuer: issuer, words: map[string]string{}, owner: map[string]string{}}
	for _, one := range contracts {
		c.words[one.Word] = one.BasePath
		for scope := range one.Scopes {
			if other, taken := c.owner[scope]; taken {
				return nil, fmt.Errorf("scope %s is in the contracts of %s and of %s", scope, other, one.Word)
			}
			c.owner[scope] = one.Word
			c.scopes = append(c.scopes, scope)
		}
	}
	sort.Strings(c.scopes)
	return c, nil
}

// Scopes returns every scope, sorted.
func (c *Catalogue) Scopes() []string { return slices.Clone(c.scopes) }

// Known reports whether some contract names the scope.
func (c *Catalogue) Known(scope string) bool { return c.owner[scope] != "" }

// Audience returns the words of the services that the scopes reach, sorted.
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

// Within returns those of the scopes that belong to the service.
func (c *Catalogue) Within(word string, scopes []string) []string {
	var in []string
	for _, scope := range scopes {
		if c.owner[scope] == word {
			in = append(in, scope)
		}
	}
	return in
}

// Resource returns the word that a resource indicator (RFC 8707) names: the word itself or <issuer>/<word>/v1.
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

// Both returns the scopes that are in a and in b, in the order of a.
func Both(a, b []string) []string {
	var out []string
	for _, scope := range a {
		if slices.Contains(b, scope) {
			out = append(out, scope)
		}
	}
	return out
}

// Covers reports whether every scope of need is in have.
func Covers(have, need []string) bool { return len(Both(need, have)) == len(need) }
