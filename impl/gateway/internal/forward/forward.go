// Package forward hands a request that passed every check to the service behind the gateway, byte for byte as it was
// checked, and checks the answer against the contract.
package forward

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fountainai/fountain/impl/gateway/internal/exchange"
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
	targets    map[string]*url.URL
	proxy      *httputil.ReverseProxy
	log        *slog.Logger
	violations *prometheus.CounterVec
}

type exchangeKey struct{}

// New makes a Forwarder.
func New(o Options) *Forwarder {
	f := &Forwarder{targets: o.Targets, log: o.Log, violations: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "fountain_contract_violations_total",
		Help: "Answers of services that do not fit their contract.",
	}, []string{"operation"})}
	o.Registerer.MustRegister(f.violations)
	f.proxy = &httputil.ReverseProxy{
		Rewrite:        f.rewrite,
		Transport:      o.Transport,
		ModifyResponse: f.check,
		ErrorHandler:   f.fail,
		ErrorLog:       slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		BufferPool:     newBuffers(),
	}
	return f
}

// Do forwards the exchange and writes the answer.
func (f *Forwarder) Do(x *exchange.Exchange) error {
	if f.targets[x.Operation.Word] == nil {
		return problem.New(problem.UpstreamUnavailable, "The service has no address.").WithRetryAfter(time.Second)
	}
	r := x.Request.WithContext(context.WithValue(x.Request.Context(), exchangeKey{}, x))
	if x.Body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(x.Body)), int64(len(x.Body))
	} else if !x.Operation.StreamsBody() {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	x.Answered = true
	f.proxy.ServeHTTP(x.Writer, r)
	return nil
}

func of(r *http.Request) *exchange.Exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange.Exchange)
	return x
}

// rewrite addresses the copy that goes out. The forwarding headers that came in are gone already (ReverseProxy drops
// them before Rewrite); what the next hop may believe is set here alone.
func (f *Forwarder) rewrite(p *httputil.ProxyRequest) {
	x := of(p.In)
	target := f.targets[x.Operation.Word]
	p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = target.Scheme, target.Host, target.Host
	for name := range p.Out.Header {
		if hidden(name) {
			delete(p.Out.Header, name)
		}
	}
	p.Out.Header.Set("X-Forwarded-For", x.ClientIP.String())
	p.Out.Header.Set("X-Forwarded-Host", p.In.Host)
	if p.In.TLS != nil {
		p.Out.Header.Set("X-Forwarded-Proto", "https")
	} else {
		p.Out.Header.Set("X-Forwarded-Proto", "http")
	}
	p.Out.Header.Set("X-Request-Id", problem.RequestID(p.In.Context()))
}

// hidden reports whether a client's header must not reach a service: identity that only the house may assert, and names
// that some servers read as another name.
func hidden(name string) bool {
	switch name {
	case "X-Otp", "X-Real-Ip", "True-Client-Ip", "X-Request-Id", "Cookie", "Proxy-Authorization":
		return true
	}
	return strings.Contains(name, "_") || strings.HasPrefix(name, "X-Forwarded") || strings.HasPrefix(name, "X-Internal-") || strings.HasPrefix(name, "X-User-")
}

// check holds the answer against the contract before the client sees it.
func (f *Forwarder) check(res *http.Response) error {
	x := of(res.Request)
	op := x.Operation
	for _, name := range []string{"Server", "X-Powered-By", "X-Request-Id"} {
		res.Header.Del(name)
	}
	for name := range res.Header { // ReverseProxy adds to what is set already; a header must not come twice
		x.Writer.Header().Del(name)
	}
	if op.Policy.Stream != nil {
		return nil
	}
	limit := op.Policy.Response.Max
	if res.ContentLength > limit {
		return problem.New(problem.ResponseTooLarge, "The service's answer is larger than the contract allows.")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	_ = res.Body.Close()
	if err != nil {
		return err
	}
	if int64(len(body)) > limit {
		return problem.New(problem.ResponseTooLarge, "The service's answer is larger than the contract allows.")
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if res.Request.Method != http.MethodHead && res.StatusCode != http.StatusNoContent && res.StatusCode != http.StatusNotModified {
		res.ContentLength = int64(len(body))
		res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	}
	return f.hold(op, res, body)
}

// hold applies the operation's validate.response mode.
func (f *Forwarder) hold(op *contract.Operation, res *http.Response, body []byte) error {
	mode := op.Policy.Validate.Response
	if mode.Kind == contract.ModeOff || mode.Kind == contract.ModeSample && rand.Float64() >= mode.Sample || res.Request.Method == http.MethodHead {
		return nil
	}
	err := httpserver.InTurn(res.Request.Context(), len(body), func() error { return op.CheckResponse(res.StatusCode, res.Header, body) })
	if err == nil {
		return nil
	}
	if errors.Is(err, problem.Overloaded) { // not checked: no violation
		if mode.Kind == contract.ModeEnforce {
			return err
		}
		return nil
	}
	f.violations.WithLabelValues(op.ID).Inc()
	f.log.ErrorContext(res.Request.Context(), "answer violates the contract", "operationId", op.ID, "status", res.StatusCode, "err", err)
	if mode.Kind == contract.ModeEnforce {
		return problem.New(problem.BadUpstream, "The service's answer does not fit the contract.").Wrap(err)
	}
	return nil
}

// fail answers for a service that did not.
func (f *Forwarder) fail(w http.ResponseWriter, r *http.Request, err error) {
	var known *problem.Error
	var network *net.OpError
	switch {
	case errors.As(err, &known):
		problem.Write(w, r, known)
	case errors.Is(err, context.Canceled):
		panic(http.ErrAbortHandler) // the client has gone: nobody is there to be answered
	case errors.Is(err, context.DeadlineExceeded):
		problem.Write(w, r, problem.New(problem.UpstreamTimeout, "The service did not answer in its time.").Wrap(err))
	case errors.As(err, &network) && network.Op == "dial":
		problem.Write(w, r, problem.New(problem.UpstreamUnavailable, "The service cannot be reached.").WithRetryAfter(time.Second).Wrap(err))
	default:
		problem.Write(w, r, problem.New(problem.BadUpstream, "The service ended the connection before it answered.").Wrap(err))
	}
}
