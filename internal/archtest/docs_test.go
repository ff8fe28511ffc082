package archtest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	testNamed   = regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*_[A-Za-z0-9]+)`")
	testWritten = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
)

// Every test that a page of the documentation names as a proof exists.
func TestDocs_nameTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	written, named := map[string]bool{}, map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		pattern, page := testWritten, strings.HasSuffix(path, ".md")
		switch {
		case page:
			pattern = testNamed
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			if page {
				named[m[1]] = path
			} else {
				written[m[1]] = true
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(named), 50)
	for name, page := range named {
		require.True(t, written[name], "%s names %s, which is no test", page, name)
	}
}
