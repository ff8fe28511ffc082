// Package redistest starts a real Redis for a test, which may kill and restart it.
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

// Server is a Redis without persistence on a loopback port.
type Server struct {
	tb  testing.TB
	dir string
	URL string
}

// Start starts a Redis that is stopped after the test. Without a redis-server the test is skipped, or fails when FOUNTAIN_TEST_REQUIRE contains
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

// Kill kills it without notice to its clients; its data is lost.
func (s *Server) Kill() {
	s.tb.Helper()
	s.script("stop")
}

// Restart starts it again on the same port, without data.
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
