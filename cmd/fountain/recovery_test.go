package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

// A user who has lost the phone can use a recovery code wherever a code is asked for. An administrator resets a user
// who has lost both.
func TestRecovery_isTheWayBackOfWhoLostThePhone(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	ada, grace := &home{t: t, dir: t.TempDir()}, &home{t: t, dir: t.TempDir()}
	good := func(h *home, args ...string) result {
		t.Helper()
		got := h.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got
	}
	enrol := func(h *home, args ...string) (codes []string) {
		t.Helper()
		made := good(h, append([]string{"otp", "enrol", "--output", "json"}, args...)...).stdout
		code, err := totp.GenerateCode(field(t, made, "secret"), time.Now())
		require.NoError(t, err)
		confirmed := good(h, "otp", "confirm", "--code-file", write(t, code))
		require.Contains(t, confirmed.stderr, "shown once")
		for _, line := range strings.Split(confirmed.stdout, "\n") {
			if strings.Count(line, "-") == 5 {
				codes = append(codes, line)
			}
		}
		require.Len(t, codes, 10)
		return codes
	}
	good(ada, "login", "--url", u.url, "--username", "ada", "--password-file", file)
	codes := enrol(ada, "--invitation-file", invitation)
	good(ada, "logout") // including what the first code has opened
	good(ada, "login", "--url", u.url, "--username", "ada", "--password-file", file)
	pin := write(t, "a quiet harbour at dawn")
	good(ada, "users", "create", "grace", "--role", "editor", "--password-file", pin, "--code-file", write(t, codes[0]))
	require.Regexp(t, `(?m)^9 +2`, good(ada, "otp", "recovery-codes").stdout)

	good(grace, "login", "--url", u.url, "--username", "grace", "--password-file", pin)
	enrol(grace)
	require.Contains(t, good(grace, "otp", "factors").stdout, "active")
	require.Equal(t, 2, ada.run("otp", "reset", "grace").code)
	ended := good(ada, "otp", "reset", "grace", "--reason", "phone lost, seen in person", "--code-file", write(t, codes[1]))
	require.Regexp(t, `(?m)^1 +10$`, ended.stdout)
	require.NotContains(t, good(grace, "otp", "list").stdout, "active")
	fresh := good(ada, "otp", "recovery-codes", "--new").stdout
	require.NotContains(t, fresh, codes[2])
	require.Equal(t, 10, strings.Count(fresh, "\n"))
	require.Equal(t, 1, grace.run("otp", "reset", "ada", "--reason", "because I can, perhaps").code)
}
