package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

// The holder of the one-time token becomes the first administrator, is signed in, and enrols the first authenticator
// with the invitation. Without the token nobody can.
func TestBootstrap_makesTheFirstAdministratorAndSignsIn(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	passwordFile, _ := password(t)
	h := &home{t: t, dir: t.TempDir()}
	refused := func(want string, args ...string) {
		t.Helper()
		got := h.run(append([]string{"bootstrap", "--url", u.url, "--password-file", passwordFile}, args...)...)
		require.NotZero(t, got.code)
		require.Contains(t, got.sentenceOf(t), want)
		require.Empty(t, got.stdout)
	}
	token := filepath.Join(u.data, "kms", "bootstrap.token")
	refused("needs --username", "--token-file", token)
	refused("fountain up prints its path", "--username", "ada", "--token-file", filepath.Join(t.TempDir(), "none"))
	refused("401", "--username", "ada", "--token-file", write(t, "bt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))

	got := h.run("bootstrap", "--url", u.url, "--username", "ada", "--token-file", token, "--password-file", passwordFile)
	require.Zero(t, got.code, got.stderr)
	require.True(t, strings.HasPrefix(got.stdout, "in_"), "the invitation alone")
	require.Contains(t, got.stderr, "ada is an administrator, and signed in at "+u.url+".\nInvitation for your first authenticator (shown once;")
	require.Contains(t, h.run("whoami").stdout, "roles  admin")

	none := h.run("otp", "confirm", "--code-file", write(t, "000000"))
	require.Equal(t, 1, none.code)
	require.Contains(t, none.sentenceOf(t), "run fountain otp enrol")
	made := h.run("otp", "enrol", "--invitation-file", write(t, got.stdout), "--output", "json")
	require.Zero(t, made.code, made.stderr)
	code, err := totp.GenerateCode(field(t, made.stdout, "secret"), time.Now())
	require.NoError(t, err)
	confirmed := h.run("otp", "confirm", "--code-file", write(t, code))
	require.Zero(t, confirmed.code, confirmed.stderr)
	require.Contains(t, confirmed.stdout, field(t, made.stdout, "factorId")+"  active", "the one that waits")
}
