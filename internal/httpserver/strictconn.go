package httpserver

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/problem"
)

// strictListener puts checkHead between each connection and net/http. refused answers, logs and counts.
type strictListener struct {
	net.Listener
	refused func(*strictConn, *problem.Error)
}

func (l *strictListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err // net/http decides whether to continue
	}
	return &strictConn{Conn: conn, refused: l.refused}, nil
}

// maxHead is the maximum size of a head: the longest target and the largest header.
const maxHead = MaxTarget + MaxHeaderBytes

// strictConn tracks the messages of one connection on their way to net/http: where a head begins and ends, and how long its body is. A head that
// checkHead refuses never reaches net/http: the connection gets the problem as its last answer. Only one goroutine reads.
type strictConn struct {
	net.Conn
	secured bool
	refused func(*strictConn, *problem.Error)

	state  readState
	head   *[]byte // the part of the head received so far
	remain int64   // bytes left of the body, or of the chunk
	line   int     // length so far of the current line of the chunked body
	size   int64   // of the chunk, as far as it was read
	digits int
	ext    bool // behind the size, in the chunk's extensions
	last   byte
	trail  int // bytes of the trailer

	fault  *problem.Error // detected, and not yet answered
	first  []byte         // first byte of the faulty message, which net/http may read while it answers the message before
	closed bool           // the fault was answered: nothing more is read
}

type readState uint8

const (
	atStart    readState = iota // before a head
	inHead                      //
	inBody                      // remain bytes to go
	inSize                      // in the line that says a chunk's size
	inChunk                     // remain bytes to go
	afterChunk                  // in the CRLF behind a chunk
	inTrailer                   // behind the last chunk
)

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

var errBadChunk = errors.New("malformed chunked body")

// Read implements net.Conn. net/http reads more than one byte only while it waits for a request or its body, so the answer to a bad head cannot get
// into another answer; the single byte that it reads while a handler runs never completes a head.
func (c *strictConn) Read(p []byte) (int, error) {
	if c.closed {
		return 0, io.EOF
	}
	if c.fault != nil {
		if len(p) == 1 && len(c.first) == 1 {
			p[0], c.first = c.first[0], nil
			return 1, nil
		}
		return 0, c.answer()
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		good, scanErr := c.scan(p[:n])
		switch {
		case scanErr != nil:
			return good, scanErr
		case c.fault == nil:
		case good > 0:
			c.first = []byte{p[good]}
			return good, nil
		default:
			return 0, c.answer()
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && c.state == inHead && n == 0 {
		c.fault = problem.New(problem.RequestTimeout, "The request's header did not arrive in time.")
		return 0, c.answer()
	}
	return n, err
}

// answer answers the fault and ends reading.
func (c *strictConn) answer() error {
	c.closed = true
	c.release()
	c.refused(c, c.fault)
	return io.EOF
}

func (c *strictConn) release() {
	if c.head != nil {
		*c.head = (*c.head)[:0]
		heads.Put(c.head)
		c.head = nil
	}
}

// maxLastRead is how much a refused client may still send, in bytes, before its connection is reset.
const maxLastRead = 4 << 20

// lastAnswer writes a problem as the last answer of the connection, and reads for a short while from a client that is still sending: closing at once
// would reset the connection and lose the answer. It returns the size of the body in bytes.
func (c *strictConn) lastAnswer(e *problem.Error, requestID string) int64 {
	body := problem.Encode(e, requestID)
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Request-Id: %s\r\nConnection: close\r\n\r\n",
		e.Status(), http.StatusText(e.Status()), problem.MediaType, len(body), requestID)
	out.Write(body)
	end := time.Now().Add(lastRead)
	_ = c.Conn.SetDeadline(end) // fails for a connection that is closed already
	if _, err := c.Conn.Write(out.Bytes()); err != nil {
		return 0
	}
	_ = c.CloseWrite() // as above
	_, _ = io.CopyN(io.Discard, c.Conn, maxLastRead)
	return int64(len(body))
}

// CloseWrite closes the sending side. net/http uses it to let a client read its answer before the connection is closed.
func (c *strictConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// scan tracks the bytes. It sets fault when a head is refused, and returns how many bytes precede the faulty message. err is set when the body cannot
// be tracked.
func (c *strictConn) scan(p []byte) (good int, err error) {
	for i := 0; i < len(p); {
		switch c.state {
		case atStart:
			if p[i] == '\r' || p[i] == '\n' { // tolerated between messages (RFC 9112, section 2.2)
				i++
				continue
			}
			good, c.state = i, inHead
			c.head = heads.Get().(*[]byte)
		case inHead:
			i += c.scanHead(p[i:])
			if c.fault != nil {
				return good, nil
			}
		case inBody, inChunk:
			n := min(int64(len(p)-i), c.remain)
			i += int(n)
			if c.remain -= n; c.remain == 0 {
				c.next()
			}
		default:
			if !c.scanChunked(p[i]) {
				return i, errBadChunk
			}
			i++
		}
	}
	return len(p), nil
}

// next sets the state after the last byte of a body or chunk.
func (c *strictConn) next() {
	if c.state == inChunk {
		c.state, c.last = afterChunk, 0
		return
	}
	c.state = atStart
}

// scanHead consumes bytes of a head and returns how many. At the end of the head it checks it and sets the next state.
func (c *strictConn) scanHead(p []byte) int {
	taken := 0
	for {
		end := bytes.IndexByte(p[taken:], '\n')
		if end < 0 {
			*c.head = append(*c.head, p[taken:]...)
			if len(*c.head) > maxHead {
				c.fault = c.tooLong()
			}
			return len(p)
		}
		*c.head = append(*c.head, p[taken:taken+end+1]...)
		taken += end + 1
		head := *c.head
		switch n := len(head); {
		case n > maxHead:
			c.fault = c.tooLong()
			return taken
		case n < 2 || head[n-2] != '\r':
			c.fault = malformed("A line of the header does not end with CRLF.")
			return taken
		case n >= 4 && head[n-4] == '\r' && head[n-3] == '\n':
			var f framing
			if f, c.fault = checkHead(head); c.fault == nil {
				c.follow(f)
				c.release()
			}
			return taken
		}
	}
}

func (c *strictConn) tooLong() *problem.Error {
	if bytes.IndexByte(*c.head, '\n') < 0 {
		return problem.New(problem.TargetTooLong, "The request target is longer than 8 KiB.")
	}
	return problem.New(problem.HeadersTooLarge, "The header has more than 64 fields or 16 KiB.")
}

// follow begins a body.
func (c *strictConn) follow(f framing) {
	switch {
	case f.chunked:
		c.beginSize()
	case f.length > 0:
		c.state, c.remain = inBody, f.length
	default:
		c.state = atStart
	}
}

func (c *strictConn) beginSize() {
	c.state, c.line, c.size, c.digits, c.ext, c.last = inSize, 0, 0, 0, false, 0
}

const (
	maxSizeLine   = 1 << 10 // bytes of a chunk's size and its extensions
	maxSizeDigits = 15      // fit in an int64
	maxTrailer    = 8 << 10 // bytes
)

// scanChunked consumes one byte between the chunks of a body (RFC 9112, section 7.1), with only CRLF as line end. It reports whether the byte is
// valid.
func (c *strictConn) scanChunked(b byte) bool {
	last := c.last
	c.last = b
	switch c.state {
	case inSize:
		return c.scanSize(b, last)
	case afterChunk:
		switch {
		case b == '\r' && last == 0:
			return true
		case b == '\n' && last == '\r':
			c.beginSize()
			return true
		}
		return false
	}
	return c.scanTrailer(b, last)
}

func (c *strictConn) scanSize(b, last byte) bool {
	c.line++
	switch {
	case c.line > maxSizeLine || last == '\r' && b != '\n':
		return false
	case b == '\n':
		if last != '\r' || c.digits == 0 {
			return false
		}
		if c.size == 0 {
			c.state, c.trail, c.line, c.last = inTrailer, 0, 0, 0
		} else {
			c.state, c.remain = inChunk, c.size
		}
		return true
	case b == '\r':
		return true
	case c.ext:
		return b >= ' ' || b == '\t'
	case b == ';' || b == ' ' || b == '\t':
		c.ext = true
		return c.digits > 0
	}
	digit, ok := hex(b)
	c.digits++
	c.size = c.size<<4 | digit
	return ok && c.digits <= maxSizeDigits
}

func (c *strictConn) scanTrailer(b, last byte) bool {
	c.trail++
	switch {
	case c.trail > maxTrailer || last == '\r' && b != '\n':
		return false
	case b == '\r':
		return true
	case b == '\n':
		if last != '\r' {
			return false
		}
		if c.line == 0 {
			c.state = atStart
		}
		c.line = 0
		return true
	}
	c.line++
	return true
}

func hex(b byte) (int64, bool) {
	switch {
	case isDigit(b):
		return int64(b - '0'), true
	case 'a' <= b && b <= 'f':
		return int64(b-'a') + 10, true
	case 'A' <= b && b <= 'F':
		return int64(b-'A') + 10, true
	}
	return 0, false
}
