package main

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/tests/recorder"
)

func TestUp_isReadyDrainsAndGoesOnWhereItStopped(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	u := startUp(t, data)
	token := filepath.Join(data, "kms", "bootstrap.token")
	info, err := os.Stat(token)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.Contains(t, u.stderr.String(), token)
	require.Contains(t, u.stderr.String(), u.url+"/docs")
	require.Contains(t, u.stderr.String(), u.url+"/twofactor/v1/enroll")
	require.Regexp(t, `^http://localhost:\d+$`, u.url, "passkeys belong to names")
	secret, err := os.ReadFile(token)
	require.NoError(t, err)
	require.NotContains(t, u.stderr.String()+u.stdout.String(), string(bytes.TrimSpace(secret)), "only the path is printed")
	_, pass := password(t)
	u.bootstrap(t, pass)
	require.Zero(t, u.term(t))

	again := startUp(t, data)
	require.NotContains(t, again.stderr.String(), "bootstrap.token")
	c, err := fountain.New(again.url, fountain.WithUser("ada", pass), recorder.Option(t))
	require.NoError(t, err)
	_, err = c.Token(t.Context(), "kms")
	require.NoError(t, err)
	metadata, err := c.KMS.GetServerMetadata(t.Context())
	require.NoError(t, err)
	require.Equal(t, u.url, metadata.Issuer, "the issuer is that of the first start")
	require.Contains(t, metadata.TokenEndpoint, again.url, "and the addresses are those of this one")
	require.Zero(t, again.term(t))
}

func TestUp_adminPortShowsServicesAndMetrics(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	admin := regexp.MustCompile(`(http://\S+)/services`).FindStringSubmatch(u.stderr.String())
	require.Len(t, admin, 2)
	for path, want := range map[string]string{"/services": `"word":"sequence"`, "/metrics": `service="gateway"`, "/ready": `"ready":true`} {
		resp, err := http.Get(admin[1] + path)
		require.NoError(t, err)
		var body bytes.Buffer
		_, err = body.ReadFrom(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
		require.Contains(t, body.String(), want, path)
	}
}

func TestUp_onATakenPortSaysSoAndTouchesNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	data := filepath.Join(t.TempDir(), "data")
	for _, flags := range [][]string{{"--addr", taken.Addr().String(), "--admin-addr", "127.0.0.1:0"}, {"--addr", "127.0.0.1:0", "--admin-addr", taken.Addr().String()}} {
		got := run(t, append([]string{"up", "--data", data}, flags...)...)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.sentenceOf(t), taken.Addr().String()+" is taken")
		require.NoDirExists(t, data)
	}
}

func TestUp_onADirectoryThatCannotBeUsedSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	got := run(t, "up", "--data", filepath.Join(file, "data"), "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "data directory "+file)

	open := filepath.Join(t.TempDir(), "open")
	require.NoError(t, os.Mkdir(open, 0o700))
	require.NoError(t, os.Chmod(open, 0o777))
	got = run(t, "up", "--data", open, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "can be written by others (mode 0777): chmod 700 it")

	if os.Geteuid() != 0 { // root may write anywhere
		closed := filepath.Join(t.TempDir(), "closed")
		require.NoError(t, os.Mkdir(closed, 0o500))
		got = run(t, "up", "--data", closed, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		require.Equal(t, 1, got.code)
		require.Contains(t, got.sentenceOf(t), "right to write")
	}
}

func TestUp_onALockedDirectorySaysSoAndLeavesTheOtherAlone(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	got := run(t, "up", "--data", u.data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "another process uses the data directory")
	require.Zero(t, u.term(t))
}

func TestUp_withAnotherOrNoRootKeySaysSoAndChangesNothing(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	require.Zero(t, u.term(t))
	root := filepath.Join(u.data, "kms", "root.key")
	key := make([]byte, 32)
	_, err := rand.Read(key)
	require.NoError(t, err)
	for name, change := range map[string]func() error{
		"another": func() error { return os.WriteFile(root, key, 0o600) },
		"none":    func() error { return os.Remove(root) },
	} {
		right, err := os.ReadFile(root)
		require.NoError(t, err)
		require.NoError(t, change())
		before := contents(t, u.data)
		got := run(t, "up", "--data", u.data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		require.Equal(t, 1, got.code, name)
		require.Contains(t, got.sentenceOf(t), "root key", name)
		require.Equal(t, before, contents(t, u.data), name)
		require.NoError(t, os.WriteFile(root, right, 0o600))
	}
	require.Zero(t, startUp(t, u.data).term(t), "with its own key it starts again")
}

// The way back from an upgrade: before it changes anything, an older release says that it cannot open what a newer one
// has changed, whichever database that is.
func TestUp_refusesDataOfANewerReleaseAndTouchesNothing(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	require.Zero(t, u.term(t))
	for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
		changeDatabase(word, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (88888, 1)")(t, u.data)
		before := contents(t, u.data)
		got := run(t, "up", "--data", u.data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		require.Equal(t, 1, got.code, word)
		require.Contains(t, got.sentenceOf(t), word+": database was migrated by a newer release")
		require.Contains(t, got.stderr, "nothing was changed")
		require.Equal(t, before, contents(t, u.data), word)
		changeDatabase(word, "DELETE FROM goose_db_version WHERE version_id = 88888")(t, u.data)
	}
	require.NoError(t, os.Mkdir(filepath.Join(u.data, "sequence", ".restore"), 0o700))
	got := run(t, "up", "--data", u.data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "a restore was not finished")
	require.NoError(t, os.Remove(filepath.Join(u.data, "sequence", ".restore")))
	require.Zero(t, startUp(t, u.data).term(t), "and without it everything works")
}

// contents returns every file in a directory with its bytes.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		out[path] = string(raw)
		return err
	}))
	return out
}

// The first start creates keys and exchanges tokens that work once. Whenever it is killed, the next start must succeed.
func TestUp_killedDuringItsFirstStartIsReadyTheNextTime(t *testing.T) {
	for _, after := range []time.Duration{150, 220, 300, 400} {
		data := filepath.Join(t.TempDir(), "data")
		cmd := command(t, "up", "--data", data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
		require.NoError(t, cmd.Start())
		time.Sleep(after * time.Millisecond) // the point of the kill varies on purpose
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait() // it was killed
		require.Zero(t, startUp(t, data).term(t), "killed after %d ms", after)
	}
}

func TestBootstrapToken_isReissuedByTheRunningKms(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	path := filepath.Join(u.data, "kms", "bootstrap.token")
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	got := run(t, "bootstrap-token", "--data", u.data)
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, path+"\n", got.stdout, "its path, not the token")
	fresh, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotEqual(t, string(old), string(fresh))

	cmd := command(t, "bootstrap-token", "--show")
	cmd.Env = append(cmd.Env, "FOUNTAIN_KMS_DATA_DIR="+filepath.Join(u.data, "kms"))
	got = finish(t, cmd)
	require.Zero(t, got.code, got.stderr)
	shown, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(shown), got.stdout)
	require.NotEqual(t, string(fresh), string(shown))

	require.Zero(t, u.term(t))
	got = run(t, "bootstrap-token", "--data", u.data, "--wait", "100ms")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "the kms does not run")
	got = run(t, "bootstrap-token", "--data", t.TempDir())
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "there is no kms in")
}

// Every table of every service has a limit that the documentation names, and a metric.
func TestUp_tellsTheRowsOfEveryTable(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	admin := regexp.MustCompile(`metrics, pprof +(http://\S+?)/services`).FindStringSubmatch(u.stderr.String() + u.stdout.String())
	require.NotNil(t, admin)
	answer, err := http.Get(admin[1] + "/metrics")
	require.NoError(t, err)
	defer answer.Body.Close()
	metrics, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	var told, there []string
	for _, found := range regexp.MustCompile(`fountain_table_rows\{service="(\w+)",table="(\w+)"\} \d`).FindAllStringSubmatch(string(metrics), -1) {
		told = append(told, found[1]+" "+found[2])
	}
	require.Zero(t, u.term(t))
	docs, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	for _, service := range []string{"kms", "twofactor", "search", "sequence"} {
		db, err := sql.Open("sqlite", filepath.Join(u.data, service, service+".db"))
		require.NoError(t, err)
		rows, err := db.Query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%goose%'")
		require.NoError(t, err)
		for rows.Next() {
			var name string
			require.NoError(t, rows.Scan(&name))
			there = append(there, service+" "+name)
			require.Contains(t, string(docs), "| `"+name+"` |")
		}
		require.NoError(t, errors.Join(rows.Err(), rows.Close(), db.Close()))
	}
	slices.Sort(told)
	slices.Sort(there)
	require.Equal(t, there, told)
}

// The settings of serve kms say where rotations of secrets may reach.
func TestUp_takesTheSettingsOfRotations(t *testing.T) {
	wrong := command(t, "up", "--data", filepath.Join(t.TempDir(), "data"), "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	wrong.Env = append(wrong.Env, "FOUNTAIN_KMS_ROTATION_ALLOW=10.0.0.0/8:eighty")
	got := finish(t, wrong)
	require.Equal(t, 2, got.code)
	require.Contains(t, got.sentenceOf(t), "FOUNTAIN_KMS_")
	require.Contains(t, got.sentenceOf(t), "ROTATION_ALLOW")
}

// The settings of adopted services are those of serve gateway: a directory of contracts, allowed upstreams besides
// loopback ones, an origin.
func TestUp_takesTheSettingsOfAdoptedServices(t *testing.T) {
	wrong := command(t, "up", "--data", filepath.Join(t.TempDir(), "data"), "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	wrong.Env = append(wrong.Env, "FOUNTAIN_GATEWAY_UPSTREAM_ALLOW=10.0.0.0/8:eighty")
	got := finish(t, wrong)
	require.Equal(t, 2, got.code)
	require.Contains(t, got.sentenceOf(t), "FOUNTAIN_GATEWAY_")
	require.Contains(t, got.sentenceOf(t), "UPSTREAM_ALLOW")

	dir := t.TempDir()
	for name, upstream := range map[string]string{"near": notesService(t).URL, "far": "http://10.0.0.1:80", "farther": "http://10.0.0.1:81"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "api.yaml"), []byte(notesDocument), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name, "member.yaml"), []byte("contract: api.yaml\nupstreams: ["+upstream+"]\npublic: [getStatus]\n"), 0o600))
	}
	u := startUp(t, filepath.Join(t.TempDir(), "data"), "FOUNTAIN_GATEWAY_CONTRACTS_DIR="+dir, "FOUNTAIN_GATEWAY_UPSTREAM_ALLOW=10.0.0.0/8:80",
		"FOUNTAIN_GATEWAY_MEMBERS_ORIGIN=http://apps.example.org")
	require.NoError(t, u.cmd.Process.Signal(syscall.SIGHUP), "it reads the directory, and does not end")
	near := func(host string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.url+"/near/v1/status", nil)
		require.NoError(t, err)
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	require.Eventually(t, func() bool { return near("apps.example.org") == 204 }, 10*time.Second, 20*time.Millisecond)
	require.Equal(t, 421, near("localhost"), "the family's origin is not theirs")
	client, err := fountain.New(u.url)
	require.NoError(t, err)
	services, err := client.Gateway.ListGatewayServices(t.Context())
	require.NoError(t, err)
	var names []string
	for _, s := range services.Items {
		if s.Adopted {
			names = append(names, s.Name)
		}
	}
	require.Equal(t, []string{"far", "near"}, names)
	require.Len(t, *services.Refused, 1)
	require.Equal(t, "farther", (*services.Refused)[0].Name)
}

// A setting of fountain serve that up ignores is named, without its value. Those that it uses are not.
func TestUntaken_namesSettingsThatHoldNothing(t *testing.T) {
	require.Equal(t, []string{"FOUNTAIN_KMS_SIGNING_KEY_LIFE", "FOUNTAIN_SEQUENCE_LOG_LEVEL", "FOUNTAIN_TWOFACTOR_SMPT_HOST"}, ignoredSettings([]string{
		"FOUNTAIN_SEQUENCE_LOG_LEVEL=debug", "FOUNTAIN_KMS_SIGNING_KEY_LIFE=24h", "FOUNTAIN_TWOFACTOR_SMPT_HOST=mail", "FOUNTAIN_DATA=d", "FOUNTAIN_REDIS_URL=redis://r", "PATH=/bin",
		"FOUNTAIN_TWOFACTOR_SMTP_HOST=mail", "FOUNTAIN_TWOFACTOR_WEBAUTHN_ID=x", "FOUNTAIN_TWOFACTOR_STEP_UP_CHANNELS=sms", "FOUNTAIN_GATEWAY_UPSTREAM_ALLOW=10.0.0.0/8:80",
		"FOUNTAIN_SEARCH_ENGINE_URL=http://t", "FOUNTAIN_KMS_ROTATION_ALLOW=h:1",
	}))
	require.Empty(t, ignoredSettings(nil))
}
