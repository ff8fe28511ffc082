// Package bench measures the family as its users meet it: the binary, through the gateway. Its figures are in docs/performance.md.
package bench

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

const password = "correct horse battery staple"

// BenchmarkFamily_coldStart is the time from exec to the ready line, on an empty directory and on one that was used.
func BenchmarkFamily_coldStart(b *testing.B) {
	harness.Binary(b)
	b.Run("first", func(b *testing.B) {
		var ready, rss medians
		for b.Loop() {
			p := harness.StartProcess(b, filepath.Join(b.TempDir(), "data"))
			ready.add(float64(p.Took.Milliseconds()))
			rss.add(p.RSS())
			p.Stop()
		}
		ready.report(b, "ms/ready")
		rss.report(b, "MiB-RSS")
	})
	b.Run("second", func(b *testing.B) {
		dir := filepath.Join(b.TempDir(), "data")
		harness.StartProcess(b, dir).Stop()
		var ready, stopped medians
		for b.Loop() {
			p := harness.StartProcess(b, dir)
			ready.add(float64(p.Took.Milliseconds()))
			began := time.Now()
			p.Stop()
			stopped.add(float64(time.Since(began).Milliseconds()))
		}
		ready.report(b, "ms/ready")
		stopped.report(b, "ms/stopped")
	})
}

// BenchmarkFamily_importPlay imports a whole play by the CLI and tells how fast, and what memory the family holds afterwards.
func BenchmarkFamily_importPlay(b *testing.B) {
	path := filepath.Join(shared(), "data", "hamlet.fountain")
	if _, err := os.Stat(path); err != nil {
		path = "../../internal/screenplay/demo.fountain"
	}
	var speed, searchable, rss medians
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "data")
		p := harness.StartProcess(b, dir)
		key := bootstrap(b, p, dir)
		began := time.Now()
		cmd := exec.Command(harness.Binary(b), "import", path, "--scope", "play")
		cmd.Env = append(os.Environ(), "FOUNTAIN_URL="+p.URL, "FOUNTAIN_API_KEY="+key, "HOME="+dir)
		out, err := cmd.CombinedOutput()
		require.NoError(b, err, string(out))
		took := time.Since(began)
		elements := waitIndexed(b, p, key)
		speed.add(elements / took.Seconds())
		searchable.add(time.Since(began).Seconds())
		rss.add(p.RSS())
		p.Stop()
	}
	speed.report(b, "elements/s")
	searchable.report(b, "s/searchable")
	rss.report(b, "MiB-RSS")
}

// BenchmarkFamily_append is the CPU time of the family for an element that one client appends, one after the other, until each of them can be found: the append, and bringing it to the embedded engine in the same process.
// FOUNTAIN_BINARY names another build to compare with.
func BenchmarkFamily_append(b *testing.B) {
	const appends = 1000
	var cpu medians
	for b.Loop() {
		dir := filepath.Join(b.TempDir(), "data")
		p := harness.StartProcess(b, dir)
		key := bootstrap(b, p, dir)
		c, err := fountain.New(p.URL, fountain.WithAPIKey(key))
		require.NoError(b, err)
		add := func(n int) {
			for i := range n {
				_, err := c.Sequence.CreateElement(b.Context(), "play", "line", sequence.ElementCreate{Data: fmt.Appendf(nil, `{"text":"What light through yonder window breaks %d"}`, i)})
				require.NoError(b, err)
			}
		}
		add(100) // and what is made at first
		waitIndexed(b, p, key)
		before := p.CPU()
		add(appends)
		waitIndexed(b, p, key)
		cpu.add(float64((p.CPU() - before).Microseconds()) / 1000 / appends)
		p.Stop()
	}
	cpu.report(b, "cpu-ms/append")
}

// BenchmarkFamily_idleConnections is the memory that keep-alive connections hold while nothing comes over them, each after one request. It needs as many
// open files as there are connections.
func BenchmarkFamily_idleConnections(b *testing.B) {
	connections := 10_000
	if testing.Short() {
		connections = 100
	}
	for b.Loop() {
		p := harness.StartProcess(b, filepath.Join(b.TempDir(), "data"))
		before := p.RSS()
		address := strings.TrimPrefix(p.URL, "http://")
		open := make([]net.Conn, 0, connections)
		for i := range connections {
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/500))}} // within the limit by address
			conn, err := from.Dial("tcp", address)
			require.NoError(b, err)
			_, err = fmt.Fprintf(conn, "GET /gateway/v1/health HTTP/1.1\r\nHost: %s\r\n\r\n", address)
			require.NoError(b, err)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(b, err)
			require.Equal(b, http.StatusOK, res.StatusCode)
			require.NoError(b, res.Body.Close())
			open = append(open, conn)
		}
		after := p.RSS()
		b.ReportMetric(after, "MiB-RSS")
		b.ReportMetric((after-before)*1024/float64(connections), "KiB/connection")
		for _, conn := range open {
			_ = conn.Close()
		}
		p.Stop()
	}
}

// medians collects one figure of every round: ReportMetric alone would keep the last round's.
type medians []float64

func (m *medians) add(v float64) { *m = append(*m, v) }

func (m *medians) report(b *testing.B, unit string) {
	slices.Sort(*m)
	b.ReportMetric((*m)[len(*m)/2], unit)
}

func shared() string {
	if dir := os.Getenv("FOUNTAIN_SHARED"); dir != "" {
		return dir
	}
	return "../../../shared"
}

func bootstrap(b *testing.B, p *harness.Process, dir string) (apiKey string) {
	b.Helper()
	ctx := context.Background()
	token, err := os.ReadFile(filepath.Join(dir, "kms", "bootstrap.token"))
	require.NoError(b, err)
	c, err := fountain.New(p.URL, fountain.WithUser("ada", password))
	require.NoError(b, err)
	user, err := c.KMS.BootstrapAdmin(ctx, kms.AdminBootstrap{Token: strings.TrimSpace(string(token)), Username: "ada", Password: password})
	require.NoError(b, err)
	made, err := c.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "bench", OwnerKind: new(kms.APIKeyCreateOwnerKind("user")), OwnerID: new(user.ID), Scopes: []string{"elements:read", "elements:write"}})
	require.NoError(b, err)
	return made.Key
}

// waitIndexed returns the number of elements when all can be found.
func waitIndexed(b *testing.B, p *harness.Process, key string) float64 {
	b.Helper()
	ctx := context.Background()
	c, err := fountain.New(p.URL, fountain.WithAPIKey(key))
	require.NoError(b, err)
	var stored int64
	for scope, err := range c.Sequence.ElementScopes(ctx) {
		require.NoError(b, err)
		if scope.Scope == "play" {
			stored = scope.Count
		}
	}
	require.Eventually(b, func() bool {
		res, err := c.Sequence.SearchElements(ctx, "play", sequence.ElementSearch{Q: "*"})
		return err == nil && res.Found == stored
	}, time.Minute, 20*time.Millisecond)
	return float64(stored)
}
