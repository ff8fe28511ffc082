package api

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// agreement is the number of recorded answers of a real Typesense 29.0 with which the engine's answers agree as useful ones, per area. The
// figures are the current ones. A lower one is an error, and a higher one is to be entered here.
var agreement = map[string]int{
	"aliases": 13, "autoschema": 15, "byquery": 20, "collections": 74, "curation": 64, "dirty": 18, "documents": 71, "export": 13,
	"facet": 66, "fields": 31, "filter": 188, "group": 31, "highlight": 60, "import": 40, "keys": 76, "locale": 19, "multi_search": 19,
	"paging": 17, "phrase": 29, "prefix": 15, "presets": 11, "project": 29, "ranking": 38, "scoped": 17, "sort": 53, "stopwords": 30,
	"synonyms": 40, "system": 54, "tokens": 58, "typos": 73, "vector": 5,
}

// sharedTypesense returns the folder of the recorded answers, relative to this package or from FOUNTAIN_SHARED.
func sharedTypesense(t *testing.T) string {
	shared := os.Getenv("FOUNTAIN_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "..", "..", "shared")
	}
	dir := filepath.Join(shared, "data", "typesense")
	_, err := os.Stat(filepath.Join(dir, "compare.py"))
	_, python := exec.LookPath("python3")
	if err != nil || python != nil {
		require.NotContains(t, os.Getenv("FOUNTAIN_TEST_REQUIRE"), "python3", "python3 or the recorded answers in "+dir+" are not there")
		t.Skip("python3 or the recorded answers of a Typesense are not there")
	}
	return dir
}

func TestTruth_agreesWithARealTypesenseAsMuchAsBefore(t *testing.T) {
	corpus := sharedTypesense(t)
	e := open(t, t.TempDir(), embedded.Limits{})
	defer e.Close()
	server := httptest.NewServer(e)
	defer server.Close()
	results := filepath.Join(t.TempDir(), "results.json")
	out, err := exec.CommandContext(t.Context(), "python3", filepath.Join(corpus, "compare.py"),
		"--url", server.URL, "--key", testKey, "--corpus", corpus, "--json", results, "--quiet").CombinedOutput()
	require.NoError(t, err, "%s", out)
	body, err := os.ReadFile(results)
	require.NoError(t, err)
	var cases map[string]struct {
		Area   string
		Useful bool
		Why    string
	}
	require.NoError(t, json.Unmarshal(body, &cases))
	useful, lost := map[string]int{}, map[string][]string{}
	for id, c := range cases {
		if c.Useful {
			useful[c.Area]++
			continue
		}
		lost[c.Area] = append(lost[c.Area], id+": "+c.Why)
	}
	t.Logf("%s", out)
	for area, least := range agreement {
		require.GreaterOrEqual(t, useful[area], least, "%s:\n%s", area, strings.Join(lost[area], "\n"))
	}
}
