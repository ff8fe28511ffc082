// Package redistest gives tests a real Redis of their own, which they may kill and start again.
package redistest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireVariable is a list: with "redis" in it a missing redis-server fails a test instead of skipping it.
const requireVariable = "FOUNTAIN_TEST_REQUIRE"

// Server is a Redis on a loopback port that keeps nothing.
type Server struct {
	tb  testing.TB
	dir string
	URL string
}

// Start starts a Redis that is stopped after the test. Where there is no redis-server the test is skipped, unless FOUNTAIN_TEST_REQUIRE holds
// "redis".
func Start(tb testing.TB) *Server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if slices.Contains(strings.FieldsFunc(os.Getenv(requireVariable), func(r rune) bool { return r == ',' || r == ' ' }), "redis") {
			tb.Fatalf("%s demands redis, but there is no redis-server", requireVariable)
		}
		tb.Skip("there is no redis-server")
	}
	s := &Server{tb: tb, dir: tb.TempDir()}
	tb.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Kill ends it without a word to its clients, and all that it knew is lost.
func (s *Server) Kill() {
	s.tb.Helper()
	s.script("stop")
}

// Restart starts it again on the same port, empty.
func (s *Server) Restart() {
	s.tb.Helper()
	_, url, _ := strings.Cut(s.script("start"), "'")
	s.URL = strings.TrimSuffix(url, "'\n")
}

func (s *Server) script(command string) string {
	s.tb.Helper()
	_, file, _, _ := runtime.Caller(0)
	out, err := exec.Command(filepath.Join(filepath.Dir(file), "..", "..", "..", "tools", "redis.sh"), command, s.dir).Output()
	require.NoError(s.tb, err, "tools/redis.sh %s", command)
	return string(out)
}
