package servicetest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreeAddress returns an address of loopback on which nothing listens, for a server that takes its address as a setting. The port lies below those
// that the kernel gives to clients and to listeners on port 0 (ip_local_port_range), so that nobody is given it before the server listens.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	for range 100 {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(10000+rand.IntN(20000))))
		if err != nil {
			continue // somebody listens there
		}
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
		return l.Addr().String()
	}
	tb.Fatal("no port is free")
	return ""
}
