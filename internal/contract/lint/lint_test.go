package lint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

var words = []string{"good", "other"}

// change is one patch of testdata/good.yaml.
type change struct{ old, new string }

// fixture is one contract that breaks one rule.
type fixture struct {
	name    string
	changes []change
}

// fixtures reads testdata/faults/<rule>.txt: "=== name" begins a fixture, "--- old" and "--- new" the text to replace.
func fixtures(t *testing.T, rule string) []fixture {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "faults", rule+".txt"))
	require.NoError(t, err, "every rule has a contract that breaks it")
	var out []fixture
	for _, part := range strings.Split("\n"+string(text), "\n=== ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		f := fixture{name: name}
		for _, patch := range strings.Split("\n"+rest, "\n--- old\n")[1:] {
			before, after, found := strings.Cut(patch, "\n--- new")
			require.True(t, found, name)
			f.changes = append(f.changes, change{before, strings.TrimSuffix(strings.TrimPrefix(after, "\n"), "\n")})
		}
		require.NotEmpty(t, f.changes, name)
		out = append(out, f)
	}
	require.NotEmpty(t, out)
	return out
}

func files(t *testing.T, changes ...change) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for _, name := range []string{"good.yaml", "other.yaml", "common.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		if name == "good.yaml" {
			for _, c := range changes {
				require.Contains(t, string(text), c.old)
				text = []byte(strings.Replace(string(text), c.old, c.new, 1))
			}
		}
		out[name] = &fstest.MapFile{Data: text}
	}
	return out
}

func TestCheck_findsNothingInAGoodContract(t *testing.T) {
	require.Empty(t, Check(files(t), words...))
}

func TestRules_eachFindsItsFixtures(t *testing.T) {
	for _, rule := range Rules() {
		for _, f := range fixtures(t, rule.Name) {
			t.Run(rule.Name+"/"+f.name, func(t *testing.T) {
				found := Check(files(t, f.changes...), words...)
				require.NotEmpty(t, found)
				hit := slices.IndexFunc(found, func(x Finding) bool { return x.Rule == rule.Name })
				require.GreaterOrEqual(t, hit, 0, "found only %v", found)
				require.NotEmpty(t, found[hit].Message)
				require.NotEmpty(t, found[hit].File)
			})
		}
	}
}

func TestFixtures_eachHasItsRule(t *testing.T) {
	names, err := filepath.Glob("testdata/faults/*")
	require.NoError(t, err)
	require.Len(t, names, len(Rules()))
	for _, rule := range Rules() {
		require.NotEmpty(t, rule.Says)
		require.Contains(t, names, filepath.Join("testdata", "faults", rule.Name+".txt"))
	}
}

func TestFinding_saysWhere(t *testing.T) {
	found := Check(files(t, change{"      summary: Make a thing\n", ""}), words...)
	require.Len(t, found, 1)
	require.Equal(t, "good.yaml:34: documented: createThing: has no summary", found[0].String())
}
