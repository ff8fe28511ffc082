package member

import (
	"errors"
	"fmt"

	"github.com/fountainai/fountain/internal/contract/change"
)

// mayFollow returns an error if a contract breaks clients of the one before, or guards less, unless the operator has accepted each such change by
// name.
func mayFollow(before, made *Member) error {
	changes, err := change.Compare(before.version(), made.version())
	if err != nil {
		return fmt.Errorf("compare with the contract in force: %w", err)
	}
	refused, _ := change.Refused(changes, made.Accept) // ignored: names that match no change, since those changes are already in force
	var errs []error
	for _, c := range refused {
		errs = append(errs, errors.New(c.String()))
	}
	if len(errs) > 0 {
		return fmt.Errorf("the contract has changes that must be accepted by name: %w", errors.Join(errs...))
	}
	return nil
}

func (m *Member) version() change.Version {
	return change.Version{Contract: m.Contract, File: m.File, Files: m.Files}
}
