package kms

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/compat"
)

// judge is the adoption.Judge by our own compiler of contracts.
type judge struct{}

// Check implements adoption.Judge.
func (judge) Check(d adoption.Document) (adoption.Verdict, error) {
	c, err := compiled(d)
	if err != nil {
		return adoption.Verdict{Faults: faults(err)}, nil
	}
	v := adoption.Verdict{Version: c.Version}
	scopes := map[string]bool{}
	for _, op := range c.Operations {
		for _, r := range op.Requirements {
			for _, scope := range r.Scopes {
				scopes[scope] = true
			}
		}
		if op.Public && !slices.Contains(d.Public, op.ID) {
			v.Faults = append(v.Faults, adoption.Finding{
				At: op.Origin.String(), Message: "The operation " + op.ID + " is open to everybody.", Hint: "Name it in public, or take security: [] away.",
			})
		}
	}
	v.Scopes = slices.Sorted(maps.Keys(scopes))
	return v, nil
}

// Compare implements adoption.Judge.
func (judge) Compare(before, after adoption.Document) ([]adoption.Change, error) {
	was, err := compiled(before)
	if err != nil {
		return nil, fmt.Errorf("compile the live document: %w", err)
	}
	is, err := compiled(after)
	if err != nil {
		return nil, fmt.Errorf("compile the new document: %w", err)
	}
	var changes []adoption.Change
	for _, op := range was.Operations {
		if !slices.ContainsFunc(is.Operations, func(other *contract.Operation) bool { return other.Method == op.Method && other.Path == op.Path }) {
			changes = append(changes, adoption.Change{Name: op.Method + " " + op.Path + ": operation-removed", Message: "the operation is gone"})
		}
	}
	for _, c := range compat.Compare(was, is) {
		if c.Severity != compat.Harmless {
			changes = append(changes, adoption.Change{Name: strings.TrimSpace(c.Operation + ": " + c.ID), Message: c.Text})
		}
	}
	return changes, nil
}

// compiled compiles a document, which is found under its service's name.
func compiled(d adoption.Document) (*contract.Contract, error) {
	files := fstest.MapFS{}
	for _, f := range d.Files {
		name := f.Name
		if name == d.File {
			name = d.Service + ".yaml"
		}
		files[path.Clean(name)] = &fstest.MapFile{Data: []byte(f.Text)}
	}
	return contract.LoadFS(files, d.Service)
}

// faults splits an error of the compiler, one line for each.
func faults(err error) []adoption.Finding {
	var found []adoption.Finding
	for line := range strings.Lines(err.Error()) {
		found = append(found, adoption.Finding{Message: strings.TrimSpace(line)})
	}
	return found
}
