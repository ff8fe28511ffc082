package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

// TestSecrets_noneIsPrintedOrLogged runs the binary through everything that handles a secret, at the most verbose log
// level, and looks for each secret in its output.
func TestSecrets_noneIsPrintedOrLogged(t *testing.T) {
	ctx := context.Background()
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir, "--log-level", "debug")
	const password = "canary-password-7fd0"
	secrets := map[string]string{"password": password, "wrong password": "canary-wrong-7fd1", "secret": "canary-secret-7fd2"}

	token, err := os.ReadFile(filepath.Join(dir, "kms", "bootstrap.token"))
	require.NoError(t, err)
	secrets["bootstrap token"] = strings.TrimSpace(string(token))
	var seed string
	code := func() string {
		c, err := totp.GenerateCode(seed, time.Now())
		require.NoError(t, err)
		secrets["code"] = c
		return c
	}
	c, err := fountain.New(p.URL, recorder.Option(t), fountain.WithUser("ada", password), fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) { return code(), nil }))
	require.NoError(t, err)
	user, err := c.KMS.BootstrapAdmin(ctx, kms.AdminBootstrap{Token: secrets["bootstrap token"], Username: "ada", Password: password})
	require.NoError(t, err)
	_, err = c.KMS.LoginUser(ctx, kms.Login{Username: "ada", Password: secrets["wrong password"]}, fountain.WithoutAuth())
	require.ErrorIs(t, err, fountain.ErrUnauthenticated)
	secrets["access token"], err = c.Token(ctx, "kms")
	require.NoError(t, err)
	key, err := c.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "canary", OwnerKind: new(kms.APIKeyCreateOwnerKind("user")), OwnerID: new(user.ID), Scopes: []string{"elements:read"}})
	require.NoError(t, err)
	secrets["API key"] = key.Key
	require.NoError(t, apiKeyWorks(t, p, key.Key))

	secrets["invitation"] = user.Invitation.Token
	enrolment, err := c.Twofactor.EnrolTotp(ctx, twofactor.TotpEnrol{Invitation: &user.Invitation.Token})
	require.NoError(t, err)
	seed = enrolment.Secret
	secrets["TOTP seed"] = seed
	before := harness.StepBefore(t, seed)
	secrets["confirming code"] = before
	_, err = c.Twofactor.ConfirmTotp(ctx, enrolment.FactorID, twofactor.TotpConfirm{Code: before})
	require.NoError(t, err)
	_, err = c.KMS.PutSecret(ctx, "canary.secret", kms.SecretPut{Value: secrets["secret"]})
	require.NoError(t, err)

	root, err := os.ReadFile(filepath.Join(dir, "kms", "root.key"))
	require.NoError(t, err)
	secrets["root key"] = string(root)
	for _, word := range []string{"twofactor", "search", "sequence"} {
		for _, text := range credentialTexts(t, filepath.Join(dir, word, "credential.json")) {
			secrets["credential of "+word] = text
		}
	}
	p.Stop()
	for what, secret := range secrets {
		require.NotEmpty(t, secret, what)
		require.NotContains(t, p.Output(), secret, "the %s is printed", what)
	}
	require.Contains(t, p.Output(), "loginUser", "the log was talkative")
	checkStored(t, dir, secrets)
}

func apiKeyWorks(t *testing.T, p *harness.Process, key string) error {
	c, err := fountain.New(p.URL, recorder.Option(t), fountain.WithAPIKey(key))
	if err != nil {
		return err
	}
	_, err = c.Sequence.ListElements(context.Background(), "nothing", "line", &sequence.ListElementsParams{})
	if fountainErr := new(fountain.Error); err != nil && !errors.As(err, &fountainErr) {
		return err
	}
	return nil
}

// credentialTexts returns every API key in a credential file.
func credentialTexts(t *testing.T, path string) []string {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, json.Valid(raw))
	keys := regexp.MustCompile(`fk_live_[0-9A-Za-z_]+`).FindAllString(string(raw), -1)
	require.NotEmpty(t, keys)
	return keys
}

// checkStored requires that no database file contains a secret in plaintext. Only the files whose purpose is to hold a
// secret may contain one.
func checkStored(t *testing.T, dir string, secrets map[string]string) {
	t.Helper()
	allowed := map[string]bool{"credential.json": true, "root.key": true}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || allowed[d.Name()] {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for what, secret := range secrets {
			if len(secret) > 8 { // six digits occur in a database by chance
				require.NotContains(t, string(content), secret, "the %s stands in %s", what, d.Name())
			}
		}
		return nil
	}))
}

// TestSecrets_theRepositoryHoldsNone searches every tracked file for text in the form of a credential.
func TestSecrets_theRepositoryHoldsNone(t *testing.T) {
	harness.Own(t, "it asks no family")
	list, err := exec.Command("git", "-C", "../..", "ls-files", "-z").Output()
	require.NoError(t, err)
	forms := map[string]*regexp.Regexp{
		"an API key":              regexp.MustCompile(`fk_live_[0-9A-HJKMNP-TV-Z]{26}_[0-9A-Za-z]{49}`),
		"a private key":           regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=]{20}`),
		"a default password":      regexp.MustCompile(`(?i)(default|fallback)[a-z_]*(password|secret|token|apikey)[a-z_]*\s*[:=]+\s*["'][^"']+["']`),
		"a known default":         regexp.MustCompile(`(?i)["'=: ](changeme|supersecret(key)?|your_super_secret_key|password123|hunter2)["'\s]`),
		"an environment's secret": regexp.MustCompile(`(?m)^\s*[A-Z_]*(PASSWORD|SECRET|API_KEY|TOKEN)\s*[:=]\s*[^\s$"'{<][^\s]{5,}`),
	}
	for _, name := range strings.Split(strings.TrimRight(string(list), "\x00"), "\x00") {
		if strings.HasSuffix(name, "secrets_test.go") || strings.HasSuffix(name, ".js") {
			continue // these very patterns; Swagger UI's minified bundle
		}
		if strings.HasPrefix(name, "tests/upgrade/testdata/") {
			continue // a recorded family that runs only in its own test: its keys are valid nowhere else
		}
		content, err := os.ReadFile(filepath.Join("../..", name))
		if os.IsNotExist(err) {
			continue // removed, not yet committed
		}
		require.NoError(t, err)
		for what, form := range forms {
			if strings.HasSuffix(name, "_test.go") && (what == "a known default" || what == "an API key") {
				continue // tests may contain examples of bad passwords and false keys
			}
			require.Empty(t, form.FindString(string(content)), "%s holds %s", name, what)
		}
	}
}
