//go:build compose

package compose

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// outcome is a line of go test of a test that is none's part.
var outcome = regexp.MustCompile(`(?m)^--- (PASS|SKIP|FAIL): (\S+) \(`)

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
	}{{"e2e", 7}, {"chaos", 10}} {
		t.Run(suite.name, func(t *testing.T) {
			began := time.Now()
			ran := s.suite(t, suite.name)
			for _, name := range ran["SKIP"] {
				t.Logf("skipped: %s", name)
			}
			t.Logf("%d tests of %s passed in %s, %d failed, %d were skipped: %s", len(ran["PASS"]), suite.name, time.Since(began).Round(time.Second), len(ran["FAIL"]), len(ran["SKIP"]), strings.Join(ran["PASS"], ", "))
			require.GreaterOrEqual(t, len(ran["PASS"]), suite.least)
			require.Empty(t, ran["FAIL"])
		})
	}
	s.bothServe(c)
	s.tellNothing()
}

// suite runs one, and returns the names of its tests by what came of them.
func (s *stack) suite(t *testing.T, name string) map[string][]string {
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
	args := []string{"test", "-count=1", "-v", "-timeout", "60m"}
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
	ran := map[string][]string{}
	for _, m := range outcome.FindAllStringSubmatch(out.String(), -1) {
		ran[m[1]] = append(ran[m[1]], m[2])
	}
	for line := range strings.Lines(out.String()) {
		if strings.Contains(line, "not against a given family") || strings.Contains(line, "was not called") {
			t.Log(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("%v: %s", err, out.String()[max(0, out.Len()-30000):])
	}
	return ran
}
