package terminal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A password that the kms would refuse as too short is refused when it is read. Another kind of secret may be short.
func TestNewPassword_refusesWhatIsTooShort(t *testing.T) {
	file := func(text string) string {
		path := filepath.Join(t.TempDir(), "password")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	for text, good := range map[string]bool{
		"twelve chars": true, "eleven char": false, strings.Repeat("é", 12): true, strings.Repeat("é", 11): false,
		strings.Repeat("e\u0301", 11): false, // eleven characters, of two code points each
	} {
		got, err := NewPassword("", file(text))
		if good {
			require.NoError(t, err)
			require.Equal(t, text, got)
			continue
		}
		require.EqualError(t, err, "the password must have at least 12 characters")
		require.Empty(t, got)
		got, err = NewSecret("", file(text))
		require.NoError(t, err)
		require.Equal(t, text, got)
	}
}
