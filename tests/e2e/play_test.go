// Package e2e tests the main use through the gateway: a whole screenplay is imported, numbered, found, changed and
// exported.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// play is a screenplay with what must be found in it.
type play struct {
	path, scope       string
	misspelt, contain string
	character         string // who says it
}

// plays returns the two real screenplays if they are next to the checkout, else the embedded one.
func plays(t *testing.T) []play {
	shared := os.Getenv("FOUNTAIN_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	hamlet := filepath.Join(shared, "data", "hamlet.fountain")
	if _, err := os.Stat(hamlet); err == nil {
		return []play{
			{hamlet, "hamlet", "quintessense of dust", "quintessence of dust", "HAMLET"},
			{filepath.Join(shared, "data", "macbeth.fountain"), "macbeth", "brief candel", "brief candle", "MACBETH"},
		}
	}
	require.NotContains(t, os.Getenv("FOUNTAIN_TEST_REQUIRE"), "plays", "the real plays are not in ../shared/data")
	t.Log("the real plays are not beside the checkout; the embedded screenplay stands in")
	return []play{demoPlay}
}

func TestPlays_areNumberedFoundAndKept(t *testing.T) {
	f := harness.Start(t)
	f.Bootstrap()
	admin := f.Admin()
	key := editorKey(t, admin)
	for _, p := range plays(t) {
		out := importFile(t, f, key, p)
		t.Logf("%s", out)
		require.Contains(t, out, p.scope)
		checkNumbers(t, admin, p)
		checkSearch(t, admin, p)
	}
	f.Down()
	f.Up()
	again := f.Admin()
	for _, p := range plays(t) {
		checkNumbers(t, again, p)
		checkSearch(t, again, p)
		before := count(t, again, p.scope)
		importFile(t, f, key, p)
		require.Equal(t, before, count(t, again, p.scope), "importing the same file again adds nothing")
		source, err := os.ReadFile(p.path)
		require.NoError(t, err)
		require.Equal(t, strings.Split(strings.TrimRight(string(source), "\n")+"\n", "\n"), strings.Split(exportScope(t, f, key, p.scope), "\n"), "the export is the source, line by line")
	}
}

// editorKey creates an API key for the command line.
func editorKey(t *testing.T, admin *fountain.Client) string {
	made, err := admin.KMS.CreateAPIKey(context.Background(), kms.APIKeyCreate{Name: "import", Scopes: []string{"elements:read", "elements:write"}})
	require.NoError(t, err)
	return made.Key
}

// importFile runs the real command.
func importFile(t *testing.T, f *harness.Family, key string, p play) string {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), "import", p.path, "--scope", p.scope)
	cmd.Env = append(os.Environ(), "FOUNTAIN_URL="+f.Info.GatewayURL, "FOUNTAIN_API_KEY="+key, "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// exportScope runs the real command, which must print no notices.
func exportScope(t *testing.T, f *harness.Family, key, scope string) string {
	t.Helper()
	cmd := exec.Command(harness.Binary(t), "export", scope)
	var errors strings.Builder
	cmd.Stderr = &errors
	cmd.Env = append(os.Environ(), "FOUNTAIN_URL="+f.Info.GatewayURL, "FOUNTAIN_API_KEY="+key, "HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	out, err := cmd.Output()
	require.NoError(t, err, errors.String())
	require.Empty(t, errors.String())
	return string(out)
}

// sceneHeading and action count the elements of a screenplay from its text alone. Our screenplays force both with a
// mark.
var (
	action  = regexp.MustCompile(`(?m)^!`)
	heading = regexp.MustCompile(`(?m)^(#|\.[A-Z])`)
)

// checkNumbers requires that the numbers of every type are 1..N without a gap, and that N matches the text.
func checkNumbers(t *testing.T, c *fountain.Client, p play) {
	t.Helper()
	text, err := os.ReadFile(p.path)
	require.NoError(t, err)
	got := count(t, c, p.scope)
	require.Equal(t, 1, got["script"])
	if p.scope != demoPlay.scope {
		require.Equal(t, len(action.FindAll(text, -1)), got["action"])
		require.Equal(t, len(heading.FindAll(text, -1)), got["section"])
	}
	require.Greater(t, got["spokenWord"], 20)
	require.Greater(t, got["character"], 2)
}

func count(t *testing.T, c *fountain.Client, scope string) map[string]int {
	t.Helper()
	got := map[string]int{}
	for _, kind := range []string{"script", "section", "character", "action", "spokenWord"} {
		next := int64(1)
		for e, err := range c.Sequence.Elements(context.Background(), scope, kind) {
			require.NoError(t, err)
			require.Equal(t, next, e.Number, "%s %s", scope, kind)
			next++
			got[kind]++
		}
	}
	return got
}

// checkSearch finds the misspelt speech, also with a filter, and counts scenes. The index may be a moment behind.
func checkSearch(t *testing.T, c *fountain.Client, p play) {
	t.Helper()
	ctx := context.Background()
	find := func(body sequence.ElementSearch) *sequence.ElementSearchResult {
		res, err := c.Sequence.SearchElements(ctx, p.scope, body)
		require.NoError(t, err)
		return res
	}
	speech := sequence.ElementSearch{Q: p.misspelt, ElementType: fountain.Ptr("spokenWord")}
	require.Eventually(t, func() bool { return holds(find(speech), p.contain) }, time.Minute, 100*time.Millisecond, "the speech is not found")

	filter := []sequence.PropertyFilter{{Property: "character", Values: []string{p.character}}}
	speech.Filters = &filter
	require.True(t, holds(find(speech), p.contain), "filtered by who says it")
	filter[0].Values = []string{"NOBODY AT ALL"}
	require.Zero(t, find(speech).Found)

	var total int64
	require.Eventually(t, func() bool {
		all := find(sequence.ElementSearch{Q: "*", ElementType: fountain.Ptr("spokenWord"), Facets: &[]string{"scene"}})
		require.Len(t, all.Facets, 1)
		require.NotEmpty(t, all.Facets[0].Counts)
		total = all.Found
		return int(total) == count(t, c, p.scope)["spokenWord"]
	}, time.Minute, 200*time.Millisecond, "the index never holds every speech")
}

func holds(res *sequence.ElementSearchResult, phrase string) bool {
	for _, hit := range res.Hits {
		var data struct{ Text string }
		if json.Unmarshal(hit.Element.Data, &data) == nil && bytes.Contains([]byte(strings.Join(strings.Fields(data.Text), " ")), []byte(phrase)) {
			return true
		}
	}
	return false
}
