package httpserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
)

// loopbacks are the addresses that localhost may resolve to. The client chooses which one it tries first.
var loopbacks = []string{"127.0.0.1", "::1"}

// portTries is how many ports are tried to find one that is free at both addresses.
const portTries = 20

// ListenLoopback opens a listener for Serve on the same port of every loopback address of this machine: a client that uses the name localhost reaches
// this server, whichever address it resolves to, and never another program with that port at the other address. Port "0" takes one that is free at
// each. When a port is taken the error is a *net.OpError with the address.
func ListenLoopback(ctx context.Context, port string) (net.Listener, error) {
	for try := 1; ; try++ {
		l, err := listenEach(ctx, port)
		if port != "0" || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
}

// listenEach listens on one port at each of the addresses that the machine has.
func listenEach(ctx context.Context, port string) (net.Listener, error) {
	var all []net.Listener
	var absent error
	for _, host := range loopbacks {
		l, err := Listen(ctx, net.JoinHostPort(host, port))
		switch {
		case err == nil:
			all = append(all, l)
			_, port, _ = net.SplitHostPort(l.Addr().String()) // the address of a TCP listener has a port
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			absent = err
		default:
			for _, other := range all {
				_ = other.Close() // the error of the other address is returned
			}
			return nil, err
		}
	}
	switch len(all) {
	case 0:
		return nil, absent
	case 1:
		return all[0], nil
	}
	return newSeveral(all), nil
}

// several combines several listeners into one.
type several struct {
	all      []net.Listener
	accepted chan acceptance // closed when all have ended
}

type acceptance struct {
	conn net.Conn
	err  error
}

func newSeveral(all []net.Listener) *several {
	s := &several{all: all, accepted: make(chan acceptance)}
	var wg sync.WaitGroup
	for _, l := range all {
		wg.Go(func() { s.accept(l) })
	}
	go func() {
		wg.Wait()
		close(s.accepted)
	}()
	return s
}

// accept forwards the connections of one listener until it is closed. What was accepted is forwarded even then: its client already counts as
// connected.
func (s *several) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		s.accepted <- acceptance{conn, err}
	}
}

// Accept implements net.Listener.
func (s *several) Accept() (net.Conn, error) {
	next, ok := <-s.accepted
	if !ok {
		return nil, net.ErrClosed
	}
	return next.conn, next.err
}

// Close implements net.Listener.
func (s *several) Close() error {
	var errs []error
	for _, l := range s.all {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Addr implements net.Listener: the first address.
func (s *several) Addr() net.Addr { return s.all[0].Addr() }

// Listeners returns the kernel listeners below a listener of Listen or ListenLoopback.
func Listeners(l net.Listener) []net.Listener {
	if s, ok := l.(*several); ok {
		return s.all
	}
	return []net.Listener{l}
}
