//go:build edge

package edge

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/fountainai/fountain/tests/harness"
)

// verdict is what may become of the first message of a connection.
type verdict int

const (
	refused verdict = iota // nothing of it reaches the service
	one                    // the service sees it as one request, and it is answered as such
)

// smuggling is a message, or what looks like one, in which readers that differ could find another request.
type smuggling struct {
	name    string
	text    string
	gateway verdict // sent straight to the gateway
	caddy   verdict // sent through Caddy, which writes its requests anew
}

const (
	plain   = `{"data":{}}`
	chunked = "b\r\n" + plain + "\r\n0\r\n\r\n"
)

// corpus returns the messages. They create an element in the scope first; what is hidden in them reads one of the scope hidden.
func corpus(first, hidden, token string) []smuggling {
	auth := "Authorization: Bearer " + token + "\r\n"
	path := "/sequence/v1/scopes/" + first + "/line/elements"
	inside := "GET /sequence/v1/scopes/" + hidden + "/line/elements/x HTTP/1.1\r\nHost: localhost\r\n" + auth + "\r\n"
	line := func(l, fields, body string) string {
		return l + "\r\nHost: localhost\r\n" + auth + "Content-Type: application/json\r\n" + fields + "\r\n" + body
	}
	post := func(fields, body string) string { return line("POST "+path+" HTTP/1.1", fields, body) }
	length := func(body string) string { return "Content-Length: " + strconv.Itoa(len(body)) + "\r\n" }
	const te = "Transfer-Encoding: chunked\r\n"
	end := "0\r\n\r\n" + inside // an empty chunked body, and the hidden request behind it
	all := []smuggling{
		{"plain", post(length(plain), plain), one, one},
		{"chunked", post(te, chunked), one, one},
		{"CL.TE", post(length(end)+te, end), refused, refused},
		{"CL.TE, coding first", post(te+length(end), end), refused, refused},
		{"TE.CL", post("Content-Length: 4\r\n"+te, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inside), inside)), refused, refused},
		{"CL 0 and chunked", post("Content-Length: 0\r\n"+te, end), refused, refused},
		{"length in a body of chunks", post(te+"content-length: 5\r\n", chunked), refused, one},
		{"two lengths that differ", post("Content-Length: 0\r\n"+length(inside), inside), refused, refused},
		{"two equal lengths", post(length(plain)+length(plain), plain), refused, one},
		{"list of lengths", post("Content-Length: 11, 11\r\n", plain), refused, refused},
		{"list of lengths that differ", post("Content-Length: 0, 11\r\n", inside), refused, refused},
		{"length and nothing", post("Content-Length: 11,\r\n", plain), refused, refused},
		{"nameless length", post("Content-Length:\r\n", inside), refused, refused},
		{"no length at all", post("", ""), refused, refused},
		{"obsolete end of body", post("Content-Length: 0\r\n", "\r\n\r\n"), refused, refused},
	}
	for _, v := range []string{"-1", "+11", "0x0b", "1e1", "11.0", "0b", "1 1", "11 0", "99999999999999999999", "18446744073709551627", "１１", "eleven", "\"11\"", "11;0"} {
		all = append(all, smuggling{"length " + v, post("Content-Length: "+v+"\r\n", plain), refused, refused})
	}
	for _, v := range []string{
		"xchunked", "chunked, chunked", "chunked, identity", "identity, chunked", "identity", "gzip, chunked", "chunked;q=1", "chunked,", ",chunked", "\"chunked\"", "chunked\x0b", "\x0bchunked",
		"chun\x00ked", "chunked\x00", "cow", "c\thunked", "",
	} {
		all = append(all, smuggling{fmt.Sprintf("coding %q", v), post("Transfer-Encoding: "+v+"\r\n", end), refused, refused})
		all = append(all, smuggling{fmt.Sprintf("length and coding %q", v), post(length(end)+"Transfer-Encoding: "+v+"\r\n", end), refused, refused})
	}
	for name, fields := range map[string]string{
		"space before the colon":        "Transfer-Encoding : chunked\r\n",
		"tab before the colon":          "Transfer-Encoding\t: chunked\r\n",
		"space before the name":         " Transfer-Encoding: chunked\r\n",
		"coding on a folded line":       "Transfer-Encoding:\r\n chunked\r\n",
		"coding folded into another":    "X-A: b\r\n Transfer-Encoding: chunked\r\n",
		"two codings":                   te + te,
		"two codings, one odd":          "Transfer-Encoding: cow\r\n" + te,
		"coding after a bare LF":        "X-A: b\nTransfer-Encoding: chunked\r\n",
		"coding after a bare CR":        "X-A: b\rTransfer-Encoding: chunked\r\n",
		"coding after NUL":              "X-A: b\x00\r\n" + te + length(end),
		"underscore in the coding":      "Transfer_Encoding: chunked\r\n" + "Content_Length: 0\r\n",
		"name with NUL":                 "Transfer-Encoding\x00: chunked\r\n",
		"name beyond ASCII":             "Transfer-Encod\xefng: chunked\r\n",
		"no colon":                      "Transfer-Encoding chunked\r\n",
		"empty name":                    ": chunked\r\n",
		"quoted length":                 "Content-Length: \"0\"\r\n",
		"length named by Connection":    "Connection: Content-Length\r\n" + length(end),
		"coding named by Connection":    "Connection: close, Transfer-Encoding\r\n" + te,
		"two hosts":                     "Host: evil.example\r\n" + length(plain),
		"expectation that can't be met": "Expect: 200-ok\r\n" + length(plain),
	} {
		all = append(all, smuggling{name, post(fields, end), refused, refused})
	}
	for name, body := range map[string]string{
		"chunk size in another base":      "0xb\r\n" + plain + "\r\n" + end,
		"chunk size with a sign":          "+b\r\n" + plain + "\r\n" + end,
		"negative chunk size":             "-1\r\n" + end,
		"huge chunk size":                 "ffffffffffffffff\r\n" + end,
		"chunk size that wraps":           "1000000000000000b\r\n" + plain + "\r\n" + end,
		"chunk size with an underscore":   "0_b\r\n" + plain + "\r\n" + end,
		"no chunk size":                   "\r\n" + end,
		"bare LF behind a chunk size":     "b\n" + plain + "\r\n" + end,
		"bare CR behind a chunk size":     "b\r" + plain + "\r\n" + end,
		"bare LF behind a chunk":          "b\r\n" + plain + "\n" + end,
		"chunk longer than its size":      "2\r\n" + plain + "\r\n" + end,
		"chunk shorter than its size":     "c\r\n" + plain + "\r\n" + end,
		"bare LF in a chunk's extension":  "b;a\n" + plain + "\r\n" + end,
		"bare CR in a chunk's extension":  "b;a\rb\r\n" + plain + "\r\n" + end,
		"endless chunk extension":         "b;" + strings.Repeat("a", 20<<10) + "\r\n" + plain + "\r\n" + end,
		"bare LF at the end":              "b\r\n" + plain + "\r\n0\n\n" + inside,
		"bare LF in a trailer":            "b\r\n" + plain + "\r\n0\r\nX-A: b\n\r\n" + inside,
		"endless trailer":                 "b\r\n" + plain + "\r\n0\r\n" + strings.Repeat("X-A: b\r\n", 4000) + "\r\n",
		"hidden request as a chunked end": "b\r\n" + plain + "\r\n00000000000000000\r\n\r\n" + inside,
	} {
		caddy := refused
		if name == "bare LF in a trailer" {
			caddy = one // it reads that, and closes the connection behind it
		}
		all = append(all, smuggling{name, post(te, body), refused, caddy})
	}
	all = append(all, lines(path, auth, inside, line, post)...)
	slices.SortFunc(all, func(a, b smuggling) int { return strings.Compare(a.name, b.name) })
	return all
}

// lines are messages that differ in their first line, in the end of lines, or in what a proxy makes of them.
func lines(path, auth, inside string, line func(l, fields, body string) string, post func(fields, body string) string) []smuggling {
	const fits, te = "Content-Length: 11\r\n", "Transfer-Encoding: chunked\r\n"
	crlf := strings.NewReplacer("\r\n", "\n")
	cr := strings.NewReplacer("\r\n", "\r")
	return []smuggling{
		{"line ends without CR", crlf.Replace(post(fits, "")) + plain, refused, one},
		{"line ends without LF", cr.Replace(post(fits, "")) + plain, refused, refused},
		{"empty lines before", "\r\n\r\n" + post(fits, plain), refused, refused},
		{"two spaces", line("POST  "+path+" HTTP/1.1", fits, plain), refused, refused},
		{"tab for a space", line("POST\t"+path+"\tHTTP/1.1", fits, plain), refused, refused},
		{"space in the target", line("POST "+path+" x HTTP/1.1", fits, plain), refused, refused},
		{"request in the target", line("POST "+path+"%20HTTP/1.1%0d%0aX:%20y HTTP/1.1", fits, plain), refused, refused},
		{"NUL in the target", line("POST "+path+"\x00 HTTP/1.1", fits, plain), refused, refused},
		{"fragment", line("POST "+path+"#x HTTP/1.1", fits, plain), refused, refused},
		{"absolute form", line("POST http://localhost"+path+" HTTP/1.1", fits, plain), one, one},
		{"absolute form against the Host header", strings.Replace(line("POST http://localhost"+path+" HTTP/1.1", fits, plain), "Host: localhost", "Host: evil.example", 1), refused, one},
		{"absolute form of another host", line("POST http://evil.example"+path+" HTTP/1.1", fits, plain), refused, refused},
		{"authority form", line("CONNECT localhost:443 HTTP/1.1", "", ""), refused, refused},
		{"asterisk form", line("OPTIONS * HTTP/1.1", "", ""), refused, refused},
		{"HTTP/0.9", "GET " + path + "\r\n" + inside, refused, refused},
		{"HTTP/1.0", line("POST "+path+" HTTP/1.0", fits, plain), one, one},
		{"HTTP/1.0, chunked", line("POST "+path+" HTTP/1.0", te, chunked+inside), refused, refused},
		{"HTTP/1.0, kept alive", line("POST "+path+" HTTP/1.0", "Connection: keep-alive\r\n"+fits, plain), one, one},
		{"HTTP/1.2", line("POST "+path+" HTTP/1.2", fits, plain), refused, one},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", refused, refused},
		{"version in lower case", line("POST "+path+" http/1.1", fits, plain), refused, refused},
		{"method with a line", line("POST\r\nX: "+path+" HTTP/1.1", fits, plain), refused, refused},
		{"method in lower case", line("post "+path+" HTTP/1.1", fits, plain), refused, refused},
		{"no host", "POST " + path + " HTTP/1.1\r\n" + auth + fits + "\r\n" + plain, refused, refused},
		{"odd host", "POST " + path + " HTTP/1.1\r\nHost: localhost/x@y\r\n" + auth + fits + "\r\n" + plain, refused, refused},
		{"another host", "POST " + path + " HTTP/1.1\r\nHost: evil.example\r\n" + auth + fits + "\r\n" + plain, refused, refused},
		{"offer of h2c", post("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"+fits, plain), one, one},
		{"offer of a web socket", post("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+fits, plain), one, one},
		{"expectation", post("Expect: 100-continue\r\n"+fits, plain), one, one},
		{"expectation twice", post("Expect: 100-continue\r\nExpect: 100-continue\r\n"+fits, plain), one, one},
		{"expectation in capitals", post("Expect: 100-CONTINUE\r\n"+te, chunked), one, one},
		{"chunk extension", post(te, "b;a=\"b\"\r\n"+plain+"\r\n0;c\r\n\r\n"), one, one},
		{"trailer with a length", post(te+"Trailer: Content-Length\r\n", "b\r\n"+plain+"\r\n0\r\nContent-Length: 5\r\n\r\n"), refused, refused},
		{"trailer with a host", post(te, "b\r\n"+plain+"\r\n0\r\nHost: evil.example\r\nAuthorization: x\r\n\r\n"), one, one},
		{"trailer with a coding", post(te, "b\r\n"+plain+"\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), one, one},
		{"field named by Connection", post("Connection: Authorization\r\n"+fits, plain), refused, refused},
		{"underscore in a name", post("X_Forwarded_For: 10.0.0.1\r\nContent_Length: 0\r\n"+fits, plain), one, one},
		{"folded field", post("X-A: b\r\n c\r\n"+fits, plain), refused, one},
		{"request in a field", post("X-A: b\r\r\n"+inside+fits, plain), refused, refused},
		{"very long field", post("X-A: "+strings.Repeat("a", 40<<10)+"\r\n"+fits, plain), refused, refused},
		{"very long target", line("POST "+path+"?"+strings.Repeat("a", 40<<10)+" HTTP/1.1", fits, plain), refused, refused},
		{"very many fields", post(strings.Repeat("X-A: b\r\n", 5000)+fits, plain), refused, refused},
		{"body of a read", line("GET "+path+" HTTP/1.1", fmt.Sprintf("Content-Length: %d\r\n", len(inside)), inside), refused, refused},
		{"chunked body of a read", line("GET "+path+" HTTP/1.1", te, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inside), inside)), refused, refused},
		{"request in a body", post(fmt.Sprintf("Content-Length: %d\r\n", len(inside)), inside), refused, refused},
		{"request in a chunk", post(te, fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inside), inside)), refused, refused},
		{"request behind JSON in a body", post(fmt.Sprintf("Content-Length: %d\r\n", len(plain)+len(inside)), plain+inside), refused, refused},
	}
}

// recording is a service in the place of sequence that keeps what it is asked, by scope.
type recording struct {
	mu   sync.Mutex
	seen map[string][]*http.Request
}

// ServeHTTP implements http.Handler.
func (s *recording) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/sequence/v1/ready" {
		return
	}
	scope, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/sequence/v1/scopes/"), "/")
	_, _ = io.Copy(io.Discard, r.Body) // a broken body is seen in the answer
	s.mu.Lock()
	s.seen[scope] = append(s.seen[scope], r)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", `"1"`)
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusCreated)
	}
	fmt.Fprintf(w, `{"id":"a","scope":%q,"elementType":"line","number":1,"status":"active","version":1,"data":{},`+
		`"createdAt":"2026-11-23T10:00:00Z","updatedAt":"2026-11-23T10:00:00Z"}`, scope)
}

func (s *recording) of(scope string) []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[scope]
}

// Whatever a client writes, the service sees one request or none of it, never one that is hidden in another; and the request that follows on the
// connection is answered as what it is, or not at all.
func TestSmuggling_isOneRequestOrARefusal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, username, password)
	metadata, err := admin.KMS.GetServerMetadata(t.Context())
	require.NoError(t, err)
	token, err := admin.Token(t.Context(), "sequence")
	require.NoError(t, err)
	service := &recording{seen: map[string][]*http.Request{}}
	behind := httptest.NewServer(service)
	t.Cleanup(behind.Close)
	services := p.Services()
	services["sequence"] = behind.URL
	g := startGateways(t, 1, services, metadata.Issuer, admin, "1ms")
	e := startEdge(t, "localhost", g.addresses[0])
	secured := e.tlsConfig()
	secured.NextProtos = []string{"http/1.1"}
	doors := map[string]func() (net.Conn, error){
		"gateway": func() (net.Conn, error) { return net.Dial("tcp", g.addresses[0]) },
		"caddy":   func() (net.Conn, error) { return tls.Dial("tcp", e.address, secured) },
		"plain":   func() (net.Conn, error) { return net.Dial("tcp", e.redirect) }, // which redirects, and forwards nothing
	}
	require.GreaterOrEqual(t, len(corpus("", "", "")), 60)
	for door, dial := range doors {
		t.Run(door, func(t *testing.T) {
			messages := corpus(door+"-NNN-first", door+"-NNN-hidden", token)
			answers := make([][]spoken, len(messages))
			var all errgroup.Group
			all.SetLimit(32) // most of the time they wait for silence
			for i, m := range messages {
				all.Go(func() (err error) {
					answers[i], err = speak(dial, strings.ReplaceAll(m.text, "-NNN-", fmt.Sprintf("-%03d-", i)), fmt.Sprintf("%s-%03d-", door, i), token)
					return err
				})
			}
			require.NoError(t, all.Wait())
			for i, m := range messages {
				want := map[string]verdict{"gateway": m.gateway, "caddy": m.caddy, "plain": refused}[door]
				t.Run(m.name, func(t *testing.T) { service.check(t, want, fmt.Sprintf("%s-%03d-", door, i), answers[i]) })
			}
		})
	}
}

// speak sends a message and a request behind it, and returns what was answered.
func speak(dial func() (net.Conn, error), text, scope, token string) ([]spoken, error) {
	conn, err := dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	victim := "GET /sequence/v1/scopes/" + scope + "victim/line/elements/a HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + token + "\r\nAccept-Language: victim\r\n\r\n"
	go io.WriteString(conn, text+victim) // it may be refused before its end
	return answersOf(conn), nil
}

// check holds what the service saw and what was answered against the verdict.
func (s *recording) check(t *testing.T, want verdict, scope string, answers []spoken) {
	require.Empty(t, s.of(scope+"hidden"), "the hidden request reached the service")
	seen := s.of(scope + "first")
	if want == one {
		require.Len(t, seen, 1, "answers %v", answers)
		require.NotEmpty(t, answers)
		require.Equal(t, scope+"first", answers[0].scope, "answers %v", answers)
		require.Equal(t, "POST", seen[0].Method)
		answers = answers[1:]
	} else {
		require.Empty(t, seen, "answers %v", answers)
	}
	after := s.of(scope + "victim")
	require.LessOrEqual(t, len(after), 1)
	for _, r := range after {
		require.Equal(t, "GET /sequence/v1/scopes/"+scope+"victim/line/elements/a", r.Method+" "+r.URL.Path)
		require.Equal(t, []string{"victim"}, r.Header["Accept-Language"])
	}
	for _, a := range answers {
		switch {
		case a.status >= 400 || a.scope == "": // a refusal, or not the service's: Caddy's own, or to OPTIONS
		default:
			require.Equal(t, scope+"victim", a.scope, "%d", a.status)
			require.Len(t, after, 1)
		}
	}
}

// spoken is one answer on a connection.
type spoken struct {
	status int
	scope  string // of the element in it
}

// answersOf reads answers until the connection ends, or is silent: there are readers that wait for the rest of a message.
func answersOf(conn net.Conn) (all []spoken) {
	patience := 5 * time.Second // under load; behind the first answer less
	for r := bufio.NewReader(conn); ; patience = 2 * time.Second {
		_ = conn.SetReadDeadline(time.Now().Add(patience)) // a closed one has none
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return all
		}
		if res.StatusCode < 200 {
			continue
		}
		var element struct{ Scope string }
		_ = json.NewDecoder(res.Body).Decode(&element) // a problem has no scope
		_, _ = io.Copy(io.Discard, res.Body)           // its end is looked for in the next answer
		all = append(all, spoken{res.StatusCode, element.Scope})
	}
}
