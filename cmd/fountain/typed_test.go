package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// typing runs the binary at a terminal of its own, at which these lines are typed.
func typing(t *testing.T, lines string, args ...string) result {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	require.NoError(t, err)
	defer ours.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	defer theirs.Close()
	_, err = io.WriteString(ours, lines)
	require.NoError(t, err)
	cmd := command(t, args...)
	cmd.Stdin = theirs
	return finish(t, cmd)
}

// What is typed unseen may be mistyped: a password that is to be set is asked for twice, and a difference changes nothing.
func TestPassword_isAskedForTwiceWhereItIsSet(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{{"recover", "password", "ada", "--data", data}, {"passwd", "--reset-token-file", write(t, "token")}} {
		got := typing(t, "a lamp in the window\na lamp in the windoe\n", args...)
		require.Equal(t, 1, got.code, args)
		require.Contains(t, got.stderr, "once more: ")
		require.Contains(t, got.stderr, "the two differ; nothing was changed")
		require.NotContains(t, got.stderr, "windoe")
	}
	same := typing(t, "a lamp in the window\na lamp in the window\n", "recover", "password", "ada", "--data", data)
	require.NotContains(t, same.stderr, "differ")
}
