package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
)

// The trail is archived twice, sealed and plain, and verified with what it still holds: of the kms online, of another service by its database. What is missing between is named.
func TestAudit_isArchivedAndVerifiedAcrossTheSeams(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	u := startUp(t, data, "FOUNTAIN_AUDIT_KEEP=1ms")
	file, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	ada, offline := &home{t: t, dir: t.TempDir()}, &home{t: t, dir: t.TempDir()}
	good := func(h *home, args ...string) string {
		t.Helper()
		got := h.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got.stdout
	}
	good(ada, "login", "--url", u.url, "--username", "ada", "--password-file", file)
	made := good(ada, "otp", "enrol", "--output", "json", "--invitation-file", invitation)
	code, err := totp.GenerateCode(field(t, made, "secret"), time.Now())
	require.NoError(t, err)
	good(ada, "otp", "confirm", "--code-file", write(t, code))
	first := good(ada, "audit", "checkpoint", "--output", "json")
	public := field(t, first, "publicKey")

	dir, identity := filepath.Join(t.TempDir(), "archives"), filepath.Join(t.TempDir(), "archive.key")
	recipient := strings.TrimSpace(good(ada, "backup", "key", identity))
	soon := func() string { return time.Now().UTC().Format(time.RFC3339Nano) }
	require.Equal(t, 2, ada.run("audit", "archive", "--before", soon(), "--dir", dir).code, "sealed or plain has to be said")
	require.Equal(t, 2, ada.run("audit", "archive", "--before", "yesterday", "--dir", dir, "--plain").code)
	require.Contains(t, good(ada, "audit", "archive", "--before", "2020-01-01", "--dir", dir, "--plain"), "nothing to archive")
	require.Contains(t, good(ada, "audit", "archive", "--before", soon(), "--dir", dir, "--recipient", recipient, "--keep"), "nothing is removed")
	told := good(ada, "audit", "archive", "--before", soon(), "--dir", dir, "--recipient", recipient)
	require.Regexp(t, regexp.MustCompile(`no more in the trail, which begins with number \d+ now`), told, "it takes up the one that is there")
	require.Contains(t, good(ada, "audit", "archive", "--before", soon(), "--dir", dir, "--plain"), "no more in the trail")
	archives, err := filepath.Glob(filepath.Join(dir, "kms-*.ndjson*"))
	require.NoError(t, err)
	require.Len(t, archives, 4, "two, and their labels")
	for _, path := range archives {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
	}
	require.Regexp(t, `(?m)^yes `, good(ada, "audit", "verify"))

	live := filepath.Join(t.TempDir(), "live.ndjson")
	good(ada, "audit", "export", "--file", live)
	whole := []string{"audit", "verify", "--archives", dir, "--identity", identity, "--public-key", public}
	require.Regexp(t, `(?m)^yes `, good(offline, whole...))
	require.Regexp(t, `(?m)^yes `, good(offline, append(whole, "--file", live)...))
	require.Regexp(t, `(?m)^yes `, good(offline, append(whole, "--database", "--data", data)...))
	require.Regexp(t, `(?m)^yes `, good(offline, append(whole, "--database", "--data", data, "--checkpoint", write(t, first))...))
	forged := write(t, strings.Replace(first, `"service": "kms"`, `"service": "search"`, 1))
	refused := offline.run(append(whole, "--database", "--data", data, "--checkpoint", forged)...)
	require.Equal(t, 1, refused.code, "a checkpoint of archived events is compared, too")
	require.Contains(t, refused.sentenceOf(t), "not signed by this audit chain")
	require.Equal(t, 2, offline.run("audit", "verify", "--archives", dir, "--public-key", public).code, "the sealed one needs a key")
	plain, err := filepath.Glob(filepath.Join(dir, "kms-*.ndjson"))
	require.NoError(t, err)
	require.Len(t, plain, 1)
	require.NoError(t, os.Rename(plain[0], filepath.Join(t.TempDir(), "away")))
	got := offline.run(append(whole, "--file", live)...)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "does not begin where the one before ends")
	got = offline.run(append(whole, "--database", "--data", data)...)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "those between are missing")

	require.Zero(t, u.term(t))
}

// The trail of another service is archived from its database, up to what the kms has witnessed of it, and the service follows the order that it fetches from the kms.
func TestAudit_isArchivedForAnotherService(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	u := startUp(t, data, "FOUNTAIN_AUDIT_KEEP=1ms")
	file, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	ada, offline := &home{t: t, dir: t.TempDir()}, &home{t: t, dir: t.TempDir()}
	good := func(h *home, args ...string) string {
		t.Helper()
		got := h.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got.stdout
	}
	good(ada, "login", "--url", u.url, "--username", "ada", "--password-file", file)
	made := good(ada, "otp", "enrol", "--output", "json", "--invitation-file", invitation)
	code, err := totp.GenerateCode(field(t, made, "secret"), time.Now())
	require.NoError(t, err)
	recovery := regexp.MustCompile(`(?m)^\S+-\S+-\S+-\S+-\S+-\S+$`).FindString(good(ada, "otp", "confirm", "--code-file", write(t, code)))
	require.NotEmpty(t, recovery)
	require.Zero(t, u.term(t))

	u = startUp(t, data, "FOUNTAIN_AUDIT_KEEP=1ms") // at whose start the kms witnesses the trail
	good(ada, "login", "--url", u.url, "--username", "ada", "--password-file", file)
	good(ada, "audit", "checkpoint", "--code-file", write(t, recovery))
	dir, told := filepath.Join(t.TempDir(), "archives"), ""
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(told, "removes them from its trail"); {
		require.True(t, time.Now().Before(deadline), told)
		told = good(ada, "audit", "archive", "--service", "twofactor", "--data", data, "--before", time.Now().UTC().Format(time.RFC3339Nano), "--dir", dir, "--plain")
	}
	begins := func() int64 {
		db, err := openTrail(t.Context(), "twofactor", data)
		require.NoError(t, err)
		defer db.Close()
		from, err := audit.StoredFrom(t.Context(), db.Read(t.Context()))
		require.NoError(t, err)
		return from.Seq
	}
	require.Zero(t, u.term(t))
	u = startUp(t, data, "FOUNTAIN_AUDIT_KEEP=1ms") // it asks at its start, and every minute
	for deadline := time.Now().Add(2 * time.Minute); begins() == 0; time.Sleep(100 * time.Millisecond) {
		require.True(t, time.Now().Before(deadline), u.stderr.String())
	}
	own, err := os.ReadFile(filepath.Join(data, "twofactor", "twofactor.checkpoint"))
	require.NoError(t, err)
	report := good(offline, "audit", "verify", "--service", "twofactor", "--archives", dir, "--public-key", field(t, string(own), "publicKey"), "--database", "--data", data)
	require.Regexp(t, `(?m)^yes `, report)
	require.Zero(t, u.term(t))
}
