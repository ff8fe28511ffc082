package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/recorder"
)

// authenticator enrols an authenticator with an invitation and returns its seed.
func authenticator(t *testing.T, c *fountain.Client, invitation string) string {
	t.Helper()
	enrolment, err := c.Twofactor.EnrolTotp(t.Context(), twofactor.TotpEnrol{Invitation: &invitation})
	require.NoError(t, err)
	_, err = c.Twofactor.ConfirmTotp(t.Context(), enrolment.FactorID, twofactor.TotpConfirm{Code: stepBefore(t, enrolment.Secret)})
	require.NoError(t, err)
	return enrolment.Secret
}

// stepBefore returns an authenticator's code of the previous time step, so that the current code stays unused. It is
// accepted until the current step ends. If less than ten seconds of the step are left, stepBefore waits for the next
// step, because the machine may be busy.
func stepBefore(t testing.TB, seed string) string {
	t.Helper()
	const step, enough = 30 * time.Second, 10 * time.Second
	now := time.Now()
	if end := now.Truncate(step).Add(step); end.Sub(now) < enough {
		time.Sleep(time.Until(end)) // the process uses the machine's clock
	}
	code, err := totp.GenerateCode(seed, time.Now().Add(-step))
	require.NoError(t, err)
	return code
}

func signedIn(t *testing.T, u *up, password string, seed *string) *fountain.Client {
	t.Helper()
	c, err := fountain.New(u.url, fountain.WithUser("ada", password), recorder.Option(t),
		fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) { return totp.GenerateCode(*seed, time.Now()) }))
	require.NoError(t, err)
	return c
}

// The only administrator has lost authenticator and password. Everything that was signed in before ends.
func TestRecover_bringsTheOnlyAdministratorBack(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	_, pass := password(t)
	seed := ""
	before := signedIn(t, u, pass, &seed)
	seed = authenticator(t, before, u.bootstrapInvited(t, pass))
	tokens, err := before.Token(t.Context(), "kms")
	require.NoError(t, err)

	got := finish(t, command(t, "recover", "factors", "ada", "--data", u.data))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "stop it first")
	require.Zero(t, u.term(t))

	got = finish(t, command(t, "recover", "factors", "eve", "--data", u.data))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "There is no such user.")
	got = finish(t, command(t, "recover", "factors", "ada", "--data", u.data))
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `event \d+ of the kms's audit log`, got.stderr)
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("another lamp in another window\n"), 0o600))
	got = finish(t, command(t, "recover", "password", "ada", "--data", u.data, "--password-file", file))
	require.Zero(t, got.code, got.stderr)
	invitation := strings.TrimSpace(got.stdout)
	require.NotContains(t, got.stderr+got.stdout, "another lamp")

	u = startUp(t, u.data)
	_, err = signedIn(t, u, pass, &seed).Token(t.Context(), "kms")
	require.ErrorIs(t, err, fountain.CodeInvalidCredentials, "the old password is gone")
	c := signedIn(t, u, "another lamp in another window", &seed)
	_, err = c.KMS.ListServices(t.Context(), nil, fountain.WithBearer(tokens))
	require.ErrorIs(t, err, fountain.ErrUnauthenticated, "the old session is over")
	require.Eventually(t, func() bool { // the signed record arrives through the revocation feed
		page, err := c.Twofactor.ListFactors(t.Context(), nil)
		return err == nil && len(page.Items) == 0
	}, 20*time.Second, 50*time.Millisecond, "the lost authenticator is void")
	_, err = c.Twofactor.EnrolTotp(t.Context(), twofactor.TotpEnrol{})
	require.ErrorIs(t, err, fountain.CodeInvitationRequired)
	seed = authenticator(t, c, invitation)
	_, err = c.KMS.ListServices(t.Context(), nil)
	require.NoError(t, err, "the new authenticator works, and is not voided with the old one")
}

func TestRecover_needsTheRootKeyThatSealedTheData(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	_, pass := password(t)
	u.bootstrap(t, pass)
	require.Zero(t, u.term(t))
	root := filepath.Join(u.data, "kms", "root.key")
	kept, err := os.ReadFile(root)
	require.NoError(t, err)
	require.NoError(t, os.Remove(root))
	require.Zero(t, finish(t, command(t, "keygen", root)).code)
	got := finish(t, command(t, "recover", "administrator", "ada", "--data", u.data))
	require.Equal(t, 1, got.code, "another root key is not enough")
	require.NoError(t, os.WriteFile(root, kept, 0o600))
	require.Zero(t, finish(t, command(t, "recover", "unlock", "ada", "--data", u.data)).code)
	inContainer := command(t, "recover", "enrolment-token", "twofactor", "--data", u.data)
	inContainer.Env = append(inContainer.Env, "FOUNTAIN_KMS_ADDR=127.0.0.1:0", "FOUNTAIN_KMS_ADMIN_ADDR=127.0.0.1:0", "FOUNTAIN_KMS_DRAIN_DELAY=1s") // as serve kms has it
	token := finish(t, inContainer)
	require.Zero(t, token.code, token.stderr)
	require.Regexp(t, `^et_[A-Za-z0-9_-]+\n$`, token.stdout)
	require.Zero(t, finish(t, command(t, "recover", "service", "search", "--data", u.data)).code)
	require.Equal(t, exitUsage, run(t, "recover", "enrolment-token", "search", "sequence", "--data", u.data).code, "two at once can't be told apart")
	require.Equal(t, exitUsage, run(t, "recover", "enrolment-token", "--into", t.TempDir(), "--data", u.data).code)
	got = finish(t, command(t, "recover", "unlock", "ada", "--data", t.TempDir()))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "there is no kms in")
}

// The database of the kms is lost and there is no backup. The other services say why they cannot continue, and start
// again with their own data.
func TestRecover_dataKeyAfterTheDatabaseOfTheKMSWasLost(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	_, pass := password(t)
	seed := ""
	c := signedIn(t, u, pass, &seed)
	seed = authenticator(t, c, u.bootstrapInvited(t, pass))
	_, err := c.Sequence.CreateElement(t.Context(), "play", "scene", sequence.ElementCreate{Data: sequence.Data(`{"title":"kept"}`)})
	require.NoError(t, err)
	got := finish(t, command(t, "recover", "data-key", "sequence", "--data", u.data))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "stop it first")
	require.Zero(t, u.term(t))
	lost, err := filepath.Glob(filepath.Join(u.data, "kms", "kms.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, lost)
	for _, file := range lost {
		require.NoError(t, os.Remove(file))
	}

	got = finish(t, command(t, "up", "--data", u.data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"))
	require.Equal(t, 1, got.code, "a start that can't work ends")
	require.Regexp(t, `this kms has not wrapped the service's data key.*fountain recover data-key (twofactor|search|sequence)`, got.stderr)

	require.Equal(t, 2, finish(t, command(t, "recover", "data-key", "gateway", "--data", u.data)).code)
	got = finish(t, command(t, "recover", "data-key", "search", "--data", t.TempDir()))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "there is no search in")
	for _, service := range []string{"twofactor", "search", "sequence"} {
		got = finish(t, command(t, "recover", "data-key", service, "--data", u.data))
		require.Zero(t, got.code, got.stderr)
	}
	u = startUp(t, u.data)
	c = signedIn(t, u, pass, &seed)
	seed = authenticator(t, c, u.bootstrapInvited(t, pass))
	page, err := c.Sequence.ListElements(t.Context(), "play", "scene", nil)
	require.NoError(t, err)
	require.Len(t, page.Items, 1, "what is the service's own is still there")
	_, err = c.KMS.ListServices(t.Context(), nil)
	require.NoError(t, err, "twofactor gives proofs again, with a new key")
}

// This command runs before every start of second instances. Each instance gets a token for itself alone, unless it
// already has a key.
func TestRecover_enrolmentTokensGoToInstancesThatHaveNoKey(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	require.Zero(t, u.term(t))
	second := t.TempDir()
	for _, word := range []string{"search", "sequence", "twofactor"} {
		require.NoError(t, os.Mkdir(filepath.Join(second, word), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(second, "twofactor", "credential.json"), []byte("{}"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(second, "twofactor", "enrolment.token"), []byte("used"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(second, "sequence", "enrolment.token"), []byte("expired"), 0o644))
	got := run(t, "recover", "enrolment-token", "--data", u.data, "--into", second, "search", "sequence", "twofactor")
	require.Zero(t, got.code, got.stderr)
	require.Empty(t, got.stdout, "the tokens are in the files alone")
	tokens := map[string]bool{}
	for _, word := range []string{"search", "sequence"} {
		file := filepath.Join(second, word, "enrolment.token")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Regexp(t, `^et_[A-Za-z0-9_-]+\n$`, string(text))
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.NotContains(t, got.stderr, strings.TrimSpace(string(text)))
		tokens[string(text)] = true
	}
	require.Len(t, tokens, 2)
	require.NoFileExists(t, filepath.Join(second, "twofactor", "enrolment.token"), "it has its key")
	require.Contains(t, got.stderr, "twofactor has its key already")

	none := run(t, "recover", "enrolment-token", "--data", u.data, "--into", second, "gateway")
	require.Equal(t, exitFailed, none.code)
	require.Contains(t, none.sentenceOf(t), "data directory of the instance")
}
