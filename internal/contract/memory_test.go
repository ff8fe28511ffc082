package contract

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// costliest returns the texts of a size that need the most memory for their length.
func costliest(size int) map[string]string {
	repeat := func(before, one, after string) string {
		return before + strings.Repeat(one, (size-len(before)-len(after))/len(one)) + after
	}
	var keys strings.Builder
	for i := 0; keys.Len() < size-40; i++ {
		fmt.Fprintf(&keys, `,"%x":1`, i)
	}
	return map[string]string{
		"many values":         repeat("[0", ",0", "]"),
		"many strings":        repeat(`[""`, `,""`, "]"),
		"many arrays":         repeat("[[]", ",[]", "]"),
		"many keys":           `{"data":{"k":1` + keys.String() + "}}",
		"many escapes":        repeat(`{"data":{"a":"`, `\n`, `"}}`),
		"many commas in text": repeat(`{"data":{"a":"`, `,`, `"}}`),
		"many violations":     `{"k":1` + keys.String() + "}",
		"many objects":        repeat("[{}", ",{}", "]"),
	}
}

// allocated returns how many bytes do allocates, whether freed or not, with empty pools.
func allocated(do func()) int64 {
	runtime.GC()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

func TestMemoryBound_holdsForTheCostliestBodies(t *testing.T) {
	all, err := LoadAll()
	require.NoError(t, err)
	seen := map[int64]bool{} // one operation for each size; of the largest ones the bound grows in proportion
	for _, c := range all {
		for _, op := range c.Operations {
			if op.body == nil || op.body.media["application/json"] == nil || seen[op.Policy.Body.Max] || op.Policy.Body.Max > 2<<20 {
				continue
			}
			seen[op.Policy.Body.Max] = true
			for name, text := range costliest(int(op.Policy.Body.Max)) {
				require.LessOrEqual(t, len(text), int(op.Policy.Body.Max))
				body := []byte(text)
				used := allocated(func() { _ = op.CheckBody("application/json", body) }) + int64(len(body))
				require.LessOrEqual(t, used, op.MemoryBound(), "%s: %s", op.ID, name)
				require.LessOrEqual(t, used-int64(len(body)), checkMemory(op.body.media, op.Policy.Body.Max)+violationsMemory, "%s: %s", op.ID, name)
			}
		}
	}
	require.Greater(t, len(seen), 1)
}

func TestMemoryBound_holdsForTheCostliestAnswers(t *testing.T) {
	c, err := Load("sequence")
	require.NoError(t, err)
	const size = 1 << 20
	op := c.Operation("listElements")
	for name, text := range costliest(size) {
		body := []byte(text)
		used := allocated(func() { _ = op.CheckResponse(200, http.Header{"Content-Type": {"application/json"}}, body) })
		require.LessOrEqual(t, used, checkMemory(op.statuses[200].media, size)+violationsMemory, name)
	}
}

func TestMemoryBound_countsWhatIsCompared(t *testing.T) {
	op := sample(t).Operation("createThing")
	for _, text := range []string{
		thing(`,"scores":[` + strings.Repeat("1e-200,", 1000) + `0]`),
		thing(`,"scores":[0` + strings.Repeat(",0.125", 3) + `]`),
		thing(`,"tags":["` + strings.Repeat("a", 7000) + `","b"]`),
	} {
		used := allocated(func() { _ = op.CheckBody("application/json", []byte(text)) })
		require.LessOrEqual(t, used, op.MemoryBound())
	}
	with, err := patched(t, "scores: {type: array, maxItems: 4, uniqueItems: true,", "scores: {type: array, uniqueItems: true,")
	require.NoError(t, err)
	require.Greater(t, with.Operation("createThing").MemoryBound(), op.MemoryBound(), "an array without bound may have more items")
}

// The test bounds the memory for one concurrent request of every operation. The sum grows with the number of operations; the mean must not.
func TestMemoryBound_ofTheFamily(t *testing.T) {
	all, err := LoadAll()
	require.NoError(t, err)
	var sum, most int64
	operations, largest := 0, ""
	for _, c := range all {
		for _, op := range c.Operations {
			size := op.Policy.Body.Max
			if op.StreamsBody() { // of its body one line is held
				size = op.lineMax()
				if !op.adopted && op.body.holds() {
					size = max(size, op.HeldBody())
				}
			}
			if !op.StreamsAnswer() {
				size = max(size, op.Policy.Response.Max)
			}
			require.Greater(t, op.MemoryBound(), size, op.ID)
			require.Less(t, op.MemoryBound(), 20*size+(1<<20), op.ID)
			sum += op.MemoryBound()
			operations++
			if op.MemoryBound() > most {
				most, largest = op.MemoryBound(), op.ID
			}
		}
	}
	t.Logf("%d operations: %d MiB at once, at most %d MiB for one (%s)", operations, sum>>20, most>>20, largest)
	require.Less(t, sum/int64(operations), int64(100<<20), "a text takes up to 15 times its size while it is checked; httpserver.InTurn lets 16 MiB of texts be checked at a time")
}
