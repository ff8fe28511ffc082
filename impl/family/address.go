package family

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/fountainai/fountain/internal/httpserver"
)

// localhost is the name of this machine. People are told it instead of an address: passkeys belong to names, and browsers refuse them at an address.
const localhost = "localhost"

// listenLocal listens where people call: on loopback at every address that localhost may have.
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

// isLocal reports whether a host is what the name localhost stands for.
func isLocal(host string) bool { return host == localhost || host == "127.0.0.1" || host == "::1" }

// listen takes an address.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	l, err := httpserver.Listen(ctx, addr)
	if err != nil {
		return nil, &AddressError{Addr: addr, Err: err}
	}
	return l, nil
}

// AddressError says that an address can't be listened on.
type AddressError struct {
	Addr string
	Err  error
}

func (e *AddressError) Error() string { return fmt.Sprintf("listen on %s: %v", e.Addr, e.Err) }
func (e *AddressError) Unwrap() error { return e.Err }

// urlOf is where a listener is reached from this machine.
func urlOf(l net.Listener) string {
	host, port := hostPort(l)
	return "http://" + net.JoinHostPort(host, port)
}

// nameOf is the same as people are told it.
func nameOf(l net.Listener) string {
	host, port := hostPort(l)
	if isLocal(host) {
		host = localhost
	}
	return "http://" + net.JoinHostPort(host, port)
}

func hostPort(l net.Listener) (host, port string) {
	host, port, _ = net.SplitHostPort(l.Addr().String()) // of TCP, which has both
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return host, port
}
