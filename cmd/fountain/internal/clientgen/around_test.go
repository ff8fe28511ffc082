package clientgen

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// hard is a document that the generator refuses, for a different reason in each operation.
const hard = `openapi: 3.0.3
info: {title: Hard, version: 1.0.0}
paths:
  /clients:
    get:
      operationId: listClients
      responses: {'200': {description: Names., content: {application/json: {schema: {$ref: '#/components/schemas/Client'}}}}}
  /parts:
    get:
      operationId: getParts
      responses: {'200': {description: Parts., content: {application/json: {schema: {$ref: '#/components/schemas/Whole'}}}}}
    post:
      operationId: get-parts
      responses: {'204': {description: Done.}}
  /things/{thing}:
    parameters: [{name: thing, in: path, required: true, schema: {anyOf: [{type: integer}, {type: string}]}}]
    get:
      operationId: getThing
      responses: {'200': {description: One., content: {application/json: {schema: {$ref: '#/components/schemas/400'}}}}}
  /odd:
    get:
      operationId: getOdd
      responses: {'200': {description: Odd., content: {application/json: {schema: {$ref: '#/components/schemas/Odd'}}}}}
  /gone:
    get:
      operationId: getGone
      responses: {'200': {description: Gone., content: {application/json: {schema: {$ref: '#/components/schemas/Nowhere'}}}}}
components:
  schemas:
    Client: {type: object, properties: {kind: {type: string, enum: [a, b]}, pet: {oneOf: [{$ref: '#/components/schemas/New'}, {$ref: '#/components/schemas/Other'}], discriminator: {propertyName: is}}}}
    ClientKind: {type: object, properties: {n: {type: integer, x-go-type: os.File}}}
    New: {type: object, required: [is], properties: {is: {type: string}, kind: {$ref: '#/components/schemas/ClientKind'}}}
    Other: {type: object, required: [is], properties: {is: {type: string}, i_s: {type: string}, is_: {type: integer}}}
    Base_kind: {type: object, properties: {n: {type: integer}}}
    Base: {type: object, readOnly: true, properties: {id: {type: integer}, kind: {type: string, enum: [c]}, its: {$ref: '#/components/schemas/Base_kind'}}}
    Middle: {allOf: [{$ref: '#/components/schemas/Base'}, {type: object, default: {}, properties: {name: {type: string}}}]}
    Whole: {type: object, properties: {one: {allOf: [{$ref: '#/components/schemas/Middle'}, {required: [id]}]}, other: {allOf: [{type: string}, {type: integer}]}}}
    '400': {type: object, properties: {details: {type: array, items: {oneOf: [{type: string}, {type: integer}]}}}}
    Odd: {type: object, properties: {"a\nb": {type: string}}}
`

// What the generator refuses is worked around and reported. What cannot be in the client costs only its own operation.
func TestGenerate_worksAroundWhatTheGeneratorRefuses(t *testing.T) {
	client, err := Generate(Options{Service: "hard", Package: "hard", Document: []byte(hard)})
	require.NoError(t, err)
	var told []string
	for _, n := range client.Notes {
		told = append(told, strings.Join(n.Pointer, " ")+": "+n.Cause)
	}
	said := strings.Join(told, "\n")
	for _, want := range []string{
		"components schemas ClientKind: x-go-type is not followed",
		"paths /parts post: get-parts is GetParts2 in the client",
		"components schemas Client: Client is ClientSchema in the client",
		"components schemas New: New is NewSchema in the client",
		"components schemas Base: an enumeration of it is BaseKindValue in the client",
		"components schemas Whole: a schema whose allOf has parts of different types becomes any value",
		"paths /things/{thing}: the parameter thing is a text in the client",
		"paths /odd get: GET /odd is not in the client",
		"paths /gone get: GET /gone is not in the client",
	} {
		require.Contains(t, said, want)
	}
	text := string(client.Files[ClientFile])
	for _, want := range []string{"GetThing(ctx context.Context, thing string,", "func (c *Client) GetParts2(", "type Base struct", `case "New":`} {
		require.True(t, strings.Contains(text, want), want)
	}
	require.False(t, strings.Contains(text, "os.File"))
	require.False(t, strings.Contains(text, "GetOdd"))

	dir, err := os.MkdirTemp(".", "generated")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, text := range client.Files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	out, err := exec.CommandContext(t.Context(), "go", "vet", "./"+dir).CombinedOutput()
	require.NoError(t, err, string(out))
}
