package contract

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Patterns and enumerations of a document from outside the family can cost one request only a bounded amount of work, however many texts it has. A
// value that would need more is refused.
func TestAdopt_boundsWhatPatternsAndEnumerationsCost(t *testing.T) {
	texts := func(n int, text string) string {
		return "[" + strings.Repeat(quoted(text)+",", n-1) + quoted(text) + "]"
	}
	var words []string
	for i := range 50_000 {
		words = append(words, fmt.Sprint("w", i))
	}
	for name, one := range map[string]struct {
		schema, text string
		few, many    int
	}{
		"large for RE2": {`{type: array, items: {type: string, pattern: '^([ab]{1,20}c?){1,50}$'}}`, "ababababab", 100, 20_000},
		"enumeration":   {`{type: array, items: {enum: [` + strings.Join(words, ",") + `]}}`, "w49999", 100, 5000},
		"backtracking":  {`{type: array, items: {anyOf: [{pattern: '^(?=(a+)+$)a'}, {pattern: '^(?!x)a'}]}}`, strings.Repeat("a", 40) + "!", 1, 50},
	} {
		op, _ := bodyOf(t, "3.1.0", one.schema)
		require.NoError(t, fitsBody(op, texts(one.few, one.text)), name)
		require.Error(t, fitsBody(op, texts(one.many, one.text)), name)
		require.NoError(t, fitsBody(op, texts(one.few, one.text)), "%s: each request has its own", name)
	}
}

// A document from outside the family sets the limits of its own service, but only within bounds, since all services share the gateway's memory.
func TestAdopt_boundsWhatXFountainMaySay(t *testing.T) {
	document := func(policy string) string {
		return "openapi: 3.0.3\ninfo: {title: Pets, version: 1.0.0}\nx-fountain: " + policy + "\npaths:\n  /pets:\n    post:\n      operationId: send\n" +
			"      requestBody: {content: {application/json: {schema: {type: string, maxLength: 9}}}}\n      responses: {'204': {description: Done.}}\n"
	}
	for policy, key := range map[string]string{
		`{timeout: 10m}`: "timeout", `{concurrency: 100000}`: "concurrency", `{body: {max: 1GiB}}`: "body.max", `{response: {max: 1GiB}}`: "response.max",
		`{rate: [` + manyRates(9) + `]}`: "rate",
	} {
		_, _, err := Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(document(policy))}})
		require.ErrorContains(t, err, "pets.yaml:3", policy)
		require.ErrorContains(t, err, "x-fountain."+key+": must be at most", policy)
	}
	for _, name := range []string{`"a\r\nSet-Cookie: b"`, `"a\u0000"`, `"\u00e4"`, strings.Repeat("n", 65)} {
		_, _, err := Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(document(`{rate: [{name: ` + name + `, key: sub, quota: 1, window: 1s}]}`))}})
		require.ErrorContains(t, err, "every limit has a name", name)
	}
	for _, mode := range []string{"report", "off", "'sample:0.5'"} { // nothing does that: requests would be refused all the same
		_, _, err := Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(document(`{validate: {request: ` + mode + `}}`))}})
		require.ErrorContains(t, err, "pets.yaml:3", mode)
		require.ErrorContains(t, err, "x-fountain.validate.request: only enforce is supported", mode)
	}
	adopt(t, document(`{validate: {request: enforce, response: report}, timeout: 5m, concurrency: 4096, body: {max: 16MiB}, response: {max: 16MiB}}`))
}

func manyRates(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("{name: r%d, key: sub, quota: 1, window: 1s}", i))
	}
	return strings.Join(all, ", ")
}

// While a large text is read and checked other requests proceed, even on a machine with one processor.
func TestCheckBody_letsOthersHaveTheirTurn(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	op, _ := bodyOf(t, "3.0.3", `{type: array, items: {type: string}}`)
	text := "[" + strings.Repeat(`"x",`, 4*turnEvery) + `"x"]`
	var had atomic.Bool
	go had.Store(true)
	require.NoError(t, fitsBody(op, text))
	require.True(t, had.Load())
}
