package servicetest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreeAddress returns a loopback address on which nothing listens, for a server whose address is a setting. The port is below those that the kernel
// assigns to clients and to listeners on port 0 (ip_local_port_range), so that it is not assigned before the server listens. Tests of other packages
// run at the same time and use the same ports: until the test ends, a UDP socket 10,000 ports above reserves the port.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(10000)
		mark, err := net.ListenPacket("udp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port+10000)))
		if err != nil {
			continue // another test has it
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			_ = mark.Close() // nothing was sent
			continue         // a program listens there
		}
		if err := l.Close(); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = mark.Close() }) // nothing was sent
		return l.Addr().String()
	}
	tb.Fatal("no port is free")
	return ""
}
