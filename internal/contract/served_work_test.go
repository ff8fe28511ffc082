package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A document whose files refer to each other again and again is served all the same: making it one file would never end.
func TestServed_boundsTheWorkOfJoiningFiles(t *testing.T) {
	document := "openapi: 3.0.3\ninfo: {title: Pets, version: 1.0.0}\npaths:\n  /pets:\n    post:\n      operationId: send\n" +
		"      requestBody: {content: {application/json: {schema: {$ref: 'f0.yaml#/a'}}}}\n      responses: {'204': {description: Done.}}\n"
	chain := func(files int, last string) Adoption {
		a := Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(document)}}
		for i := range files {
			next := fmt.Sprintf("{allOf: [{$ref: 'f%d.yaml#/a'}, {$ref: 'f%d.yaml#/b'}]}", i+1, i+1)
			a.Files[fmt.Sprintf("f%d.yaml", i)] = []byte("a: " + next + "\nb: " + next + "\n")
		}
		a.Files[fmt.Sprintf("f%d.yaml", files)] = []byte(last)
		return a
	}
	const plain, again = "a: {type: string}\nb: {type: string}\n", "a: {$ref: 'f0.yaml#/a'}\nb: {$ref: 'f0.yaml#/b'}\n"
	for name, one := range map[string]struct {
		adoption Adoption
		bundled  bool
	}{"few": {chain(3, plain), true}, "many": {chain(30, plain), false}, "in a circle": {chain(30, again), false}} {
		c, _, err := Adopt(one.adoption)
		require.NoError(t, err, name)
		text, err := Served(one.adoption, c)
		require.NoError(t, err, name)
		require.Contains(t, string(text), "operationId: send")
		require.Equal(t, one.bundled, !strings.Contains(string(text), "f0.yaml#/a"), "%s: %s", name, text)
	}
}
