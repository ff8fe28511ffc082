package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"
	"github.com/oasdiff/oasdiff/load"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/compat"
)

// common contains only components. It is compared through the contracts that refer to it, because it has no operation
// of its own that could break.
const common = "common.yaml"

// compare returns one line per break, in the order of the contracts, and the number of contracts that it compared.
func compare(contracts, released string) (breaks []string, compared int, err error) {
	names, err := contractNames(released)
	if err != nil {
		return nil, 0, err
	}
	if len(names) == 0 {
		return nil, 0, fmt.Errorf("no contract in %s: run with --accept once", released)
	}
	for _, name := range names {
		if name == common {
			continue
		}
		if _, err := os.Stat(filepath.Join(contracts, name)); errors.Is(err, fs.ErrNotExist) {
			breaks = append(breaks, name+": contract-removed: the whole contract has gone")
			continue
		}
		found, err := compareFile(filepath.Join(released, name), filepath.Join(contracts, name))
		if err != nil {
			return nil, compared, fmt.Errorf("compare %s: %w", name, err)
		}
		for _, b := range found {
			breaks = append(breaks, name+": "+b)
		}
		compared++
	}
	return breaks, compared, nil
}

func compareFile(before, after string) ([]string, error) {
	old, err := loadContract(before)
	if err != nil {
		return nil, err
	}
	now, err := loadContract(after)
	if err != nil {
		return nil, err
	}
	difference, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), old, now)
	if err != nil {
		return nil, err
	}
	config := checker.NewConfig(checker.GetAllChecks(), checker.WithSeverityLevels(alsoBreaks))
	localizer := checker.NewDefaultLocalizer()
	var breaks []string
	for _, change := range checker.CheckBackwardCompatibilityUntilLevel(config, difference, sources, checker.ERR) {
		where := strings.TrimSpace(change.GetOperation() + " " + change.GetPath())
		if where == "" {
			where = change.GetSection()
		}
		breaks = append(breaks, fmt.Sprintf("%s: %s: %s", where, change.GetId(), change.GetUncolorizedText(localizer)))
	}
	law, err := compareLaw(before, after)
	return append(breaks, law...), err
}

// alsoBreaks are changes that oasdiff calls harmless but that affect our clients: a removed SDK method, a default or a
// number with another meaning, a value that is no longer in a response.
var alsoBreaks = map[string]checker.Level{
	checker.APIOperationIdRemovedId:               checker.ERR,
	checker.RequestParameterDefaultValueAddedId:   checker.ERR,
	checker.RequestParameterDefaultValueChangedId: checker.ERR,
	checker.RequestParameterDefaultValueRemovedId: checker.ERR,
	checker.RequestPropertyDefaultValueAddedId:    checker.ERR,
	checker.RequestPropertyDefaultValueChangedId:  checker.ERR,
	checker.RequestPropertyDefaultValueRemovedId:  checker.ERR,
	checker.RequestParameterTypeGeneralizedId:     checker.ERR,
	checker.RequestPropertyTypeGeneralizedId:      checker.ERR,
	checker.RequestPropertyTypeCompatibleId:       checker.ERR,
	checker.ResponsePropertyTypeSpecializedId:     checker.ERR,
	checker.ResponsePropertyTypeCompatibleId:      checker.ERR,
	checker.ResponseOptionalPropertyRemovedId:     checker.ERR,
	checker.OptionalResponseHeaderRemovedId:       checker.ERR,
}

// compareLaw compares who may call, and under which limits. A change that allows a caller more than before is reported
// as well: no client breaks, but the protection is weaker, and that must be intended.
func compareLaw(before, after string) ([]string, error) {
	word := strings.TrimSuffix(filepath.Base(before), ".yaml")
	old, err := contract.LoadFS(os.DirFS(filepath.Dir(before)), word)
	if err != nil {
		return nil, fmt.Errorf("the released one: %w", err)
	}
	now, err := contract.LoadFS(os.DirFS(filepath.Dir(after)), word)
	if err != nil {
		return nil, err
	}
	var breaks []string
	for _, c := range compat.Compare(old, now) {
		if c.Severity == compat.Harmless {
			continue
		}
		where := c.Operation
		if where == "" {
			where = "contract"
		}
		breaks = append(breaks, fmt.Sprintf("%s: %s: %s", where, c.ID, c.Text))
	}
	return breaks, nil
}

func loadContract(path string) (*load.SpecInfo, error) {
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true // common.yaml is next to it
	return load.NewSpecInfo(loader, load.NewSource(path))
}

// contractNames returns the sorted names of the YAML files in a folder.
func contractNames(dir string) ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	names := make([]string, len(paths))
	for i, p := range paths {
		names[i] = filepath.Base(p)
	}
	slices.Sort(names)
	return names, nil
}

// acceptContracts makes released an exact copy of contracts and returns the
// number of files.
func acceptContracts(contracts, released string) (int, error) {
	names, err := contractNames(contracts)
	if err != nil {
		return 0, err
	}
	if len(names) == 0 {
		return 0, fmt.Errorf("no contract in %s", contracts)
	}
	if err := os.MkdirAll(released, 0o755); err != nil {
		return 0, err
	}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(contracts, name))
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(released, name), content, 0o644); err != nil {
			return 0, err
		}
	}
	old, err := contractNames(released)
	if err != nil {
		return 0, err
	}
	for _, name := range old {
		if !slices.Contains(names, name) {
			if err := os.Remove(filepath.Join(released, name)); err != nil {
				return 0, err
			}
		}
	}
	if err := os.Remove(filepath.Join(released, acceptedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("empty the list of accepted breaks: %w", err)
	}
	return len(names), nil
}
