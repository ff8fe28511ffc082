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

// noSYN passes all segments to a listening socket but those that ask for a new connection. Offset 13 of a TCP header holds the flags.
var noSYN = []unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},        // SYN and ACK
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: 0x02, Jf: 1}, // SYN alone
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
}

// keepOut keeps new connections for a while from a listener that is about to close, while the server accepts those that the kernel has made already:
// closing resets what waits to be accepted, and the request that its client has sent meanwhile is lost. Who asks for a connection in this
// time asks again a second later, as TCP does, and is refused or finds the next process. Where the kernel does not take the filter the
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

// filtered has the kernel drop what begins a connection at a socket.
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

// acceptTime is how long at most connections that were made are waited for to be accepted: on a busy machine that takes longer than the making.
const acceptTime = 2 * time.Second

// allAccepted reports whether no connection waits to be accepted at a listening socket, of which tcpi_unacked says how many do. A kernel that does not tell
// has none.
func allAccepted(raw syscall.RawConn) bool {
	waiting := uint32(0)
	_ = raw.Control(func(fd uintptr) { // a socket that is closed has none
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			waiting = info.Unacked
		}
	})
	return waiting == 0
}
