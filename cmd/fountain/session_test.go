package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/screenplay"
	"github.com/fountainai/fountain/tests/recorder"
)

// home runs commands as one user.
type home struct {
	t   *testing.T
	dir string
	env []string
}

func (h *home) run(args ...string) result {
	h.t.Helper()
	cmd := command(h.t, args...)
	cmd.Env = append(append(cmd.Env, "XDG_CONFIG_HOME="+h.dir), h.env...)
	return finish(h.t, cmd)
}

func TestLogin_keepsASessionForItsOwnerUntilLogout(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	u.bootstrap(t, pass)
	h := &home{t: t, dir: t.TempDir()}

	got := h.run("whoami", "--url", u.url)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "fountain login")

	wrong := filepath.Join(t.TempDir(), "wrong")
	require.NoError(t, os.WriteFile(wrong, []byte("not the lamp at all"), 0o600))
	got = h.run("login", "--url", u.url, "--username", "ada", "--password-file", wrong)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "the username or the password is wrong")
	require.NotContains(t, got.stderr, "not the lamp")

	got = h.run("login", "--url", u.url, "--username", "ada", "--password-file", file)
	require.Zero(t, got.code, got.stderr)
	kept := filepath.Join(h.dir, "fountain", "session.json")
	info, err := os.Stat(kept)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	raw, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.NotContains(t, string(raw), pass)

	var wg sync.WaitGroup
	for range 6 { // each uses the refresh token; under the lock none looks like a thief
		wg.Go(func() {
			got := h.run("whoami")
			require.Zero(t, got.code, got.stderr)
			require.Contains(t, got.stdout, "user ada (usr_")
			require.Contains(t, got.stdout, "roles  admin")
		})
	}
	wg.Wait()
	require.Zero(t, h.run("whoami").code)

	require.NoError(t, os.Chmod(kept, 0o644))
	got = h.run("whoami")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "can be read by others")
	require.NoError(t, os.Chmod(kept, 0o600))

	got = h.run("whoami", "--url", "http://127.0.0.1:1")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "you are signed in at "+u.url)

	got = h.run("whoami", "--url", strings.Replace(u.url, "localhost", "127.0.0.1", 1))
	require.Zero(t, got.code, "the same door by its other name: %s", got.stderr)

	require.Zero(t, h.run("logout").code)
	require.NoFileExists(t, kept)
	require.NoError(t, os.WriteFile(kept, raw, 0o600))
	got = h.run("whoami")
	require.Equal(t, 1, got.code, "the session is over at the kms too")
}

func TestWhoami_knowsAKeyForOneServiceAlone(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	_, pass := password(t)
	u.bootstrap(t, pass)
	c, err := fountain.New(u.url, fountain.WithUser("ada", pass), recorder.Option(t))
	require.NoError(t, err)
	key, err := c.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "import", Scopes: kms.Scopes{"elements:write"}})
	require.NoError(t, err)
	owner := key.APIKey.OwnerID
	h := &home{t: t, dir: t.TempDir(), env: []string{"FOUNTAIN_API_KEY=" + key.Key}}
	got := h.run("whoami", "--url", u.url)
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, owner)
	require.Contains(t, got.stdout, "scopes elements:write\n")

	h.env = []string{"FOUNTAIN_API_KEY=rubbish"}
	got = h.run("whoami", "--url", u.url)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "FOUNTAIN_API_KEY, FOUNTAIN_URL: this is not the text of an API key")
}

func TestImport_ofTheSameFileAgainChangesNothing(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	u.bootstrap(t, pass)
	h := &home{t: t, dir: t.TempDir()}
	require.Zero(t, h.run("login", "--url", u.url, "--username", "ada", "--password-file", file).code)

	play := filepath.Join(t.TempDir(), "play.fountain")
	require.NoError(t, os.WriteFile(play, []byte(screenplay.Demo()), 0o600))
	first := h.run("import", play)
	require.Zero(t, first.code, first.stderr)
	require.Contains(t, first.stdout, "into scope the-ledger-of-lowwater-light")
	require.Contains(t, first.stdout, "numbers 1 to")
	require.Contains(t, first.stderr, "the-ledger-of-lowwater-light: ")
	counts := first.stdout[:strings.LastIndex(first.stdout, "imported")]

	for _, batch := range []string{"250", "7", "1000"} {
		again := h.run("import", play, "--batch", batch)
		require.Zero(t, again.code, again.stderr)
		require.True(t, strings.HasPrefix(again.stdout, counts), again.stdout)
		require.Contains(t, again.stdout, "already there: all ")
	}

	other := filepath.Join(t.TempDir(), "other.fountain")
	require.NoError(t, os.WriteFile(other, []byte("Title: Another\n\nINT. ROOM - DAY\n\nNobody is here.\n"), 0o600))
	got := h.run("import", other, "--scope", "the-ledger-of-lowwater-light")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "has another text: line 1 is changed (script-1)")
	require.NoError(t, os.WriteFile(other, []byte("\n  \n"), 0o600))
	got = h.run("import", other)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "is empty")

	got = h.run("import", filepath.Join(t.TempDir(), "absent.fountain"))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "no such file")
}

func TestExport_givesAnUpdatedPlayBack(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	c, err := fountain.New(u.url, fountain.WithUser("ada", pass), recorder.Option(t))
	require.NoError(t, err)
	h := &home{t: t, dir: t.TempDir()}
	run := func(args ...string) result {
		t.Helper()
		got := h.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got
	}
	run("login", "--url", u.url, "--username", "ada", "--password-file", file)
	made := run("otp", "enrol", "--invitation-file", invitation, "--output", "json").stdout
	seed := field(t, made, "secret")
	run("otp", "confirm", field(t, made, "factorId"), "--code-file", write(t, stepBefore(t, seed)))
	play := filepath.Join(t.TempDir(), "play.fountain")
	put := func(text string) { require.NoError(t, os.WriteFile(play, []byte(text), 0o600)) }
	text := screenplay.Demo()
	put(text)
	run("import", play, "--scope", "play")
	require.Equal(t, screenplay.Normalise(text), run("export", "play").stdout)

	text = strings.Replace(text, "The one I skipped.", "The one that I skipped.", 1) // changed
	text = strings.Replace(text, "\nBRAM\n", "\n[[new]]\n\nILSE (O.S.) ^\nA new line.\n(sighs)\n\nBRAM\n", 1)
	cut := strings.LastIndex(strings.TrimSpace(text), "\n\n") // the last block is missing
	text = text[:cut+1]
	put(text)
	refused := h.run("import", play, "--scope", "play")
	require.Equal(t, 1, refused.code)
	require.Regexp(t, `has another text: line \d+ is new; in all 3 elements are new, 2 changed, 1 removed`, refused.sentenceOf(t))
	dry := run("import", play, "--scope", "play", "--dry-run")
	require.Contains(t, dry.stdout, "+ ILSE: A new line.")
	require.Contains(t, dry.stdout, "scope play: 3 new, 2 changed, 1 removed; nothing was stored")
	require.NotEqual(t, screenplay.Normalise(text), run("export", "play").stdout)

	updated := h.run("import", play, "--scope", "play", "--update")
	require.Equal(t, 1, updated.code)
	require.Contains(t, updated.stdout, "3 new, 2 changed, 1 removed")
	require.Contains(t, updated.stderr, "removed ones are not omitted yet, or the numbers do not follow the play yet")
	require.NotEqual(t, screenplay.Normalise(text), run("export", "play").stdout)
	code, err := totp.GenerateCode(seed, time.Now())
	require.NoError(t, err)
	require.Contains(t, run("import", play, "--scope", "play", "--update", "--code-file", write(t, code)).stdout, "got another number")
	out := filepath.Join(t.TempDir(), "out.fountain")
	exported := run("export", "play", "--out", out)
	require.Empty(t, exported.stderr)
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	require.Equal(t, screenplay.Normalise(text), string(got))
	require.Contains(t, run("import", play, "--scope", "play").stdout, "already there")

	next := int64(1)
	for e, err := range c.Sequence.Elements(t.Context(), "play", "spokenWord") {
		require.NoError(t, err)
		require.Equal(t, next, e.Number, "the numbers have no gap")
		next++
	}
	put(`<?xml version="1.0"?><FinalDraft><Content><Paragraph Type="Character"><Text>ADA</Text></Paragraph><Paragraph Type="Dialogue"><Text>Yes.</Text></Paragraph>` +
		`<Paragraph Type="Cast List"><Text>Nobody</Text></Paragraph></Content></FinalDraft>`)
	require.Contains(t, run("import", play, "--scope", "draft").stderr, `the type "Cast List" became action`)
	require.Equal(t, "ADA\nYes.\n\nNobody\n", run("export", "draft").stdout)
	put("Title: Caf\xe9\n\nHe goes.\n")
	require.Contains(t, run("import", play).stderr, "was read as windows-1252")
	require.Equal(t, "Title: Café\n\nHe goes.\n", run("export", "cafe").stdout)

	none := h.run("export", "nothing")
	require.Equal(t, 1, none.code)
	require.Contains(t, none.sentenceOf(t), "contains no play")
}
