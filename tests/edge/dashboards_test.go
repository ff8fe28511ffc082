//go:build edge

package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

// datasource names the Prometheus that deploy/grafana/provisioning makes.
type datasource struct{ Type, UID string }

// panel is all that a panel of ours has; another member is an error.
type panel struct {
	ID          int
	Type        string
	Title       string
	Description string
	Datasource  datasource
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct {
		Defaults  struct{ Unit string }
		Overrides []struct{}
	}
	Targets []struct {
		RefID        string
		Datasource   datasource
		Expr         string
		LegendFormat string
	}
}

// dashboard is all that a dashboard of ours has: the part of Grafana's form that is used here.
type dashboard struct {
	UID           string
	Title         string
	Description   string
	Tags          []string
	SchemaVersion int
	Version       int
	Editable      bool
	Timezone      string
	Refresh       string
	Time          struct{ From, To string }
	Templating    struct{ List []struct{} }
	Annotations   struct{ List []struct{} }
	Panels        []panel
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root(), "deploy/grafana/dashboards/*.json"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 4)
	out := map[string]dashboard{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		var d dashboard
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(&d), file)
		out[filepath.Base(file)] = d
	}
	return out
}

// Grafana takes a file that is none of its form without a word, and shows nothing.
func TestDashboards_haveTheFormOfGrafana(t *testing.T) {
	units := map[string]bool{"reqps": true, "s": true, "short": true, "bytes": true}
	seen := map[string]bool{}
	for name, d := range dashboards(t) {
		require.False(t, seen[d.UID], "%s: uid %s twice", name, d.UID)
		seen[d.UID] = true
		require.Regexp(t, `^[a-z-]{1,40}$`, d.UID, name)
		require.NotEmpty(t, d.Title, name)
		require.Equal(t, 39, d.SchemaVersion, name)
		taken := map[[2]int]bool{}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			require.False(t, ids[p.ID] || p.ID == 0, "%s: panel %d twice", name, p.ID)
			ids[p.ID] = true
			require.Equal(t, "timeseries", p.Type)
			require.NotEmpty(t, p.Title)
			require.NotEmpty(t, p.Description, p.Title)
			require.True(t, units[p.FieldConfig.Defaults.Unit], "%s: unit %q", p.Title, p.FieldConfig.Defaults.Unit)
			require.Equal(t, datasource{"prometheus", "prometheus"}, p.Datasource)
			require.True(t, p.GridPos.W > 0 && p.GridPos.H > 0 && p.GridPos.X+p.GridPos.W <= 24, p.Title)
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					require.False(t, taken[[2]int{x, y}], "%s: %s lies on another panel", name, p.Title)
					taken[[2]int{x, y}] = true
				}
			}
			require.NotEmpty(t, p.Targets)
			for i, target := range p.Targets {
				require.Equal(t, string(rune('A'+i)), target.RefID)
				require.Equal(t, p.Datasource, target.Datasource)
				require.NotEmpty(t, target.Expr)
				require.NotEmpty(t, target.LegendFormat)
			}
		}
	}
	provisioned, err := os.ReadFile(filepath.Join(root(), "deploy/grafana/provisioning/datasources/prometheus.yml"))
	require.NoError(t, err)
	require.Contains(t, string(provisioned), "uid: prometheus")
}

// household has what the panels tell of: people, second factors, keys, elements, searches.
type household struct {
	admin, person *fountain.Client
	seed          string
}

func furnish(t *testing.T, f family) *household {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(f.data, "kms", "bootstrap.token"))
	require.NoError(t, err)
	at := func(options ...fountain.Option) *fountain.Client {
		c, err := fountain.New("http://"+f.gateway, append(options, recorder.Option(t))...)
		require.NoError(t, err)
		t.Cleanup(c.CloseIdle)
		return c
	}
	anybody := at()
	made, err := anybody.KMS.BootstrapAdmin(t.Context(), kms.AdminBootstrap{Token: strings.TrimSpace(string(token)), Username: username, Password: password})
	require.NoError(t, err)
	h := &household{person: at(fountain.WithUser(username, password))}
	enrolled, err := h.person.Twofactor.EnrolTotp(t.Context(), twofactor.TotpEnrol{Invitation: &made.Invitation.Token})
	require.NoError(t, err)
	h.seed = enrolled.Secret
	before, err := totp.GenerateCode(h.seed, time.Now().Add(-30*time.Second))
	require.NoError(t, err)
	_, err = h.person.Twofactor.ConfirmTotp(t.Context(), enrolled.FactorID, twofactor.TotpConfirm{Code: before})
	require.NoError(t, err)
	h.admin = at(fountain.WithUser(username, password), fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) {
		return totp.GenerateCode(h.seed, time.Now())
	}))
	key, err := h.admin.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "script", Scopes: []string{"elements:read", "elements:write"}})
	require.NoError(t, err)
	for _, err := range h.admin.KMS.Users(t.Context()) { // which asks for the second factor
		require.NoError(t, err)
	}
	_, err = h.admin.KMS.RotateAPIKey(t.Context(), key.APIKey.ID, kms.APIKeyRotate{})
	require.NoError(t, err)
	_, err = anybody.Sequence.CreateElement(t.Context(), "play", "line", sequence.ElementCreate{Data: sequence.Data(`{}`)}, fountain.WithBearer(key.Key)) // the gateway trades it
	require.NoError(t, err)
	_, err = h.admin.Search.CreateCollection(t.Context(), search.CollectionCreate{Name: "plays", Fields: []search.Field{{Name: "text", Type: "string"}}})
	require.NoError(t, err)
	return h
}

// work makes a few requests, so that rates and quantiles have something to tell.
func (h *household) work(t *testing.T) {
	t.Helper()
	_, err := h.admin.Sequence.CreateElement(t.Context(), "play", "line", sequence.ElementCreate{Data: sequence.Data(`{"text":"a lamp in the window"}`)})
	require.NoError(t, err)
	_, err = h.admin.Search.SearchDocuments(t.Context(), "plays", search.DocumentSearch{Q: "lamp", QueryBy: []string{"text"}})
	require.NoError(t, err)
}

// Each query of each panel is run by a real Prometheus against a family that works, and has data: there is no panel that stays empty.
func TestDashboards_everyPanelHasData(t *testing.T) {
	for _, program := range []string{"prometheus", "promtool"} {
		_, err := exec.LookPath(program)
		require.NoError(t, err, "install the package prometheus")
	}
	admin := harness.FreeAddress(t)
	f := startFamily(t, "--admin-addr", admin)
	h := furnish(t, f)
	dir, watch := t.TempDir(), harness.FreeAddress(t)
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte(fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: fountain, static_configs: [{targets: ['%s']}]}]\n", admin)), 0o600))
	start(t, nil, "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+watch)

	missing := map[string]string{}
	for name, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				missing[name+": "+p.Title+" "+target.RefID] = strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")
			}
		}
	}
	require.Greater(t, len(missing), 25)
	require.Eventually(t, func() bool {
		h.work(t)
		for title, query := range missing {
			if hasData(t, watch, query) {
				delete(missing, title)
			}
		}
		return len(missing) == 0
	}, 2*time.Minute, time.Second, "without data: %v", missing)
}

// hasData tells whether a query has a value that is a number. A query that Prometheus refuses fails the test.
func hasData(t *testing.T, prometheus, query string) bool {
	t.Helper()
	answer, err := http.PostForm("http://"+prometheus+"/api/v1/query", url.Values{"query": {query}})
	if err != nil {
		return false // it is starting
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	var said struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&said))
	require.Equal(t, "success", said.Status, "%s: %s", query, said.Error)
	for _, series := range said.Data.Result {
		text, _ := series.Value[1].(string)
		if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) {
			return true
		}
	}
	return false
}
