package mailaddress

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParse_givesOneForm(t *testing.T) {
	for raw, want := range map[string]string{
		"grace@example.org":       "grace@example.org",
		"Grace.H+x@EXAMPLE.org":   "Grace.H+x@example.org",
		"ada@b\u00fccher.example": "ada@xn--bcher-kva.example",
	} {
		got, err := Parse(raw)
		require.NoError(t, err, raw)
		require.Equal(t, want, got)
	}
	require.Equal(t, Key("grace@example.org"), Key("Grace@example.org"))
}

// A text that a mail server could read as several addresses, or as a header, is refused.
func TestParse_refusesWhatIsNotOneAddress(t *testing.T) {
	for _, raw := range []string{
		"", "grace", "@example.org", "grace@", "grace@localhost", "Grace <grace@example.org>", "grace@example.org, eve@example.org", "grace@example.org\r\nBcc: eve@example.org",
		"grace@example.org\x00", "\"a b\"@example.org", "grace@[127.0.0.1]", "a@b@example.org", strings.Repeat("a", 65) + "@example.org", "a@" + strings.Repeat("b.", 130) + "org",
	} {
		_, err := Parse(raw)
		require.Error(t, err, raw)
	}
	_, err := Parse("gr\u00e4ce@example.org")
	require.ErrorIs(t, err, ErrLocalPart)
}

func TestMask_showsNoMoreThanItsOwnerNeeds(t *testing.T) {
	require.Equal(t, "g***@example.org", Mask("grace@example.org"))
	require.Equal(t, "***", Mask("grace"))
}
