package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/member"
)

// The owner of an adopted service controls its document, its upstream and all its answers. These tests try attacks with these.

// raw makes the stranger answer with exactly this text, over a connection that is closed after it.
func (h *house) raw(text string) {
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, text)
	}
}

// A member's paths are below its mount, whatever its document says about servers and paths, and other paths do not change.
func TestAttack_aDocumentTakesNoPathOfOthers(t *testing.T) {
	h := memberHouse(t)
	for _, server := range []string{
		"https://x/../kms/v1", "https://x/..%2Fkms%2Fv1", "https://x/%2e%2e/kms/v1", "/../../docs", "//docs", "..", ".", "/./", "https://x/\\docs", "/kms/v1", "javascript:alert(1)//",
		"https://user:secret@x/a", "{scheme}://x/{base}", "/{any}", "/%zz", "https://x/a\nb", "?docs", "#docs", "/a//b", "https://[::1]/docs",
	} {
		for _, path := range []string{"/notes", "/{a}", "/{a}/{b}/{c}", "/../docs", "/..%2fdocs", "docs", "//docs", "/{a}{b}", "/{+a}", "/a b", "/", "/openapi/{document}", "/{a}:{b}"} {
			require.NoError(t, h.g.members.Replace("test", nil))
			text := strings.Replace(notes, "https://notes.example/v2", "'"+strings.ReplaceAll(server, "'", "")+"'", 1)
			text = strings.Replace(text, "  /notes:\n", "  '"+path+"':\n", 1)
			d := h.definition(text)
			d.Compared = true
			_ = h.g.members.Replace("test", []member.Definition{d}) // it may also be refused
			for _, m := range h.g.members.Members() {
				for _, op := range m.Contract.Operations {
					require.Equal(t, "notes", op.Word, server)
					require.Equal(t, "/notes", op.Mount, server)
					require.True(t, op.Path == "/notes" || strings.HasPrefix(op.Path, "/notes/"), "%s %s: %s", server, path, op.Path)
					for _, r := range op.Requirements {
						for _, scope := range r.Scopes {
							require.True(t, strings.HasPrefix(scope, "notes:"), scope)
						}
					}
				}
			}
			require.Equal(t, 200, h.do("GET", "/docs", "").StatusCode, "%s %s", server, path)
			require.Contains(t, h.do("GET", "/openapi/kms.yaml", "").Text, "/kms/v1")
			require.Equal(t, 401, h.do("GET", "/kms/v1/users", "", "Authorization", h.notesToken(nil)).StatusCode)
			require.Equal(t, 401, h.do("GET", "/sequence/v1/scopes/s/line/elements", "", "Authorization", h.notesToken(nil)).StatusCode)
			require.Empty(t, h.seen, "%s %s", server, path)
		}
	}
}

// A request with an ambiguous path reaches no member. One that reaches a member has lost its mount and nothing else.
func TestAttack_aPathLeadsNowhereElse(t *testing.T) {
	h := memberHouse(t)
	d := h.definition(strings.ReplaceAll(notes, "  /notes:\n", "  /notes/{id}:\n    parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n"))
	d.Compared = true
	require.NoError(t, h.g.members.Replace("test", []member.Definition{d}))
	for _, path := range []string{
		"/notes/v2/notes/..", "/notes/v2/notes/%2e%2e", "/notes/v2/notes/%2E%2E", "/notes/v2/notes/.%2e", "/notes/v2/notes/a%2Fb", "/notes/v2/notes/a%5Cb", "/notes/v2/notes/..%2f..%2fadmin",
		"/notes/v2/../v2/notes/a", "/notes//v2/notes/a", "/notes/v2/notes/a/", "/NOTES/v2/notes/a", "/notes/v2/notes/a;/b%00", "/notes/v2/notes/%0d%0aX:%20y", "/notes/v2/notes/%ff", "/notes/%2e/v2/notes/a",
		"//notes/v2/notes/a", "/kms/v1/../../notes/v2/notes/a", "/notes%2Fv2%2Fnotes%2Fa",
	} {
		a := h.do("GET", path, "", "Authorization", h.notesToken(nil))
		require.Contains(t, []int{400, 404}, a.StatusCode, path)
	}
	require.Empty(t, h.seen)
	for path, reaches := range map[string]string{"/notes/v2/notes/a%20b;c": "/v2/notes/a%20b;c", "/notes/v2/notes/notes": "/v2/notes/notes"} {
		require.Equal(t, 200, h.do("GET", path, "", "Authorization", h.notesToken(nil)).StatusCode, path)
		require.Equal(t, reaches, h.seen[len(h.seen)-1].RequestURI)
	}
	seen := len(h.seen)
	a := h.do("GET", "/%6eotes/v2/notes/a", "", "Authorization", h.notesToken(nil))
	if a.StatusCode == 200 {
		require.Equal(t, "/v2/notes/a", h.seen[seen].RequestURI)
	}
}

// A member's references are below its mount or to other hosts: in no form do they lead to the family's pages, even as browsers interpret them.
func TestAttack_aReferenceStaysBelowTheMount(t *testing.T) {
	h := memberHouse(t)
	for reference, reached := range map[string]string{
		"/../../docs": "/notes/docs", "../../../docs": "/notes/docs", "/%2e%2e/%2e%2e/docs": "", "/.%2e/docs": "", `/\docs`: "/notes/%5Cdocs", `\docs`: "/notes/v2/%5Cdocs", "http:/docs": "", "http:docs": "",
		"https:///docs": "", "javascript:alert(1)": "", "data:text/html,x": "", "//evil.example/x": "http://evil.example/x", "https://user:pw@evil.example/": "", "?x=1": "/notes/v2/notes?x=1",
		"https://evil.example/a": "https://evil.example/a", "blob:http://x/y": "", "%zz": "", "": "/notes/v2/notes",
		h.stranger + "/../docs": "/notes/docs", strings.ToUpper(h.stranger[:4]) + h.stranger[4:] + "/a": "/notes/a",
	} {
		h.upstream = func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{reference}
			w.WriteHeader(http.StatusCreated)
		}
		a := h.do("POST", "/notes/v2/notes", `{"text":"a"}`, "Authorization", h.notesToken(nil))
		require.Equal(t, 201, a.StatusCode, a.Text)
		require.Equal(t, reached, a.Header.Get("Location"), reference)
	}
}

// An answer that is ambiguous or addresses the connection is stopped at the gateway.
func TestAttack_anAnswerIsReadInOneWay(t *testing.T) {
	h := memberHouse(t)
	d := h.definition(strings.ReplaceAll(notes, "'200': {description: All., content:", "'200': {description: All., headers: {Transfer-Encoding: {schema: {type: string}}, "+
		"Connection: {schema: {type: string}}, Trailer: {schema: {type: string}}, Content-Length: {schema: {type: string}}, Upgrade: {schema: {type: string}}, "+
		"Access-Control-Allow-Origin: {schema: {type: string}}, X-Request-Id: {schema: {type: string}}, Ratelimit: {schema: {type: string}}, X-Content-Type-Options: {schema: {type: string}}}, content:"))
	d.Compared = true
	require.NoError(t, h.g.members.Replace("test", []member.Definition{d}))
	const body = "\r\n\r\n[\"a\"]"
	for name, text := range map[string]string{
		"two types":       "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Type: text/html\r\nContent-Length: 5" + body,
		"a list of types": "HTTP/1.1 200 OK\r\nContent-Type: application/json, text/html\r\nContent-Length: 5" + body,
		"html":            "HTTP/1.1 200 OK\r\nContent-Type: TEXT/HTML\r\nContent-Length: 5" + body,
		"html in a trick": "HTTP/1.1 200 OK\r\nContent-Type: text/html;;\r\nContent-Length: 5" + body,
		"two lengths":     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\nContent-Length: 6" + body,
		"both":            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\nTransfer-Encoding: chunked" + body,
		"switching":       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
		"folded":          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n x: y\r\nContent-Length: 5" + body,
		"coded":           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 5" + body,
		"many interim":    strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n", 50) + "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5" + body,
		"nonsense":        "HTTP/1.1 999 What\r\n\r\n",
	} {
		h.raw(text)
		a := h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil))
		require.Equal(t, 502, a.StatusCode, name)
		require.Equal(t, "bad_upstream", a.Code, name)
	}
	h.raw("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Set-Cookie\r\n" +
		"Connection: X-A\r\nUpgrade: h2c\r\nAccess-Control-Allow-Origin: *\r\nX-Request-Id: a\r\nRatelimit: a\r\nX-Content-Type-Options: none\r\nCache-Control: public, max-age=999\r\n" +
		"Age: 5\r\nWarning: x\r\nServer: evil\r\n\r\n5\r\n[\"a\"]\r\n0\r\nSet-Cookie: a=b\r\n\r\n")
	a := h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil))
	require.Equal(t, 200, a.StatusCode, a.Text)
	require.Equal(t, `["a"]`, a.Text)
	require.Empty(t, a.Trailer)
	require.Empty(t, a.TransferEncoding, "its length is known here")
	require.Equal(t, []string{"no-store"}, a.Header.Values("Cache-Control"))
	require.Equal(t, []string{"nosniff"}, a.Header.Values("X-Content-Type-Options"))
	require.NotContains(t, a.Header.Get("Ratelimit"), "a,")
	for _, name := range []string{"Set-Cookie", "Connection", "Upgrade", "Trailer", "Access-Control-Allow-Origin", "Age", "Warning", "Server", "Link"} {
		require.Empty(t, a.Header.Values(name), name)
	}
	require.Len(t, a.Header.Values("X-Request-Id"), 1)
	require.NotEqual(t, "a", a.Header.Get("X-Request-Id"))
}

// Whatever a document and its service say is one line of the log, and labels of metrics are short and bounded in number.
func TestAttack_logsAndMetricsStayWhatTheyAre(t *testing.T) {
	h := memberHouse(t)
	long := strings.Repeat("x", 100_000)
	text := strings.ReplaceAll(notes, "operationId: listNotes", `operationId: "list\n{\"level\":\"ERROR\",\"msg\":\"forged\"}`+long+`"`)
	d := h.definition(text)
	d.Compared = true
	require.NoError(t, h.g.members.Replace("test", []member.Definition{d}))
	for i := range 1500 { // a different place each time
		h.upstream = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprintf(w, `["a", {"forged\n%d": 1}, %d]`, i, i)
		}
		if i%100 == 0 {
			h.clock.Advance(time.Minute)
		}
		h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil))
	}
	for line := range strings.Lines(h.log.String()) {
		require.True(t, strings.HasPrefix(line, `{"time":`), line[:min(len(line), 200)])
		require.Less(t, len(line), 4096)
	}
	families, err := h.registry.Gather()
	require.NoError(t, err)
	series := 0
	for _, family := range families {
		for _, m := range family.GetMetric() {
			series++
			for _, pair := range m.GetLabel() {
				require.Less(t, len(pair.GetValue()), 300, pair.GetName())
				require.NotContains(t, pair.GetValue(), "\n")
			}
		}
	}
	require.Less(t, series, 5000)
}

// A folder of the operators' directory that leads out of it, or has unreadable files, affects only its own member.
func TestAttack_theDirectoryFollowsNoLinkOut(t *testing.T) {
	h := memberHouse(t)
	require.NoError(t, h.g.members.Replace("test", nil))
	outside, dir := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "notes.yaml"), []byte(notes), 0o600))
	saying := []byte("contract: notes.yaml\nupstreams: [" + h.stranger + "]\n")
	folder := func(name string) string {
		at := filepath.Join(dir, name)
		require.NoError(t, os.Mkdir(at, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(at, "member.yaml"), saying, 0o600))
		return at
	}
	require.NoError(t, os.Symlink(filepath.Join(outside, "notes.yaml"), filepath.Join(folder("linked"), "notes.yaml")))
	require.NoError(t, os.Symlink("../../"+filepath.Base(outside)+"/notes.yaml", filepath.Join(folder("climbing"), "notes.yaml")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(folder("dangling"), "notes.yaml")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(folder("piped"), "notes.yaml"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "whole")))
	require.NoError(t, os.WriteFile(filepath.Join(folder("honest"), "notes.yaml"), []byte(notes), 0o600))
	source, err := member.NewDirectory(h.g.members, dir, make(chan os.Signal))
	require.NoError(t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = source.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	require.Eventually(t, func() bool { return h.g.members.Member("honest") != nil }, 10*time.Second, 10*time.Millisecond)
	for _, name := range []string{"linked", "climbing", "dangling", "piped", "whole"} {
		require.Nil(t, h.g.members.Member(name), name)
	}
}

// Health checks of members obey the egress policy too: a target that has become one of the family's is not connected to.
func TestAttack_theHealthCheckConnectsNowhereElse(t *testing.T) {
	h := memberHouse(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	for _, upstream := range []string{
		h.behind, strings.Replace(h.behind, "127.0.0.1", "localhost", 1), strings.Replace(h.behind, "127.0.0.1", "[::ffff:127.0.0.1]", 1), strings.Replace(h.behind, "127.0.0.1", "2130706433", 1),
		strings.Replace(h.behind, "127.0.0.1", "0.0.0.0", 1), "http://169.254.169.254:80", "http://user:pw@" + listener.Addr().String(), h.stranger + "/path", "ftp://" + listener.Addr().String(),
	} {
		d := h.definition(notes)
		d.Upstreams, d.Compared = []string{upstream}, true
		err := h.g.members.Replace("test", []member.Definition{d})
		if err == nil { // a name is resolved and checked at the connection
			a := h.do("GET", "/notes/v2/notes", "", "Authorization", h.notesToken(nil))
			require.Contains(t, []int{502, 503}, a.StatusCode, upstream)
		}
	}
	require.Empty(t, h.seen)
}
