package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oasdiff/oasdiff/checker"
	"github.com/oasdiff/oasdiff/diff"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/change"
)

// passed are pairs of oasdiff's own data that it calls breaking and the product's comparison does not, and why.
var passed = map[string]string{
	"api_security_added": security, "api_security_global_added": security, "api_security_updated": security,
	"webhook":                                  webhooks,
	"webhook_operation":                        webhooks,
	"request_parameter_extensible_enum":        extensible,
	"request_parameter_extensible_enum_number": extensible,
	"request_property_extensible_enum":         extensible,
	"request_property_extensible_enum_number":  extensible,
	"request_body_any_of_media_type":           same,
	"request_property_all_of_added":            same,
	"request_property_all_of_inline_added":     same,
	"request_property_all_of_removed":          same,
	"request_property_any_of_added":            same,
	"request_property_any_of_removed":          same,
	"request_property_one_of_added":            same,
	"request_property_one_of_removed":          same,
	"response_property_any_of_added":           same,
	"response_property_any_of_removed":         same,
	"request_parameter_max_items_updated":      otherType,
	"request_parameter_max_updated":            otherType,
	"transition_claims_enum":                   wider,
}

const (
	security   = "the family's tokens take the place of a document's security schemes; policy is compared by compat"
	webhooks   = "the gateway serves no webhooks"
	extensible = "an extension, which nothing checks"
	same       = "the alternative that has gone allows what another one allows"
	otherType  = "a bound of numbers on a list, or of lists on a number, which no value meets"
	wider      = "every value that was taken is taken"
)

// What oasdiff calls a break in its own test data, change.Compare calls one too: two readers of the same rules that share no code.
func TestChange_findsWhatOasdiffFinds(t *testing.T) {
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/oasdiff/oasdiff").Output()
	if err != nil {
		t.Fatal(err)
	}
	bases, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "data", "checker", "*_base.yaml"))
	if err != nil || len(bases) < 100 {
		t.Fatalf("%d pairs: %v", len(bases), err)
	}
	breaks, used := 0, map[string]bool{}
	for _, base := range bases {
		stem := strings.TrimSuffix(base, "_base.yaml")
		revision := stem + "_revision.yaml"
		if _, err := os.Stat(revision); err != nil {
			continue
		}
		for _, pair := range [][2]string{{base, revision}, {revision, base}} {
			theirs, ours := oasdiffBreaks(t, pair[0], pair[1]), changes(t, pair[0], pair[1])
			name := filepath.Base(stem)
			switch {
			case len(theirs) == 0:
			case len(ours) > 0:
				breaks++
			case passed[name] == "":
				t.Errorf("%s -> %s: oasdiff says %v, change nothing", filepath.Base(pair[0]), filepath.Base(pair[1]), theirs)
			default:
				used[name] = true
			}
		}
	}
	t.Logf("%d steps between pairs are breaks for both, %d pairs for oasdiff alone", breaks, len(used))
	if breaks < 100 {
		t.Errorf("only %d breaks were compared", breaks)
	}
	for name := range passed {
		if !used[name] {
			t.Errorf("%s is found and need not be passed over", name)
		}
	}
}

func oasdiffBreaks(t *testing.T, before, after string) []string {
	t.Helper()
	old, err := loadContract(before)
	if err != nil {
		t.Fatal(err)
	}
	now, err := loadContract(after)
	if err != nil {
		t.Fatal(err)
	}
	difference, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), old, now)
	if err != nil {
		t.Fatal(err)
	}
	config := checker.NewConfig(checker.GetAllChecks(), checker.WithSeverityLevels(alsoBreaks))
	var ids []string
	for _, c := range checker.CheckBackwardCompatibilityUntilLevel(config, difference, sources, checker.ERR) {
		ids = append(ids, c.GetId())
	}
	return ids
}

func changes(t *testing.T, before, after string) []change.Change {
	t.Helper()
	found, err := change.Compare(adopted(t, before), adopted(t, after))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func adopted(t *testing.T, path string) change.Version {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"spec.yaml": text}
	c, _, err := contract.Adopt(contract.Adoption{Name: "member", File: "spec.yaml", Files: files})
	if err != nil {
		t.Fatal(err)
	}
	return change.Version{Contract: c, File: "spec.yaml", Files: files}
}
