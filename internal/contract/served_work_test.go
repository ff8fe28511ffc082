package contract

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Files of a document that refer to each other again and again are joined into one file, and each place is read once.
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
	}{"few": {chain(3, plain), true}, "many": {chain(30, plain), true}, "in a circle": {chain(30, again), true}} {
		c, _, err := Adopt(one.adoption)
		require.NoError(t, err, name)
		text, err := Served(one.adoption, c)
		require.NoError(t, err, name)
		require.Contains(t, string(text), "operationId: send")
		require.Equal(t, one.bundled, !strings.Contains(string(text), "f0.yaml#/a"), "%s: %s", name, text)
	}
}

// The joined file has the same meaning as the files: with references of every kind, circular ones, names that clash, and the mapping of a
// discriminator.
func TestServed_joinsFilesThatReferToEachOtherInACircle(t *testing.T) {
	a := Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": []byte(`openapi: 3.0.3
info: {title: Pets, version: 1.0.0}
paths:
  /pets: {$ref: 'paths/pets.yaml'}
components:
  schemas:
    Node: {type: object, properties: {&own own: {$ref: 'schemas/s0.yaml#/Node'}}}
    Other: &other {type: object, properties: {*own : {type: string}}}
    Third: {<<: *other, description: A third one.}
`), "paths/pets.yaml": []byte(`post:
  operationId: send
  parameters: [{$ref: '../other.yaml#/parameters/limit'}]
  requestBody: {$ref: '../other.yaml#/bodies/pet'}
  responses: {'204': {$ref: '../other.yaml#/responses/done'}}
`), "other.yaml": []byte(`parameters: {limit: {name: limit, in: query, schema: {type: integer, maximum: 5}}}
bodies: {pet: {required: true, content: {application/json: {schema: {$ref: 'schemas/s0.yaml#/Node'}, example: {$ref: 'schemas/s0.yaml#/Node'}}}}}
responses: {done: {description: Done.}}
`)}}
	for i := range 14 {
		a.Files[fmt.Sprintf("schemas/s%d.yaml", i)] = fmt.Appendf(nil, `Node:
  type: object
  additionalProperties: false
  required: [n]
  properties:
    $ref: {type: string, maxLength: 2}
    n: {type: integer, maximum: %d}
    next: {$ref: 's%d.yaml#/Node'}
    own: {$ref: '../pets.yaml#/components/schemas/Node'}
    pick:
      oneOf: [{$ref: 's%d.yaml#/Kind'}]
      discriminator: {propertyName: is, mapping: {a: 's%d.yaml#/Kind'}}
Kind: {type: object, required: [is], properties: {is: {type: string}}}
`, i, (i+1)%14, (i+1)%14, (i+1)%14)
	}
	require.False(t, bundles(a))
	c, _, err := Adopt(a)
	require.NoError(t, err)
	text, err := Served(a, c)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(text), ".yaml#"), "what an example says is its own: %s", text)
	again, warnings, err := Adopt(Adoption{Name: "pets", File: "pets.yaml", Files: map[string][]byte{"pets.yaml": text}})
	require.NoError(t, err)
	for _, w := range warnings {
		require.NotEqual(t, WarnReference, w.Kind, w.String())
	}
	require.Len(t, again.Operations, 1)
	for body, fits := range map[string]bool{
		`{"n":0}`: true, `{"n":1}`: false, `{"n":0,"next":{"n":1}}`: true, `{"n":0,"next":{"n":2}}`: false, `{"n":0,"next":{"n":1,"next":{"n":2,"next":{"n":9}}}}`: false,
		`{"n":0,"own":{"own":{"n":0}}}`: true, `{"n":0,"own":{"own":{"n":1}}}`: false, `{"n":0,"pick":{"is":"a"}}`: true, `{"n":0,"pick":{}}`: false, `{"n":0,"$ref":"ab"}`: true,
		`{"n":0,"$ref":"abc"}`: false, `{"n":0,"x":1}`: false,
	} {
		for name, one := range map[string]*Contract{"files": c, "joined": again} {
			err := one.Operations[0].CheckBody("application/json", []byte(body))
			require.Equal(t, fits, err == nil, "%s %s: %v", name, body, err)
		}
	}
}
