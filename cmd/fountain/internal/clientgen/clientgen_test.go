package clientgen

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/oapi-codegen/oapi-codegen/v2/pkg/codegen"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const notes = `openapi: 3.0.3
info: {title: Notes, version: 1.0.0}
servers: [{url: /notes/v1}]
paths:
  /notes/{noteId}:
    delete:
      operationId: deleteNote
      parameters: [{name: noteId, in: path, required: true, schema: {type: string}}]
      responses: {'204': {description: Gone.}}
  /notes:
    post:
      operationId: createNote
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}
      responses: {'201': {description: Made., content: {application/json: {schema: {$ref: '#/components/schemas/Note'}}}}}
components:
  schemas:
    Note: {type: object, required: [text], properties: {text: {type: string}, kind: {type: string, enum: [draft, final]}}}
`

// The settings are those of the FountainAI clients.
func TestSettings_areThoseOfTheFamily(t *testing.T) {
	text, err := os.ReadFile("../../../../oapi-config.yaml")
	require.NoError(t, err)
	var said codegen.Configuration
	require.NoError(t, yaml.Unmarshal(text, &said))
	ours := settings("x")
	ours.OutputOptions.ResolveTypeNameCollisions = false
	require.Equal(t, said.OutputOptions, ours.OutputOptions)
	require.Equal(t, said.Compatibility, ours.Compatibility)
}

// The generated client compiles in this module and works with the SDK.
func TestGenerate_compiles(t *testing.T) {
	client, err := Generate(Options{Service: "notes", BasePath: "/v1", Package: "notes", Document: []byte(notes)})
	require.NoError(t, err)
	require.Empty(t, client.Notes)
	files := client.Files
	dir, err := os.MkdirTemp(".", "generated")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	require.Contains(t, string(files[DoorFile]), `service.URL()+"/v1"`)
	require.Contains(t, string(files[ClientFile]), "NoteKindDraft")
	out, err := exec.CommandContext(t.Context(), "go", "vet", "./"+dir).CombinedOutput()
	require.NoError(t, err, string(out))
}

// A document that the generator cannot read is an error, not a panic.
func TestGenerate_tellsWhatIsWrong(t *testing.T) {
	for _, text := range []string{"{", "[]", strings.ReplaceAll(notes, "responses:", "parameters: [{$ref: '#/components/parameters/Other'}]\n      responses:")} {
		_, err := Generate(Options{Service: "notes", Package: "notes", Document: []byte(text)})
		require.Error(t, err, text)
	}
	_, err := Generate(Options{Service: "notes", Package: "not-go", Document: []byte(notes)})
	require.ErrorContains(t, err, "identifier")
}
