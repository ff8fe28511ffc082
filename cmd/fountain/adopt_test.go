package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

const notesDocument = `openapi: 3.0.3
info: {title: Notes, version: 1.0.0}
servers: [{url: https://notes.example/v1}]
paths:
  /notes:
    get:
      operationId: listNotes
      responses:
        '200': {description: All., content: {application/json: {schema: {type: array, items: {type: string}}}}}
    post:
      operationId: createNote
      requestBody: {required: true, content: {application/json: {schema: {type: object, required: [text], properties: {text: {type: string, maxLength: 20}}}}}}
      responses: {'201': {description: Made.}}
  /notes/{noteId}:
    delete:
      operationId: deleteNote
      x-fountain: {stepUp: {acr: aal2, maxAge: 300}}
      parameters: [{name: noteId, in: path, required: true, schema: {type: string}}]
      responses: {'204': {description: Gone.}}
  /status:
    get:
      operationId: getStatus
      security: []
      responses: {'204': {description: It lives.}}
`

// notesService is a service that knows nothing about FountainAI.
func notesService(t *testing.T) *httptest.Server {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPost:
			w.WriteHeader(http.StatusCreated)
		case r.Method == http.MethodDelete || r.URL.Path == "/v1/status":
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`["a note"]`))
		}
	}))
	t.Cleanup(server.Close)
	return server
}

// An administrator puts a service behind the gateway with its document, calls it, changes it, and removes it again.
func TestAdopt_putsAServiceBehindTheGateway(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	passwordFile, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	h := &home{t: t, dir: t.TempDir()}
	good := func(args ...string) result {
		t.Helper()
		got := h.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got
	}
	good("login", "--url", u.url, "--username", "ada", "--password-file", passwordFile)
	made := good("otp", "enrol", "--invitation-file", invitation, "--output", "json").stdout
	seed := field(t, made, "secret")
	good("otp", "confirm", field(t, made, "factorId"), "--code-file", write(t, stepBefore(t, seed)))

	service := notesService(t)
	file := filepath.Join(t.TempDir(), "notes.yaml")
	require.NoError(t, os.WriteFile(file, []byte(notesDocument), 0o600))

	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	notAllowed := h.run("adopt", file, "--name", "elsewhere", "--upstream", "http://10.0.0.1:80", "--code-file", write(t, code))
	require.Equal(t, 1, notAllowed.code)
	require.Contains(t, notAllowed.stderr, "FOUNTAIN_GATEWAY_UPSTREAM_ALLOW")
	require.Contains(t, notAllowed.stderr, "the gateway refuses its upstreams")
	require.Contains(t, notAllowed.stderr, "nothing is served: adopt it again, or withdraw it with fountain retire elsewhere")
	require.NotContains(t, notAllowed.stdout, "is guarded")
	require.Regexp(t, `(?m)^elsewhere +refused \(upstreams\) `, good("adopted").stdout)
	require.Contains(t, good("adopted", "--output", "json").stdout, `"state": "refused"`)
	good("retire", "elsewhere")
	require.NotContains(t, good("adopted").stdout, "elsewhere")
	dry := good("adopt", file, "--dry-run")
	require.Regexp(t, `(?m)^POST +/notes/v1/notes +createNote +notes:write `, dry.stdout)
	require.Regexp(t, `(?m)^GET +/notes/v1/status +getStatus +notes:read `, dry.stdout, "closed until it is opened by name")
	require.Contains(t, dry.stderr, "notes.yaml:")
	require.Contains(t, dry.stdout, "would be guarded at /notes: 4 operations")

	adopted := good("adopt", file, "--upstream", service.URL, "--public", "getStatus")
	require.Regexp(t, `(?m)^DELETE +/notes/v1/notes/\{noteId\} +deleteNote +notes:write +aal2 within 5m `, adopted.stdout)
	require.Regexp(t, `(?m)^GET +/notes/v1/status +getStatus +everybody `, adopted.stdout)
	good("permissions", "set-role", "writer", "--scope", "notes:read", "--scope", "notes:write")
	gracesFile := write(t, "a quiet harbour at dawn")
	good("users", "create", "grace", "--role", "writer", "--password-file", gracesFile)
	good("--profile", "grace", "login", "--url", u.url, "--username", "grace", "--password-file", gracesFile)

	require.Eventually(t, func() bool { return status(t, u.url+"/notes/v1/status") == 204 }, 10*time.Second, 20*time.Millisecond)
	require.Equal(t, 401, status(t, u.url+"/notes/v1/notes"))
	require.Equal(t, "[\"a note\"]\n", good("--profile", "grace", "call", "GET", "/notes/v1/notes").stdout)
	good("--profile", "grace", "call", "POST", "/notes/v1/notes", "--body-file", write(t, `{"text":"Buy milk."}`))
	refused := h.run("--profile", "grace", "call", "POST", "/notes/v1/notes", "--body-file", write(t, `{"txt":"Buy milk."}`))
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.sentenceOf(t), "invalid_body")
	require.Contains(t, refused.sentenceOf(t), "/text is required")
	require.Empty(t, refused.stdout, "a refusal is no answer")
	require.Contains(t, refused.stderr, `"code":"invalid_body"`, "the problem itself")
	asked := h.run("--profile", "grace", "call", "DELETE", "/notes/v1/notes/1")
	require.Equal(t, 1, asked.code)
	require.Contains(t, asked.sentenceOf(t), "second factor")
	token := strings.TrimSpace(good("--profile", "grace", "token", "notes").stdout)
	require.Equal(t, 200, status(t, u.url+"/notes/v1/notes", "Authorization", "Bearer "+token))
	require.Equal(t, 401, status(t, u.url+"/kms/v1/users", "Authorization", "Bearer "+token), "it is for notes alone")

	none := h.run("--profile", "grace", "token", "notes", "--step-up")
	require.Equal(t, 1, none.code)
	require.Contains(t, none.sentenceOf(t), "second factor", "grace has none, and nobody can be asked")

	require.Regexp(t, `(?m)^notes +active +\d+ +1\.0\.0 +`+service.URL, good("adopted").stdout)

	// The next version in a file with another name becomes a separate service, and a message says so.
	next := filepath.Join(t.TempDir(), "notes2.yaml")
	require.NoError(t, os.WriteFile(next, []byte(notesDocument), 0o600))
	require.Contains(t, good("adopt", next, "--upstream", service.URL).stderr, "adopt a next version of notes with --name notes")
	require.NotContains(t, good("adopt", next, "--upstream", service.URL).stderr, "--name notes", "who has been told goes on")
	good("retire", "notes2")

	// The same document with a forbidden upstream: the version adopted before stays in force, and nothing else is
	// printed.
	moved := h.run("adopt", file, "--upstream", "http://10.0.0.1:80", "--public", "getStatus")
	require.Equal(t, 1, moved.code)
	require.Contains(t, moved.stderr, "the gateway refuses its upstreams: they are not on the operator's list")
	require.Contains(t, moved.stdout, "This version of notes is not in force")
	require.NotContains(t, moved.stdout, "is guarded")
	require.Equal(t, 204, status(t, u.url+"/notes/v1/status"), "the one before is served")
	require.Regexp(t, `(?m)^notes +version \d+, the next is refused \(upstreams\) `, good("adopted").stdout)
	good("adopt", file, "--upstream", service.URL, "--public", "getStatus")
	narrower := strings.ReplaceAll(strings.ReplaceAll(notesDocument, "maxLength: 20", "maxLength: 3"), "      x-fountain: {stepUp: {acr: aal2, maxAge: 300}}\n", "")
	require.NoError(t, os.WriteFile(file, []byte(narrower), 0o600))
	breaking := h.run("adopt", file, "--upstream", service.URL, "--public", "getStatus")
	require.Equal(t, 1, breaking.code, breaking.stderr)
	var accept []string
	for line := range strings.Lines(breaking.stderr) {
		if _, name, found := strings.Cut(line, `--accept "`); found {
			name, _, _ = strings.Cut(name, `"`)
			accept = append(accept, "--accept", name)
		}
	}
	require.Len(t, accept, 4, "a shorter text, and no second factor: %s", breaking.stderr)
	good(append([]string{"adopt", file, "--upstream", service.URL, "--public", "getStatus"}, accept...)...)
	require.Eventually(t, func() bool {
		return h.run("--profile", "grace", "call", "POST", "/notes/v1/notes", "--body-file", write(t, `{"text":"Buy milk."}`)).code == 1
	}, 10*time.Second, 50*time.Millisecond)

	// If there are more changes than a problem document holds, all are printed.
	many := narrower[:strings.Index(narrower, "  /notes:")] + "  /other:\n    get: {operationId: other, responses: {'204': {description: Nothing.}}}\n"
	for i := range 20 {
		narrower += fmt.Sprintf("  /more%d:\n    get: {operationId: more%d, responses: {'204': {description: Nothing.}}}\n", i, i)
	}
	require.NoError(t, os.WriteFile(file, []byte(narrower), 0o600))
	good("adopt", file, "--upstream", service.URL, "--public", "getStatus")
	require.NoError(t, os.WriteFile(file, []byte(many), 0o600))
	refusedAll := h.run("adopt", file, "--upstream", service.URL)
	require.Equal(t, 1, refusedAll.code)
	require.Equal(t, 24, strings.Count(refusedAll.stderr, "--accept "), "every operation that is gone: %s", refusedAll.stderr)

	require.Contains(t, good("retire", "notes").stdout, "notes is retired")
	require.Eventually(t, func() bool { return status(t, u.url+"/notes/v1/status") == 404 }, 10*time.Second, 20*time.Millisecond)
	require.NotContains(t, good("adopted").stdout, "notes")
}

// status requests an address and returns the status of the response.
func status(t *testing.T, address string, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res.StatusCode
}

// A fault is reported with its place, and nothing is changed.
func TestAdopt_tellsWhatIsWrong(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.yaml")
	for text, want := range map[string]string{
		"{":                                  "notes.yaml:",
		"swagger: '2.0'":                     "Swagger 2.0",
		"openapi: 3.0.3\ninfo: {title: a}\n": "has no paths",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		got := run(t, "adopt", file, "--dry-run")
		require.Equal(t, 1, got.code, text)
		require.Contains(t, got.sentenceOf(t), want, text)
	}
	require.NoError(t, os.WriteFile(file, []byte(notesDocument), 0o600))
	require.Equal(t, 2, run(t, "adopt", file).code, "--upstream is missing")
	for _, upstream := range []string{"127.0.0.1:9000", "http://127.0.0.1", "ftp://127.0.0.1:9000", "http://127.0.0.1:9000/v1", "http://a@127.0.0.1:9000", "http://:9000"} {
		got := run(t, "adopt", file, "--upstream", upstream)
		require.Equal(t, 2, got.code, upstream)
		require.Contains(t, got.sentenceOf(t), "http://host:port", upstream)
	}
	require.Equal(t, 2, run(t, "adopt", file, "--dry-run", "--name", "kms").code)
	require.Equal(t, 1, run(t, "adopt", file, "--dry-run", "--public", "listNotes").code)
	require.Equal(t, 1, run(t, "adopt", filepath.Join(t.TempDir(), "none.yaml"), "--dry-run").code)
	require.Equal(t, 2, run(t, "call", "GET", "notes").code)

	var answer struct {
		Operations []struct{ OperationID string }
		Warnings   []string
	}
	require.NoError(t, json.Unmarshal([]byte(run(t, "adopt", file, "--dry-run", "--output", "json").stdout), &answer))
	require.Len(t, answer.Operations, 4)
	require.NotEmpty(t, answer.Warnings)
}

// A document in several files consists of those that are named.
func TestAdopt_takesTheFilesThatAreNamed(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "api"), 0o755))
	file, shared := filepath.Join(dir, "api", "notes.yaml"), filepath.Join(dir, "shared.yaml")
	text := strings.ReplaceAll(notesDocument, "schema: {type: object, required: [text], properties: {text: {type: string, maxLength: 20}}}", "schema: {$ref: '../shared.yaml#/components/schemas/Note'}")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	require.NoError(t, os.WriteFile(shared, []byte("components: {schemas: {Note: {type: object}}}"), 0o600))
	require.NotContains(t, run(t, "adopt", file, "--with", shared, "--dry-run").stdout, "501")
	require.Contains(t, run(t, "adopt", file, "--dry-run").stdout, "501", "a file that was not named is not read")
}

// The generated client compiles where the SDK is available.
func TestGenerate_writesAClientThatCompiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.yaml")
	require.NoError(t, os.WriteFile(file, []byte(notesDocument), 0o600))
	out, err := os.MkdirTemp(".", "generated")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(out) })
	got := run(t, "generate", "client", file, "--out", out)
	require.Zero(t, got.code, got.stderr)
	vet, err := exec.CommandContext(t.Context(), "go", "vet", "./"+out).CombinedOutput()
	require.NoError(t, err, string(vet))
}

// For an operation of an adopted service, what the gateway requires is shown with the line in its document.
func TestExplain_knowsTheContractOfAnAdoptedService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "notes.yaml")
	require.NoError(t, os.WriteFile(file, []byte(notesDocument), 0o600))
	got := run(t, "explain", "DELETE", "/notes/v1/notes/1", "--contract", file)
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "DELETE /notes/v1/notes/{noteId} is deleteNote of notes (notes.yaml:15)")
	require.Contains(t, got.stdout, "an access token for notes alone")
	require.Regexp(t, `notes\.yaml:\d+ +x-fountain\.stepUp +acr aal2 within 5m`, got.stdout)
	require.Equal(t, 1, run(t, "explain", "POST", "/notes/v1/status", "--contract", file).code)
	require.Equal(t, 2, run(t, "explain", "GET", "/kms/v1/health", "--name", "notes").code)
}
