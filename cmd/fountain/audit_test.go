package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/audit"
)

// What the kms tells of its trail is verified without it, by the public key alone; so is any service's database, while the service runs.
func TestAudit_isReadExportedAndVerifiedOffline(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	u := startUp(t, data)
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

	require.Regexp(t, `(?m)^\d+ .* bootstrapAdmin `, good("audit", "list", "--action", "bootstrapAdmin"))
	require.Equal(t, 2, ada.run("audit", "list", "--outcome", "perhaps").code)
	checkpoint := write(t, good("audit", "checkpoint", "--output", "json"))
	public := field(t, good("audit", "checkpoint", "--output", "json"), "publicKey")
	require.Regexp(t, `(?m)^yes `, good("audit", "verify", "--checkpoint", checkpoint))
	require.Regexp(t, `(?m)^yes +\d+`, good("audit", "verify", "--checkpoint", checkpoint, "--after"))
	require.Equal(t, 2, ada.run("audit", "verify", "--after").code)
	export := filepath.Join(t.TempDir(), "audit.ndjson")
	require.Contains(t, good("audit", "export", "--file", export), "wrote ")
	require.Equal(t, 1, ada.run("audit", "export", "--file", export).code, "it replaces nothing")

	offline := &home{t: t, dir: t.TempDir()} // signed in nowhere
	verify := func(args ...string) result { return offline.run(append([]string{"audit", "verify"}, args...)...) }
	got := verify("--file", export, "--public-key", public, "--checkpoint", checkpoint)
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, 2, verify("--file", export).code, "the key must be given")
	text, err := os.ReadFile(export)
	require.NoError(t, err)
	changed := write(t, strings.Replace(string(text), "bootstrapAdmin", "bootstrapOther", 1))
	broken := verify("--file", changed, "--public-key", public)
	require.Equal(t, 1, broken.code)
	require.Regexp(t, `line \d+: one of the events 1 to \d+ was changed: the checkpoint at the end has another hash`, broken.sentenceOf(t))
	lines := strings.SplitAfter(string(text), "\n")
	gone := verify("--file", write(t, lines[0]+lines[1]+strings.Join(lines[3:], "")), "--public-key", public)
	require.Equal(t, 1, gone.code)
	require.Contains(t, gone.sentenceOf(t), "line 3: event 2 is missing")

	got = verify("--service", "kms", "--data", data, "--public-key", public, "--checkpoint", checkpoint, "--output", "json")
	require.Zero(t, got.code, got.stderr)
	var report struct{ Intact bool }
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
	require.True(t, report.Intact)
	for _, word := range []string{"twofactor", "search", "sequence"} {
		own := filepath.Join(data, word, word+".checkpoint")
		known, err := os.ReadFile(own)
		require.NoError(t, err)
		got := verify("--service", word, "--data", data, "--public-key", field(t, string(known), "publicKey"), "--checkpoint", own)
		require.Zero(t, got.code, got.stderr)
		got = verify("--service", word, "--data", data, "--public-key", public, "--checkpoint", own)
		require.Equal(t, 1, got.code, "another's key")
	}
	require.Equal(t, 2, verify("--service", "gateway").code)
	require.Zero(t, u.term(t))
}

// Of two checkpoints that contradict each other both files are named.
func TestAuditVerify_namesTheFilesOfContradictingCheckpoints(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	file := func(hash byte, at time.Time) string {
		c := audit.Checkpoint{Service: "kms", Seq: 7, Hash: bytes.Repeat([]byte{hash}, 32), At: at, KeyID: audit.KeyName(public), PublicKey: public}
		c.Sign(private)
		text, err := json.Marshal(c)
		require.NoError(t, err)
		return write(t, string(text))
	}
	monday := time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)
	one, other := file(1, monday), file(2, monday.Add(time.Hour))
	got := run(t, "audit", "verify", "--file", write(t, ""), "--public-key", base64.StdEncoding.EncodeToString(public), "--checkpoint", one, "--checkpoint", other)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "two checkpoints contradict each other: "+one+" (signed 2026-11-30 09:00:00Z) and "+other+" (signed 2026-11-30 10:00:00Z) have different hashes of event 7 of kms")
}
