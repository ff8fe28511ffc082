//go:build !linux

package httpserver

import (
	"log/slog"
	"net"
	"time"
)

// keepOut does nothing on systems without such filters: see the implementation for Linux.
func keepOut(net.Listener, time.Duration, *slog.Logger) {}
