package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain/history"
)

func TestSequence_isCheckedFromTheCommandLine(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	u.bootstrap(t, pass)
	ada := &home{t: t, dir: t.TempDir()}
	good := func(args ...string) string {
		t.Helper()
		got := ada.run(args...)
		require.Zero(t, got.code, "%v: %s%s", args, got.stdout, got.stderr)
		return got.stdout
	}
	good("login", "--url", u.url, "--username", "ada", "--password-file", file)
	kept := filepath.Join(t.TempDir(), "history.ndjson")
	said := good("sequence", "check", "mine", "--clients", "4", "--appends", "60", "--out", kept)
	require.Regexp(t, `(?m)^numbers 1\.\.N +6[0-9] +held$`, said)
	require.Regexp(t, `(?m)^search +6[0-9] +held$`, said)
	require.Regexp(t, `(?m)^change feed +[0-9]{2,3} +held$`, said)
	require.Regexp(t, `(?m)^formatted numbers +0 +-$`, said)
	require.Regexp(t, `scope mine: [0-9]{2,3} changes acknowledged, [0-9]+ refused, 0 without an answer`, said)
	require.Contains(t, said, "search had everything")
	require.Regexp(t, `scope check-[0-9]{8}-[a-z0-9]{8}: `, good("sequence", "check", "--clients", "1", "--appends", "3", "--search-within", "0"))

	// A scope of others is not written to, and its contents are checked as well.
	again := ada.run("sequence", "check", "mine")
	require.Equal(t, 1, again.code)
	require.Contains(t, again.sentenceOf(t), "has elements")
	require.Regexp(t, `(?m)^change feed +[0-9]{2,3} +held$`, good("sequence", "check", "mine", "--read-only"))
	require.Equal(t, 1, ada.run("sequence", "check", "nobody", "--read-only").code)
	require.Zero(t, u.term(t))

	// Offline.
	require.Regexp(t, `(?m)^numbers 1\.\.N +6[0-9] +held$`, good("sequence", "check", "--history", kept))
	text, err := os.ReadFile(kept)
	require.NoError(t, err)
	h, err := history.ReadFile(bytes.NewReader(text))
	require.NoError(t, err)
	h.Elements = h.Elements[:len(h.Elements)-1]
	var damaged bytes.Buffer
	require.NoError(t, history.Write(&damaged, h))
	require.NoError(t, os.WriteFile(kept, damaged.Bytes(), 0o600))
	got := ada.run("sequence", "check", "--history", kept)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stdout, "lost checked/")
	require.Regexp(t, `scope mine: [0-9]+ faults`, got.sentenceOf(t))
	require.NoError(t, os.WriteFile(kept, text[:len(text)/2], 0o600))
	require.Contains(t, ada.run("sequence", "check", "--history", kept).sentenceOf(t), "not a complete history")
	for call, want := range map[string]string{
		"sequence check --read-only":            "takes one argument",
		"sequence check a b":                    "takes one argument",
		"sequence check a/b":                    "SCOPE must begin with",
		"sequence check x --history " + kept:    "cannot be combined with a scope",
		"sequence check --clients 0":            "--clients must be",
		"sequence check --output xml --appends": "flag needs an argument",
	} {
		got := ada.run(strings.Fields(call)...)
		require.Equal(t, exitUsage, got.code, call)
		require.Contains(t, got.sentenceOf(t), want, call)
	}
}
