package httpserver

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// noSYN passes all segments to a listening socket except those that open a new connection. Offset 13 of a TCP header contains the flags.
var noSYN = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},        // SYN and ACK
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jf: 1}, // SYN alone
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
}

// keepOut makes the kernel drop new connections for a while at a listener that is about to close, while the server accepts those that are already
// established: closing would reset connections in the accept queue, and lose the requests that their clients have sent. A client that connects
// meanwhile retries a second later, as TCP does, and is refused or reaches the next process. Where the kernel does not support the filter the
// listener is closed without it.
func keepOut(l net.Listener, while time.Duration, log *slog.Logger) {
	var sockets []syscall.RawConn
	for _, one := range Listeners(l) {
		socket, ok := one.(syscall.Conn)
		if !ok {
			continue
		}
		raw, err := filtered(socket)
		if err != nil {
			log.Warn("connections that are being made while the listener closes may be lost", "error", err)
			continue
		}
		sockets = append(sockets, raw)
	}
	if len(sockets) == 0 {
		return
	}
	time.Sleep(while)
	unaccepted := func(raw syscall.RawConn) bool { return !allAccepted(raw) }
	for giveUp := time.Now().Add(acceptTime); slices.ContainsFunc(sockets, unaccepted) && time.Now().Before(giveUp); {
		time.Sleep(while / 20)
	}
}

// filtered makes the kernel drop connection requests at a socket.
func filtered(socket syscall.Conn) (syscall.RawConn, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	program := unix.SockFprog{Len: uint16(len(noSYN)), Filter: &noSYN[0]}
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program)
	})
	return raw, errors.Join(err, controlErr)
}

// acceptTime is the longest wait for established connections to be accepted: on a busy machine accepting takes longer than connecting.
const acceptTime = 2 * time.Second

// allAccepted reports whether the accept queue of a listening socket is empty; tcpi_unacked is its length. A kernel that does not report it counts as
// empty.
func allAccepted(raw syscall.RawConn) bool {
	waiting := uint32(0)
	_ = raw.Control(func(fd uintptr) { // a closed socket has none
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			waiting = info.Unacked
		}
	})
	return waiting == 0
}
