package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

// write writes a text into a file of the test.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o600))
	return path
}

// field reads a member of a command's JSON output.
func field(t *testing.T, raw string, path ...string) string {
	t.Helper()
	var value any
	require.NoError(t, json.Unmarshal([]byte(raw), &value), raw)
	for _, name := range path {
		value = value.(map[string]any)[name]
	}
	text, ok := value.(string)
	require.True(t, ok, raw)
	return text
}

// The first steps of an operator: authenticator, second user, key, password, sessions.
func TestOperator_worksFromTheCommandLine(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	file, pass := password(t)
	invitation := write(t, u.bootstrapInvited(t, pass))
	h := &home{t: t, dir: t.TempDir()}
	good := func(args ...string) result {
		t.Helper()
		got := h.run(args...)
		require.Zero(t, got.code, "%v: %s", args, got.stderr)
		return got
	}
	good("login", "--url", u.url, "--username", "ada", "--password-file", file)

	refused := h.run("otp", "enrol")
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.sentenceOf(t), "invitation")
	drawn := good("otp", "enroll", "--invitation-file", invitation, "--label", "phone").stdout
	require.Contains(t, drawn, "█")
	require.Contains(t, drawn, "fountain otp confirm")
	made := good("otp", "enrol", "--invitation-file", invitation, "--output", "json").stdout
	seed := field(t, made, "secret")
	confirmed := good("otp", "confirm", field(t, made, "factorId"), "--code-file", write(t, stepBefore(t, seed)))
	require.Contains(t, confirmed.stdout, "active")
	require.NotContains(t, confirmed.stderr, "does not count")

	// The first code is used up and counts as a second factor: there is no wait for the next one.
	created := good("users", "create", "grace", "--role", "editor", "--password-file", write(t, "a quiet harbour at dawn"))
	require.Regexp(t, `^NAME +ID +ROLES +STATUS +CREATED\ngrace +usr_\w+ +editor +active `, created.stdout)

	// For five minutes no further code is needed; there is none to be read here.
	unscoped := h.run("keys", "create", "import")
	require.Equal(t, 2, unscoped.code)
	require.Contains(t, unscoped.sentenceOf(t), "needs --scope")
	for refusal, call := range map[string][]string{
		"--scope must be NAME:VERB, in lower case [":                     {"keys", "create", "import", "--scope", "Elements"},
		"the password must have at least 12 characters":                  {"users", "create", "lin", "--password-file", write(t, "short")},
		"the name must have at least 2 characters; the name must match ": {"permissions", "set-role", "R", "--scope", "elements:read"},
	} {
		got := h.run(call...)
		require.Equal(t, 1, got.code, call)
		require.True(t, strings.HasPrefix(got.sentenceOf(t), refusal), got.stderr)
	}
	good("users", "create", "lin", "--password-file", write(t, "a quiet harbour at dusk"))
	unconfirmed := h.run("users", "delete", "lin")
	require.Equal(t, 2, unconfirmed.code)
	require.Contains(t, unconfirmed.sentenceOf(t), "--yes")
	require.Contains(t, good("users", "get", "Lin").stdout, "active", "whoever is asked and says nothing changes nothing")
	require.Contains(t, good("users", "delete", "lin", "--yes").stdout, "sessions, keys and tokens have ended")
	require.Equal(t, 1, h.run("users", "get", "lin").code)

	require.Regexp(t, `^et_\S+\n$`, good("services", "register", "reports", "--declare", "reports:read", "--declare", "reports:write").stdout)
	require.Contains(t, good("services", "list").stdout, "reports:read reports:write")
	const callback = "http://localhost:3000/callback"
	require.Equal(t, 2, h.run("clients", "register", "Reports").code)
	app := good("clients", "register", "Reports", "--redirect", callback, "--scope", "elements:read", "--trusted")
	require.Regexp(t, `^cs_\S+\n$`, app.stdout, "the secret alone, for a pipe")
	require.Regexp(t, `registered cli_\w+;`, app.stderr)
	require.Regexp(t, `Kiosk +cli_\w+ +public +false +`+callback, good("clients", "register", "Kiosk", "--public", "--redirect", callback).stdout)
	require.Regexp(t, `Reports +cli_\w+ +confidential +true `, good("clients", "list").stdout)
	require.Regexp(t, `^cs_\S+\n$`, good("clients", "rotate-secret", "Reports").stdout)
	require.Equal(t, 2, h.run("clients", "update", "Kiosk").code)
	require.Contains(t, good("clients", "update", "Kiosk", "--name", "Hall").stdout, "Hall")
	allows(t, u.url, strings.TrimSpace(good("token", "kms").stdout), "Hall", field(t, good("clients", "get", "Hall", "--output", "json").stdout, "id"), callback)
	require.Regexp(t, `Hall +cli_\w+ +openid profile `, good("consents", "list").stdout)
	require.Equal(t, 1, h.run("consents", "withdraw", "Reports").code)
	require.Contains(t, good("consents", "withdraw", "Hall").stdout, "withdrawn")
	require.NotContains(t, good("consents", "list").stdout, "Hall")
	require.Contains(t, h.run("consents", "withdraw", "Hall").sentenceOf(t), "consents list")
	good("clients", "delete", "Hall")
	require.NotContains(t, good("clients", "get", "Reports").stdout, "Hall")
	require.Equal(t, 1, h.run("clients", "get", "Hall").code)
	require.Regexp(t, `reporter +no +onOperations +reports:read\n`, good("permissions", "set-role", "reporter", "--scope", "reports:read").stdout)
	require.Regexp(t, `(?m)^reports:write +reports`, good("permissions", "scopes").stdout)
	require.Regexp(t, `(?m)^editor +yes `, good("permissions", "roles").stdout)
	require.Contains(t, good("users", "set-roles", "grace", "editor", "reporter").stdout, "editor,reporter")
	play := write(t, "INT. HALL - DAY\n\nBERNARDO\nWho's there?\n\nFRANCISCO\nNay, answer me.\n\nBERNARDO\nLong live the king!\n")
	good("import", play, "--scope", "hall")
	require.Regexp(t, `(?m)^hall +\d+ +\d+$`, good("sequence", "scopes").stdout)
	require.Regexp(t, `(?m)^spokenWord +3 +0 +4$`, good("sequence", "scope", "hall").stdout)
	lines := good("elements", "list", "hall/spokenWord").stdout
	ids := regexp.MustCompile(`(?m)^\d+ +(\S+) `).FindAllStringSubmatch(lines, -1)
	require.Len(t, ids, 3, lines)
	move := []string{"elements", "move", "hall/spokenWord/" + ids[2][1], "--before", ids[0][1]}
	require.Equal(t, 2, h.run(move[:3]...).code, "before or after what")
	require.Regexp(t, `(?m)^`+regexp.QuoteMeta(ids[2][1])+` +3 +1$`, good(append(move, "--dry-run")...).stdout)
	require.Contains(t, h.run(move...).sentenceOf(t), "a second factor is needed", "a dry run asks for none, and a move does")
	require.Equal(t, lines, good("elements", "list", "hall/spokenWord").stdout, "nothing has moved")
	require.Regexp(t, `(?m)^1\t\S+\tcreated\t\w+/\S+\tnumber 1\tversion 1\tby usr_\w+$`, good("changes", "hall").stdout)
	require.Empty(t, good("changes", "hall", "--after", regexp.MustCompile(`(?m)^(\d+)\t.*\n\z`).FindStringSubmatch(good("changes", "hall").stdout)[1]).stdout)
	feed := regexp.MustCompile(`"feed":"([A-Z2-7]{26})"`).FindStringSubmatch(good("changes", "hall", "--output", "json").stdout)
	require.Len(t, feed, 2)
	require.Contains(t, good("changes", "hall", "--after", "1", "--feed", feed[1], "--output", "json").stdout, `"position":2`)
	require.NotZero(t, h.run("changes", "hall", "--after", "1", "--feed", strings.Repeat("A", 26)).code, "of a feed from before a restore")
	inUse := h.run("permissions", "delete-role", "reporter")
	require.Equal(t, 1, inUse.code)
	require.Contains(t, inUse.sentenceOf(t), "Users have this role")
	good("users", "set-roles", "grace", "editor")
	good("permissions", "delete-role", "reporter")
	require.Equal(t, 2, h.run("services", "update", "reports").code)
	require.NotContains(t, good("services", "update", "reports", "--scope", "elements:read", "--declare", "reports:read").stdout, "reports:write")
	// The withdrawal has ended the administrators' tokens. The stored one is no longer valid, and a code is asked for.
	unconfirmed = h.run("services", "delete", "reports")
	require.Equal(t, 2, unconfirmed.code)
	require.Contains(t, unconfirmed.sentenceOf(t), "services delete needs confirmation")
	asked := h.run("services", "delete", "reports", "--yes")
	require.Equal(t, 1, asked.code)
	require.Contains(t, asked.sentenceOf(t), "second factor")

	key := good("keys", "create", "import", "--scope", "elements:read", "--scope", "elements:write")
	require.Regexp(t, `^fk_live_\w+\n$`, key.stdout, "the key alone, for a pipe")
	require.Contains(t, key.stderr, "The key is shown only once")
	require.NotContains(t, key.stderr, strings.TrimSpace(key.stdout))
	var keys []map[string]any
	require.NoError(t, json.Unmarshal([]byte(good("keys", "list", "--output", "json").stdout), &keys))
	require.Len(t, keys, 1)
	id := keys[0]["id"].(string)
	require.Contains(t, good("keys", "update", id, "--name", "nightly", "--rate", "100/1m", "--metadata", "team=data").stdout, "nightly")
	require.Equal(t, 2, h.run("keys", "update", id).code)
	require.Equal(t, 2, h.run("keys", "update", id, "--rate", "often").code)
	h.env = []string{"FOUNTAIN_API_KEY=" + strings.TrimSpace(key.stdout)}
	require.Regexp(t, `(?s)^user ada \(usr_\w+\)\nkey    `+id+` \(nightly\), active, .*\nroles  admin\nscopes elements:read elements:write\n`, good("whoami", "--url", u.url).stdout)
	h.env = nil
	require.Contains(t, good("keys", "verify", "--key-file", write(t, strings.TrimSpace(key.stdout))).stdout, "VALID")
	require.Regexp(t, `^fk_live_\w+\n$`, good("keys", "rotate", id, "--overlap", "2h").stdout)
	require.Contains(t, good("keys", "retire", id).stdout, "has ended")
	require.Regexp(t, `ENDED\n1\n`, good("keys", "revoke", id).stdout)

	require.Contains(t, good("sessions", "list").stdout, "this one")
	next := write(t, "another lamp in another window")
	good("passwd", "--current-password-file", file, "--new-password-file", next)
	good("whoami")
	require.Regexp(t, `ENDED\n1\n`, good("sessions", "revoke", "--all").stdout)
	ended := h.run("whoami")
	require.Equal(t, 1, ended.code)
	require.Contains(t, ended.sentenceOf(t), "fountain login")
	good("--profile", "work", "login", "--url", u.url, "--username", "ada", "--password-file", next)
	require.FileExists(t, filepath.Join(h.dir, "fountain", "session-work.json"))
	require.Contains(t, good("whoami", "--profile", "work").stdout, "ada")
}

// allows consents to a web app for the user of a token, as the page does.
func allows(t *testing.T, url, token, name, id, callback string) {
	t.Helper()
	c, err := fountain.New(url)
	require.NoError(t, err)
	got, err := c.KMS.AuthorizeClient(t.Context(), kms.AuthorizationAnswer{
		Consent: fountain.Ptr(kms.AuthorizationAnswerConsent("granted")),
		Request: kms.AuthorizationRequest{
			ResponseType: fountain.Ptr("code"), ClientID: &id, RedirectURI: &callback, Scope: fountain.Ptr("openid profile"),
			CodeChallenge: fountain.Ptr("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"), CodeChallengeMethod: fountain.Ptr("S256"),
		},
	}, fountain.WithBearer(token))
	require.NoError(t, err)
	require.EqualValues(t, "redirect", got.Status)
	require.Equal(t, name, got.Client.Name)
}

func TestCommands_nameWhatWasMeant(t *testing.T) {
	for call, want := range map[string]string{
		"user":               "did you mean users",
		"keys lst":           "did you mean list",
		"sessions revoke":    "takes a session's id or --all",
		"users list --outpt": "unknown flag",
		"recover nonsense":   "fountain recover --help",
	} {
		got := run(t, strings.Fields(call)...)
		require.Equal(t, exitUsage, got.code, call)
		require.Contains(t, got.sentenceOf(t), want, call)
	}
	help := run(t, "--help").stdout
	require.Contains(t, help, "completion")
	for _, group := range newRoot().Commands() {
		if group.Name() == "completion" || group.Name() == "recover" || !group.HasSubCommands() {
			continue
		}
		for _, cmd := range leaves(group) {
			require.GreaterOrEqual(t, len(strings.Split(cmd.Example, "\n")), 2, "%s shows two examples", cmd.CommandPath())
		}
	}
}

// leaves returns the commands of a group and of its subgroups.
func leaves(group *cobra.Command) (all []*cobra.Command) {
	for _, cmd := range group.Commands() {
		if cmd.HasSubCommands() {
			all = append(all, leaves(cmd)...)
			continue
		}
		all = append(all, cmd)
	}
	return all
}

// A password is sent only to FountainAI, and over the network only with TLS.
func TestLogin_sendsAPasswordToNobodyElse(t *testing.T) {
	var seen atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			seen.Add(1)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}`))
	}))
	t.Cleanup(stranger.Close)
	file, _ := password(t)
	got := run(t, "login", "--url", stranger.URL, "--username", "ada", "--password-file", file)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "does not look like a family's gateway")
	got = run(t, "login", "--url", "http://fountain.example", "--username", "ada", "--password-file", file)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "plain HTTP")
	require.Zero(t, seen.Load(), "the password was not sent")
}
