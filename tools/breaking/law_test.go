package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const lawful = `openapi: 3.0.3
info: {title: Notes, version: 1.0.0}
servers: [{url: /notes/v1}]
x-fountain: {principals: [user, service], body: {max: 80KiB}, rate: [{name: per-subject, key: sub, quota: 60000, window: 60s, burst: 100}]}
paths:
  /notes:
    post:
      operationId: createNote
      security: [{oauth: ["notes:write"]}]
      x-fountain: {idempotency: optional, stepUp: {acr: aal2, maxAge: 300}}
      parameters:
        - {name: Idempotency-Key, in: header, schema: {type: string}}
        - {name: pages, in: query, schema: {type: integer, format: int64, default: 10}}
      requestBody:
        required: true
        content:
          application/json: {schema: {type: object, properties: {size: {type: integer, format: int64}, kind: {type: string, default: red}}}}
      responses:
        "201":
          description: The note.
          headers: {ETag: {schema: {type: string}}}
          content:
            application/json: {schema: {type: object, properties: {length: {type: integer, format: int64}, note: {type: string}}}}
components:
  securitySchemes:
    oauth:
      type: oauth2
      flows:
        clientCredentials: {tokenUrl: /token, scopes: {"notes:write": Write notes., "notes:all": Everything.}}
`

// Each of these passed before: the policy is law, and so is what an SDK or its user reads.
func TestRun_comparesPolicyAsLaw(t *testing.T) {
	released := t.TempDir()
	write := func(dir, text string) {
		if err := os.WriteFile(filepath.Join(dir, "notes.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(released, lawful)
	for _, change := range []struct{ from, to, want string }{
		{"quota: 60000", "quota: 60", "rate-tightened"},
		{"quota: 60", "quota: 600", "rate-loosened"},
		{"[user, service]", "[user]", "principals-tightened"},
		{"max: 80KiB", "max: 1KiB", "body-max-lowered"},
		{", stepUp: {acr: aal2, maxAge: 300}", "", "step-up-loosened"},
		{"maxAge: 300", "maxAge: 60", "step-up-tightened"},
		{"idempotency: optional, stepUp: {acr: aal2, maxAge: 300}}\n      parameters:\n        - {name: Idempotency-Key, in: header, schema",
			"idempotency: required, stepUp: {acr: aal2, maxAge: 300}}\n      parameters:\n        - {name: Idempotency-Key, in: header, required: true, schema", "idempotency-lowered"},
		{`[{oauth: ["notes:write"]}]`, `[{oauth: ["notes:all"]}]`, "security-tightened"},
		{`[{oauth: ["notes:write"]}]`, "[{oauth: []}]", "security-loosened"},
		{"url: /notes/v1", "url: /notes/v2", "base-path-changed"},
		{"in: query, schema: {type: integer, format: int64", "in: query, schema: {type: integer, format: int32", "request-parameter-type"},
		{"size: {type: integer, format: int64}", "size: {type: integer, format: int32}", "request-property-type"},
		{"length: {type: integer, format: int64}", "length: {type: integer, format: int32}", "response-property-type"},
		{"default: 10", "default: 20", "request-parameter-default-value-changed"},
		{", default: 10", "", "request-parameter-default-value-removed"},
		{"default: red", "default: blue", "request-property-default-value-changed"},
		{", note: {type: string}", "", "response-optional-property-removed"},
		{"          headers: {ETag: {schema: {type: string}}}\n", "", "optional-response-header-removed"},
	} {
		text := strings.Replace(lawful, change.from, change.to, 1)
		if text == lawful {
			t.Fatalf("%q is not in the contract", change.from)
		}
		now := t.TempDir()
		write(now, text)
		var out, errOut strings.Builder
		if status := run([]string{"-contracts", now, "-released", released}, &out, &errOut); status != 1 || !strings.Contains(out.String(), ": "+change.want) {
			t.Errorf("from %s\nto %s\nexit status %d, want 1 with %s:\n%s%s", change.from, change.to, status, change.want, out.String(), errOut.String())
			continue
		}
		// What was wanted is accepted by its name.
		var names []string
		for line := range strings.Lines(out.String()) {
			names = append(names, nameOf(line))
		}
		if err := os.WriteFile(filepath.Join(released, acceptedFile), []byte(strings.Join(names, "\n")), 0o600); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if status := run([]string{"-contracts", now, "-released", released}, &out, &errOut); status != 0 {
			t.Errorf("%s: exit status %d after it was accepted:\n%s", change.want, status, out.String())
		}
		if err := os.Remove(filepath.Join(released, acceptedFile)); err != nil {
			t.Fatal(err)
		}
	}
}
