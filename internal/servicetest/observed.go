package servicetest

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/fountainai/fountain/internal/contract"
)

// observed holds the answers that clients of this package have received, as "operationId status".
var observed sync.Map

func observe(op *contract.Operation, status int) {
	observed.Store(fmt.Sprintf("%s %d", op.ID, status), true)
}

// unobserved lists the statuses that the contract of a word declares and no test has observed. 429 is left out: the gateway answers it, and its tests
// cover every operation.
func unobserved(c *contract.Contract) []string {
	var missing []string
	for _, op := range c.Operations {
		for _, status := range op.Statuses() {
			answer := fmt.Sprintf("%s %d", op.ID, status)
			if _, seen := observed.Load(answer); !seen && status != http.StatusTooManyRequests {
				missing = append(missing, answer)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

// Main runs the tests of a package and returns their exit code. A run of all tests fails when a status that the contract of the word declares was not
// observed.
func Main(m *testing.M, word string) int {
	flag.Parse()
	code := m.Run()
	for _, selecting := range []string{"test.run", "test.skip", "test.bench", "test.list", "test.fuzz"} {
		if flag.Lookup(selecting).Value.String() != "" {
			return code
		}
	}
	c, err := contract.Load(word)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if missing := unobserved(c); code == 0 && len(missing) > 0 {
		fmt.Fprintf(os.Stderr, "FAIL: the contract of %s declares answers that no test has seen: %q\n", word, missing)
		return 1
	}
	return code
}
