package httpserver

import (
	"context"
	"net"
)

// Listen opens a listener for Serve on host:port. It uses plain TCP: Linux accepts no filter for a socket of Multipath TCP, which is Go's default,
// and Serve's drain needs one.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(ctx, "tcp", address)
}
