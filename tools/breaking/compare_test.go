package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun_namesEachBreakAndExitsOne(t *testing.T) {
	var out, errOut bytes.Buffer
	status := run([]string{"-contracts", "testdata/broken", "-released", "testdata/released"}, &out, &errOut)
	if status != 1 {
		t.Fatalf("exit status %d, want 1; stderr: %s", status, errOut.String())
	}
	for _, want := range []string{
		"notes.yaml: GET /notes/{id}: api-",                    // an operation has gone
		"api-operation-id-removed",                             // an SDK method would change its name
		"request-parameter-max-decreased",                      // a narrower parameter
		"request-property-max-length-decreased",                // a narrower body, by way of common.yaml
		"request-property-enum-value-removed",                  // a value no longer taken
		"notes.yaml: POST /notes: request-property-became-req", // a new obligation
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line says %q:\n%s", want, out.String())
		}
	}
	if !strings.Contains(errOut.String(), "make breaking-accept") {
		t.Errorf("stderr does not say what to run: %s", errOut.String())
	}
}

func TestRun_acceptsWhatOnlyWidens(t *testing.T) {
	var out, errOut bytes.Buffer
	if status := run([]string{"-contracts", "testdata/compatible", "-released", "testdata/released"}, &out, &errOut); status != 0 {
		t.Fatalf("exit status %d, want 0:\n%s%s", status, out.String(), errOut.String())
	}
	if got, want := out.String(), "no breaking change in 1 contracts beside 0 accepted ones\n"; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
}

func TestRun_contractRemovedIsABreak(t *testing.T) {
	var out, errOut bytes.Buffer
	if status := run([]string{"-contracts", t.TempDir(), "-released", "testdata/released"}, &out, &errOut); status != 1 {
		t.Fatalf("exit status %d, want 1", status)
	}
	if !strings.Contains(out.String(), "notes.yaml: contract-removed") {
		t.Errorf("output %q", out.String())
	}
}

func TestRun_nothingReleasedIsNotSuccess(t *testing.T) {
	var out, errOut bytes.Buffer
	if status := run([]string{"-contracts", "testdata/released", "-released", t.TempDir()}, &out, &errOut); status != 2 {
		t.Fatalf("exit status %d, want 2", status)
	}
}

func TestRun_acceptMakesTheContractsTheReleasedOnes(t *testing.T) {
	released := filepath.Join(t.TempDir(), "released")
	if err := os.MkdirAll(released, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(released, "gone.yaml"), []byte("openapi: 3.0.3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	if status := run([]string{"-contracts", "testdata/broken", "-released", released, "--accept"}, &out, &errOut); status != 0 {
		t.Fatalf("accept: exit status %d: %s", status, errOut.String())
	}
	if status := run([]string{"-contracts", "testdata/broken", "-released", released}, &out, &errOut); status != 0 {
		t.Fatalf("after accept: exit status %d:\n%s%s", status, out.String(), errOut.String())
	}
	if _, err := os.Stat(filepath.Join(released, "gone.yaml")); !os.IsNotExist(err) {
		t.Errorf("a contract that has gone is still among the released ones: %v", err)
	}
}

func TestRun_acceptsABreakByNameAlone(t *testing.T) {
	released := t.TempDir()
	if err := os.CopyFS(released, os.DirFS("testdata/released")); err != nil {
		t.Fatal(err)
	}
	names := func() []string {
		breaks, _, err := compare("testdata/broken", released)
		if err != nil {
			t.Fatal(err)
		}
		for i := range breaks {
			breaks[i] = nameOf(breaks[i])
		}
		return breaks
	}()
	write := func(lines ...string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(released, acceptedFile), []byte("# why\n"+strings.Join(lines, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		lines []string
		want  int
	}{
		"every break":         {names, 0},
		"all but one":         {names[1:], 1},
		"one that is no more": {append([]string{"notes.yaml: GET /gone: api-removed"}, names...), 1},
		"a line without form": {[]string{"everything"}, 2},
	} {
		write(test.lines...)
		var out, errOut bytes.Buffer
		if status := run([]string{"-contracts", "testdata/broken", "-released", released}, &out, &errOut); status != test.want {
			t.Errorf("%s: exit status %d, want %d:\n%s%s", name, status, test.want, out.String(), errOut.String())
		}
	}
}
