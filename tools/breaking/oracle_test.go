package main

import (
	"fmt"
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

func adopted(path string) (change.Version, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return change.Version{}, err
	}
	files := map[string][]byte{"spec.yaml": text}
	c, _, err := contract.Adopt(contract.Adoption{Name: "member", File: "spec.yaml", Files: files})
	return change.Version{Contract: c, File: "spec.yaml", Files: files}, err
}

func TestExplore(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/oasdiff/oasdiff").Output()
	if err != nil {
		t.Fatal(err)
	}
	all, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "data", "checker", "*_base.yaml"))
	both, none, onlyThem, onlyUs, failed := 0, 0, 0, 0, 0
	for _, base := range all {
		stem := strings.TrimSuffix(base, "_base.yaml")
		others, _ := filepath.Glob(stem + "_*.yaml")
		for _, other := range others {
			if other == base { continue }
			for _, pair := range [][2]string{{base, other}, {other, base}} {
				old, err1 := loadContract(pair[0])
				now, err2 := loadContract(pair[1])
				live, err3 := adopted(pair[0])
				next, err4 := adopted(pair[1])
				if err1 != nil || err2 != nil || err3 != nil || err4 != nil {
					fmt.Println("FAILED", filepath.Base(pair[0]), err1, err2, err3, err4)
					failed++
					continue
				}
				difference, sources, err := diff.GetWithOperationsSourcesMap(diff.NewConfig(), old, now)
				if err != nil { t.Fatal(err) }
				config := checker.NewConfig(checker.GetAllChecks(), checker.WithSeverityLevels(alsoBreaks))
				var theirs []string
				for _, c := range checker.CheckBackwardCompatibilityUntilLevel(config, difference, sources, checker.ERR) {
					theirs = append(theirs, c.GetId())
				}
				changes, err := change.Compare(live, next)
				if err != nil { t.Fatal(err) }
				switch {
				case len(theirs) > 0 && len(changes) > 0: both++
				case len(theirs) == 0 && len(changes) == 0: none++
				case len(theirs) > 0:
					onlyThem++
					fmt.Println("THEM", filepath.Base(pair[0]), "->", filepath.Base(pair[1]), theirs)
				default:
					onlyUs++
					fmt.Println("US  ", filepath.Base(pair[0]), "->", filepath.Base(pair[1]), changes[0].Name)
				}
			}
		}
	}
	fmt.Println(both, none, onlyThem, onlyUs, failed)
}
