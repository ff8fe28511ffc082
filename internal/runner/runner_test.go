package runner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func until(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestRun_endsCleanlyWithItsContext(t *testing.T) {
	var g Group
	var closed []string
	for _, name := range []string{"first", "second"} {
		g.Go(name, until)
		g.Cleanup(name, func() error { closed = append(closed, name); return nil })
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, g.Run(ctx))
	require.Equal(t, []string{"second", "first"}, closed, "last opened, first closed")
}

func TestRun_firstErrorStopsAll(t *testing.T) {
	var g Group
	broken := errors.New("broken")
	var mu sync.Mutex
	var order []string
	note := func(s string) { mu.Lock(); defer mu.Unlock(); order = append(order, s) }
	g.Go("server", func(ctx context.Context) error { <-ctx.Done(); note("server"); return nil })
	g.Go("worker", func(context.Context) error { return broken })
	g.Go("short", func(context.Context) error { return nil })
	g.Cleanup("store", func() error { note("store"); return errors.New("cannot close") })
	err := g.Run(t.Context())
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "worker: broken")
	require.ErrorContains(t, err, "close store: cannot close")
	require.Equal(t, []string{"server", "store"}, order, "the store closes after its users")
}

func TestRun_partThatEndsAloneStopsNobody(t *testing.T) {
	var g Group
	ended := make(chan struct{})
	g.Go("short", func(context.Context) error { close(ended); return nil })
	ctx, cancel := context.WithCancel(t.Context())
	g.Go("long", func(ctx context.Context) error {
		<-ended
		require.NoError(t, ctx.Err())
		cancel()
		return until(ctx)
	})
	require.NoError(t, g.Run(ctx))
}

func TestRun_panicStopsAllInOrder(t *testing.T) {
	var g Group
	closed := false
	g.Go("server", until)
	g.Go("worker", func(context.Context) error { panic("oops") })
	g.Cleanup("store", func() error { closed = true; return nil })
	err := g.Run(t.Context())
	require.ErrorContains(t, err, "worker: panic: oops")
	require.ErrorContains(t, err, "runner_test.go", "with the stack")
	require.True(t, closed)
}

func TestRun_realCancellationOfAPartIsAnError(t *testing.T) {
	var g Group
	g.Go("call", func(context.Context) error { return context.Canceled }) // of a context of its own
	g.Go("server", until)
	require.ErrorIs(t, g.Run(t.Context()), context.Canceled)
}

// The test runs itself as the program.
func TestSignals_endTheContextOnceAndTheProgramTwice(t *testing.T) {
	if os.Getenv("RUNNER_CHILD") != "" {
		ctx, stop := Signals(context.Background())
		defer stop()
		_, _ = os.Stdout.WriteString("ready\n")
		<-ctx.Done()
		_, _ = os.Stdout.WriteString("ended\n")
		select {} // a program that does not want to close
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestSignals_endTheContextOnceAndTheProgramTwice$")
	child.Env = append(slices.Clone(os.Environ()), "RUNNER_CHILD=1")
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	read := func() string {
		buffer := make([]byte, 64)
		n, err := out.Read(buffer)
		require.NoError(t, err)
		return strings.TrimSpace(string(buffer[:n]))
	}
	require.Equal(t, "ready", read())
	require.NoError(t, child.Process.Signal(syscall.SIGTERM))
	require.Equal(t, "ended", read())
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	require.Eventually(t, func() bool { // the signals' usual effect comes back right after the context has ended
		_ = child.Process.Signal(syscall.SIGTERM) // it has ended already
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, syscall.SIGTERM, child.ProcessState.Sys().(syscall.WaitStatus).Signal())
}
