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
