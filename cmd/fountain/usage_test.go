package main

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommands_answerAWrongCallWithOneSentence(t *testing.T) {
	for call, want := range map[string]string{
		"nonsense":                              `unknown command "nonsense"`,
		"up --nonsense":                         "unknown flag: --nonsense",
		"up --addr nonsense":                    "--addr must be HOST:PORT",
		"up --admin-addr :x:":                   "--admin-addr must be HOST:PORT",
		"up --log-level loud":                   "--log-level must be",
		"up --cors-origins app.example.org":     "CORS_ORIGINS: an origin must be",
		"up --cors-origins https://a.example/x": "CORS_ORIGINS: an origin must be",
		"up --trusted-proxies nonsense":         "--trusted-proxies must be CIDRs",
		"up --issuer nonsense":                  "ISSUER: must be an absolute",
		"up --access-log some":                  "--access-log",
		"up here":                               "takes no argument",
		"serve":                                 "takes one argument",
		"serve nonsense":                        `there is no service "nonsense"`,
		"serve gateway":                         "ISSUER: is required",
		"migrate nonsense":                      `there is no service "nonsense"`,
		"keygen":                                "takes one argument",
		"import":                                "takes one argument",
		"import x --batch 0":                    "--batch must be",
		"import x --scope a/b":                  "--scope must begin with",
		"import x --encoding koi8":              "--encoding must be one of utf-8",
		"import x --update --dry-run":           "cannot be combined with --update",
		"export":                                "takes one argument",
		"export a/b":                            "SCOPE must begin with",
		"elements list hamlet":                  "SCOPE/TYPE",
		"elements move hamlet/line":             "SCOPE/TYPE/ID",
		"sequence scopes x":                     "takes no argument",
		"changes":                               "takes one argument",
		"documents import plays":                "takes two arguments",
		"documents import plays f --restart=x":  "invalid argument",
		"documents exprt plays":                 "did you mean export",
		"collections grant plays":               "takes two arguments",
		"search":                                "takes a collection",
		"exprt x":                               "did you mean export",
		"passwd --code-file x":                  "unknown flag",
		"bootstrap --username Ada":              "in lower case",
		"login":                                 "needs --username",
		"demo --username ada":                   "needs --url",
		"demo --url http://h --username ada":    "go together",
		"healthcheck kms search":                "at most one argument",
		"healthcheck --timeout soon":            "invalid argument",
		"login --url ftp://h --username ada":    "http or https",
		"demo --bootstrap-token-file f":         "needs --url",
		"demo --url http://h --password-file f": "go together",
	} {
		got := run(t, strings.Fields(call)...)
		require.Equal(t, exitUsage, got.code, call)
		require.Contains(t, got.sentenceOf(t), want, call)
		require.Empty(t, got.stdout, call)
	}
}

func TestCommands_tellWhereNothingAnswers(t *testing.T) {
	file, _ := password(t)
	got := run(t, "login", "--url", "http://127.0.0.1:1", "--username", "ada", "--password-file", file)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "nothing answers at http://127.0.0.1:1: is fountain up running there?")
}

func TestServe_reportsEveryWrongSettingAtOnceWithoutItsValue(t *testing.T) {
	cmd := command(t, "serve", "kms", "--validate")
	cmd.Env = append(cmd.Env, "FOUNTAIN_KMS_DATA_DIR="+t.TempDir(), "FOUNTAIN_KMS_ISUER=hunter2", "FOUNTAIN_KMS_GRACE=hunter2")
	got := finish(t, cmd)
	require.Equal(t, exitUsage, got.code)
	said := got.sentenceOf(t)
	require.Contains(t, said, "did you mean FOUNTAIN_KMS_ISSUER?")
	require.Contains(t, said, "FOUNTAIN_KMS_GRACE: not a valid duration")
	require.NotContains(t, said, "hunter2")

	cmd = command(t, "serve", "kms", "--validate")
	cmd.Env = append(cmd.Env, "FOUNTAIN_KMS_DATA_DIR="+t.TempDir(), "FOUNTAIN_KMS_ISSUER=http://127.0.0.1:8002")
	got = finish(t, cmd)
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "the settings of kms are good\n", got.stdout)
}

// The settings of Redis belong to no single service, but are checked as strictly. Their values are secrets.
func TestServe_checksTheSettingsOfRedis(t *testing.T) {
	for said, setting := range map[string]string{
		"did you mean FOUNTAIN_REDIS_URL?": "FOUNTAIN_REDIS_URI=redis://:hunter2@cache",
		"FOUNTAIN_REDIS_URL: must be":      "FOUNTAIN_REDIS_URL=http://:hunter2@cache",
	} {
		for _, arguments := range [][]string{{"serve", "gateway", "--validate"}, {"serve", "kms", "--validate"}, {"up", "--data", t.TempDir()}} {
			cmd := command(t, arguments...)
			cmd.Env = append(cmd.Env, setting, "FOUNTAIN_KMS_DATA_DIR="+t.TempDir())
			got := finish(t, cmd)
			require.Equal(t, exitUsage, got.code)
			require.Contains(t, got.stderr, said)
			require.NotContains(t, got.stderr, "hunter2")
		}
	}
	cmd := command(t, "serve", "gateway", "--validate")
	cmd.Env = append(cmd.Env, "FOUNTAIN_GATEWAY_URL=redis://cache")
	require.Contains(t, finish(t, cmd).stderr, "FOUNTAIN_GATEWAY_URL: unknown setting", "they have one name")
}

// A name to which browsers bind no passkey is refused before anything is created.
func TestServe_checksTheSiteOfPasskeys(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, arguments := range [][]string{{"serve", "twofactor", "--validate"}, {"up", "--data", data}} {
		cmd := command(t, arguments...)
		cmd.Env = append(cmd.Env, "FOUNTAIN_TWOFACTOR_WEBAUTHN_RP_ID=10.0.0.1", "FOUNTAIN_TWOFACTOR_DATA_DIR="+t.TempDir())
		got := finish(t, cmd)
		require.Equal(t, exitUsage, got.code)
		require.Contains(t, got.stderr, "WEBAUTHN_RP_ID: is an IP address, for which browsers make no passkeys")
	}
	require.NoDirExists(t, data)
}

func TestKeygen_makesAKeyForItsOwnerAndNeverReplacesOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "root.key")
	got := run(t, "keygen", path)
	require.Zero(t, got.code, got.stderr)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	key, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, key, 32)
	require.NotContains(t, got.stdout, string(key))

	got = run(t, "keygen", path)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "replaced by a rotation alone")
	require.Zero(t, run(t, "keygen", "--keep", path).code)
	require.NoError(t, os.WriteFile(path+"2", []byte("no key"), 0o600))
	require.Equal(t, 1, run(t, "keygen", "--keep", path+"2").code, "what is kept is a root key")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, key, after)
}

func TestVersion_tellsTheRelease(t *testing.T) {
	got := run(t, "version")
	require.Zero(t, got.code)
	require.Contains(t, got.stdout, "fountain "+version)
}

func TestMigrate_bringsADatabaseUpToDate(t *testing.T) {
	data := t.TempDir()
	for range 2 {
		cmd := command(t, "migrate", "kms")
		cmd.Env = append(cmd.Env, "FOUNTAIN_KMS_DATA_DIR="+data)
		got := finish(t, cmd)
		require.Zero(t, got.code, got.stderr)
		require.Equal(t, "the database of kms is up to date\n", got.stdout)
	}
	require.FileExists(t, filepath.Join(data, "kms.db"))
	require.NoFileExists(t, filepath.Join(data, "root.key"), "migrating makes no key")
}

// A service that responds but is not ready is alive: its database may be unavailable, which is no reason to restart it.
func TestHealthcheck_aliveIsLessThanReady(t *testing.T) {
	well := true
	kms := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/kms/v1/health" || !well {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer kms.Close()
	ask := func(args ...string) result {
		cmd := command(t, append([]string{"healthcheck", "kms"}, args...)...)
		cmd.Env = append(cmd.Env, "FOUNTAIN_KMS_ADDR="+strings.TrimPrefix(kms.URL, "http://"))
		return finish(t, cmd)
	}
	require.Contains(t, ask().sentenceOf(t), "kms is not ready (503")
	require.Zero(t, ask("--alive").code)
	well = false
	require.Contains(t, ask("--alive").sentenceOf(t), "kms is not well (503")
}

func TestHealthcheck_asksTheServiceThatTheEnvironmentConfigures(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	addr := strings.TrimPrefix(u.url, "http://")
	for _, setting := range []string{"FOUNTAIN_ADDR=" + addr, "FOUNTAIN_GATEWAY_ADDR=" + addr} {
		cmd := command(t, "healthcheck")
		cmd.Env = append(cmd.Env, setting)
		got := finish(t, cmd)
		require.Zero(t, got.code, got.stderr)
	}
	require.Zero(t, u.term(t))
	cmd := command(t, "healthcheck", "gateway")
	cmd.Env = append(cmd.Env, "FOUNTAIN_GATEWAY_ADDR="+addr)
	got := finish(t, cmd)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "gateway does not answer")
}
