//go:build compose

package compose

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The end-to-end and the chaos suite pass against two instances of each service, behind Caddy, on PostgreSQL, Redis and a search engine. They kill containers instead
// of processes. Tests that need a process of their own are skipped with a reason.
func TestCompose_twoOfEachPassTheSuites(t *testing.T) {
	s := newStack(t, "COMPOSE_ENV_FILES=deploy/scale.env")
	t.Logf("healthy after %s", s.up().Round(100*time.Millisecond))
	c := s.administrator()
	s.awaitPairs(c)
	for _, suite := range []struct {
		name  string
		least int // tests that must run
	}{{"e2e", 8}, {"chaos", 11}} {
		t.Run(suite.name, func(t *testing.T) {
			began := time.Now()
			ran := s.suite(t, suite.name)
			for name, reason := range ran.skipped {
				t.Logf("skipped: %s: %s", name, reason)
			}
			t.Logf("%d tests of %s passed in %s, %d failed, %d were skipped: %s", len(ran.passed), suite.name, time.Since(began).Round(time.Second), len(ran.failed), len(ran.skipped), strings.Join(ran.passed, ", "))
			require.GreaterOrEqual(t, len(ran.passed), suite.least)
			require.Empty(t, ran.failed)
			for name, reason := range ran.skipped {
				require.NotEmpty(t, reason, name)
			}
		})
	}
	s.awaitPairs(c)
	s.checkNoSecrets()
}

// outcomes are the results of a suite's tests. A test whose subtests were all skipped counts as skipped.
type outcomes struct {
	passed, failed []string
	skipped        map[string]string // reason by test; that of the first subtest if all were skipped
}

// readOutcomes parses the output of go test -json.
func readOutcomes(out string) outcomes {
	type event struct{ Action, Test, Output string }
	ran, messages := outcomes{skipped: map[string]string{}}, map[string]string{}
	group, ranIn := map[string]bool{}, map[string]bool{} // tests that have subtests, and those of which a subtest ran
	for line := range strings.Lines(out) {
		var e event
		if json.Unmarshal([]byte(line), &e) != nil || e.Test == "" { // output about a package or a build
			continue
		}
		if e.Action == "output" {
			_, text, _ := strings.Cut(e.Output, "_test.go:")
			if _, text, found := strings.Cut(text, ": "); found {
				messages[e.Test] = strings.TrimSpace(text)
			}
			continue
		}
		ended := slices.Contains([]string{"pass", "fail", "skip"}, e.Action)
		parent, subtest := parentOf(e.Test)
		only := e.Action == "skip" || e.Action == "pass" && group[e.Test] && !ranIn[e.Test]
		switch {
		case !ended:
		case subtest:
			group[parent] = true
			ranIn[parent] = ranIn[parent] || !only
			if only {
				messages[parent] = cmp.Or(messages[parent], messages[e.Test])
			}
		case e.Action == "fail":
			ran.failed = append(ran.failed, e.Test)
		case only:
			ran.skipped[e.Test] = messages[e.Test]
		default:
			ran.passed = append(ran.passed, e.Test)
		}
	}
	return ran
}

// parentOf returns the test that a subtest belongs to; false for a test that is not a subtest.
func parentOf(name string) (parent string, found bool) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], true
	}
	return "", false
}

// A test counts only if a part of it ran: it neither skips itself nor skips all of its subtests.
func TestOutcomes_countNoTestThatOnlySkips(t *testing.T) {
	ran := readOutcomes(`{"Action":"start","Package":"e2e"}
# a line of the compiler
{"Action":"output","Test":"TestOwn","Output":"    a_test.go:3: not against a given family: it is its own\n"}
{"Action":"skip","Test":"TestOwn"}
{"Action":"output","Test":"TestParts/one","Output":"    a_test.go:5: not against a given family: of a process\n"}
{"Action":"skip","Test":"TestParts/one"}
{"Action":"skip","Test":"TestParts/two/deep"}
{"Action":"pass","Test":"TestParts/two"}
{"Action":"pass","Test":"TestParts"}
{"Action":"skip","Test":"TestSome/one"}
{"Action":"pass","Test":"TestSome/two"}
{"Action":"pass","Test":"TestSome"}
{"Action":"pass","Test":"TestWhole"}
{"Action":"fail","Test":"TestBroken/one"}
{"Action":"fail","Test":"TestBroken"}
{"Action":"fail","Package":"e2e"}
`)
	require.Equal(t, outcomes{
		passed: []string{"TestSome", "TestWhole"}, failed: []string{"TestBroken"},
		skipped: map[string]string{"TestOwn": "not against a given family: it is its own", "TestParts": "not against a given family: of a process"},
	}, ran)
}

// suite runs a suite against the stack, and returns its outcomes.
func (s *stack) suite(t *testing.T, name string) outcomes {
	t.Helper()
	dir := t.TempDir()
	put := func(file, text string) string {
		path := filepath.Join(dir, file)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	put("password", password)
	put("seed", s.known["seed of the authenticator"])
	driver, err := filepath.Abs("../../tools/compose-driver.sh")
	require.NoError(t, err)
	args := []string{"test", "-count=1", "-json", "-timeout", "60m"}
	if only := os.Getenv("SUITE_RUN"); only != "" {
		args = append(args, "-run", only)
	}
	cmd := exec.Command("go", append(args, "./tests/"+name)...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(s.env, "CGO_ENABLED=0", "COMPOSE="+os.Getenv("COMPOSE"), "DOCKER="+os.Getenv("DOCKER"), "FOUNTAIN_TEST_FAMILY="+s.url(), "FOUNTAIN_TEST_SECRETS="+dir, "FOUNTAIN_TEST_DRIVER="+driver,
		"SSL_CERT_FILE="+put("ca.crt", s.file("caddy", "/data/caddy/pki/authorities/local/root.crt")), "FOUNTAIN_PROVE="+os.Getenv("FOUNTAIN_PROVE"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	ran := readOutcomes(out.String())
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "was not called") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("%v: %s", err, out.String()[max(0, out.Len()-30000):])
	}
	return ran
}
