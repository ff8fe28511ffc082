package httpserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// Limits for any request, whatever the contract says.
const (
	MaxTarget      = contract.MaxTarget
	MaxHeaderBytes = contract.MaxHeader
	MaxHeaders     = 64
)

// knownMethods are the methods of RFC 9110 and RFC 5789 that any contract could name.
var knownMethods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPost: true, http.MethodPut: true,
	http.MethodPatch: true, http.MethodDelete: true, http.MethodOptions: true,
}

// Guard refuses what no contract can allow: targets that are too long, too many headers, unknown methods.
func Guard(r *http.Request) error {
	if len(r.RequestURI) > MaxTarget {
		return problem.New(problem.TargetTooLong, "The request target is longer than 8 KiB.")
	}
	fields, size := 0, 0
	for name, values := range r.Header {
		fields += len(values)
		for _, v := range values {
			size += len(name) + len(v) + 4
		}
	}
	if fields > MaxHeaders || size > MaxHeaderBytes {
		return problem.New(problem.HeadersTooLarge, "The header has more than 64 fields or 16 KiB.")
	}
	if err := connectionOptions(r.Header); err != nil {
		return err
	}
	if !knownMethods[r.Method] {
		return problem.New(problem.MethodUnknown, "This server does not support the method.")
	}
	originForm(r)
	if r.URL.Host != "" || !strings.HasPrefix(r.URL.Path, "/") {
		return problem.New(problem.MalformedTarget, "The request target must be a path.")
	}
	if path, _, _ := strings.Cut(r.RequestURI, "?"); r.RequestURI != "" && path != r.URL.EscapedPath() {
		return problem.New(problem.MalformedTarget, "The path has characters that must be escaped.") // net/http has parsed it differently
	}
	return nil
}

// originForm converts an absolute-form target to its path and query: a server must accept both forms (RFC 9112, section 3.2.2). net/http has set the
// request's Host from the URL, and it is checked as any other; checkHead has refused a target that the Host header contradicts. Anything but an http
// or https URL with a host is left unchanged.
func originForm(r *http.Request) {
	u := r.URL
	if u.Host == "" || u.Host != r.Host || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return
	}
	_, behind, _ := strings.Cut(r.RequestURI, "://")
	path := "/"
	if at := strings.IndexAny(behind, "/?"); at >= 0 {
		path = "/" + strings.TrimPrefix(behind[at:], "/")
	}
	r.RequestURI, u.Scheme, u.Host = path, "", ""
	if u.Path == "" {
		u.Path = "/"
	}
}

// hopByHop are the options that Connection may name (RFC 9110, section 7.6.1). Upgrade and HTTP2-Settings come from clients that offer h2c with every
// request, as Java's does; the offer is ignored (section 7.8).
var hopByHop = map[string]bool{"close": true, "keep-alive": true, "te": true, "upgrade": true, "http2-settings": true}

// connectionOptions refuses a Connection header that names any other field: a proxy would have to remove that field after it was checked.
func connectionOptions(h http.Header) error {
	for _, value := range h["Connection"] {
		for option := range strings.SplitSeq(value, ",") {
			if option = strings.ToLower(strings.TrimSpace(option)); option != "" && !hopByHop[option] {
				return problem.New(problem.InvalidRequest, "The Connection header may not name a field of the message.")
			}
		}
	}
	return nil
}

// maxDiscard is the largest body, in bytes, of a refused request whose connection is kept. net/http reads the rest of a body, up to 256 KiB and for
// as long as the client takes, before it sends the answer or closes the connection.
const maxDiscard = 16 << 10

// refuse answers with a problem. When the body was not read yet and is large or endless, it is not waited for: the connection is closed.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !exchangeOf(r.Context()).bodyRead && (r.ContentLength < 0 || r.ContentLength > maxDiscard) {
		hangUp(w)
	}
	problem.Write(w, r, err)
}

// lastRead is for how long the rest of a refused client's request is read: closing at once while the client is sending would reset the connection and
// lose the answer.
const lastRead = 500 * time.Millisecond

// hangUp makes the answer the connection's last one and limits the reading of the body, so that a slow client is not waited for.
func hangUp(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lastRead)) // fails for a test recorder, which has no deadline
}

// publicReadTime is how long the body of a public operation may take: its sender is unknown, and it holds one of the operation's places meanwhile.
// The contracts' limits by address let one address begin at most 100 such requests a second, so that it cannot hold all of 512 places for longer than
// this.
const publicReadTime = 3 * time.Second

// hasBody reports whether the request has a body.
func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// openStream replaces the body by one that is checked while it is forwarded and never buffered as a whole. The size limit applies to it, too.
func (x *Exchange) openStream(contentType string) error {
	limit := x.Operation.Policy.Body.Max
	if x.Request.ContentLength > limit {
		return problem.New(problem.BodyTooLarge, "The body is larger than this operation accepts.")
	}
	_ = http.NewResponseController(x.Writer).SetReadDeadline(x.deadline) // fails for a test recorder, which has no deadline
	stream, err := x.Operation.CheckStream(contentType, http.MaxBytesReader(x.Writer, x.Request.Body, limit))
	if err != nil {
		return err
	}
	x.Stream, x.Request.Body = stream, stream
	return nil
}

// readBody reads the whole body, at most HeldBody bytes and for at most HeldPatience (publicReadTime for an unknown caller), and sets a new reader of
// it in the request. It returns nil when the request has no body.
func readBody(w http.ResponseWriter, r *http.Request, op *contract.Operation) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	limit := op.HeldBody()
	if r.ContentLength > limit {
		return nil, problem.New(problem.BodyTooLarge, "The body is larger than this operation accepts.")
	}
	connection := http.NewResponseController(w)
	patience := op.HeldPatience()
	if op.Public {
		patience = min(patience, publicReadTime)
	}
	waits := !arrived(r)
	if waits {
		_ = connection.SetReadDeadline(time.Now().Add(patience)) // fails for a test recorder, which has no deadline
	}
	body, err := readAll(w, r, limit)
	if err != nil {
		hangUp(w)
		return nil, unread(r, err)
	}
	if waits {
		_ = connection.SetReadDeadline(time.Time{}) // otherwise it would end the request's context while the handler runs
	}
	fresh := &heldBody{}
	fresh.Reset(body)
	r.Body, r.ContentLength = fresh, int64(len(body))
	r.TransferEncoding = nil
	exchangeOf(r.Context()).bodyRead = true
	if len(body) == 0 {
		return nil, nil
	}
	return body, nil
}

// arrived reports whether a request's whole body has been received already, as most small ones are together with the head: then a deadline, which has
// a cost, is not needed.
func arrived(r *http.Request) bool {
	line, ok := r.Context().Value(lineKey{}).(*oneLine)
	return ok && line.conn.state == atStart // the connection is not read until the body was read to its end
}

// unread returns the problem for a body that could not be read.
func unread(r *http.Request, err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem.New(problem.BodyTooLarge, "The body is larger than this operation accepts.")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(r.Context().Err(), context.DeadlineExceeded):
		return problem.New(problem.RequestTimeout, "The body did not arrive in time.").Wrap(err)
	}
	return problem.New(problem.MalformedBody, "The body could not be read completely.").Wrap(err)
}

// heldBody is a body that has been read.
type heldBody struct{ bytes.Reader }

// Close implements io.Closer.
func (*heldBody) Close() error { return nil }

// smallBody is the announced length, in bytes, up to which the buffer is allocated before the body has arrived.
const smallBody = 4 << 10

// readAll reads a body of at most limit bytes.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if n := r.ContentLength; n > 0 && n <= min(smallBody, limit) {
		body := make([]byte, n+1) // one more than announced, to detect the end
		got, err := io.ReadFull(r.Body, body)
		switch {
		case err == nil:
			err = errors.New("the body is longer than its announced length")
		case int64(got) == n && errors.Is(err, io.ErrUnexpectedEOF):
			err = nil
		}
		return body[:got], err
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

// peer is the other end of the connection. A trusted proxy reports the client behind it.
type peer struct {
	address netip.Addr
	proxy   bool
}

func peerOf(r *http.Request, trusted []netip.Prefix) peer {
	address := addressIP(r.RemoteAddr)
	return peer{address, contains(trusted, address)}
}

// clientIP returns the peer's address, or, when the peer is a trusted proxy, the last address of X-Forwarded-For that is not one.
func (p peer) clientIP(r *http.Request, trusted []netip.Prefix) netip.Addr {
	if !p.proxy {
		return p.address
	}
	hops := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	for {
		last := strings.LastIndexByte(hops, ',')
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[last+1:]))
		if err != nil {
			return p.address
		}
		if hop = hop.Unmap(); !contains(trusted, hop) {
			return hop
		}
		if last < 0 {
			return p.address
		}
		hops = hops[:last]
	}
}

// TimeoutHeader tells a service how many milliseconds are left for a request. The gateway sets it.
const TimeoutHeader = "X-Request-Timeout"

// timeLeft returns the time for the request that a trusted proxy reports, or 0 when it reports none or an invalid one.
func (p peer) timeLeft(r *http.Request) time.Duration {
	said := r.Header.Values(TimeoutHeader)
	if !p.proxy || len(said) != 1 {
		return 0
	}
	left, err := strconv.ParseUint(said[0], 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(left) * time.Millisecond
}

// scheme returns the scheme of the client's connection, as reported by a trusted proxy or of this connection.
func (p peer) scheme(r *http.Request) string {
	if said := r.Header.Values("X-Forwarded-Proto"); p.proxy && len(said) == 1 && (said[0] == "http" || said[0] == "https") {
		return said[0]
	}
	if line, _ := r.Context().Value(lineKey{}).(*oneLine); line != nil && line.conn.secured || r.TLS != nil {
		return "https"
	}
	return "http"
}

func addressIP(address string) netip.Addr {
	peer, err := netip.ParseAddrPort(address)
	if err != nil {
		return netip.IPv4Unspecified()
	}
	return peer.Addr().Unmap()
}

func contains(prefixes []netip.Prefix, ip netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}
