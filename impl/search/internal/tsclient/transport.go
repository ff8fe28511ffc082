package tsclient

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// Doer sends a request to an engine.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// ErrAborted reports that an engine in this process aborted its response.
var ErrAborted = errors.New("the engine broke off its answer")

// InProcess returns a Doer that calls an engine in this process without a socket. Responses are streamed, except those to searches, which
// the engine completes before it writes them.
func InProcess(h http.Handler) Doer { return inProcess{h} }

type inProcess struct{ handler http.Handler }

// Do implements Doer. The handler runs until it has written its response or the response body is closed.
func (d inProcess) Do(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	r := req.Clone(req.Context())
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.RequestURI = r.URL.RequestURI()
	if r.URL.Path == "/multi_search" {
		return d.whole(r)
	}
	pr, pw := io.Pipe()
	w := &answer{header: http.Header{}, body: pw, started: make(chan struct{})}
	go w.serve(d.handler, r)
	select {
	case <-w.started:
	case <-req.Context().Done():
		_ = pr.CloseWithError(req.Context().Err())
		return nil, req.Context().Err()
	}
	if w.broken != nil {
		return nil, w.broken
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: pr, ContentLength: -1, Request: req,
	}, nil
}

// whole runs the handler to its end. The handler follows the request's context.
func (d inProcess) whole(r *http.Request) (resp *http.Response, err error) {
	w := &kept{header: http.Header{}, status: http.StatusOK, body: &held{}}
	defer func() {
		if recover() != nil {
			resp, err = nil, ErrAborted
		}
	}()
	d.handler.ServeHTTP(w, r)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: w.body, ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// kept is an http.ResponseWriter that buffers the response.
type kept struct {
	header http.Header
	status int
	body   *held
}

// held is a response body that is complete in memory.
type held struct{ bytes.Buffer }

// Close implements io.Closer.
func (*held) Close() error { return nil }

// Header implements http.ResponseWriter.
func (w *kept) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *kept) WriteHeader(status int) { w.status = status }

// Write implements io.Writer.
func (w *kept) Write(p []byte) (int, error) { return w.body.Write(p) }

// answer is the http.ResponseWriter of a streamed call.
type answer struct {
	header  http.Header
	body    *io.PipeWriter
	once    sync.Once
	started chan struct{}
	// The fields below are set before started is closed.
	sent   http.Header
	status int
	broken error
}

func (w *answer) serve(h http.Handler, r *http.Request) {
	defer func() {
		v := recover()
		_ = r.Body.Close()
		if v != nil {
			w.once.Do(func() { w.broken = ErrAborted; close(w.started) })
			_ = w.body.CloseWithError(ErrAborted)
			return
		}
		w.WriteHeader(http.StatusOK)
		_ = w.body.Close()
	}()
	h.ServeHTTP(w, r)
}

// Header implements http.ResponseWriter.
func (w *answer) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *answer) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	})
}

// Write implements io.Writer.
func (w *answer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush implements http.Flusher. It does nothing, because every write goes straight to the reader.
func (w *answer) Flush() {}

// OverHTTP returns a Doer for a remote engine. It has no total timeout, because that would cut off imports: each call has its own deadline.
// Redirects are not followed, so that the key is not sent elsewhere.
func OverHTTP(transport http.RoundTripper) Doer { return overHTTP{transport} }

// overHTTP sends requests unchanged. An http.Client would handle cookies and redirects, and copy headers for that.
type overHTTP struct{ transport http.RoundTripper }

// Do implements Doer.
func (d overHTTP) Do(r *http.Request) (*http.Response, error) { return d.transport.RoundTrip(r) }

// readAll reads a body of at most limit bytes into room, or returns the one that is already complete in memory. size is its length, or -1
// if unknown.
func readAll(r io.Reader, size, limit int64, room *bytes.Buffer) ([]byte, error) {
	if whole, ok := r.(*held); ok && size <= limit {
		return whole.Bytes(), nil
	}
	room.Reset() // after an earlier attempt
	if size > 0 && size <= limit {
		room.Grow(int(size) + bytes.MinRead)
	}
	n, err := io.Copy(room, io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, errors.New("the answer is too large")
	}
	return room.Bytes(), nil
}
