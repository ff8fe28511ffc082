package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/tracing"
)

const (
	dialTime     = 2 * time.Second // for the name and all its addresses
	maxAddresses = 16              // of one name that are tried
)

// DialContext connects to a target, host:port, as net.Dialer does. It resolves the name itself and judges each address in the socket's control
// function, so that no later DNS answer can replace the address. Refusals are *RefusedError.
func (p *Policy) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	lookup := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[network]
	if lookup == "" {
		return nil, p.refuse(ctx, "", "", malformed("only TCP is connected to"))
	}
	h, port, err := parseHostPort(address)
	var refused *RefusedError
	if errors.As(err, &refused) {
		return nil, p.refuse(ctx, "", "", refused)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	addrs := []netip.Addr{h.addr}
	if h.name != "" {
		switch {
		case p.deny.hasName(h.name, port):
			return nil, p.refuse(ctx, address, "", errDenied)
		case !p.mayName(h.name, port):
			return nil, p.refuse(ctx, address, "", errUnlisted)
		}
		if addrs, err = p.resolver.LookupNetIP(ctx, lookup, h.name); err != nil {
			return nil, fmt.Errorf("resolve the target: %w", err)
		}
	}
	return p.dialAny(ctx, network, address, h.name, addrs[:min(len(addrs), maxAddresses)], port)
}

// dialAny tries the addresses in turn, each with its share of the remaining time. A refused address does not matter when another one is allowed.
func (p *Policy) dialAny(ctx context.Context, network, target, name string, addrs []netip.Addr, port uint16) (net.Conn, error) {
	errs := []error{}
	for i, addr := range addrs {
		deadline, _ := ctx.Deadline()
		share := time.Until(deadline) / time.Duration(len(addrs)-i)
		to := netip.AddrPortFrom(addr.Unmap(), port)
		conn, err := p.dialOne(ctx, network, target, name, to, share)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return nil, &net.DNSError{Err: "the name has no address", Name: name, IsNotFound: true}
	}
	var refused *RefusedError
	for _, err := range errs { // a failed connection to an allowed address says more than a refusal of another one
		if !errors.As(err, &refused) {
			return nil, err
		}
	}
	return nil, refused
}

func (p *Policy) dialOne(ctx context.Context, network, target, name string, to netip.AddrPort, share time.Duration) (net.Conn, error) {
	var verdict error
	dialer := net.Dialer{Timeout: share, KeepAlive: 30 * time.Second}
	dialer.ControlContext = func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		real, err := netip.ParseAddrPort(address)
		if err != nil {
			return errUnlisted
		}
		verdict = p.judge(ctx, name, real)
		return verdict
	}
	conn, err := dialer.DialContext(ctx, network, to.String())
	if verdict != nil {
		return nil, p.refuseJudged(ctx, target, to.String(), verdict)
	}
	return conn, err
}

// Client returns an HTTP client for calls to targets: each connection is judged, no redirect is followed, and the environment's proxy is not used.
// caFile, timeout and tracer are those of httpclient.New.
func (p *Policy) Client(caFile string, timeout time.Duration, tracer *tracing.Tracer) (*http.Client, error) {
	transport, err := httpclient.NewTransport(caFile)
	if err != nil {
		return nil, err
	}
	transport.DialContext = p.DialContext
	return httpclient.Over(transport, timeout, tracer), nil
}
