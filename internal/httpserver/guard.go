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

// What any request may have, whatever the contract says.
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

// Guard refuses what no contract could allow: over-long targets, too many headers, unknown methods.
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
		return problem.New(problem.MethodUnknown, "The method is not known here.")
	}
	originForm(r)
	if r.URL.Host != "" || !strings.HasPrefix(r.URL.Path, "/") {
		return problem.New(problem.MalformedTarget, "The request target must be a path.")
	}
	if path, _, _ := strings.Cut(r.RequestURI, "?"); r.RequestURI != "" && path != r.URL.EscapedPath() {
		return problem.New(problem.MalformedTarget, "The path has characters that must be escaped.") // or net/http read it otherwise
	}
	return nil
}

// originForm turns a target that is a whole URL into its path and query: a server must take both forms (RFC 9112, section 3.2.2). net/http has made
// the URL's host the request's Host, which is checked as any other; checkHead has refused one that the Host header contradicts. What is no http or
// https URL of a host stays as it is.
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

// hopByHop are the options that Connection may name (RFC 9110, section 7.6.1). Upgrade and HTTP2-Settings come from clients that offer h2c
// with every request, as Java's does; the offer is not taken (section 7.8).
var hopByHop = map[string]bool{"close": true, "keep-alive": true, "te": true, "upgrade": true, "http2-settings": true}

// connectionOptions refuses a Connection header that names any other field: a proxy would have to drop that one, after it was checked.
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

// maxDiscard is the largest body, in bytes, that a refused request may still bring to keep its connection. net/http reads what is
// left of a body, up to 256 KiB and for as long as the client takes, before it sends the answer or closes the connection.
const maxDiscard = 16 << 10

// refuse answers with a problem. A refusal that comes before the body was read does not wait for a large or endless one: it ends
// the connection.
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	if !exchangeOf(r.Context()).bodyRead && (r.ContentLength < 0 || r.ContentLength > maxDiscard) {
		hangUp(w)
	}
	problem.Write(w, r, err)
}

// lastRead is how long a refused client is still listened to: closing at once on one that is sending would reset the connection, and
// the answer with it.
const lastRead = 500 * time.Millisecond

// hangUp lets the answer be the connection's last and soon ends the reading of the body, so that nobody is waited for.
func hangUp(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lastRead)) // a test recorder has none to set
}

// publicReadTime is how long the body of a public operation may take: nobody knows who sends it, and while it is awaited it holds one of
// the operation's places. The contracts' limits by address let one address begin at most 100 such requests a second, so that it can't
// hold all of 512 places for longer than this.
const publicReadTime = 3 * time.Second

// hasBody reports whether a body comes with the request.
func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// openStream makes the body one that is checked while it is passed on: it is never held whole. What bounds a body bounds it too.
func (x *Exchange) openStream(contentType string) error {
	limit := x.Operation.Policy.Body.Max
	if x.Request.ContentLength > limit {
		return problem.New(problem.BodyTooLarge, "The body is larger than this operation accepts.")
	}
	_ = http.NewResponseController(x.Writer).SetReadDeadline(x.deadline) // a test recorder has none to set
	stream, err := x.Operation.CheckStream(contentType, http.MaxBytesReader(x.Writer, x.Request.Body, limit))
	if err != nil {
		return err
	}
	x.Stream, x.Request.Body = stream, stream
	return nil
}

// readBody reads the whole body, at most HeldBody of the operation and for at most HeldPatience (publicReadTime where nobody is known), and
// leaves a fresh reader of it in the request. It returns nil when the request has no body.
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
		_ = connection.SetReadDeadline(time.Now().Add(patience)) // a test recorder has none to set
	}
	body, err := readAll(w, r, limit)
	if err != nil {
		hangUp(w)
		return nil, unread(r, err)
	}
	if waits {
		_ = connection.SetReadDeadline(time.Time{}) // else it would end the request's context while the handler works
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

// arrived reports whether a request's whole body has come already, as most small ones do with their head: then nothing is waited for, and a deadline,
// which has its cost, is not needed.
func arrived(r *http.Request) bool {
	line, ok := r.Context().Value(lineKey{}).(*oneLine)
	return ok && line.conn.state == atStart // nobody reads from the connection until the body was read to its end
}

// unread says why a body could not be read.
func unread(r *http.Request, err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return problem.New(problem.BodyTooLarge, "The body is larger than this operation accepts.")
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(r.Context().Err(), context.DeadlineExceeded):
		return problem.New(problem.RequestTimeout, "The body did not arrive in time.").Wrap(err)
	}
	return problem.New(problem.MalformedBody, "The body could not be read to its end.").Wrap(err)
}

// heldBody is a body that has been read.
type heldBody struct{ bytes.Reader }

// Close implements io.Closer.
func (*heldBody) Close() error { return nil }

// smallBody is up to which announced length, in bytes, the room for a body is taken before it has come.
const smallBody = 4 << 10

// readAll reads a body that has at most limit bytes.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if n := r.ContentLength; n > 0 && n <= min(smallBody, limit) {
		body := make([]byte, n+1) // one more than may come, to see that it ends
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

// peer is who is at the other end of the connection, and whether it is a trusted proxy: then it tells who is behind it.
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

// timeLeft returns what a trusted proxy says of the time that the request has; 0: nothing, or nothing that can be read.
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

// scheme returns how the client's connection is secured: as the trusted proxy says, or as it is here.
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
