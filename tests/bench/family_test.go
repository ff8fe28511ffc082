// Package bench measures the family as its users meet it: the binary, through the gateway. Its figures are in docs/performance.md.
package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
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
		for b.Loop() {
			p := harness.StartProcess(b, filepath.Join(b.TempDir(), "data"))
			b.ReportMetric(float64(p.Took.Milliseconds()), "ms/ready")
			b.ReportMetric(p.RSS(), "MiB-RSS")
			p.Stop()
		}
	})
	b.Run("second", func(b *testing.B) {
		dir := filepath.Join(b.TempDir(), "data")
		harness.StartProcess(b, dir).Stop()
		for b.Loop() {
			p := harness.StartProcess(b, dir)
			b.ReportMetric(float64(p.Took.Milliseconds()), "ms/ready")
			p.Stop()
		}
	})
}

// BenchmarkFamily_importPlay imports a whole play by the CLI and tells how fast, and what memory the family holds afterwards.
func BenchmarkFamily_importPlay(b *testing.B) {
	path := filepath.Join(shared(), "data", "hamlet.fountain")
	if _, err := os.Stat(path); err != nil {
		path = "../../internal/screenplay/demo.fountain"
	}
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
		b.ReportMetric(elements/took.Seconds(), "elements/s")
		b.ReportMetric(time.Since(began).Seconds(), "s/searchable")
		b.ReportMetric(p.RSS(), "MiB-RSS")
		p.Stop()
	}
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
	made, err := c.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "bench", OwnerKind: "user", OwnerID: user.ID, Scopes: []string{"elements:read", "elements:write"}})
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
	for _, kind := range []string{"script", "section", "character", "action", "spokenWord"} {
		all, err := fountain.Collect(c.Sequence.Elements(ctx, "play", kind))
		require.NoError(b, err)
		stored += int64(len(all))
	}
	require.Eventually(b, func() bool {
		res, err := c.Sequence.SearchElements(ctx, "play", sequence.ElementSearch{Q: "*"})
		return err == nil && res.Found == stored
	}, time.Minute, 20*time.Millisecond)
	return float64(stored)
}
