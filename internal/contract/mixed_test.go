package contract

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/problem"
)

// Requests that are checked concurrently, in reused memory, do not affect each other. Each finds its own violations at its own keys, whether these
// are written plainly or with escapes, and whether there are few or enough for a table.
func TestCheckBody_mixesNoRequests(t *testing.T) {
	op := sample(t).Operation("createThing")
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for round := range 200 {
				mark := fmt.Sprintf("w%dr%d", worker, round)
				var body strings.Builder
				body.WriteString(`{"name":"a"`)
				for i := range 1 + round%38 {
					key := fmt.Sprint(mark, "k", i)
					if i%2 == 1 {
						key = fmt.Sprintf(`\u%04x%s`, key[0], key[1:])
					}
					fmt.Fprintf(&body, `,"%s":"%s"`, key, strings.Repeat(mark, i))
				}
				body.WriteString("}")
				err := op.CheckBody("application/json", []byte(body.String()))
				fields := problem.From(err).Fields
				if len(fields) == 0 {
					t.Errorf("%s was accepted", mark)
				}
				for i, field := range fields {
					if field.Pointer != fmt.Sprintf("/%sk%d", mark, i) {
						t.Errorf("%s found a fault at %s", mark, field.Pointer)
					}
				}
				if good := fmt.Sprintf(`{"name":"\u0061%s"}`, strings.Repeat("b", worker)); op.CheckBody("application/json", []byte(good)) != nil {
					t.Errorf("%s was refused", good)
				}
			}
		})
	}
	all.Wait()
	require.False(t, t.Failed())
}
