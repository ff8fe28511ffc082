package terminal

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestBar_fitsTheWidthOnATerminal(t *testing.T) {
	for _, label := range []string{"hamlet", strings.Repeat("long-", 20)} {
		var out strings.Builder
		b := &Bar{out: &out, live: true, label: label, start: time.Now().Add(-time.Second)}
		for _, done := range []int{0, 1, 5000, 10000} {
			require.LessOrEqual(t, utf8.RuneCountInString(b.line("spokenWord", done, 10000)), Width)
		}
		require.Contains(t, b.line("spokenWord", 10000, 10000), "=] 10000/10000")
	}
}

func TestBar_writesPlainLinesElsewhere(t *testing.T) {
	var out strings.Builder
	b := &Bar{out: &out, label: "hamlet", start: time.Now(), tenths: -1}
	for done := 0; done <= 1000; done += 5 {
		b.Show("action", done, 1000)
	}
	b.Done()
	require.Len(t, strings.Split(strings.TrimSpace(out.String()), "\n"), 11)
	require.NotContains(t, out.String(), "\x1b")
	require.True(t, strings.HasSuffix(out.String(), "hamlet: 1000 of 1000 (action)\n"))
}
