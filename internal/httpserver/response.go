package httpserver

import (
	"net/http"

	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/problem"
)

// response records the answer. It implements http.Flusher itself, because a stream would silently be buffered behind a wrapper that only unwraps.
type response struct {
	http.ResponseWriter
	status  int
	bytes   int64
	problem *problem.Error

	unless string // the value of If-None-Match, where the operation answers 304
	muted  bool   // the client has the body cached
}

func (w *response) WriteHeader(status int) {
	if w.unless != "" && w.status == 0 && status == http.StatusOK {
		if tag := w.Header().Get("ETag"); tag != "" && etag.Names(w.unless, tag) {
			status, w.muted = http.StatusNotModified, true
			w.Header().Del("Content-Type") // of a body that is not sent
			w.Header().Del("Content-Length")
		}
	}
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.muted {
		return len(p), nil
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Flush implements http.Flusher.
func (w *response) Flush() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush() // a writer that cannot flush has nothing to be flushed
}

// Unwrap lets http.ResponseController reach the connection.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// RecordProblem implements problem.Recorder.
func (w *response) RecordProblem(e *problem.Error) { w.problem = e }

// started reports whether the first byte of the answer was sent.
func (w *response) started() bool { return w.status != 0 }
