package upstream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	readBuffer  = 4 << 10
	writeBuffer = 64 << 10 // head and body of at most this size are sent in one write
)

// past is a deadline that ends every read and write at once.
var past = time.Unix(1, 0)

// conn is a connection to a target. It serves one request at a time.
type conn struct {
	net.Conn
	raw    syscall.RawConn // of the TCP connection, also under TLS
	buf    []byte          // buffer; buf[r:w] is not consumed yet
	r, w   int
	out    []byte // the head, and a small body after it
	reused bool
	idle   time.Time // when it became idle

	ctx      context.Context // of the request
	abort    func()          // ends all reads and writes
	peek     func(fd uintptr) bool
	stale    bool        // result of peek
	writing  chan error  // receives the result of sending a streamed body; nil: none is sent
	answered bool        // at least one byte of the answer was received
	written  atomic.Bool // the streamed body was sent completely
	starving atomic.Bool // the streamed body is waited for or has failed, so a delay is not the target's
}

func newConn(c net.Conn, raw syscall.RawConn) *conn {
	made := &conn{Conn: c, raw: raw, buf: make([]byte, readBuffer)}
	made.abort = func() { _ = c.SetDeadline(past) } // it fails on a closed connection, where there is nothing to end
	made.peek = func(fd uintptr) bool {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		made.stale = !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EWOULDBLOCK)
		return true
	}
	return made
}

// alive reports whether nothing was received on an idle connection, neither its end nor unexpected bytes.
func (c *conn) alive() bool {
	c.stale = true
	return c.raw.Read(c.peek) == nil && !c.stale && c.drained()
}

// drained reports whether TLS has no buffered bytes. TLS reads ahead, and what it has read is no longer on the socket. With a deadline in the past, a read
// returns buffered data without reading the socket.
func (c *conn) drained() bool {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return true
	}
	if secured.SetReadDeadline(past) != nil {
		return false
	}
	var one [1]byte
	n, err := secured.Read(one[:])
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && secured.SetReadDeadline(time.Time{}) == nil
}

// quiet reports whether the last request has left no unread or unsent bytes.
func (c *conn) quiet() bool { return c.r == c.w && (c.writing == nil || c.written.Load()) }

// Connect opens a connection to the target and closes it again, to check that the target accepts it.
func (t *Target) Connect(ctx context.Context) error {
	c, err := t.dial(ctx)
	if err != nil {
		return err
	}
	return c.Close()
}

// dial connects to the target. Its errors are *DialError, or those of ctx.
func (t *Target) dial(ctx context.Context) (*conn, error) {
	plain, err := t.service.dial(ctx, "tcp", t.address)
	if err != nil {
		return nil, &DialError{err}
	}
	tcp, ok := plain.(*net.TCPConn)
	if !ok {
		_ = plain.Close()
		return nil, &DialError{errors.New("no TCP connection")}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		_ = plain.Close()
		return nil, &DialError{err}
	}
	if t.tls == nil {
		return newConn(tcp, raw), nil
	}
	secured := tls.Client(tcp, t.tls)
	ctx, cancel := context.WithTimeout(ctx, tlsTime)
	defer cancel()
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = tcp.Close()
		return nil, &DialError{err}
	}
	return newConn(secured, raw), nil
}

// roundTrip sends the request and reads the head of the answer. The answer owns the connection. After an error the connection must not be used again.
func (c *conn) roundTrip(ctx context.Context, t *Target, req *Request) (*Response, error) {
	c.ctx, c.answered, c.writing = ctx, false, nil
	stop := afterEnd(ctx, c.abort)
	h, err := c.exchange(t, req)
	if err != nil {
		stop()
		err = either(ctx.Err(), err)
		if c.writing != nil && c.starving.Load() {
			return nil, &starvedError{err}
		}
		return nil, err
	}
	res := c.response(h)
	res.target, res.stop = t, stop
	return res, nil
}

// response returns the answer that begins with a head.
func (c *conn) response(h *head) *Response {
	res := &Response{Status: h.status, Header: h.header, Length: h.length, conn: c, kind: h.kind, keep: !h.close}
	switch {
	case h.kind == bodyLength:
		res.left = h.length
	case h.kind == bodyNone && h.length < 0:
		res.Length = 0
	}
	res.ended = h.kind == bodyNone || h.kind == bodyLength && h.length == 0
	return res
}

// afterEnd is context.AfterFunc; it uses the context's own Watch method if it has one.
func afterEnd(ctx context.Context, f func()) (stop func() bool) {
	if own, ok := ctx.(interface {
		Watch(f func()) (stop func() bool)
	}); ok {
		return own.Watch(f)
	}
	return context.AfterFunc(ctx, f)
}

func (c *conn) exchange(t *Target, req *Request) (*head, error) {
	var err error
	if c.out, err = req.appendHead(c.out[:0], t.URL.Host); err != nil {
		return nil, err
	}
	sent := c.send(req)
	h, err := c.awaitHead(req.Method)
	if err != nil && !c.answered { // a service may answer and close before it has read everything; then its answer counts
		return nil, &BrokenError{either(sent, err)}
	}
	return h, err
}

// send writes head and body. A streamed body is written concurrently with reading the answer, which may begin before the body's end.
func (c *conn) send(req *Request) error {
	if req.Stream == nil && len(c.out)+len(req.Body) <= writeBuffer {
		c.out = append(c.out, req.Body...)
		_, err := c.Write(c.out)
		return err
	}
	if req.Stream == nil {
		whole := net.Buffers{c.out, req.Body}
		_, err := whole.WriteTo(c.Conn)
		return err
	}
	if _, err := c.Write(c.out); err != nil {
		return err
	}
	c.written.Store(false)
	c.starving.Store(false)
	done := make(chan error, 1)
	c.writing = done
	go func() {
		err := c.sendStream(req)
		if err == nil {
			c.written.Store(true)
		} else {
			c.abort() // the service would wait for the rest of the body
		}
		done <- err
	}()
	return nil
}

// streamChunk is how much of a streamed body is sent at a time, in bytes.
const streamChunk = 16 << 10

var errShortStream = errors.New("the body's length differs from the declared length")

// source is a streamed body. It records while it waits for its sender.
type source struct {
	io.Reader
	starving *atomic.Bool
}

func (s source) Read(p []byte) (int, error) {
	s.starving.Store(true)
	n, err := s.Reader.Read(p)
	if err == nil || err == io.EOF {
		s.starving.Store(false)
	}
	return n, err
}

func (c *conn) sendStream(req *Request) error {
	from := source{req.Stream, &c.starving}
	if req.Length >= 0 {
		n, err := io.Copy(c.Conn, io.LimitReader(from, req.Length))
		if err == nil && n < req.Length {
			return errShortStream
		}
		return err
	}
	const room = 6 // for the size in hexadecimal, of up to four digits, and its line end
	chunk := make([]byte, room+streamChunk+2)
	for {
		n, err := from.Read(chunk[room : room+streamChunk])
		if n > 0 {
			start := putSize(chunk[:room], n)
			copy(chunk[room+n:], "\r\n")
			if _, err := c.Write(chunk[start : room+n+2]); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			_, err := io.WriteString(c.Conn, "0\r\n\r\n")
			return err
		case err != nil:
			return err
		}
	}
}

// putSize writes n in hexadecimal and a line end to the end of b, and returns the index where it begins.
func putSize(b []byte, n int) int {
	at := len(b) - 2
	copy(b[at:], "\r\n")
	for ; n > 0; n >>= 4 {
		at--
		b[at] = "0123456789abcdef"[n&15]
	}
	return at
}

// awaitHead reads the head of the final answer and skips interim ones. After a 101 the connection is no longer HTTP. The gateway never asks for an upgrade, so
// the check of the answer refuses it.
func (c *conn) awaitHead(method string) (*head, error) {
	for range maxInterim {
		text, err := c.headText()
		if err != nil {
			return nil, err
		}
		h, err := parseHead(text, method)
		switch {
		case err != nil:
			return nil, err
		case h.status == http.StatusSwitchingProtocols:
			h.close = true
			return h, nil
		case h.status >= http.StatusOK:
			return h, nil
		}
	}
	return nil, malformed("more than %d interim answers", maxInterim)
}

var headEnd = []byte("\r\n\r\n")

// headText reads up to the empty line that ends a head, and returns what is before that.
func (c *conn) headText() (string, error) {
	from := 0 // bytes that were already searched
	for {
		unread := c.buf[c.r:c.w]
		at := bytes.Index(unread[from:], headEnd)
		if len(unread) > maxHead && (at < 0 || from+at > maxHead) {
			return "", malformed("its head is larger than %d bytes", maxHead)
		}
		if at >= 0 {
			text := string(unread[:from+at])
			c.r += from + at + len(headEnd)
			return text, nil
		}
		from = max(0, len(unread)-len(headEnd)+1)
		if err := c.fill(); err != nil {
			return "", either(eofInside(err, len(unread)), err)
		}
	}
}

// eofInside returns io.ErrUnexpectedEOF for an EOF after had bytes, and nil for any other error.
func eofInside(err error, had int) error {
	if err == io.EOF && had > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// fill reads more bytes into the buffer, and makes room for them.
func (c *conn) fill() error {
	if c.r > 0 {
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	}
	if c.w == len(c.buf) {
		c.buf = append(c.buf, make([]byte, len(c.buf))...)
	}
	n, err := c.Conn.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		c.answered = true
		return nil
	}
	return err
}

// line reads a line of at most most bytes, which ends with CR LF, and returns it without that end. It is valid until the next read.
func (c *conn) line(most int) ([]byte, error) {
	for {
		unread := c.buf[c.r:c.w]
		if at := bytes.IndexByte(unread, '\n'); at >= 0 {
			if at == 0 || unread[at-1] != '\r' || at-1 > most {
				return nil, malformed("a line of a chunk does not end with CRLF")
			}
			c.r += at + 1
			return unread[:at-1], nil
		}
		if len(unread) > most+1 {
			return nil, malformed("a line of a chunk is too long")
		}
		if err := c.fill(); err != nil {
			if err == io.EOF {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// read reads bytes of the body, first from the buffer, then from the connection.
func (c *conn) read(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.buf[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.Conn.Read(p)
}

// cause returns the error of the request's context if a read failed because of its deadline, which is not a fault of the connection.
func (c *conn) cause(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	return err
}

// rest prepares the connection for being idle. It drops large buffers.
func (c *conn) rest(now time.Time) {
	c.ctx, c.reused, c.idle, c.r, c.w = nil, true, now, 0, 0
	if len(c.buf) > 4*readBuffer {
		c.buf = make([]byte, readBuffer)
	}
	if cap(c.out) > writeBuffer/4 {
		c.out = nil
	}
}
