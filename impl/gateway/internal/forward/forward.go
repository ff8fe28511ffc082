// Package forward hands a request that passed every check to the service behind the gateway, byte for byte as it was
// checked, and holds the answer against the contract before the client sees any of it.
package forward

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// Options configure a Forwarder.
type Options struct {
	Targets    map[string]*url.URL // scheme and host of each service, by its word
	Transport  http.RoundTripper
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Forwarder forwards. It is safe for concurrent use.
type Forwarder struct {
	targets   map[string]*url.URL
	transport http.RoundTripper
	judge     *judge
}

// New makes a Forwarder.
func New(o Options) *Forwarder {
	return &Forwarder{targets: o.Targets, transport: o.Transport, judge: newJudge(o.Log, o.Registerer)}
}

// Serve forwards the exchange and writes the answer. Nothing is written when it returns an error.
func (f *Forwarder) Serve(x *httpserver.Exchange) error {
	err := f.serve(x)
	x.Answered(0, err)
	return err
}

func (f *Forwarder) serve(x *httpserver.Exchange) error {
	target := f.targets[x.Operation.Word]
	if target == nil {
		return problem.New(problem.UpstreamUnavailable, "The service has no address.").WithRetryAfter(time.Second)
	}
	out, sent := request(x, target)
	began := time.Now()
	res, err := f.transport.RoundTrip(out)
	x.Upstream = time.Since(began)
	if err != nil {
		return failure(x, sent, err)
	}
	defer res.Body.Close()
	if err := f.judge.head(x, res); err != nil {
		return err
	}
	if s := x.Operation.Policy.Stream; s != nil && s.Kind != contract.StreamLongPoll { // a long poll ends, and is checked as any answer
		return f.stream(x, res)
	}
	body, err := read(x.Request.Method, res, x.Operation.Policy.Response.Max)
	x.Upstream = time.Since(began) // what follows is our own work, and the client's reading
	if err != nil {
		return failure(x, sent, err)
	}
	x.Answered(res.StatusCode, nil)
	if err := f.judge.whole(x, res, body); err != nil {
		return err
	}
	responseHeader(x.Writer.Header(), res.Header, x.Operation, res.StatusCode)
	if x.Request.Method != http.MethodHead && res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified {
		x.Writer.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	x.Writer.WriteHeader(res.StatusCode)
	_, _ = x.Writer.Write(body) // a client that does not read it has gone
	return nil
}

// sentBody is the body on its way to the service. It keeps the error with which reading from the client failed, so that this is not taken
// for a fault of the service.
type sentBody struct {
	io.ReadCloser
	mu  sync.Mutex
	err error
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		b.mu.Lock()
		b.err = err
		b.mu.Unlock()
	}
	return n, err
}

func (b *sentBody) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

// request makes what goes to the service. sent is the client's body where it is passed on as it comes.
func request(x *httpserver.Exchange, target *url.URL) (out *http.Request, sent *sentBody) {
	in := x.Request
	out = &http.Request{
		Method: in.Method, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: target.Host, Header: requestHeader(x), Body: http.NoBody,
		URL: &url.URL{Scheme: target.Scheme, Host: target.Host, Path: in.URL.Path, RawPath: in.URL.RawPath, RawQuery: in.URL.RawQuery, ForceQuery: in.URL.ForceQuery},
	}
	switch {
	case x.Body != nil:
		out.ContentLength = int64(len(x.Body))
		out.Body = io.NopCloser(bytes.NewReader(x.Body))
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.Body)), nil } // a connection may turn out to be closed
	case x.Operation.StreamsBody() && in.Body != nil && in.Body != http.NoBody:
		sent = &sentBody{ReadCloser: in.Body}
		out.ContentLength, out.Body = in.ContentLength, sent
	}
	return out.WithContext(in.Context()), sent
}

// chunk is how much of a stream is copied at a time, in bytes.
const chunk = 32 << 10

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// stream copies an answer that has no fixed end as it comes. What breaks off at the service is cut off at the client: nothing else tells
// that it is not whole.
func (f *Forwarder) stream(x *httpserver.Exchange, res *http.Response) error {
	responseHeader(x.Writer.Header(), res.Header, x.Operation, res.StatusCode)
	x.Writer.WriteHeader(res.StatusCode)
	connection := http.NewResponseController(x.Writer)
	_ = connection.Flush() // the head at once
	buffer := chunks.Get().(*[]byte)
	defer chunks.Put(buffer)
	for {
		n, err := res.Body.Read(*buffer)
		if n > 0 {
			if _, err := x.Writer.Write((*buffer)[:n]); err != nil {
				panic(http.ErrAbortHandler) // the client has gone
			}
			_ = connection.Flush() // a writer that can't flush has nothing to be flushed
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			panic(http.ErrAbortHandler)
		}
	}
}
