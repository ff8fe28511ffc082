package upstream

import (
	"io"
	"net/http"
	"net/url"
)

// Response is an answer whose body has not been read yet. It is not safe for concurrent use.
type Response struct {
	Status int
	Header http.Header
	Length int64 // value of Content-Length, also if there is no body; -1: unknown length
	// Overloaded says that the service has refused the request because of overload.
	Overloaded bool

	conn   *conn
	kind   bodyKind
	left   int64 // unread bytes of the body or of the chunk
	keep   bool  // the connection may be used again after the body
	begun  bool  // the size of the first chunk was read
	ended  bool  // the body was read to its end
	target *Target
	stop   func() bool // stops watching the context
	again  []byte      // bytes of the body that were put back
	closed bool
}

// From returns the URL of the target that answered.
func (r *Response) From() *url.URL { return r.target.URL }

// unread puts bytes of the body back, to be read again.
func (r *Response) unread(body []byte) { r.again = body }

// Read implements io.Reader. A body that ends early is io.ErrUnexpectedEOF.
func (r *Response) Read(p []byte) (int, error) {
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	if len(r.again) > 0 {
		n := copy(p, r.again)
		r.again = r.again[n:]
		return n, nil
	}
	if r.ended || len(p) == 0 {
		return 0, r.end()
	}
	n, err := r.read(p)
	if err != nil && err != io.EOF {
		err = r.conn.cause(err)
		r.keep = false
	}
	return n, err
}

// end returns io.EOF if the body has ended.
func (r *Response) end() error {
	if r.ended {
		return io.EOF
	}
	return nil
}

func (r *Response) read(p []byte) (int, error) {
	if r.kind == bodyToClose {
		n, err := r.conn.read(p)
		r.ended = err == io.EOF
		return n, err
	}
	if r.kind == bodyChunked && r.left == 0 {
		if err := r.nextChunk(); err != nil {
			return 0, err
		}
		if r.ended {
			return 0, io.EOF
		}
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.conn.read(p)
	r.left -= int64(n)
	if err == io.EOF {
		return n, io.ErrUnexpectedEOF
	}
	if r.left == 0 && r.kind == bodyLength {
		r.ended = true
	}
	return n, err
}

// nextChunk reads up to the next chunk's data, or the trailers (RFC 9112, section 7.1). Chunk extensions are refused, since none were agreed on.
func (r *Response) nextChunk() error {
	if r.begun {
		if line, err := r.conn.line(0); err != nil || len(line) > 0 {
			return either(err, malformed("a chunk is longer than its size"))
		}
	}
	r.begun = true
	line, err := r.conn.line(maxSizeDigits)
	if err != nil {
		return err
	}
	if r.left, err = chunkSize(line); err != nil || r.left > 0 {
		return err
	}
	for left := maxTrailers; ; {
		line, err := r.conn.line(left)
		if err != nil {
			return err
		}
		if len(line) == 0 {
			r.ended = true
			return nil
		}
		if _, err := parseFields(string(line)); err != nil {
			return err
		}
		left -= len(line)
	}
}

func either(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// maxSizeDigits bounds the digits of a chunk's size.
const maxSizeDigits = 12

func chunkSize(line []byte) (n int64, err error) {
	for _, c := range line {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, malformed("a chunk's size is not a number")
		}
		n = n<<4 | int64(c)
	}
	if len(line) == 0 {
		return 0, malformed("a chunk has no size")
	}
	return n, nil
}

// ReadAll reads the whole body and closes the answer. A body of more than most bytes is ErrTooLarge.
func (r *Response) ReadAll(most int64) ([]byte, error) {
	defer r.Close()
	if r.ended && r.again == nil {
		return nil, nil
	}
	if r.kind == bodyLength && r.again == nil {
		if r.left > most {
			return nil, ErrTooLarge
		}
		body := make([]byte, r.left)
		_, err := io.ReadFull(r, body)
		return body, err
	}
	body, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(body)) > most {
		return nil, ErrTooLarge
	}
	return body, err
}

// Close returns the connection to the pool if the body was read to its end, and closes the connection otherwise. It always returns nil.
func (r *Response) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	undisturbed := r.stop()
	r.target.pending.Add(-1)
	if r.ended && r.keep && undisturbed && r.conn.quiet() {
		r.target.pool.put(r.conn)
		return nil
	}
	r.target.pool.discard(r.conn)
	return nil
}
