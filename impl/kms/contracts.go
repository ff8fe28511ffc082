package kms

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/change"
)

// judge implements adoption.Judge with the same compiler as the gateways.
type judge struct{}

// Judge implements adoption.Judge.
func (judge) Judge(before *adoption.Document, d adoption.Document) (adoption.Verdict, error) {
	next, warnings, err := adopt(d)
	if err != nil {
		return adoption.Verdict{Faults: faults(err)}, nil
	}
	v := adoption.Verdict{Version: next.Contract.Version, Scopes: requiredScopes(next.Contract)}
	for _, w := range warnings {
		v.Warnings = append(v.Warnings, warningOf(w))
	}
	if before == nil {
		return v, nil
	}
	live, _, err := adopt(*before)
	if err != nil {
		return adoption.Verdict{}, fmt.Errorf("compile the live document: %w", err)
	}
	v.Changes, err = compare(live, next)
	return v, err
}

func warningOf(w contract.Warning) adoption.Finding {
	out := adoption.Finding{At: w.Origin.String(), Message: w.Cause, Hint: w.Hint}
	if w.Pointer != "" {
		out.At += " (" + w.Pointer + ")"
	}
	if w.Operation != "" {
		out.Message = w.Operation + ": " + out.Message
	}
	if w.More > 0 {
		out.Message += fmt.Sprintf(" (and %d more like it)", w.More)
	}
	return out
}

// requiredScopes returns the scopes that the operations require, sorted.
func requiredScopes(c *contract.Contract) []string {
	scopes := map[string]bool{}
	for _, op := range c.Operations {
		for _, r := range op.Requirements {
			for _, scope := range r.Scopes {
				scopes[scope] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(scopes))
}

// compare returns the changes that break clients of the live document, and those that loosen a check.
func compare(live, next change.Version) ([]adoption.Change, error) {
	found, err := change.Compare(live, next)
	if errors.Is(err, change.ErrTooDifferent) {
		return []adoption.Change{{Name: "another document", Kind: change.Breaking, Message: "it differs in too many places from the live one to be compared"}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("compare documents: %w", err)
	}
	changes := make([]adoption.Change, len(found))
	for i, c := range found {
		changes[i] = adoption.Change{Name: c.Name, Kind: c.Kind, Message: c.Origin.String() + ": " + c.Text}
	}
	return changes, nil
}

// adopt compiles a document.
func adopt(d adoption.Document) (change.Version, []contract.Warning, error) {
	v := change.Version{File: d.File, Files: map[string][]byte{}}
	for _, f := range d.Files {
		v.Files[f.Name] = []byte(f.Text)
	}
	c, warnings, err := contract.Adopt(contract.Adoption{Name: d.Service, File: d.File, Files: v.Files, Public: d.Public})
	v.Contract = c
	return v, warnings, err
}

// faultPlace splits a fault reported by the compiler into its place (file and line, with the pointer in files of very long lines) and its message.
var faultPlace = regexp.MustCompile(`^([^ :]+:[0-9]+(?: \([^)]*\))?): (?s:(.*))$`)

// faults returns the faults that are joined in an error of the compiler.
func faults(err error) []adoption.Finding {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		var found []adoption.Finding
		for _, one := range many.Unwrap() {
			found = append(found, faults(one)...)
		}
		return found
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		if parts := faultPlace.FindStringSubmatch(inner.Error()); parts != nil {
			return []adoption.Finding{{At: parts[1], Message: parts[2]}}
		}
	}
	return []adoption.Finding{{Message: err.Error()}}
}

// waitingGauge returns the gauge of documents that wait to be checked or are being checked.
func waitingGauge(b *adoption.Bench) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fountain_kms_contracts_waiting", Help: "Documents of adopted services that are waiting to be checked or being checked.",
	}, func() float64 { return float64(b.Waiting()) })
}
