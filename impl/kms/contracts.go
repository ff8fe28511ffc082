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
	changes, err := change.Compare(version(live, *before), version(c, d))
	if errors.Is(err, change.ErrTooDifferent) {
		v.Faults = append(v.Faults, adoption.Finding{Message: "The document has too little in common with the live one to be its next version.", Hint: "Retire the live one first."})
		return v, nil
	}
	if err != nil {
		return adoption.Verdict{}, fmt.Errorf("compare documents: %w", err)
	}
	for _, one := range changes {
		v.Changes = append(v.Changes, adoption.Change{Name: one.Name, Message: one.Origin.String() + ": " + one.Text})
	}
	return v, nil
}

func version(c *contract.Contract, d adoption.Document) change.Version {
	return change.Version{Contract: c, File: d.File, Files: texts(d)}
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

func adopt(d adoption.Document) (*contract.Contract, []contract.Warning, error) {
	return contract.Adopt(contract.Adoption{Name: d.Service, File: d.File, Files: texts(d), Public: d.Public})
}

func texts(d adoption.Document) map[string][]byte {
	files := map[string][]byte{}
	for _, f := range d.Files {
		files[f.Name] = []byte(f.Text)
	}
	return files
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
