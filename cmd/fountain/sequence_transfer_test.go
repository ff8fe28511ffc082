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

func TestSequence_takesAScopeOutAndBringsItInFromTheCommandLine(t *testing.T) {
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
	seed := field(t, made, "secret")
	good("otp", "confirm", "--code-file", write(t, stepBefore(t, seed)))
	good("import", write(t, "INT. HALL - DAY\n\nADA\nWho's there?\n"), "--scope", "hall")

	out := filepath.Join(t.TempDir(), "hall.ndjson")
	good("sequence", "export", "hall", "--out", out)
	text, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, string(text), good("sequence", "export", "hall"))
	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	require.Regexp(t, `(?m)^hall-2 +imported +[1-9]`, good("sequence", "import", "hall-2", out, "--code-file", write(t, code)))
	require.Regexp(t, `(?m)^hall-2 +there before +[1-9]`, good("sequence", "import", "hall-2", out))
	require.Equal(t, 1, ada.run("sequence", "import", "hall", out).code, "it was not imported")
	damaged := write(t, strings.Replace(string(text), "there?", "where?", 1))
	require.Equal(t, 1, ada.run("sequence", "import", "hall-3", damaged).code)
	require.Equal(t, 1, ada.run("sequence", "scope", "hall-3").code, "nothing is left")
	require.Equal(t, 1, ada.run("sequence", "export", "hall-3", "--out", out+".3").code)
	require.NoFileExists(t, out+".3")
	require.NoFileExists(t, out+".3.part")
	require.Equal(t, 2, ada.run("sequence", "import", "hall").code)
	require.Regexp(t, `(?m)^hall-2 +[1-9]`, good("sequence", "reindex", "hall-2"))
	require.Equal(t, 1, ada.run("sequence", "reindex", "hall-3").code)
	require.Equal(t, 1, ada.run("elements", "format", "hall/invoice").code, "it has none")
	require.Regexp(t, `INV-20[0-9]{2}-00001$`, strings.TrimSpace(good("elements", "format", "hall/invoice", "--set", "--prefix", "INV-", "--padding", "5", "--resets", "year")))
	require.Contains(t, good("elements", "format", "hall/invoice"), "INV-")
	require.Zero(t, u.term(t))
}
