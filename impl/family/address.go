package family

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/fountainai/fountain/internal/httpserver"
)

// localhost is the name under which users are told this machine's addresses: passkeys are bound to names, and browsers refuse them for IP addresses.
const localhost = "localhost"

// listenLocal listens on addr. If its host is localhost or a loopback address, it listens on all loopback addresses that the name localhost may
// resolve to.
func listenLocal(ctx context.Context, addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !isLocal(host) {
		return listen(ctx, addr)
	}
	l, err := httpserver.ListenLoopback(ctx, port)
	var where *net.OpError
	if errors.As(err, &where) && where.Addr != nil {
		addr = where.Addr.String()
	}
	if err != nil {
		return nil, &AddressError{Addr: addr, Err: err}
	}
	return l, nil
}

// isLocal reports whether a host is localhost or an address to which that name resolves.
func isLocal(host string) bool { return host == localhost || host == "127.0.0.1" || host == "::1" }

// listen listens on one address. It fails with an AddressError.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := httpserver.Listen(ctx, addr)
	if err != nil {
		return nil, &AddressError{Addr: addr, Err: err}
	}
	return l, nil
}

// AddressError means that the process can't listen on an address.
type AddressError struct {
	Addr string
	Err  error
}

func (e *AddressError) Error() string { return fmt.Sprintf("listen on %s: %v", e.Addr, e.Err) }
func (e *AddressError) Unwrap() error { return e.Err }

// urlOf returns the URL at which a listener is reached from this machine.
func urlOf(l net.Listener) string {
	host, port := hostPort(l)
	return "http://" + net.JoinHostPort(host, port)
}

// nameOf is urlOf for users: it has localhost in place of a loopback address.
func nameOf(l net.Listener) string {
	host, port := hostPort(l)
	if isLocal(host) {
		host = localhost
	}
	return "http://" + net.JoinHostPort(host, port)
}

func hostPort(l net.Listener) (host, port string) {
	host, port, _ = net.SplitHostPort(l.Addr().String()) // a TCP address has both
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return host, port
}
