//go:build !race

package forward

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// Buffers of large bodies are reused: a body of 1 MiB leaves no garbage of its size. (With the race
// detector, pools drop items at random.)
func TestReuse_givesMemoryToTheNext(t *testing.T) {
	text := make([]byte, 1<<20)
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			body, err := readBody(bytes.NewReader(text), -1, 8<<20)
			if err != nil {
				b.Fatal(err)
			}
			reuse(body)
		}
	})
	require.Less(t, got.AllocedBytesPerOp(), int64(len(text))/2)
}
