// Package change compares two versions of a contract before the next one replaces the live one: it finds what would break a caller of the live one,
// and what would weaken its protection. It works on the original texts, the family's own and adopted ones, OpenAPI 3.0 and 3.1, and reads only the
// given files.
//
// A request breaks when the live contract accepts it and the next does not. An answer breaks when the next contract allows what the live one does
// not, except for new properties: readers ignore them. Who may call and under which limits is compared on the compiled contracts, by package compat.
//
// Where the comparison is not sure it reports a change: a keyword for which it has no order (if, contains, patternProperties ...) must not change.
package change

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fountainai/fountain/internal/contract"
)

// Kinds of changes that must be accepted by name.
const (
	Breaking = "breaking" // a request that was accepted is refused, or an answer contains what it did not
	Looser   = "looser"   // a caller who was refused may call, or call more often
)

// Change is one difference that must be accepted.
type Change struct {
	// Name is the name by which an operator accepts the change: "listNotes: query limit: maximum lowered". The same two contracts give the same
	// names. It begins with the operation, or with the schema that several share: "Note in answers: /owner: removed".
	Name        string
	Kind        string          // Breaking or Looser
	OperationID string          // of the live contract; the first by path where several share the schema; "" for the contract as a whole
	Origin      contract.Origin // in the text of the next contract; of the enclosing element where it was removed
	Text        string          // a sentence
}

// String returns the change on one line, as notes.yaml:12: breaking: name; text.
func (c Change) String() string {
	return fmt.Sprintf("%s: %s: %s; %s", c.Origin, c.Kind, c.Name, c.Text)
}

// Version is one version of a contract: compiled, and the files that it was compiled of.
type Version struct {
	Contract *contract.Contract
	File     string            // the name of the document in Files
	Files    map[string][]byte // the document and what it refers to
}

// Bounds of a comparison.
const (
	maxSteps   = 2_000_000 // of work: schemas that are compared, and what they take over
	maxChanges = 2000
)

// ErrTooDifferent means that a comparison exceeded its bounds. The next contract is not a version of the live one.
var ErrTooDifferent = errors.New("the contracts differ in too many places to be compared")

// Compare returns what in the next version breaks or weakens the live one, by name. Its time is bounded: see ErrTooDifferent.
func Compare(live, next Version) ([]Change, error) {
	old, err := readDocument(live)
	if err != nil {
		return nil, fmt.Errorf("compare contracts: the live one: %w", err)
	}
	new, err := readDocument(next)
	if err != nil {
		return nil, fmt.Errorf("compare contracts: the next one: %w", err)
	}
	c := &comparer{live: live.Contract, next: next.Contract, pairs: map[pairKey]*result{}, views: map[*node]*view{}, told: map[link]bool{}, found: map[string]*Change{}}
	c.law(new.root)
	c.operations(old.root, new.root)
	if c.steps > maxSteps || len(c.found) > maxChanges {
		return nil, ErrTooDifferent
	}
	out := make([]Change, 0, len(c.found))
	for _, change := range c.found {
		out = append(out, *change)
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Kind, b.Kind)) })
	return out, nil
}

// Refused returns the changes that no name accepts, and the names that match no change. The latter are errors, too: the caller expected a change.
func Refused(changes []Change, accepted []string) (refused []Change, unused []string) {
	names := map[string]bool{}
	for _, c := range changes {
		names[c.Name] = true
		if !slices.Contains(accepted, c.Name) {
			refused = append(refused, c)
		}
	}
	for _, name := range accepted {
		if !names[name] {
			unused = append(unused, name)
		}
	}
	return refused, unused
}

// comparer compares two versions.
type comparer struct {
	live, next *contract.Contract
	pairs      map[pairKey]*result
	views      map[*node]*view
	told       map[link]bool
	steps      int
	depth      int
	found      map[string]*Change // keyed by kind and name
}

// note adds a change. Several changes with the same name are merged into one.
func (c *comparer) note(change Change) {
	key := change.Kind + " " + change.Name
	if have := c.found[key]; have != nil {
		if len(have.Text) < maxText && !strings.Contains(have.Text, change.Text) {
			have.Text += "; " + change.Text
		}
		return
	}
	if len(c.found) <= maxChanges {
		c.found[key] = &change
	}
}

// maxText is the approximate maximum length of a change's text, in bytes.
const maxText = 1000
