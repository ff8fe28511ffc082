package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

// If a role requires a second factor at sign-in, login asks for a code. An administrator who is locked out by the
// policy recovers on the machine.
func TestLogin_asksForASecondFactorWhereARoleDoes(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	u := startUp(t, data)
	file, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	h := &home{t: t, dir: t.TempDir()}
	good := func(args ...string) result {
		t.Helper()
		got := h.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got
	}
	login := []string{"login", "--url", u.url, "--username", "ada", "--password-file", file}
	good(login...)
	made := good("otp", "enrol", "--invitation-file", invitation, "--output", "json").stdout
	code, err := totp.GenerateCode(field(t, made, "secret"), time.Now())
	require.NoError(t, err)
	confirmed := good("otp", "confirm", "--code-file", write(t, code))
	var codes []string
	for _, line := range strings.Split(confirmed.stdout, "\n") {
		if strings.Count(line, "-") == 5 {
			codes = append(codes, line)
		}
	}
	require.Len(t, codes, 10)

	policy := []string{"permissions", "second-factor", "admin", "--required", "always"}
	require.Equal(t, 2, h.run("permissions", "second-factor", "admin").code, "what is required is said")
	require.Equal(t, 2, h.run("permissions", "second-factor", "admin", "--required", "always", "--factor", "pigeon").code)
	lockout := h.run(append(policy, "--factor", "sms", "--code-file", write(t, codes[0]))...)
	require.Equal(t, 1, lockout.code)
	require.Contains(t, lockout.sentenceOf(t), "would no longer accept the second factor")
	set := good(append(policy, "--factor", "totp,recovery_code", "--max-age", "12h")...)
	require.Regexp(t, `(?m)^admin +yes +always by recovery_code,totp for 12h `, set.stdout)

	ended := h.run("whoami")
	require.Equal(t, 1, ended.code, "the session that a password alone began ends with its refresh")
	none := h.run(login...)
	require.Equal(t, 1, none.code)
	require.Contains(t, none.sentenceOf(t), "no terminal to prompt on")
	wrong := h.run(append(login, "--code-file", write(t, "000000"))...)
	require.Equal(t, 1, wrong.code)
	require.NotContains(t, wrong.stderr, "000000")
	require.Equal(t, 1, h.run("whoami").code, "nothing is kept")
	require.Contains(t, good(append(login, "--code-file", write(t, codes[1]))...).stdout, "signed in")
	require.Contains(t, good("users", "list").stdout, "ada", "the code of the sign-in is recent enough for this")
}
