package httpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/requestid"
)

// Exchange is what a door knows of one request and its answer. Observe makes it, the stations fill it, and the access log and the
// metrics read it in the end.
type Exchange struct {
	Writer   http.ResponseWriter
	Request  *http.Request
	ClientIP netip.Addr // the peer, or what a trusted proxy says of it
	Scheme   string     // "https" or "http", of the client's connection: here, or to a trusted proxy

	Match     contract.Match
	Operation *contract.Operation // nil: no route was found
	Principal *auth.Principal     // nil: a public operation, or not known yet
	Code      string              // the X-OTP header, which leaves the request at the gateway
	Redeem    bool                // the code must be redeemed before the request goes on
	Body      []byte              // nil: none was sent, or it is a stream
	Stream    io.ReadCloser       // a body that is checked while it is read, to be passed on; nil: there is none

	RefusedBy string        // the station that refused
	Upstream  time.Duration // how long services were waited for

	clientText string         // ClientIP, once somebody has asked for it
	trace      *exchangeTrace // nil: traces are off
	bodyRead   bool           // to its end
	place      *atomic.Int64  // how many places of the operation are taken, this one among them; nil: it has none
	own        func()         // gives back the subject's place; nil: it has none
	answered   func(status int, err error)
	client     context.Context       // of the client's connection, without the operation's time
	cancel     context.CancelFunc    // ends client; nil: nothing but the client does
	timeLeft   time.Duration         // as a trusted proxy says; 0: nothing
	deadline   time.Time             // of the operation
	current    *exchangeContext      // of Request
	admit      func(*Exchange) error // the station that took the operation's place, which Aside gives back; nil: none
	enter      func(*Exchange) error // the station that let the exchange in to the service, from which Aside goes out; nil: none

	// What each request needs lies here, so that it is allocated with the exchange.
	ctx       exchangeContext // of Request
	answer    response        // Writer
	requestID [1]string       // in the form in which a header holds it
	values    [4]string       // of the headers that SetHeader has set
	headers   int             // how many of them
}

// newExchange makes the exchange of a request that has this id.
func newExchange(w http.ResponseWriter, r *http.Request, requestID string) *Exchange {
	x := &Exchange{answer: response{ResponseWriter: w}, requestID: [1]string{requestID}}
	x.Writer = &x.answer
	x.ctx.Context, x.ctx.x, x.current = r.Context(), x, &x.ctx
	x.Request = r.WithContext(&x.ctx)
	w.Header()["X-Request-Id"] = x.requestID[:]
	return x
}

// exchangeOf returns the exchange of a request; outside a door it leads nowhere.
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

// ipv6Network is how many bits of an IPv6 address name the network that one customer gets at the least (RFC 6177): who has one address
// has all of those below them.
const ipv6Network = 64

// Network returns what clients are counted by: an IPv4 address, or the network of an IPv6 one.
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

// Hold says that the exchange has taken one of the operation's places, which taken counts. It is given back in the end.
func (x *Exchange) Hold(taken *atomic.Int64) { x.place = taken }

// HoldOwn says that the exchange has taken one of its subject's places, which give gives back. It is called once, in the end.
func (x *Exchange) HoldOwn(give func()) { x.own = give }

// OnAnswered registers what is done, once, when the answer of the service behind is known to its end, before the client reads it, or when it is known
// that none comes: then err says why.
func (x *Exchange) OnAnswered(do func(status int, err error)) { x.answered = do }

// Answered says that the service has answered, or failed.
func (x *Exchange) Answered(status int, err error) {
	if do := x.answered; do != nil {
		x.answered = nil
		do(status, err)
	}
}

// errNotServed is why no service answered a request that another station refused.
var errNotServed = errors.New("the request was not served")

func (x *Exchange) end() {
	if x.Stream != nil {
		_ = x.Stream.Close() // whoever was to read it has, or does not any more
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

// leave ends what goes on as long as the exchange.
func (x *Exchange) leave() {
	if x.cancel != nil {
		x.cancel()
	}
}

// SetHeader sets a header of the answer. The name is in canonical form.
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

// TimeLeft returns how long the operation may still take.
func (x *Exchange) TimeLeft() time.Duration { return time.Until(x.deadline) }

// Aside waits for something that is not the operation's own work. Meanwhile the exchange holds none of the operation's places and none at the
// service, and its time stands still. Then it takes those again that it held, and may find none: all that waited go on at the same moment. wait
// gets a context that ends when the client leaves.
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

// within gives the exchange its time, and returns the end of it.
func (x *Exchange) within(end time.Time) time.Time {
	x.deadline = end
	if s := x.Operation.Policy.Stream; s != nil && s.Kind != contract.StreamLongPoll {
		connection := http.NewResponseController(x.Writer)
		_, _ = connection.SetReadDeadline(end), connection.SetWriteDeadline(end) // a test recorder has none to set
	}
	return end
}

// Forward hands the request to a router that knows the declared methods only; to a HEAD net/http still sends no body.
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

// Body returns the body of a request as its contract has checked it; nil where there is none, or it is a stream. Nobody may change it.
func Body(ctx context.Context) []byte { return exchangeOf(ctx).Body }

// RequestID returns the id of the request, as it stands in its log line and in its problem.
func RequestID(ctx context.Context) string { return requestid.From(ctx) }
