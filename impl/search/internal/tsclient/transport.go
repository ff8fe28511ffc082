package tsclient

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
)

// Doer carries a request to an engine.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// ErrAborted says that an engine in the process broke off its answer.
var ErrAborted = errors.New("the engine broke off its answer")

// InProcess returns a Doer that calls an engine in this process, without a socket. Answers are streamed, but those to searches, which the engine
// has whole before it writes.
func InProcess(h http.Handler) Doer { return inProcess{h} }

type inProcess struct{ handler http.Handler }

// Do implements Doer. The handler runs until it has written its answer or the answer's body is closed.
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

// whole calls the handler at once, and ends when the handler does, which follows the request's context.
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

// kept is an http.ResponseWriter that keeps the answer.
type kept struct {
	header http.Header
	status int
	body   *held
}

// held is a body that is there as a whole.
type held struct{ bytes.Buffer }

// Close implements io.Closer.
func (*held) Close() error { return nil }

// Header implements http.ResponseWriter.
func (w *kept) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *kept) WriteHeader(status int) { w.status = status }

// Write implements io.Writer.
func (w *kept) Write(p []byte) (int, error) { return w.body.Write(p) }

// answer is the http.ResponseWriter of a call in the process.
type answer struct {
	header  http.Header
	body    *io.PipeWriter
	once    sync.Once
	started chan struct{}
	// The rest is set before started is closed.
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

// Flush implements http.Flusher; every write goes straight to the reader.
func (w *answer) Flush() {}

// OverHTTP returns a Doer for an engine elsewhere. It has no total time limit, since that would cut imports short: each
// call brings its own deadline. Redirects are not followed: the key must not travel.
func OverHTTP(transport http.RoundTripper) Doer { return overHTTP{transport} }

// overHTTP sends requests as they are: an http.Client would look for cookies and redirects, and copy what it finds none of.
type overHTTP struct{ transport http.RoundTripper }

// Do implements Doer.
func (d overHTTP) Do(r *http.Request) (*http.Response, error) { return d.transport.RoundTrip(r) }

// readAll reads a bounded body of a size that is known, or -1, into room, or returns the one that is there as a whole.
func readAll(r io.Reader, size, limit int64, room *bytes.Buffer) ([]byte, error) {
	if whole, ok := r.(*held); ok && size <= limit {
		return whole.Bytes(), nil
	}
	room.Reset() // of an attempt before
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
