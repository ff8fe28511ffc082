package upstream

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// bytesConn is a connection that delivers these bytes, a few at a time, and then ends.
type bytesConn struct {
	net.Conn
	from io.Reader
	step int
}

func (c *bytesConn) Read(p []byte) (int, error) {
	if c.step > 0 && len(p) > c.step {
		p = p[:c.step]
	}
	return c.from.Read(p)
}

func (c *bytesConn) Close() error { return nil }

// answer is the result of reading one answer.
type answer struct {
	status int
	header http.Header
	body   string
	length int64
	keep   bool
	rest   string // what comes after it
}

func readOurs(data []byte, method string, step int) (*answer, error) {
	source := &bytesConn{from: bytes.NewReader(data), step: step}
	c := newConn(source, nil)
	c.ctx = context.Background()
	h, err := c.awaitHead(method)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(c.response(h))
	if err != nil {
		return nil, err
	}
	rest, err := io.ReadAll(source.from)
	return &answer{h.status, h.header, string(body), h.length, !h.close, string(c.buf[c.r:c.w]) + string(rest)}, err
}

func readTheirs(data []byte, method string) (*answer, error) {
	from := bufio.NewReader(bytes.NewReader(data))
	for {
		res, err := http.ReadResponse(from, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if res.StatusCode < 200 && res.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return nil, err
		}
		rest, err := io.ReadAll(from)
		return &answer{res.StatusCode, res.Header, string(body), res.ContentLength, !res.Close, string(rest)}, err
	}
}

// withoutOwn removes what net/http itself adds to a header.
func withoutOwn(h http.Header) http.Header {
	out := h.Clone()
	if out.Get("Pragma") != "" {
		delete(out, "Cache-Control")
	}
	for _, name := range []string{"Transfer-Encoding", "Content-Length", "Trailer", "Connection"} {
		delete(out, name)
	}
	return out
}

// What is accepted as an answer here is the same answer to net/http: with the same status, header and body, and the same bytes after it.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nETag: \"1\"\r\n\r\n",
		"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nto the end",
		"HTTP/1.1 200\r\nConnection: x, close\r\npragma: no-cache\r\ncontent-length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA:\tb \r\nA: c\r\nContent-Length: 1\r\n\r\nx",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nrest",
	} {
		f.Add([]byte(seed), "GET", uint8(0))
		f.Add([]byte(seed), "HEAD", uint8(1))
	}
	f.Fuzz(func(t *testing.T, data []byte, method string, step uint8) {
		if method != http.MethodHead {
			method = http.MethodGet
		}
		ours, err := readOurs(data, method, int(step))
		if err != nil {
			return
		}
		theirs, err := readTheirs(data, method)
		require.NoError(t, err, "net/http refuses it")
		require.Equal(t, theirs.status, ours.status)
		require.Equal(t, withoutOwn(theirs.header), withoutOwn(ours.header))
		require.Equal(t, theirs.body, ours.body)
		require.Equal(t, theirs.rest, ours.rest)
		require.False(t, ours.keep && !theirs.keep, "a connection that net/http would close")
		if ours.length >= 0 && ours.status >= 200 && ours.status != http.StatusNoContent && ours.status != http.StatusNotModified {
			require.Equal(t, theirs.length, ours.length)
		}
	})
}

// net/http reads what is sent as the one request that was given; otherwise nothing is sent.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/a?b=%20", "X-A", "b", []byte(nil))
	f.Add("POST", "/a\r\nX: y", "content-length", "7", []byte("{}"))
	f.Add("PUT", "//x/../y", "Transfer-Encoding", "chunked", []byte("0\r\n\r\n"))
	f.Add("GET /b HTTP/1.1\r\nX", "/", "X Y", "a\r\nHost: evil", []byte("x"))
	f.Fuzz(func(t *testing.T, method, target, name, value string, body []byte) {
		r := &Request{Method: method, Target: target, Fields: []Field{{name, value}}, Body: body}
		out, err := r.appendHead(nil, "service:8000")
		if err != nil {
			return
		}
		from := bufio.NewReader(bytes.NewReader(append(out, body...)))
		got, err := http.ReadRequest(from)
		if err != nil {
			return // a target that net/http does not take, for example
		}
		require.Equal(t, method, got.Method)
		require.Equal(t, target, got.RequestURI)
		require.Equal(t, "service:8000", got.Host)
		for is, values := range got.Header {
			if is == "Content-Length" {
				require.Equal(t, []string{strconv.Itoa(len(body))}, values)
				continue
			}
			require.Equal(t, http.CanonicalHeaderKey(name), is, "a field that nobody gave")
			require.Equal(t, []string{strings.Trim(value, " \t")}, values)
		}
		read, err := io.ReadAll(got.Body)
		require.NoError(t, err)
		require.Equal(t, string(body), string(read))
		_, err = from.ReadByte()
		require.ErrorIs(t, err, io.EOF, "a second request")
	})
}

// Ambiguous answers are refused.
func TestResponse_refusesWhatIsAmbiguous(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, text := range map[string]string{
		"length and coding":    ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"two lengths":          ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"list of lengths":      ok + "Content-Length: 5, 5\r\n\r\nhello",
		"signed length":        ok + "Content-Length: +5\r\n\r\nhello",
		"empty length":         ok + "Content-Length:\r\n\r\n",
		"huge length":          ok + "Content-Length: 9999999999999999999\r\n\r\n",
		"other coding":         ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"two codings":          ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"coding in 1.0":        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"204 with a length":    "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
		"204 with chunks":      "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"interim with a body":  "HTTP/1.1 103 Early\r\nContent-Length: 5\r\n\r\nhello" + ok + "\r\n",
		"folded field":         ok + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
		"space before a colon": ok + "Content-Length : 0\r\n\r\n",
		"no name":              ok + ": b\r\nContent-Length: 0\r\n\r\n",
		"no colon":             ok + "Content-Length\r\n\r\n",
		"bare LF":              "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"bare LF in a field":   ok + "A: b\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n",
		"bare CR in a field":   ok + "A: b\rc\r\nContent-Length: 0\r\n\r\n",
		"zero byte":            ok + "A: b\x00\r\nContent-Length: 0\r\n\r\n",
		"version 2":            "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"lower case":           "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"status of 4 digits":   "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
		"status 600":           "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
		"signed status":        "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
		"line before":          "\r\n" + ok + "Content-Length: 0\r\n\r\n",
		"chunk extension":      ok + "Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
		"chunk size signed":    ok + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
		"chunk size 0x":        ok + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
		"chunk size empty":     ok + "Transfer-Encoding: chunked\r\n\r\n\r\n0\r\n\r\n",
		"chunk size long":      ok + "Transfer-Encoding: chunked\r\n\r\n00000000000000000005\r\nhello\r\n0\r\n\r\n",
		"chunk too long":       ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
		"chunk line by LF":     ok + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
		"chunk breaks off":     ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
		"no last chunk":        ok + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"trailer folded":       ok + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n",
		"trailers without end": ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("A: bbbbbbbbbbbbbbbbb\r\n", 300) + "\r\n",
		"body breaks off":      ok + "Content-Length: 5\r\n\r\nhel",
		"head breaks off":      ok + "Content-Length: 5\r\n",
		"many interim":         strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", 9) + ok + "Content-Length: 0\r\n\r\n",
		"head too large":       ok + "A: " + strings.Repeat("b", maxHead) + "\r\nContent-Length: 0\r\n\r\n",
		"too many fields":      ok + strings.Repeat("A: b\r\n", maxFields+1) + "\r\n",
	} {
		for _, step := range []int{0, 1, 7} {
			_, err := readOurs([]byte(text), http.MethodGet, step)
			require.Error(t, err, "%s, %d", name, step)
		}
	}
}
