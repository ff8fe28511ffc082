package api

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
)

// FuzzChunk: whatever the chunks, together they contain all lines of an import that are not blank, in order, and no chunk is too large.
func FuzzChunk(f *testing.F) {
	for _, in := range []string{"", "\n", `{"id":"1"}` + "\n\n " + `{"id":"2"}` + "\r\n", "a\n b \n\tc", "\x00\n\xff"} {
		f.Add([]byte(in), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, times int) {
		body = bytes.Repeat(body, 1+min(max(times, 0), 2000))
		if len(body) > 1<<20 {
			return
		}
		var want, got [][]byte
		for _, line := range bytes.Split(body, []byte("\n")) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				want = append(want, line)
			}
		}
		for rest := body; len(rest) > 0; {
			var lines [][]byte
			before := len(rest)
			lines, rest = chunk(rest)
			require.Less(t, len(rest), before, "reading goes on")
			require.LessOrEqual(t, len(lines), embedded.ChunkDocs)
			got = append(got, lines...)
		}
		require.Equal(t, want, got)
	})
}
