package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// typing runs the binary at its own terminal, at which these lines are typed.
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

// Hidden input may be mistyped: a new password is asked for twice, and a difference changes nothing.
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

// A token for other programs carries a second factor if that is asked for, and costs one code in five minutes.
func TestToken_stepsUp(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	passwordFile, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	h := &home{t: t, dir: t.TempDir()}
	good := func(args ...string) string {
		t.Helper()
		got := h.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return strings.TrimSpace(got.stdout)
	}
	good("login", "--url", u.url, "--username", "ada", "--password-file", passwordFile)
	made := good("otp", "enrol", "--invitation-file", invitation, "--output", "json")
	seed := field(t, made, "secret")
	good("otp", "confirm", field(t, made, "factorId"), "--code-file", write(t, stepBefore(t, seed)))
	reads := func(token string) int {
		return status(t, u.url+"/kms/v1/audit/checkpoint", "Authorization", "Bearer "+token)
	}
	require.Equal(t, 401, reads(good("token", "kms")))
	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	raised := good("token", "kms", "--step-up", "--code-file", write(t, code))
	require.Equal(t, 200, reads(raised))
	require.Equal(t, raised, good("token", "kms", "--step-up"))
	require.Equal(t, 401, reads(good("token", "kms")), "nothing is raised that was not asked for")
	unattended := h.run("token", "sequence", "--step-up")
	require.Equal(t, 1, unattended.code)
	require.Contains(t, unattended.sentenceOf(t), "pass the code with --code-file")
	refused := h.run("token", "sequence", "--step-up", "--code-file", write(t, "000000"))
	require.Equal(t, 1, refused.code)
	require.Empty(t, refused.stdout)
	require.NotContains(t, refused.stderr, "000000")
}
