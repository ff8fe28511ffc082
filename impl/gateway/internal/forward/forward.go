// Package forward forwards a request that has passed every check to the service behind the gateway, byte for byte as it was
// checked, and checks the answer against the contract before the client gets any of it.
package forward

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// Options configure a Forwarder.
type Options struct {
	Upstreams *upstream.Set
	Active    func(member string) bool // whether the operator lets the member answer with media types that browsers execute; nil: none may
	OwnOrigin bool                     // members have an origin of their own, so their answers need no sandbox
	// Passed is called with every complete answer of a member that was sent to a client; it may be nil.
	Passed     func(x *httpserver.Exchange, status int, header http.Header, body []byte)
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Forwarder forwards requests. It is safe for concurrent use.
type Forwarder struct {
	upstreams *upstream.Set
	judge     *judge
	confines  bool
	held      held
	passed    func(x *httpserver.Exchange, status int, header http.Header, body []byte)
}

// New returns a Forwarder.
func New(o Options) *Forwarder {
	switch {
	case o.OwnOrigin:
		o.Active = func(string) bool { return true }
	case o.Active == nil:
		o.Active = func(string) bool { return false }
	}
	return &Forwarder{upstreams: o.Upstreams, judge: newJudge(o), passed: o.Passed, confines: !o.OwnOrigin}
}

// Await makes a request wait for a service that is being restarted, before it takes a concurrency place or its code is redeemed.
func (f *Forwarder) Await(x *httpserver.Exchange) error {
	service := f.upstreams.Service(x.Operation.Word)
	if service == nil || service.Available() || httpserver.Probe(x.Operation) {
		return nil
	}
	began := time.Now()
	err := x.Aside(service.Wait)
	x.Upstream += time.Since(began)
	if err != nil {
		return failure(x, nil, err)
	}
	return nil
}

// Serve forwards the request and writes the answer. If it returns an error it has written nothing.
func (f *Forwarder) Serve(x *httpserver.Exchange) error {
	err := f.serve(x)
	x.Answered(0, err)
	return err
}

func (f *Forwarder) serve(x *httpserver.Exchange) error {
	service := f.upstreams.Service(x.Operation.Word)
	if service == nil {
		return problem.New(problem.UpstreamUnavailable, "The service has no address.").WithRetryAfter(time.Second)
	}
	idle := watch(x)
	defer idle.end()
	out, sent := f.request(x, idle)
	began := time.Now()
	before := x.Upstream
	res, err := reach(x, service, out)
	x.Upstream = before + time.Since(began)
	if err != nil {
		return failure(x, sent, err)
	}
	defer res.Close()
	if err := f.judge.head(x, res); err != nil {
		return err
	}
	if x.Operation.StreamsAnswer() {
		return f.stream(x, res, idle)
	}
	body, taken, err := f.readAll(x, res)
	if taken > 0 {
		defer f.held.give(x.Operation.Word, taken)
	}
	defer reuse(body)
	x.Upstream = before + time.Since(began) // the rest is the gateway's own work, and the client's reading
	if err != nil {
		return failure(x, sent, err)
	}
	x.Answered(res.Status, refused(res))
	if err := f.judge.whole(x, res, body); err != nil {
		return err
	}
	f.responseHeader(x, res)
	if x.Request.Method != http.MethodHead && res.Status != http.StatusNoContent && res.Status != http.StatusNotModified {
		x.SetHeader("Content-Length", strconv.Itoa(len(body)))
	}
	x.Writer.WriteHeader(res.Status)
	_ = writeBody(x.Writer, body) // a write error means that the client has disconnected
	if f.passed != nil && x.Operation.Mount != "" {
		f.passed(x, res.Status, res.Header, body)
	}
	return nil
}

// errOverloaded says that a service has refused a request because of overload.
var errOverloaded = problem.New(problem.Overloaded, "The service is overloaded.")

// refused returns the error with which the service refused the request because of overload, or nil.
func refused(res *upstream.Response) error {
	if res.Overloaded {
		return errOverloaded
	}
	return nil
}

// reach sends the request, and waits while the service has no target. It waits here too, since a restart may be noticed only by the call itself.
func reach(x *httpserver.Exchange, service *upstream.Service, out *upstream.Request) (*upstream.Response, error) {
	giveUp := time.Now().Add(upstream.Patience)
	fields := out.Fields
	for {
		out.Fields = append(fields, upstream.Field{Name: httpserver.TimeoutHeader, Value: strconv.FormatInt(max(1, x.TimeLeft().Milliseconds()), 10)})
		res, err := service.Do(x.Request.Context(), out)
		if !errors.Is(err, upstream.ErrUnavailable) || out.Probe || time.Now().After(giveUp) {
			return res, err
		}
		if err := x.Aside(service.Wait); err != nil {
			return nil, err
		}
	}
}

// sentBody is the body on its way to the service. It records an error of reading from the client, so that this is not taken for a fault of the
// service.
type sentBody struct {
	io.ReadCloser
	idle *idle // notified when something is read
	mu   sync.Mutex
	err  error
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.idle.over()
	}
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

// request returns the request for the service. The family's services get the target unchanged, as it was matched. sent is the client's body if it is streamed.
func (f *Forwarder) request(x *httpserver.Exchange, idle *idle) (out *upstream.Request, sent *sentBody) {
	in := x.Request
	out = &upstream.Request{Method: in.Method, Target: target(x), Fields: requestFields(x, f.forwardedHeaders(x.Operation)), Body: x.Body, Operation: x.Operation.Label()}
	out.Repeatable, out.Repeats, out.Probe = repeatable(x), x.Operation.Repeats(), httpserver.Probe(x.Operation)
	if x.Stream != nil {
		sent = &sentBody{ReadCloser: x.Stream, idle: idle}
		out.Stream, out.Length = sent, in.ContentLength
	}
	return out, sent
}

// repeatable reports whether processing the request twice has the same effect as once: by its method (RFC 9110, section 9.2.2), or because it has
// an Idempotency-Key that the contract supports.
func repeatable(x *httpserver.Exchange) bool {
	op := x.Operation
	switch op.Policy.Idempotency {
	case contract.IdempotencyRequired, contract.IdempotencyOptional:
		return x.Request.Header.Get("Idempotency-Key") != ""
	}
	return op.Idempotent() && !conditional(x.Request)
}

// conditional reports whether the request is a change with a precondition. If the first attempt was processed, a repeat would fail the precondition (RFC 9110,
// section 13.1), and the caller would take its own change for another client's.
func conditional(r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return false
	}
	return r.Header.Get("If-Match") != "" || r.Header.Get("If-None-Match") != ""
}
