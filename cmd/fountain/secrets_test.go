package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"
)

func TestSecrets_areTurnedOverAndGivenToAProcess(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	ada := &home{t: t, dir: t.TempDir()}
	good := func(args ...string) string {
		t.Helper()
		got := ada.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got.stdout
	}
	good("login", "--url", u.url, "--username", "ada", "--password-file", file)
	made := good("otp", "enrol", "--output", "json", "--invitation-file", invitation)
	code, err := totp.GenerateCode(field(t, made, "secret"), time.Now())
	require.NoError(t, err)
	good("otp", "confirm", "--code-file", write(t, code))

	good("secrets", "put", "app.db", "--create", "--value-file", write(t, "first"))
	require.NotZero(t, ada.run("secrets", "put", "app.db", "--create", "--value-file", write(t, "again")).code)
	require.Equal(t, 2, ada.run("secrets", "put", "app.db", "--create", "--pending").code)
	good("secrets", "put", "app.db", "--pending", "--if-version", "1", "--value-file", write(t, "second"))
	require.Equal(t, "first\n", good("secrets", "get", "app.db"))
	require.Equal(t, "second\n", good("secrets", "get", "app.db", "--version", "pending"))
	good("secrets", "promote", "app.db", "pending", "--if-version", "1")
	require.Equal(t, "second\n", good("secrets", "get", "app.db"))
	require.Regexp(t, `(?m)^app\.db +2 +1 `, good("secrets", "list"))
	require.Equal(t, "2\n", good("secrets", "watch", "app.db", "--version", "1"))
	good("secrets", "delete", "app.db", "previous")
	good("secrets", "undelete", "app.db", "1")
	require.Regexp(t, `(?m)^1 .*older backups`, good("secrets", "destroy", "app.db", "1"))
	require.NotZero(t, ada.run("secrets", "get", "app.db", "--version", "1").code)
	require.Regexp(t, `(?m)^2 +current `, good("secrets", "versions", "app.db"))

	require.Equal(t, 1, ada.run("secrets", "rotate", "app.db").code, "it is not rotated")
	require.Equal(t, 2, ada.run("secrets", "rotation", "app.db", "--every", "720h").code)
	require.Regexp(t, `(?m)^random +720h .* idle `, good("secrets", "rotation", "app.db", "--set", "--every", "720h", "--length", "30"))
	require.Regexp(t, `(?m)^random +720h .* create `, good("secrets", "rotate", "app.db"))
	require.Equal(t, "3\n", good("secrets", "watch", "app.db", "--version", "2"))
	require.Regexp(t, `^[A-Za-z0-9_-]{30}\n$`, good("secrets", "get", "app.db"))
	good("secrets", "promote", "app.db", "previous")
	good("secrets", "rotation", "app.db")
	good("secrets", "rotation", "app.db", "--stop")

	out := filepath.Join(t.TempDir(), "out")
	got := ada.run("secrets", "run", "--env", "DB=app.db", "--file", "db=app.db", "--", "/bin/sh", "-c", `echo "$DB $(cat "$FOUNTAIN_SECRETS_DIR/db") ${FOUNTAIN_API_KEY-none}" > `+out+`; exit 7`)
	require.Equal(t, 7, got.code, got.stderr)
	raw, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "second second none\n", string(raw))
	for _, args := range [][]string{
		{"--env", "DB=app.db"}, {"--", "true"}, {"--env", "1=app.db", "--", "true"}, {"--env", "DB=", "--", "true"}, {"--file", "../x=app.db", "--", "true"},
		{"--env", "DB=app.db", "--env", "DB=app.tls", "--", "true"},
	} {
		require.Equal(t, 2, ada.run(append([]string{"secrets", "run"}, args...)...).code, "%v", args)
	}
	require.Equal(t, 1, ada.run("secrets", "run", "--env", "DB=app.other", "--", "true").code, "there is no such secret")

	require.Regexp(t, `(?m)^administrators +role:admin +\* +list read write delete destroy rotate `, good("secrets", "policies", "list"))
	require.Regexp(t, `(?m)^readers +role:reader +app +list read `, good("secrets", "policies", "put", "readers", "--role", "reader", "--path", "app", "--may", "read,list", "--create"))
	require.Regexp(t, `(?m)^readers +role:reader +app +list read `, good("secrets", "policies", "get", "readers"))
	require.Equal(t, 1, ada.run("secrets", "policies", "put", "readers", "--role", "reader", "--path", "app", "--may", "read", "--create").code)
	for _, args := range [][]string{{"--path", "app", "--may", "read"}, {"--role", "reader", "--service", "*", "--path", "app", "--may", "read"}, {"--role", "reader", "--path", "app"}, {"--role", "reader", "--path", "app", "--may", "look"}} {
		require.Equal(t, 2, ada.run(append([]string{"secrets", "policies", "put", "wrong"}, args...)...).code, "%v", args)
	}
	require.Regexp(t, `(?m)^app.db +role:reader +list read +secrets:read +readers`, good("secrets", "access", "app.db", "--role", "reader"))
	require.Regexp(t, `(?m)^other +role:reader +nothing `, good("secrets", "access", "other", "--role", "reader"))
	require.Contains(t, good("secrets", "access", "app.db"), "list read write delete destroy rotate")
	require.Equal(t, 2, ada.run("secrets", "access", "app.db", "--role", "reader", "--user", "x").code)
	good("secrets", "policies", "delete", "readers")
	requireRunOfAService(t, u.url, ada, good)

	require.Regexp(t, `(?m) EdDSA +active `, good("signing-keys", "list"))
	kid := field(t, good("signing-keys", "rotate", "--algorithm", "ES256", "--output", "json"), "kid")
	require.Equal(t, 2, ada.run("signing-keys", "rotate", "--algorithm", "RS256").code)
	require.Contains(t, good("signing-keys", "revoke", kid), kid)

	root := filepath.Join(u.data, "kms", "root.key")
	require.Regexp(t, `(?m)^root_[0-9a-f]{16} +idle +0 `, good("root-key", "status"))
	require.Equal(t, 1, ada.run("root-key", "rotate").code, "the file holds the key that seals already")
	written := good("keygen", "--replace", root)
	require.Equal(t, 1, ada.run("keygen", "--replace", root).code, "the one before may be needed")
	require.Equal(t, 1, ada.run("keygen", root).code)
	require.Contains(t, written, field(t, good("root-key", "rotate", "--output", "json"), "active"))
	require.Eventually(t, func() bool { return field(t, good("root-key", "status", "--output", "json"), "state") == "idle" }, 30*time.Second, 200*time.Millisecond)
	require.Equal(t, "second\n", good("secrets", "get", "app.db"))

	require.Equal(t, 1, ada.run("doctor", "report").code, "none is kept")
	require.Equal(t, 2, ada.run("doctor", "--keep", "--url", u.url).code, "there is no kms on this side of the door")
	kept := ada.run("doctor", "--quick", "--keep", "--data", u.data)
	require.Equal(t, exitWarned, kept.code, kept.stderr)
	require.Regexp(t, `(?m) WARNING +kms +backup +no backup was ever made with fountain backup +run fountain backup `, good("doctor", "report"))
	require.Regexp(t, `^ID +CREATED `, good("backup", "list"))
	archive := filepath.Join(t.TempDir(), "archive")
	good("backup", "--data", u.data, "--to", archive, "--recipient", strings.TrimSpace(good("backup", "key", filepath.Join(t.TempDir(), "key"))))
	require.Contains(t, good("backup", "list"), archive)

	good("keyrings", "create", "invoices", "--algorithm", "AES-256-GCM")
	require.Equal(t, 2, ada.run("keyrings", "create", "other", "--algorithm", "DES").code)
	plain := write(t, "plain text")
	sealed := write(t, good("keyrings", "encrypt", "invoices", "--file", plain, "--context", "row 7"))
	require.Regexp(t, `(?m)^invoices +AES-256-GCM +2 +1 `, good("keyrings", "rotate", "invoices"))
	again := write(t, good("keyrings", "rewrap", "invoices", "--file", sealed, "--context", "row 7"))
	require.Equal(t, "plain text\n", good("keyrings", "decrypt", "invoices", "--file", sealed, "--context", "row 7"))
	require.Regexp(t, `(?m)^invoices +AES-256-GCM +2 +2 `, good("keyrings", "update", "invoices", "--min-version", "2", "--service", "search"))
	require.Equal(t, 1, ada.run("keyrings", "decrypt", "invoices", "--file", sealed, "--context", "row 7").code)
	require.Equal(t, 1, ada.run("keyrings", "decrypt", "invoices", "--file", again, "--context", "row 8").code)
	require.Equal(t, 2, ada.run("keyrings", "decrypt", "invoices", "--file", plain).code, "no base64")
	require.Equal(t, "plain text\n", good("keyrings", "decrypt", "invoices", "--file", again, "--context", "row 7"))
	key := good("keyrings", "data-key", "invoices", "--output", "json")
	require.Equal(t, field(t, key, "plaintext")+"\n", good("keyrings", "unwrap", "invoices", "--file", write(t, field(t, key, "wrapped"))))
	good("keyrings", "create", "sums", "--algorithm", "HMAC-SHA256")
	mac := field(t, good("keyrings", "mac", "sums", "--file", plain, "--output", "json"), "mac")
	good("keyrings", "verify-mac", "sums", "--file", plain, "--mac", mac, "--key-version", "1")
	require.Equal(t, 1, ada.run("keyrings", "verify-mac", "sums", "--file", again, "--mac", mac, "--key-version", "1").code)
	require.Equal(t, 2, ada.run("keyrings", "verify-mac", "sums", "--file", plain, "--mac", mac).code, "no key is guessed")
	good("keyrings", "create", "signs", "--algorithm", "ES256")
	signature := field(t, good("keyrings", "sign", "signs", "--file", plain, "--output", "json"), "signature")
	good("keyrings", "verify", "signs", "--file", plain, "--signature", signature, "--key-version", "1")
	require.Equal(t, 1, ada.run("keyrings", "verify", "signs", "--file", again, "--signature", signature, "--key-version", "1").code)
	require.Contains(t, good("keyrings", "get", "signs", "--output", "json"), "publicKey")
	unconfirmed := ada.run("keyrings", "delete", "sums")
	require.Equal(t, 2, unconfirmed.code)
	require.Contains(t, unconfirmed.sentenceOf(t), "keyrings delete needs confirmation")
	good("keyrings", "mac", "sums", "--file", plain)
	good("keyrings", "delete", "sums", "--yes")
	require.Equal(t, 1, ada.run("keyrings", "mac", "sums", "--file", plain).code)
	good("keyrings", "restore", "sums")
	require.Regexp(t, `(?m)^sums +HMAC-SHA256 +1 +1 `, good("keyrings", "list"))
}

// requireRunOfAService does what the help of run says: a service gets a key, with which its process gets the secrets
// with its name and those that a policy allows.
func requireRunOfAService(t *testing.T, url string, ada *home, good func(args ...string) string) {
	t.Helper()
	good("services", "register", "app")
	key := []string{"keys", "create", "server", "--service", "app", "--scope", "secrets:read"}
	require.Equal(t, 1, ada.run(key...).code, "the service lacks the scope")
	good("services", "update", "app", "--scope", "secrets:read")
	app := &home{t: t, dir: t.TempDir(), env: []string{"FOUNTAIN_API_KEY=" + strings.TrimSpace(good(key...)), "FOUNTAIN_URL=" + url}}
	out := filepath.Join(t.TempDir(), "out")
	run := func(name string) result {
		return app.run("secrets", "run", "--env", "VALUE="+name, "--", "/bin/sh", "-c", `echo "$VALUE" > `+out)
	}
	got := run("app.db")
	require.Zero(t, got.code, got.stderr)
	raw, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "second\n", string(raw))
	good("secrets", "put", "shared.db", "--create", "--value-file", write(t, "shared"))
	require.Equal(t, 1, run("shared.db").code, "it is of another name")
	id := field(t, good("services", "get", "app", "--output", "json"), "id")
	good("secrets", "policies", "put", "app-reads", "--service", id, "--path", "shared.db", "--may", "read")
	for _, service := range []string{"app", id} {
		require.Regexp(t, `(?m)^shared.db +service:`+id+` +read `, good("secrets", "access", "shared.db", "--service", service))
	}
	require.Regexp(t, `(?m)^shared.db +user:usr_\w+ +list read `, good("secrets", "access", "shared.db", "--user", "ada"))
	none := ada.run("secrets", "access", "shared.db", "--service", "nobody")
	require.Equal(t, 1, none.code)
	require.Contains(t, none.sentenceOf(t), `there is no service "nobody"`)
	good("secrets", "policies", "put", "app-reads", "--service", "app", "--path", "shared.db", "--may", "read")
	got = run("shared.db")
	require.Zero(t, got.code, got.stderr)
	raw, err = os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, "shared\n", string(raw))
}
