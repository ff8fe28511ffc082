package httpserver

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// While a server drains, each answer closes its connection, so that no request can be in flight on a connection that is closed as idle.
func TestServe_endsConnectionsWithAnAnswerWhileItDrains(t *testing.T) {
	var draining atomic.Bool
	s := serve(t, newWorld(t), ServeOptions{DrainDelay: time.Second, Draining: func() { draining.Store(true) }})
	conn, r := s.dial(t)
	for _, last := range []bool{false, true} {
		if last {
			s.stop()
			require.Eventually(t, draining.Load, 5*time.Second, time.Millisecond)
		}
		_, err := fmt.Fprint(conn, "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		res, _ := answer(t, r)
		require.Equal(t, 204, res.StatusCode)
		require.Equal(t, last, res.Close)
	}
	require.NoError(t, <-s.ended)
}

// A request that began before the shutdown is answered during it, and its connection is closed, too.
func TestServe_endsTheConnectionOfARequestThatBeganBefore(t *testing.T) {
	w := newWorld(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	w.handlers["getHealth"] = func(rw http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-leave
		rw.WriteHeader(http.StatusNoContent)
	}
	draining := make(chan struct{})
	s := serve(t, w, ServeOptions{DrainDelay: time.Second, Draining: func() { close(draining) }})
	conn, r := s.dial(t)
	_, err := fmt.Fprint(conn, "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-entered
	s.stop()
	<-draining
	close(leave)
	res, _ := answer(t, r)
	require.Equal(t, 204, res.StatusCode)
	require.True(t, res.Close)
	_, err = r.ReadByte()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, <-s.ended)
}

// An established connection is answered, even if it was still waiting to be accepted when the listener closed.
func TestServe_losesNoConnectionAtTheEnd(t *testing.T) {
	for range 5 {
		s := serve(t, newWorld(t), ServeOptions{DrainDelay: settleTime})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					conn, err := net.DialTimeout("tcp", s.address, time.Second/2)
					if err != nil {
						return // refused, or not answered in this time: nothing was sent
					}
					_, err = fmt.Fprint(conn, "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
					if err == nil {
						var res *http.Response
						if res, err = http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
							err = res.Body.Close()
						}
					}
					_ = conn.Close()
					if err != nil {
						t.Errorf("a request was lost: %v", err)
					}
				}
			})
		}
		s.stop()
		all.Wait()
		require.NoError(t, <-s.ended)
	}
}

// The first request on a connection that was made in time is answered, even if it arrives after the listener has closed.
func TestServe_answersTheFirstRequestOfAConnectionMadeInTime(t *testing.T) {
	s := serve(t, newWorld(t), ServeOptions{DrainDelay: settleTime})
	conn, r := s.dial(t)
	s.stop()
	require.Eventually(t, func() bool {
		late, err := net.DialTimeout("tcp", s.address, 20*time.Millisecond) // none is made while the listener closes
		if err == nil {
			_ = late.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, 5*time.Second, time.Millisecond)
	_, err := fmt.Fprint(conn, "GET /sample/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	res, _ := answer(t, r)
	require.Equal(t, 204, res.StatusCode)
	require.True(t, res.Close)
	require.NoError(t, <-s.ended)
}
