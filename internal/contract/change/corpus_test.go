package change

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/contract"
)

// Published documents of other vendors have no change from themselves. They are stored beside the checkout, or at FOUNTAIN_SHARED.
func TestAdoptCorpus_hasNoChangeFromItself(t *testing.T) {
	shared := os.Getenv("FOUNTAIN_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "shared")
	}
	all, err := filepath.Glob(filepath.Join(shared, "data", "openapi", "*.*"))
	require.NoError(t, err)
	if len(all) == 0 {
		if strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), "documents") {
			t.Fatalf("the documents are not in %s", shared)
		}
		t.Skipf("the documents are not in %s", shared)
	}
	for _, path := range all {
		if strings.HasSuffix(path, ".md") {
			continue
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		v := Version{File: "document", Files: map[string][]byte{"document": text}}
		v.Contract, _, err = contract.Adopt(contract.Adoption{Name: "member", File: "document", Files: v.Files})
		require.NoError(t, err, path)
		begun := time.Now()
		changes, err := Compare(v, v)
		require.NoError(t, err, path)
		require.Empty(t, changes, path)
		t.Logf("%-32s %8d bytes %4d operations %5d ms", filepath.Base(path), len(text), len(v.Contract.Operations), time.Since(begun).Milliseconds())
	}
}
