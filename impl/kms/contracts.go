package kms

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/kms/internal/adoption"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/compat"
)

// judge is the adoption.Judge by the compiler that the gateways have too.
type judge struct{}

// Judge implements adoption.Judge.
func (judge) Judge(before *adoption.Document, d adoption.Document) (adoption.Verdict, error) {
	c, warnings, err := adopt(d)
	if err != nil {
		return adoption.Verdict{Faults: faults(err)}, nil
	}
	v := adoption.Verdict{Version: c.Version, Scopes: needed(c)}
	for _, w := range warnings {
		cause := w.Cause
		if w.Operation != "" {
			cause = w.Operation + ": " + cause
		}
		v.Warnings = append(v.Warnings, adoption.Finding{At: w.Origin.String(), Message: cause, Hint: w.Hint})
	}
	if before == nil {
		return v, nil
	}
	live, _, err := adopt(*before)
	if err != nil {
		return adoption.Verdict{}, fmt.Errorf("compile the live document: %w", err)
	}
	v.Changes = compare(live, c)
	return v, nil
}

// needed returns the scopes that the operations ask for, sorted.
func needed(c *contract.Contract) []string {
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

// compare returns what a client of the old contract would notice, and what the new one guards less.
func compare(was, is *contract.Contract) []adoption.Change {
	var changes []adoption.Change
	for _, op := range was.Operations {
		at := slices.IndexFunc(is.Operations, func(other *contract.Operation) bool { return other.Method == op.Method && other.Path == op.Path })
		place := op.Method + " " + strings.TrimPrefix(op.Path, was.BasePath)
		switch {
		case at < 0:
			changes = append(changes, adoption.Change{Name: place + ": operation-removed", Message: "the operation is gone"})
		case op.Unsupported == "" && is.Operations[at].Unsupported != "":
			changes = append(changes, adoption.Change{Name: place + ": operation-unsupported", Message: is.Operations[at].Unsupported})
		}
	}
	for _, c := range compat.Compare(was, is) {
		if c.Severity != compat.Harmless {
			changes = append(changes, adoption.Change{Name: strings.TrimPrefix(c.Operation+": "+c.ID, ": "), Message: c.Text})
		}
	}
	return changes
}

func adopt(d adoption.Document) (*contract.Contract, []contract.Warning, error) {
	files := map[string][]byte{}
	for _, f := range d.Files {
		files[f.Name] = []byte(f.Text)
	}
	return contract.Adopt(contract.Adoption{Name: d.Service, File: d.File, Files: files, Public: d.Public})
}

// placed splits what the compiler says of one fault: file and line, and what is wrong there.
var placed = regexp.MustCompile(`^([^ :]+:[0-9]+): (?s:(.*))$`)

// faults lists what is joined in an error of the compiler.
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
		if parts := placed.FindStringSubmatch(inner.Error()); parts != nil {
			return []adoption.Finding{{At: parts[1], Message: parts[2]}}
		}
	}
	return []adoption.Finding{{Message: err.Error()}}
}

// waiting tells how many documents of adopted services wait to be judged, or are.
func waiting(b *adoption.Bench) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fountain_kms_contracts_waiting", Help: "Documents of adopted services that wait to be judged, or are.",
	}, func() float64 { return float64(b.Waiting()) })
}
