package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "fountain-binary-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "fountain")
	cmd := exec.Command("go", "build", "-o", path, "github.com/fountainai/fountain/cmd/fountain")
	cmd.Stderr = os.Stderr
	return path, cmd.Run()
})

// Binary builds cmd/fountain once per test process and returns its path. FOUNTAIN_BINARY names an existing binary
// instead.
func Binary(tb testing.TB) string {
	tb.Helper()
	if given := os.Getenv("FOUNTAIN_BINARY"); given != "" {
		return given
	}
	path, err := binary()
	if err != nil {
		tb.Fatalf("build fountain: %v", err)
	}
	return path
}
