package foreign

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/tests/harness"
)

// Typesense's own client for JavaScript and InstantSearch, by its adapter, use `fountain serve typesense` as they use a Typesense: a search page's
// calls, facets, places, infinite hits, federated search and scoped keys.
func TestTypesense_aSearchPageOfNodeWorks(t *testing.T) {
	url, key := startEngine(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "typesense.mjs")
	node.Env = append(os.Environ(), "URL_OF_ENGINE="+url, "KEY="+key)
	node.Stderr = os.Stderr
	raw, err := node.Output()
	require.NoError(t, err, "%s", raw)
	var done map[string]bool
	require.NoError(t, json.Unmarshal(raw, &done))
	for _, part := range []string{"typesense", "facets", "infinite", "geo", "federated", "scoped"} {
		require.True(t, done[part], part)
	}
}

// upstream is the package of the tests that Typesense's client for Go has of itself, and what fails of it on a Typesense 29.0, too: the preset's q is ignored there.
const (
	upstream       = "github.com/typesense/typesense-go/v3/typesense/test"
	upstreamModule = "module example.invalid/upstream\n\ngo 1.26\n\nrequire github.com/typesense/typesense-go/v3 v3.2.0\n"
	upstreamFails  = "TestCollectionSearchWithPreset"
	upstreamTests  = 65
)

// TestTypesense_theTestsOfItsGoClientPass runs the tests of typesense-go in a module of their own, so that what they need is none of ours.
func TestTypesense_theTestsOfItsGoClientPass(t *testing.T) {
	url, key := startEngine(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(upstreamModule), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOWORK=off", "GOFLAGS=", "TYPESENSE_URL="+url, "TYPESENSE_API_KEY="+key)
		return cmd.CombinedOutput()
	}
	out, err := run("get", "-t", upstream+"@v3.2.0")
	require.NoError(t, err, "%s", out)
	out, err = run("test", "-count=1", "-tags", "integration", "-json", upstream)
	require.Error(t, err, "one test is known to fail")
	passed, failed := 0, []string{}
	for line := range strings.Lines(string(out)) {
		var event struct{ Action, Test string }
		if json.Unmarshal([]byte(line), &event) != nil || event.Test == "" || strings.Contains(event.Test, "/") {
			continue
		}
		switch event.Action {
		case "pass":
			passed++
		case "fail":
			failed = append(failed, event.Test)
		}
	}
	require.Equal(t, []string{upstreamFails}, failed, "%s", out)
	require.Equal(t, upstreamTests-1, passed)
}

// startEngine runs `fountain serve typesense` until the test ends, and returns its URL and its key.
func startEngine(t *testing.T) (url, key string) {
	t.Helper()
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "key")
	cmd := exec.Command(harness.Binary(t), "serve", "typesense", "--port", "0", "--data", filepath.Join(dir, "data"), "--key-file", keyFile)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait(), "SIGTERM drains and exits 0")
	})
	for lines := bufio.NewScanner(stdout); url == "" && lines.Scan(); {
		url, _ = strings.CutPrefix(lines.Text(), "ready ")
	}
	require.Regexp(t, `^http://127\.0\.0\.1:`, url)
	raw, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	return url, strings.TrimSpace(string(raw))
}
