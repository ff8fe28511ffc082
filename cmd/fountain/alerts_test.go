package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every alert uses metrics and causes that some service reports, and the documentation has every alert.
func TestAlerts_standOnMetricsThatAreThere(t *testing.T) {
	rules, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	require.NoError(t, err)
	docs, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	admin := regexp.MustCompile(`metrics, pprof +(http://\S+?)/services`).FindStringSubmatch(u.stderr.String() + u.stdout.String())
	require.NotNil(t, admin)
	answer, err := http.Get(admin[1] + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	metrics, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	names := regexp.MustCompile(`fountain_[a-z_]+`).FindAllString(string(rules), -1)
	slices.Sort(names)
	names = slices.Compact(names)
	require.Greater(t, len(names), 4)
	for _, name := range names {
		require.Regexp(t, `(?m)^`+name+`[{ ]`, string(metrics))
	}
	for _, found := range regexp.MustCompile(`because=~?"([a-z_|]+)"`).FindAllStringSubmatch(string(rules), -1) {
		for _, cause := range regexp.MustCompile(`[a-z_]+`).FindAllString(found[1], -1) {
			require.Contains(t, string(metrics), `because="`+cause+`"`)
		}
	}
	for _, found := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		require.Contains(t, string(docs), "`"+found[1]+"`")
	}
}
