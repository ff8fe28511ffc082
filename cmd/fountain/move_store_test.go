package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
)

// keeping are the services that have a database.
var keeping = []string{"kms", "twofactor", "search", "sequence"}

// apart starts the services of a data directory as processes of their own, with further settings, and returns how to end them.
func apart(t *testing.T, data, issuer string, settings []string) (u *up, stop func()) {
	t.Helper()
	addr := map[string]string{}
	words := append([]string{"gateway"}, keeping...)
	for _, word := range words {
		addr[word] = servicetest.FreeAddress(t)
	}
	var all []*service
	for _, word := range words {
		own := map[string]string{
			"ADDR": addr[word], "ADMIN_ADDR": "127.0.0.1:0", "DATA_DIR": filepath.Join(data, word), "ISSUER": issuer, "DRAIN_DELAY": "10ms", "LOG_LEVEL": "warn",
			"JWKS_URL": "http://" + addr["kms"] + "/kms/v1/.well-known/jwks.json", "KMS_URL": "http://" + addr["kms"],
			"ENROL_TOKEN_FILE": filepath.Join(data, "enrol", word, "token"),
		}
		switch word {
		case "kms":
			own["ENROL_DIR"] = filepath.Join(data, "enrol")
		case "sequence":
			own["SEARCH_URL"] = "http://" + addr["search"]
		case "gateway":
			own["TWOFACTOR_URL"], own["SEARCH_URL"], own["SEQUENCE_URL"] = "http://"+addr["twofactor"], "http://"+addr["search"], "http://"+addr["sequence"]
		}
		prefix := "FOUNTAIN_" + strings.ToUpper(word) + "_"
		for _, s := range settings {
			if name, value, _ := strings.Cut(s, "="); strings.HasPrefix(name, prefix) {
				own[strings.TrimPrefix(name, prefix)] = value
			}
		}
		all = append(all, serve(t, word, own))
	}
	for _, s := range all {
		s.awaitReady(t)
	}
	return &up{data: data, url: "http://" + addr["gateway"]}, func() {
		for _, s := range all {
			require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
			select {
			case <-s.ended:
			case <-time.After(time.Minute):
				t.Fatalf("%s did not end within a minute of SIGTERM", s.word)
			}
			require.NotContains(t, s.stderr.String(), "audit chain is not valid", "the audit trail that was moved is valid")
		}
	}
}

// block is the shell text of docs/operations.md, Another database, that has the given words.
func block(t *testing.T, words string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Another database\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for i, part := range strings.Split(section, "```sh\n") {
		if code, _, closed := strings.Cut(part, "```"); i > 0 && closed && strings.Contains(code, words) {
			return code
		}
	}
	t.Fatalf("the section has no block with %q", words)
	return ""
}

// shell runs what the page says, with the files and the family of this test, which starts and stops the family itself.
func shell(t *testing.T, dir, data, code string) result {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(bin, "fountain"), []byte("#!/bin/sh\nexec env "+asMain+"=1 "+self+" \"$@\"\n"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "systemctl"), []byte("#!/bin/sh\n"), 0o755))
	cmd := exec.Command("sh", "-e", "-c", strings.NewReplacer("/etc/fountain/", dir+"/", "/var/lib/fountain/", data+"/").Replace(code))
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TMPDIR=" + t.TempDir(), "FOUNTAIN_DATA=" + data}
	return finish(t, cmd)
}

// kept is what goes on working at the next place: nothing ends by a move.
func (p *past) kept(t *testing.T, u *up, elements int) {
	t.Helper()
	ctx := t.Context()
	c := anybody(t, u, fountain.WithUser("ada", p.pass))
	_, err := c.Sequence.ListElements(ctx, "play", "line", nil, fountain.WithBearer(p.access))
	require.NoError(t, err, "access tokens of before")
	_, err = anybody(t, u, fountain.WithAPIKey(p.key)).Sequence.ListElements(ctx, "play", "line", nil)
	require.NoError(t, err, "API keys")
	fresh, err := c.KMS.RefreshToken(ctx, kms.Refresh{RefreshToken: p.refresh})
	require.NoError(t, err, "sessions")
	p.refresh = *fresh.RefreshToken
	status, _ := login(t, u, "grace", p.gracePass)
	require.Equal(t, 200, status)
	all, err := fountain.Collect(c.Sequence.Elements(ctx, "play", "line"))
	require.NoError(t, err)
	require.Len(t, all, elements)
	made, err := c.Sequence.CreateElement(ctx, "play", "line", sequence.ElementCreate{Data: sequence.Data(`{"text":"a lamp at the next place"}`)})
	require.NoError(t, err)
	require.EqualValues(t, elements+1, made.Number, "numbers go on")
	changes, err := fountain.Collect(c.Sequence.Changes(ctx, "play", &p.place))
	require.NoError(t, err)
	require.Len(t, changes, 1, "who follows the changes goes on where it was")
	require.Eventually(t, func() bool {
		found, err := c.Sequence.SearchElements(ctx, "play", sequence.ElementSearch{Q: "lamp"})
		return err == nil && int(found.Found) == elements+1
	}, time.Minute, 50*time.Millisecond, "the elements are found")
	found, err := c.Search.SearchDocuments(ctx, "plays", search.DocumentSearch{Q: "ghost", QueryBy: []string{"text"}})
	require.NoError(t, err)
	require.EqualValues(t, 1, found.Found)
}

// A family goes to PostgreSQL and comes back, by the steps of docs/operations.md: every row is the same at both ends, nothing ends, what is sealed opens,
// used codes stay used, every trail holds, and no service opens the place that was left.
func TestMoveStore_bringsAFamilyToPostgreSQLAndBack(t *testing.T) {
	postgresFor(t, keeping, func(t *testing.T, settings []string) {
		dir := t.TempDir()
		data := filepath.Join(dir, "data")
		urls := map[string]string{}
		for _, s := range settings {
			name, file, _ := strings.Cut(s, "=")
			word := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(name, "FOUNTAIN_"), "_DATABASE_URL_FILE"))
			url, err := os.ReadFile(file)
			require.NoError(t, err)
			urls[word] = string(url)
			require.NoError(t, os.WriteFile(filepath.Join(dir, word+"-url"), url, 0o600))
		}
		u := startUp(t, data)
		p := begin(t, u)
		raised := p.raised(t, u)
		_, err := anybody(t, u).KMS.PutSecret(t.Context(), "app.lamp", kms.SecretPut{Value: "oil"}, fountain.WithBearer(raised))
		require.NoError(t, err)
		there := block(t, "fountain move-store kms --to-url-file")
		got := shell(t, dir, data, there)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "kms is running: stop every instance of it first")
		require.Zero(t, u.term(t))

		got = shell(t, dir, data, there)
		require.Zero(t, got.code, got.stderr)
		require.Equal(t, len(keeping), strings.Count(got.stdout, "are the same"), got.stdout)
		require.Contains(t, run(t, "up", "--data", data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0").stderr, "was moved to another place")
		require.Contains(t, shell(t, dir, data, there).stderr, "not empty")
		require.Contains(t, run(t, "move-store", "kms", "--data", data, "--reopen").sentenceOf(t), "pass it with --reopen")
		got = run(t, "move-store", "kms", "--data", data, "--reopen", "--to-url-file", filepath.Join(dir, "kms-url"))
		require.Contains(t, got.sentenceOf(t), "two databases of it would be open")
		for _, word := range keeping {
			holds(t, store.Config{Name: word, URL: urls[word]})
		}

		moved, stop := apart(t, data, u.url, settings)
		p.kept(t, moved, p.elements)
		c := anybody(t, moved)
		secret, err := c.KMS.GetSecret(t.Context(), "app.lamp", fountain.WithBearer(raised))
		require.NoError(t, err, "a second factor that was given before")
		require.Equal(t, "oil", secret.Value)
		_, tokens := login(t, moved, "ada", p.pass)
		_, err = c.Twofactor.VerifyOtp(t.Context(), twofactor.OtpVerify{Code: p.code}, fountain.WithBearer(tokens.AccessToken))
		require.ErrorIs(t, err, fountain.ErrInvalid, "a code that was used")
		back := block(t, "--to-sqlite")
		aside, moves, found := strings.Cut(back, "\n")
		require.True(t, found)
		got = shell(t, dir, data, moves)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "is not empty")
		require.Zero(t, shell(t, dir, data, aside).code)
		got = shell(t, dir, data, moves)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, "fountain-kms is connected", "a service that runs on PostgreSQL")
		stop()
		for _, word := range keeping {
			require.NoError(t, os.Rename(filepath.Join(data, word, word+".db.before"), filepath.Join(data, word, word+".db")))
		}

		got = shell(t, dir, data, back)
		require.Zero(t, got.code, got.stderr)
		require.Equal(t, len(keeping), strings.Count(got.stdout, "are the same"), got.stdout)
		for _, word := range keeping {
			holds(t, store.Config{Name: word, Dir: filepath.Join(data, word)})
		}
		home := startUp(t, data)
		secret, err = anybody(t, home).KMS.GetSecret(t.Context(), "app.lamp", fountain.WithBearer(raised))
		require.NoError(t, err)
		require.Equal(t, "oil", secret.Value)
		p.kept(t, home, p.elements+1)
		require.Zero(t, home.term(t))
		require.NotContains(t, home.stderr.String(), "audit chain is not valid")
		for _, word := range keeping {
			tellsMoves(t, store.Config{Name: word, Dir: filepath.Join(data, word)})
		}
	})
}

// holds looks that a service's audit trail holds at its place.
func holds(t *testing.T, c store.Config) {
	t.Helper()
	db, err := store.Inspect(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	checked, broken, err := audit.Verify(t.Context(), db.Read(t.Context()))
	require.NoError(t, err)
	require.Zero(t, broken, c.Name)
	require.Positive(t, checked, c.Name)
}

// tellsMoves looks that a trail tells of the way there and the way back.
func tellsMoves(t *testing.T, c store.Config) {
	t.Helper()
	db, err := store.Inspect(t.Context(), c)
	require.NoError(t, err)
	defer db.Close()
	var n int
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM audit_events WHERE action = 'moveStore' AND actor = ''"))
	require.Equal(t, 2, n, c.Name)
}

// Each refusal is one sentence, says nothing of a URL's password, and touches nothing.
func TestMoveStore_refusesWithOneSentence(t *testing.T) {
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "url")
	require.NoError(t, os.WriteFile(file, []byte("postgres://kms:hushed@127.0.0.1:1/kms\n"), 0o600))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"kms"}, 2, "--to-url-file"},
		{[]string{"kms", "--to-sqlite", "--to-url-file", file}, 2, "--to-url-file"},
		{[]string{"kms", "--to-sqlite", "--reopen"}, 2, "on SQLite already"},
		{[]string{"gateway", "--to-url-file", file}, 2, "keeps no database"},
		{[]string{"stage", "--to-url-file", file}, 2, "there is no service"},
		{[]string{"kms", "--to-sqlite"}, 2, "on SQLite already"},
		{[]string{"kms", "--to-url-file", filepath.Join(dir, "none")}, 1, "no such file"},
		{[]string{"kms", "--to-url-file", file}, 1, "cannot reach its database"},
		{[]string{"kms", "--reopen"}, 1, "there is no database"},
	} {
		got := run(t, append([]string{"move-store", "--data", data}, c.args...)...)
		require.Equal(t, c.code, got.code, c.args)
		require.Contains(t, got.stderr, c.want, c.args)
		require.NotContains(t, got.stderr, "hushed")
		require.NoDirExists(t, data)
	}
}
