package main

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

// A family that started as localhost gets its real name, and nobody has to sign in again.
func TestIssuer_movesToAnotherName(t *testing.T) {
	const name = "https://fountain.example.org"
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	_, pass := password(t)
	u.bootstrap(t, pass)
	status, tokens := login(t, u, "ada", pass)
	require.Equal(t, http.StatusOK, status)
	got := run(t, "issuer", "move", name, "--data", u.data)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "stop it first")
	require.Zero(t, u.term(t))

	got = run(t, "up", "--data", u.data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0", "--issuer", name)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "fountain issuer move "+name, "the failing start names the way out")
	for _, wrong := range []string{"fountain.example.org", name + "/", name + "?a=b", "ftp://fountain.example.org"} {
		got = run(t, "issuer", "move", wrong, "--data", u.data)
		require.Equal(t, 1, got.code, wrong)
	}
	require.Contains(t, run(t, "issuer", "move", name, "--data", t.TempDir()).sentenceOf(t), "there is no kms in")
	got = run(t, "issuer", "move", name, "--data", u.data)
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `the issuer was http://localhost:\d+ and is `+name+`; it is event \d+ of`, got.stdout)
	require.Contains(t, run(t, "issuer", "move", name, "--data", u.data).stdout, "already")

	again := startUp(t, u.data)
	c := anybody(t, again)
	metadata, err := c.KMS.GetServerMetadata(t.Context())
	require.NoError(t, err)
	require.Equal(t, name, metadata.Issuer)
	_, err = c.Sequence.ListElements(t.Context(), "play", "line", nil, fountain.WithBearer(tokens.AccessToken))
	require.ErrorIs(t, err, fountain.ErrUnauthenticated, "a token of the old name")
	fresh, err := c.KMS.RefreshToken(t.Context(), kms.Refresh{RefreshToken: *tokens.RefreshToken})
	require.NoError(t, err, "the session goes on")
	who, err := readClaims(fresh.AccessToken)
	require.NoError(t, err)
	require.Equal(t, metadata.Issuer, name)
	require.NotEmpty(t, who.Subject)
	_, err = c.Sequence.ListElements(t.Context(), "nothing", "line", nil, fountain.WithBearer(fresh.AccessToken))
	require.NotErrorIs(t, err, fountain.ErrUnauthenticated, "a token of the new name")
}
