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

// The end-to-end and the chaos suite against two of each service, behind Caddy, on PostgreSQL, Redis and an engine of its own: what they can ask of a family that is not theirs they ask
// of this one, and end its containers instead of processes. What needs a process of the test's own is skipped by its name.
func TestCompose_twoOfEachPassTheSuites(t *testing.T) {
	s := newStack(t, "COMPOSE_ENV_FILES=deploy/scale.env")
	t.Logf("healthy after %s", s.up().Round(100*time.Millisecond))
	c := s.administrator()
	s.bothServe(c)
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
	s.bothServe(c)
	s.tellNothing()
}

// outcomes are the tests of a suite by what came of them. A test whose parts were all skipped was skipped.
type outcomes struct {
	passed, failed []string
	skipped        map[string]string // with the reason, that of its first part
}

// read sorts what go test -json has written.
func read(out string) outcomes {
	type event struct{ Action, Test, Output string }
	ran, said := outcomes{skipped: map[string]string{}}, map[string]string{}
	group, ranIn := map[string]bool{}, map[string]bool{} // tests that have parts, and those of which a part ran
	for line := range strings.Lines(out) {
		var e event
		if json.Unmarshal([]byte(line), &e) != nil || e.Test == "" { // what the go command says of a package or of a build
			continue
		}
		if e.Action == "output" {
			_, text, _ := strings.Cut(e.Output, "_test.go:")
			if _, text, told := strings.Cut(text, ": "); told {
				said[e.Test] = strings.TrimSpace(text)
			}
			continue
		}
		ended := slices.Contains([]string{"pass", "fail", "skip"}, e.Action)
		above, part := aboveOf(e.Test)
		only := e.Action == "skip" || e.Action == "pass" && group[e.Test] && !ranIn[e.Test]
		switch {
		case !ended:
		case part:
			group[above] = true
			ranIn[above] = ranIn[above] || !only
			if only {
				said[above] = cmp.Or(said[above], said[e.Test])
			}
		case e.Action == "fail":
			ran.failed = append(ran.failed, e.Test)
		case only:
			ran.skipped[e.Test] = said[e.Test]
		default:
			ran.passed = append(ran.passed, e.Test)
		}
	}
	return ran
}

// aboveOf is the test that a part is of.
func aboveOf(name string) (above string, found bool) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], true
	}
	return "", false
}

// A test counts when something of it ran: it neither skips itself nor skips all of its parts.
func TestOutcomes_countNoTestThatOnlySkips(t *testing.T) {
	ran := read(`{"Action":"start","Package":"e2e"}
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

// suite runs one.
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
	ran := read(out.String())
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
