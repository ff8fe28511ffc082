//go:build !server

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each real document gives a client with all of its operations, and all clients compile, in a separate module. This
// takes a minute on two processors, and many minutes under the race detector, which finds nothing in the compiler. So
// it runs only in make adopt-corpus.
func TestAdoptCorpus_givesClientsThatCompile(t *testing.T) {
	if !strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), "documents") {
		t.Skip("make adopt-corpus runs it")
	}
	shared := os.Getenv("FOUNTAIN_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "shared")
	}
	var documents []string
	for _, pattern := range []string{"*.json", "*.yaml"} {
		found, err := filepath.Glob(filepath.Join(shared, "data", "openapi", pattern))
		require.NoError(t, err)
		documents = append(documents, found...)
	}
	require.NotEmpty(t, documents, "the documents are not in %s", shared)
	dir := corpusModule(t)
	for _, file := range documents {
		name := nameOf(file)
		got := run(t, "generate", "client", file, "--out", filepath.Join(dir, name))
		require.Zero(t, got.code, "%s: %s", name, got.stderr)
		require.NotContains(t, got.stderr, "is not in the client", name)
		t.Logf("%s\n%s", name, got.stderr)
	}
	require.Len(t, documents, 17)
	build := exec.CommandContext(t.Context(), "go", "build", "-gcflags=-N -l", "./...")
	build.Dir, build.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
}

// corpusModule creates a module that requires this one and its requirements, so that nothing is downloaded.
func corpusModule(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	edit := exec.CommandContext(t.Context(), "go", "mod", "edit", "-module", "example.com/clients", "-require", "github.com/fountainai/fountain@v0.0.0",
		"-replace", "github.com/fountainai/fountain="+root)
	edit.Dir = dir
	out, err := edit.CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}
