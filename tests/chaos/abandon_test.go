package chaos

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// Clients that disconnect in the middle of their requests affect no other client: a connection to a service that was
// abandoned with a request on it is never reused for another request.
func TestAbandon_disturbsNoOtherRequest(t *testing.T) {
	each := 2 * time.Second
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		each = time.Minute
	}
	var p *harness.Process
	var c *fountain.Client
	if harness.IsGiven() {
		h, _ := givenHousehold(t)
		c = h.admin
	} else {
		dir := filepath.Join(t.TempDir(), "data")
		p = harness.StartProcess(t, dir)
		c = p.Bootstrap(dir, "ada", password, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	}
	ctx, cancel := context.WithTimeout(t.Context(), each)
	defer cancel()
	text := json.RawMessage(`{"text":"` + strings.Repeat("x", 20_000) + `"}`)
	var done, left atomic.Int64
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for ctx.Err() == nil {
				if i%2 == 0 {
					_, err := c.Sequence.CreateElement(t.Context(), "chaos", "line", sequence.ElementCreate{Data: text})
					if err != nil {
						t.Error(err)
						return
					}
					done.Add(1)
					continue
				}
				short, stop := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(40*time.Millisecond))))
				if _, err := c.Sequence.CreateElement(short, "chaos", "line", sequence.ElementCreate{Data: text}); err != nil {
					left.Add(1)
				}
				stop()
				time.Sleep(20 * time.Millisecond) // stay below the limit per address
			}
		})
	}
	all.Wait()
	t.Logf("%d answered, %d abandoned", done.Load(), left.Load())
	require.Positive(t, left.Load())
	if p == nil { // the test has no access to the log
		return
	}
	for line := range strings.Lines(p.Output()) {
		if strings.Contains(line, `"level":"ERROR"`) || strings.Contains(line, `"status":502`) {
			t.Errorf("%.600s", line)
			break
		}
	}
	p.Stop()
}
