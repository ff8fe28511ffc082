package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// checkStory checks the story's output.
func checkStory(t *testing.T, got result) {
	t.Helper()
	require.Zero(t, got.code, got.stdout+got.stderr)
	for line := range strings.Lines(got.stdout) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), 80, line)
	}
	said := strings.Join(strings.Fields(got.stdout), " ")
	for _, want := range []string{
		"1. The family", "201 ilse", "409 bootstrap_closed", "401 authentication_required", "none missing, none twice", "parliament of herring",
		"412 precondition_failed", "401 insufficient_user_authentication", "200 2 numbers changed", "every step did what it said",
	} {
		require.Contains(t, said, want)
	}
}

func TestDemo_tellsTheWholeStoryInAFamilyOfItsOwn(t *testing.T) {
	cmd := command(t, "demo")
	temporary := t.TempDir()
	cmd.Env = append(cmd.Env, "TMPDIR="+temporary)
	checkStory(t, finish(t, cmd))
	left, err := os.ReadDir(temporary)
	require.NoError(t, err)
	left = slices.DeleteFunc(left, func(e os.DirEntry) bool { return e.Name() == "goimports" }) // of the generator's library, if it runs in a test
	require.Empty(t, left, "nothing of it is left")
}

func TestDemo_failsWithTheStepThatDidNotHappen(t *testing.T) {
	got := run(t, "demo", "--url", "http://127.0.0.1:1", "--username", "ada", "--password-file", writeFile(t, "never mind this"))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "step 1, The family: listGatewayServices")
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}
