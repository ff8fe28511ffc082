package main

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// A short password is refused before anything else is read, asked for or sent: nothing listens at the address, and
// there is no token and no session.
func TestPasswords_thatAreTooShortAreRefusedAtOnce(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nowhere := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	short, missing := write(t, "eleven char"), t.TempDir()+"/missing"
	for _, args := range [][]string{
		{"bootstrap", "--url", nowhere, "--username", "ada", "--token-file", missing, "--password-file", short},
		{"passwd", "--url", nowhere, "--reset-token-file", missing, "--new-password-file", short},
		{"passwd", "--url", nowhere, "--current-password-file", missing, "--new-password-file", short},
		{"recover", "password", "ada", "--data", missing, "--password-file", short},
	} {
		h := &home{t: t, dir: t.TempDir()}
		got := h.run(args...)
		require.Equal(t, 1, got.code, "%v", args)
		require.Equal(t, "the password must have at least 12 characters", got.sentenceOf(t), "%v", args)
	}
}
