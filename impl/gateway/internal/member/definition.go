// Package member manages adopted services: their contracts, their targets, and what an operator allows them. Members come and go while the gateway
// serves. If a new contract is refused, the previous one stays in force.
package member

import (
	"bytes"
	"maps"
	"slices"
)

// Definition is a member as an operator has configured it.
type Definition struct {
	Name          string            // its audience, the prefix of its scopes, and its mount "/<name>"
	File          string            // the name of its contract in Files
	Files         map[string][]byte // the contract, and the files that it references
	Upstreams     []string          // addresses: http://host:port or https://host:port
	Public        []string          // operationIds that the contract opens to everyone, and that the operator confirms
	ActiveContent bool              // its answers may have media types that browsers execute
	Accept        []string          // names of accepted changes that break clients or loosen checks
	Disabled      bool              // it gets no requests
	Revision      int64             // version number at the source; 0 if the source has none
	Compared      bool              // the source has already compared the contract with the previous one
	Shadow        *Text             // the next version, which refuses nothing and only reports; nil: none
}

// Text is a contract with the files that it references.
type Text struct {
	File   string
	Files  map[string][]byte
	Public []string
}

// equal reports whether two definitions have the same effect.
func (d *Definition) equal(other *Definition) bool {
	return d.Name == other.Name && d.sameText(other) && slices.Equal(d.Upstreams, other.Upstreams) && d.ActiveContent == other.ActiveContent &&
		d.Disabled == other.Disabled && slices.Equal(d.Accept, other.Accept) && d.Shadow.equal(other.Shadow)
}

// sameText reports whether two definitions have the same contract.
func (d *Definition) sameText(other *Definition) bool {
	return d.File == other.File && maps.EqualFunc(d.Files, other.Files, bytes.Equal) && slices.Equal(d.Public, other.Public)
}

func (t *Text) equal(other *Text) bool {
	if t == nil || other == nil {
		return t == other
	}
	return t.File == other.File && maps.EqualFunc(t.Files, other.Files, bytes.Equal) && slices.Equal(t.Public, other.Public)
}
