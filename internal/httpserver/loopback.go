package httpserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"syscall"
)

// loopbacks are the addresses that the name localhost may have. Which of them a client tries first is its own choice.
var loopbacks = []string{"127.0.0.1", "::1"}

// portTries is how often a port is looked for that is free at both addresses.
const portTries = 20

// ListenLoopback opens a listener for Serve on a port of every loopback address of this machine: who calls by the name localhost reaches this server, whatever
// the name is resolved to, and never another program that has the port at the other address. Port "0" takes one that is free at each. The error of a port
// that is taken is a *net.OpError with the address.
func ListenLoopback(ctx context.Context, port string) (net.Listener, error) {
	for try := 1; ; try++ {
		l, err := listenEach(ctx, port)
		if port != "0" || try == portTries || !errors.Is(err, syscall.EADDRINUSE) {
			return l, err
		}
	}
}

// listenEach listens at the addresses that the machine has, on one port.
func listenEach(ctx context.Context, port string) (net.Listener, error) {
	var all []net.Listener
	var absent error
	for _, host := range loopbacks {
		l, err := Listen(ctx, net.JoinHostPort(host, port))
		switch {
		case err == nil:
			all = append(all, l)
			_, port, _ = net.SplitHostPort(l.Addr().String()) // the address of a listener of TCP has one
		case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
			absent = err
		default:
			for _, other := range all {
				_ = other.Close() // the error of the other address counts
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

// several is one listener over several.
type several struct {
	all      []net.Listener
	accepted chan acceptance // closed when each has ended
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

// accept hands on what one listener gives, until it is closed. What it has accepted is handed on even then: its client has been told that it is connected.
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

// Listeners returns the listeners of the kernel below one of Listen or ListenLoopback.
func Listeners(l net.Listener) []net.Listener {
	if s, ok := l.(*several); ok {
		return s.all
	}
	return []net.Listener{l}
}
