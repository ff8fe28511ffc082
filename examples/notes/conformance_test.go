package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// target is a notes service to be asked, and tokens for it: as -> token.
type target struct {
	url    string // with the base path: http://127.0.0.1:9000/v1, or http://localhost:8002/notes/v1 at a gateway
	tokens map[string]string
	guard  guard
}

// guard says what stands before the operations: each does what the one before it does, and more.
type guard int

const (
	nobody   guard = iota // the operations alone: that is the server in Node
	verifier              // clients/fountain/verify: that is the server in Go
	gateway               // a FountainAI gateway that has adopted notes.yaml
)

// Who asks. All have notes:read, notes:write and notes:delete, but for the reader, who has notes:read alone.
const (
	author = "NOTES_TOKEN"        // a user at aal1
	raised = "NOTES_RAISED_TOKEN" // the same user with a second factor (aal2) that is fresh
	other  = "NOTES_OTHER_TOKEN"  // another user at aal1
	reader = "NOTES_READER_TOKEN" // a user
	none   = ""
)

// The servers in Go and in Node do what the contract says. With NOTES_URL one that runs elsewhere is asked too, behind a gateway for example, with the tokens of
// the environment variables above; NOTES_GUARD says what stands before it (nobody, verifier or gateway, which is the default).
func TestConformance(t *testing.T) {
	t.Run("go", func(t *testing.T) { conform(t, startGo(t)) })
	t.Run("node", func(t *testing.T) { conform(t, startNode(t)) })
	if url := os.Getenv("NOTES_URL"); url != "" {
		t.Run("given", func(t *testing.T) { conform(t, given(t, url)) })
	}
}

func given(t *testing.T, url string) target {
	t.Helper()
	to := target{url: strings.TrimSuffix(url, "/"), tokens: map[string]string{}, guard: gateway}
	if name := os.Getenv("NOTES_GUARD"); name != "" {
		to.guard = guard(slices.Index([]string{"nobody", "verifier", "gateway"}, name))
		require.GreaterOrEqual(t, to.guard, nobody, "NOTES_GUARD")
	}
	for _, who := range []string{author, raised, other, reader} {
		to.tokens[who] = os.Getenv(who)
		require.NotEmpty(t, to.tokens[who], who)
	}
	return to
}

// exchange is a request and what must come of it.
type exchange struct {
	name         string
	as           string
	method, path string // {id} stands for the note's id
	body         string
	header       map[string]string
	needs        guard // what stands at least before a service that answers so
	status       int
	code         string // of the problem
	etag         string
	challenge    string // what WWW-Authenticate holds
}

const (
	harbour = `{"title":"Harbour","text":"The tide turns at six."}`
	later   = `{"title":"Harbour","text":"The tide turns at seven <é>."}`
	missing = "note_AAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// life is that of one note, in order; the first exchange makes it.
var life = []exchange{
	{name: "create", as: author, method: "POST", path: "/notes", body: harbour, status: 201, etag: `"1"`},
	{name: "read", as: author, method: "GET", path: "/notes/{id}", status: 200, etag: `"1"`},
	{name: "another's", as: other, method: "GET", path: "/notes/{id}", status: 404, code: "not_found"},
	{name: "write another's", as: other, method: "PUT", path: "/notes/{id}", body: later, header: map[string]string{"If-Match": `"1"`}, status: 404, code: "not_found"},
	{name: "write without a version", as: author, method: "PUT", path: "/notes/{id}", body: later, status: 428, code: "precondition_missing"},
	{name: "write", as: author, method: "PUT", path: "/notes/{id}", body: later, header: map[string]string{"If-Match": `"1"`}, status: 200, etag: `"2"`},
	{name: "write over an old version", as: author, method: "PUT", path: "/notes/{id}", body: harbour, header: map[string]string{"If-Match": `"1"`}, status: 412, code: "precondition_failed"},
	{name: "unknown note", as: author, method: "GET", path: "/notes/" + missing, status: 404, code: "not_found"},
	{name: "foreign cursor", as: author, method: "GET", path: "/notes?cursor=AAAA", status: 400, code: "invalid_cursor"},
	{name: "no token", as: none, method: "GET", path: "/notes", status: 401, code: "authentication_required", challenge: "Bearer realm="},
	{name: "bad token", as: author + "x", method: "GET", path: "/notes", needs: verifier, status: 401, code: "invalid_token", challenge: `error="invalid_token"`},
	{name: "write without the scope", as: reader, method: "POST", path: "/notes", body: harbour, needs: verifier, status: 403, code: "insufficient_scope", challenge: "notes:write"},
	{name: "delete without a second factor", as: author, method: "DELETE", path: "/notes/{id}", needs: verifier, status: 401, code: "insufficient_user_authentication",
		challenge: `acr_values="aal2"`},
	{name: "unknown path", as: author, method: "GET", path: "/other", status: 404, code: "not_found"},
	{name: "unknown method", as: author, method: "PATCH", path: "/notes", needs: verifier, status: 405, code: "method_not_allowed"},
	{name: "body too large", as: author, method: "POST", path: "/notes", body: `{"title":"a","text":"` + strings.Repeat("x", 70_000) + `"}`, status: 413, code: "body_too_large"},
	{name: "no title", as: author, method: "POST", path: "/notes", body: `{"text":""}`, needs: verifier, status: 422, code: "invalid_body"},
	{name: "title too long", as: author, method: "POST", path: "/notes", body: `{"title":"` + strings.Repeat("é", 201) + `","text":""}`, needs: verifier, status: 422, code: "invalid_body"},
	{name: "unknown property", as: author, method: "POST", path: "/notes", body: `{"title":"a","text":"b","owner":"usr_2"}`, needs: gateway, status: 422, code: "invalid_body"},
	{name: "a property twice", as: author, method: "POST", path: "/notes", body: `{"title":"a","title":"b","text":""}`, needs: gateway, status: 400, code: "malformed_body"},
	{name: "limit too large", as: author, method: "GET", path: "/notes?limit=999", needs: gateway, status: 400, code: "invalid_parameter"},
	{name: "limit twice", as: author, method: "GET", path: "/notes?limit=1&limit=2", needs: gateway, status: 400, code: "invalid_parameter"},
	{name: "no id", as: author, method: "GET", path: "/notes/x", needs: gateway, status: 400, code: "invalid_parameter"},
	{name: "still there", as: author, method: "GET", path: "/notes/{id}", status: 200, etag: `"2"`},
	{name: "delete", as: raised, method: "DELETE", path: "/notes/{id}", status: 204},
	{name: "deleted", as: author, method: "GET", path: "/notes/{id}", status: 404, code: "not_found"},
	{name: "delete again", as: raised, method: "DELETE", path: "/notes/{id}", status: 404, code: "not_found"},
}

// conform demands of a service what notes.yaml says, as far as its guard goes.
func conform(t *testing.T, to target) {
	t.Helper()
	var id string
	for _, x := range life {
		if x.needs > to.guard {
			continue
		}
		x.path = strings.ReplaceAll(x.path, "{id}", id)
		answer := to.ask(t, x)
		require.Equal(t, x.status, answer.status, "%s: %s", x.name, answer.raw)
		require.Equal(t, x.etag, answer.header.Get("ETag"), x.name)
		require.Contains(t, answer.header.Get("WWW-Authenticate"), x.challenge, x.name)
		switch {
		case x.status >= 400:
			require.Equal(t, "application/problem+json", answer.header.Get("Content-Type"), x.name)
			require.Equal(t, x.code, answer.body["code"], "%s: %s", x.name, answer.raw)
			require.EqualValues(t, x.status, answer.body["status"], x.name)
			require.NotEmpty(t, answer.body["requestId"], x.name)
		case x.body != "":
			var said map[string]any
			require.NoError(t, json.Unmarshal([]byte(x.body), &said))
			require.Equal(t, []any{said["title"], said["text"]}, []any{answer.body["title"], answer.body["text"]}, x.name)
			id = answer.body["id"].(string)
		}
	}
	to.pages(t)
}

// pages writes notes and reads the list page by page: each note comes once, in the order in which they were written.
func (to target) pages(t *testing.T) {
	t.Helper()
	var written, read []string
	for n := range 5 {
		made := to.ask(t, exchange{as: author, method: "POST", path: "/notes", body: fmt.Sprintf(`{"title":"page %d","text":""}`, n)})
		require.Equal(t, http.StatusCreated, made.status, made.raw)
		written = append(written, made.body["id"].(string))
	}
	cursor := ""
	for range 1000 { // of a service that never ends
		page := to.ask(t, exchange{as: author, method: "GET", path: "/notes?limit=2" + cursor})
		require.Equal(t, http.StatusOK, page.status, page.raw)
		items := page.body["items"].([]any)
		require.LessOrEqual(t, len(items), 2)
		for _, item := range items {
			read = append(read, item.(map[string]any)["id"].(string))
		}
		next, more := page.body["nextCursor"].(string)
		if !more {
			break
		}
		cursor = "&cursor=" + next
	}
	require.GreaterOrEqual(t, len(read), len(written))
	require.Equal(t, written, read[len(read)-len(written):], "what was there before comes first")
	require.Len(t, slices.Compact(slices.Sorted(slices.Values(read))), len(read), "none comes twice")
	for _, id := range written {
		require.Equal(t, http.StatusNoContent, to.ask(t, exchange{as: raised, method: "DELETE", path: "/notes/" + id}).status)
	}
}

type answer struct {
	status int
	header http.Header
	raw    string
	body   map[string]any
}

// ask sends a request.
func (to target) ask(t *testing.T, x exchange) answer {
	t.Helper()
	var body io.Reader
	if x.body != "" {
		body = bytes.NewReader([]byte(x.body))
	}
	r, err := http.NewRequestWithContext(context.Background(), x.method, to.url+x.path, body)
	require.NoError(t, err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, value := range x.header {
		r.Header.Set(name, value)
	}
	switch token := to.tokens[x.as]; {
	case token != "":
		r.Header.Set("Authorization", "Bearer "+token)
	case x.as != none:
		r.Header.Set("Authorization", "Bearer not.a.token")
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err, x.name)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err, x.name)
	a := answer{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if len(raw) > 0 {
		require.NoError(t, json.Unmarshal(raw, &a.body), "%s: %s", x.name, raw)
	}
	return a
}
