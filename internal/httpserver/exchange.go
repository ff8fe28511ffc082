package httpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/requestid"
)

// Exchange is the state of one request and its answer in a server. Observe creates it, the stations fill it, and the access log and the metrics read
// it at the end.
type Exchange struct {
	Writer   http.ResponseWriter
	Request  *http.Request
	ClientIP netip.Addr // the peer, or the client that a trusted proxy reports
	Scheme   string     // "https" or "http", of the client's connection: here, or to a trusted proxy

	Match     contract.Match
	Operation *contract.Operation // nil: no route was found
	Principal *auth.Principal     // nil: a public operation, or not known yet
	Code      string              // the X-OTP header, which leaves the request at the gateway
	Redeem    bool                // the code must be redeemed before the request goes on
	Body      []byte              // nil: none was sent, or it is a stream
	Stream    io.ReadCloser       // a body that is checked while it is read and forwarded; nil: there is none

	RefusedBy string        // the station that refused
	Upstream  time.Duration // time spent waiting for services

	clientText string         // ClientIP as text, computed on first use
	trace      *exchangeTrace // nil: traces are off
	bodyRead   bool           // to the end
	place      *atomic.Int64  // counts the operation's places in use, including this one; nil: it holds none
	own        func()         // releases the subject's place; nil: it holds none
	answered   func(status int, err error)
	client     context.Context       // of the client's connection, without the operation's time
	cancel     context.CancelFunc    // ends client; nil: only the client does
	timeLeft   time.Duration         // as reported by a trusted proxy; 0: not reported
	deadline   time.Time             // of the operation
	current    *exchangeContext      // of Request
	route      *chi.Context          // has the parameters of the path for generated code; nil: it has not been called, or there are none
	admit      func(*Exchange) error // the station that took the operation's place, which Aside releases; nil: none
	enter      func(*Exchange) error // the station that admitted the exchange to the service, which Aside leaves; nil: none

	// Values that each request needs, allocated together with the exchange.
	ctx       exchangeContext // of Request
	answer    response        // Writer
	requestID [1]string       // as a header value
	values    [4]string       // of headers set by SetHeader
	headers   int             // how many of them
}

// newExchange creates the exchange of the request with this ID.
func newExchange(w http.ResponseWriter, r *http.Request, requestID string) *Exchange {
	x := &Exchange{answer: response{ResponseWriter: w}, requestID: [1]string{requestID}}
	x.Writer = &x.answer
	x.ctx.Context, x.ctx.x, x.current = r.Context(), x, &x.ctx
	x.Request = r.WithContext(&x.ctx)
	w.Header()["X-Request-Id"] = x.requestID[:]
	return x
}

// exchangeOf returns the exchange of a request, or an empty one outside a server.
func exchangeOf(ctx context.Context) *Exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*Exchange); ok {
		return x
	}
	return &Exchange{}
}

// Client returns the address of the client as a text.
func (x *Exchange) Client() string {
	if x.clientText == "" {
		x.clientText = x.ClientIP.String()
	}
	return x.clientText
}

// ipv6Network is the prefix length of the smallest network that a customer gets (RFC 6177): a client with one address controls the whole network.
const ipv6Network = 64

// Network returns the key by which clients are counted: an IPv4 address, or the network of an IPv6 address.
func (x *Exchange) Network() string {
	ip := x.ClientIP
	if ip.Is4() {
		return x.Client()
	}
	if ip = ip.Unmap().WithZone(""); !ip.Is6() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, ipv6Network).Masked().String()
}

// Hold records that the exchange has taken one of the operation's places, which taken counts. It is released at the end.
func (x *Exchange) Hold(taken *atomic.Int64) { x.place = taken }

// HoldOwn records that the exchange has taken one of its subject's places. give releases it and is called once, at the end.
func (x *Exchange) HoldOwn(give func()) { x.own = give }

// OnAnswered registers do, which is called once when the answer of the service behind has been received completely, before the client reads it, or
// when it is known that there will be none: then err says why.
func (x *Exchange) OnAnswered(do func(status int, err error)) { x.answered = do }

// Answered reports that the service has answered or failed.
func (x *Exchange) Answered(status int, err error) {
	if do := x.answered; do != nil {
		x.answered = nil
		do(status, err)
	}
}

// errNotServed is the error for OnAnswered when another station refused the request.
var errNotServed = errors.New("the request was not served")

func (x *Exchange) end() {
	if x.Stream != nil {
		_ = x.Stream.Close() // nothing reads it any more
	}
	x.Answered(0, errNotServed)
	if x.place != nil {
		x.place.Add(-1)
		x.place = nil
	}
	if give := x.own; give != nil {
		x.own = nil
		give()
	}
}

// stop ends the request's context.
func (x *Exchange) stop() { x.current.finish() }

// leave releases everything that the exchange holds.
func (x *Exchange) leave() {
	if x.cancel != nil {
		x.cancel()
	}
}

// SetHeader sets a header of the answer. The name must be in canonical form.
func (x *Exchange) SetHeader(name, value string) {
	if x.headers == len(x.values) {
		x.Writer.Header()[name] = []string{value}
		return
	}
	at := x.headers
	x.headers++
	x.values[at] = value
	x.Writer.Header()[name] = x.values[at : at+1 : at+1]
}

// TimeLeft returns the time until the operation's deadline.
func (x *Exchange) TimeLeft() time.Duration { return time.Until(x.deadline) }

// Aside waits for something that is not the operation's own work. Meanwhile the exchange holds no place of the operation and none at the service, and
// its deadline is suspended. Afterwards it takes again what it held, which may fail, as all waiting requests continue at the same moment. wait gets a
// context that ends when the client disconnects.
func (x *Exchange) Aside(wait func(context.Context) error) error {
	held, entered := x.place != nil || x.own != nil, x.answered != nil
	x.end()
	began := time.Now()
	if err := wait(x.client); err != nil {
		return err
	}
	x.stop()
	x.current = &exchangeContext{Context: x.client, x: x, end: x.within(x.deadline.Add(time.Since(began)))}
	x.Request = x.Request.WithContext(x.keepTrace(x.current))
	if held && x.admit != nil {
		if err := x.admit(x); err != nil {
			return err
		}
	}
	if entered && x.enter != nil {
		return x.enter(x)
	}
	return nil
}

// within sets the deadline of the exchange and returns it.
func (x *Exchange) within(end time.Time) time.Time {
	x.deadline = end
	if s := x.Operation.Policy.Stream; s != nil && s.Kind != contract.StreamLongPoll {
		connection := http.NewResponseController(x.Writer)
		_, _ = connection.SetReadDeadline(end), connection.SetWriteDeadline(end) // fails for a test recorder, which has no deadline
	}
	return end
}

// Forward passes the request to a router that knows only the declared methods. net/http still sends no body in reply to HEAD.
func (x *Exchange) Forward(to http.Handler) {
	r := x.Request
	if r.Method == http.MethodHead {
		r = r.WithContext(r.Context())
		r.Method = http.MethodGet
	}
	to.ServeHTTP(x.Writer, r)
}

// OperationFrom returns the operation that a request was matched with.
func OperationFrom(ctx context.Context) *contract.Operation { return exchangeOf(ctx).Operation }

// Body returns the body of a request, which was checked against its contract; nil when there is none or it is a stream. It must not be changed.
func Body(ctx context.Context) []byte { return exchangeOf(ctx).Body }

// RequestID returns the ID of the request, as in its log line and in its problem.
func RequestID(ctx context.Context) string { return requestid.From(ctx) }
