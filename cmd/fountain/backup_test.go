package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
	"github.com/fountainai/fountain/internal/upkeep"
	"github.com/fountainai/fountain/tests/recorder"
)

// login signs in without a client that would keep the tokens.
func login(t *testing.T, u *up, name, password string) (int, kms.TokenResponse) {
	t.Helper()
	body, err := json.Marshal(kms.Login{Username: name, Password: password})
	require.NoError(t, err)
	resp, err := http.Post(u.url+"/kms/v1/auth/login", "application/json", bytes.NewReader(body))
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var tokens kms.TokenResponse
	if resp.StatusCode == http.StatusOK {
		require.NoError(t, json.Unmarshal(text, &tokens))
	}
	return resp.StatusCode, tokens
}

// anybody returns a client without credentials.
func anybody(t *testing.T, u *up, options ...fountain.Option) *fountain.Client {
	t.Helper()
	c, err := fountain.New(u.url, append(options, recorder.Option(t))...)
	require.NoError(t, err)
	return c
}

// past holds what was valid in a backup and ended after it.
type past struct {
	pass, gracePass string
	seed            string
	access, refresh string // ada's
	key, keyID      string
	enrolment       string
	code, proof     string
	usedRefresh     string // obtained with refresh after the backup
	elements        int
	place           fountain.FeedPlace // position in the feed of the scope
}

const gracePassword = "a lantern for another window"

// begin adds users, keys, elements and documents.
func begin(t *testing.T, u *up) *past {
	t.Helper()
	_, pass := password(t)
	p := &past{pass: pass, gracePass: gracePassword, elements: 40}
	c := signedIn(t, u, pass, &p.seed)
	invitation := u.bootstrapInvited(t, pass)
	enrolment, err := c.Twofactor.EnrolTotp(t.Context(), twofactor.TotpEnrol{Invitation: &invitation})
	require.NoError(t, err)
	confirmed, err := c.Twofactor.ConfirmTotp(t.Context(), enrolment.FactorID, twofactor.TotpConfirm{Code: stepBefore(t, enrolment.Secret)})
	require.NoError(t, err)
	p.seed = enrolment.Secret
	// It uses the proof of the confirmation, so that the authenticator's current code is one that the backup does not
	// record as used.
	raised, err := c.KMS.CompleteStepUp(t.Context(), kms.StepUp{Proof: confirmed.Proof.Proof, Resource: "kms"})
	require.NoError(t, err)
	admin := fountain.WithBearer(raised.AccessToken)
	_, err = c.KMS.CreateUser(t.Context(), kms.UserCreate{Username: "grace", Password: gracePassword, Roles: []kms.RoleWord{"editor"}}, admin)
	require.NoError(t, err)
	service, err := c.KMS.RegisterService(t.Context(), kms.ServiceCreate{Name: "lectern", Scopes: []string{"elements:read"}}, admin)
	require.NoError(t, err)
	p.enrolment = service.Enrolment.Token
	key, err := c.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "script", Scopes: []string{"elements:read", "elements:write"}}, admin)
	require.NoError(t, err)
	p.key, p.keyID = key.Key, key.APIKey.ID
	status, tokens := login(t, u, "ada", pass)
	require.Equal(t, http.StatusOK, status)
	p.access, p.refresh = tokens.AccessToken, *tokens.RefreshToken
	for range p.elements {
		_, err := c.Sequence.CreateElement(t.Context(), "play", "line", sequence.ElementCreate{Data: sequence.Data(`{"text":"a lamp in the window"}`)})
		require.NoError(t, err)
	}
	_, err = fountain.Collect(c.Sequence.Changes(t.Context(), "play", &p.place))
	require.NoError(t, err)
	_, err = c.Search.CreateCollection(t.Context(), search.CollectionCreate{Name: "plays", Fields: []search.Field{{Name: "text", Type: "string"}}})
	require.NoError(t, err)
	document := json.RawMessage(`{"text":"the ghost walks"}`)
	_, err = c.Search.SyncDocuments(t.Context(), "plays", search.DocumentSync{Items: []search.SyncItem{{Op: search.SyncItemOpUpsert, ID: "one", Document: &document}}})
	require.NoError(t, err)
	return p
}

// raised returns a token of ada's for the kms that carries a second factor.
func (p *past) raised(t *testing.T, u *up) string {
	t.Helper()
	code, err := totp.GenerateCode(p.seed, time.Now())
	require.NoError(t, err)
	return p.redeem(t, u, code)
}

func (p *past) redeem(t *testing.T, u *up, code string) string {
	t.Helper()
	_, tokens := login(t, u, "ada", p.pass)
	c := anybody(t, u)
	proof, err := c.Twofactor.VerifyOtp(t.Context(), twofactor.OtpVerify{Code: code}, fountain.WithBearer(tokens.AccessToken))
	require.NoError(t, err)
	p.code, p.proof = code, proof.Proof
	raised, err := c.KMS.CompleteStepUp(t.Context(), kms.StepUp{Proof: proof.Proof, Resource: "kms"}, fountain.WithBearer(tokens.AccessToken))
	require.NoError(t, err)
	return raised.AccessToken
}

// end uses or revokes everything, as happens after a backup.
func (p *past) end(t *testing.T, u *up) {
	t.Helper()
	c := anybody(t, u)
	fresh, err := c.KMS.RefreshToken(t.Context(), kms.Refresh{RefreshToken: p.refresh})
	require.NoError(t, err)
	p.usedRefresh = *fresh.RefreshToken
	_, err = c.KMS.EnrolService(t.Context(), kms.Enrol{Token: p.enrolment})
	require.NoError(t, err)
	admin := fountain.WithBearer(p.raised(t, u))
	_, err = c.KMS.RevokeAPIKey(t.Context(), p.keyID, admin)
	require.NoError(t, err)
	for user, err := range c.KMS.Users(t.Context(), admin) {
		require.NoError(t, err)
		if user.Username != "grace" {
			continue
		}
		var answer fountain.Response
		_, err := c.KMS.GetUser(t.Context(), user.ID, admin, fountain.WithResponse(&answer))
		require.NoError(t, err)
		disabled := kms.UserUpdateStatus("disabled")
		_, err = c.KMS.UpdateUser(t.Context(), user.ID, answer.ETag, kms.UserUpdate{Status: &disabled}, admin)
		require.NoError(t, err)
	}
}

// alive returns which of the six work again.
func (p *past) alive(t *testing.T, u *up) (out []string) {
	t.Helper()
	works := func(what string, err error) {
		if err == nil {
			out = append(out, what)
			return
		}
		var answered *fountain.Error
		require.True(t, errors.As(err, &answered), "%s: %v", what, err)
	}
	c := anybody(t, u, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	_, err := anybody(t, u, fountain.WithAPIKey(p.key)).Sequence.ListElements(t.Context(), "play", "line", nil)
	works("revoked API key", err)
	_, err = c.KMS.EnrolService(t.Context(), kms.Enrol{Token: p.enrolment})
	works("used enrolment token", err)
	_, err = c.Sequence.ListElements(t.Context(), "play", "line", nil, fountain.WithBearer(p.access))
	works("access token", err)
	_, err = c.KMS.RefreshToken(t.Context(), kms.Refresh{RefreshToken: p.usedRefresh})
	works("refresh token that the backup does not know", err)
	_, err = c.KMS.RefreshToken(t.Context(), kms.Refresh{RefreshToken: p.refresh})
	works("used refresh token", err)
	if status, _ := login(t, u, "grace", p.gracePass); status == http.StatusOK {
		out = append(out, "disabled user")
	}
	status, tokens := login(t, u, "ada", p.pass)
	require.Equal(t, http.StatusOK, status, "the administrator who was named signs in")
	_, err = c.KMS.CompleteStepUp(t.Context(), kms.StepUp{Proof: p.proof, Resource: "kms"}, fountain.WithBearer(tokens.AccessToken))
	works("used proof", err)
	_, err = c.Twofactor.VerifyOtp(t.Context(), twofactor.OtpVerify{Code: p.code}, fountain.WithBearer(tokens.AccessToken))
	works("used code", err)
	return out
}

// whole checks that everything stored is there.
func (p *past) whole(t *testing.T, u *up) {
	t.Helper()
	c := anybody(t, u, fountain.WithUser("ada", p.pass))
	n := 0
	for _, err := range c.Sequence.Elements(t.Context(), "play", "line") {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, p.elements, n)
	require.Eventually(t, func() bool {
		found, err := c.Sequence.SearchElements(t.Context(), "play", sequence.ElementSearch{Q: "lamp"})
		return err == nil && int(found.Found) == p.elements
	}, time.Minute, 50*time.Millisecond, "the elements are found")
	require.Eventually(t, func() bool {
		found, err := c.Search.SearchDocuments(t.Context(), "plays", search.DocumentSearch{Q: "ghost", QueryBy: []string{"text"}})
		return err == nil && found.Found == 1
	}, time.Minute, 50*time.Millisecond, "the documents of others are found")
	made, err := c.Sequence.CreateElement(t.Context(), "play", "line", sequence.ElementCreate{Data: sequence.Data(`{}`)})
	require.NoError(t, err)
	require.EqualValues(t, p.elements+1, made.Number, "numbers go on")
	_, err = fountain.Collect(c.Sequence.Changes(t.Context(), "play", &p.place))
	require.ErrorIs(t, err, fountain.ErrInvalid, "who knows positions of before is told")
	all, err := fountain.Collect(c.Sequence.Changes(t.Context(), "play", nil))
	require.NoError(t, err)
	require.Len(t, all, p.elements+1)
}

// restoreKey copies the root key to where a restored kms expects it.
func restoreKey(t *testing.T, from, to string) {
	t.Helper()
	key, err := os.ReadFile(filepath.Join(from, "kms", "root.key"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(to, "kms"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(to, "kms", "root.key"), key, 0o600))
}

// A backup of a running family restores everything that was stored, and nothing that has been revoked since.
func TestRestore_bringsEverythingBackAndResurrectsNothing(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	p := begin(t, u)
	dir := t.TempDir()
	identity, archive := filepath.Join(dir, "backup.key"), filepath.Join(dir, "family.backup")
	made := run(t, "backup", "key", identity)
	require.Zero(t, made.code, made.stderr)
	recipient := strings.TrimSpace(made.stdout)
	got := run(t, "backup", "--to", archive, "--recipient", recipient, "--data", u.data)
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `(?s)kms +sqlite.*twofactor +sqlite.*search +sqlite.*search-documents +sqlite.*sequence +sqlite`, got.stdout)
	p.end(t, u)
	require.Zero(t, u.term(t))

	verified := run(t, "backup", "verify", archive, "--identity", identity)
	require.Zero(t, verified.code, verified.stderr)
	require.Equal(t, got.stdout, verified.stdout)
	list := func() upkeep.Backup {
		all, err := upkeep.Backups(filepath.Join(u.data, "kms"), "", 10)
		require.NoError(t, err)
		require.Len(t, all, 1)
		return all[0]
	}
	require.Empty(t, list().Check, "the check was not said to be of this family")
	require.Equal(t, archive, list().File)
	require.Len(t, list().Parts, 5)
	verified = run(t, "backup", "verify", archive, "--identity", identity, "--data", u.data)
	require.Zero(t, verified.code, verified.stderr)
	require.Empty(t, verified.stderr)
	require.Equal(t, upkeep.Verified, list().Check)
	elsewhere := run(t, "backup", "verify", archive, "--identity", identity, "--data", t.TempDir())
	require.Zero(t, elsewhere.code, "the archive is whole, wherever it was made")
	require.Contains(t, elsewhere.stderr, "so this check was not recorded")
	drilled := run(t, "backup", "drill", archive, "--identity", identity, "--data", u.data)
	require.Zero(t, drilled.code, drilled.stderr)
	require.Equal(t, upkeep.Drilled, list().Check)
	require.Regexp(t, `kms: the database is whole, and its audit trail of \d+ events holds`, drilled.stdout)
	for _, secret := range []string{"root.key", p.key, p.refresh} {
		raw, err := os.ReadFile(archive)
		require.NoError(t, err)
		require.NotContains(t, string(raw), secret)
	}

	data := filepath.Join(t.TempDir(), "data")
	restoreKey(t, u.data, data)
	got = run(t, "restore", archive, "--identity", identity, "--data", data)
	require.Equal(t, 2, got.code)
	require.Contains(t, got.sentenceOf(t), "--administrator")
	got = run(t, "restore", archive, "--identity", identity, "--administrator", "grace", "--data", data)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "no active administrator of this name")
	got = run(t, "restore", archive, "--identity", identity, "--administrator", "ada", "--data", data)
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "(script) of ada")
	require.Contains(t, got.stdout, "  grace\n")
	restored := startUp(t, data)
	require.Empty(t, p.alive(t, restored), "what has ended stays ended")
	p.whole(t, restored)
	require.NoFileExists(t, filepath.Join(data, "kms", "bootstrap.token"), "the bootstrap stays closed")
	require.Zero(t, restored.term(t))
	require.NotContains(t, restored.stderr.String(), "audit trail")
	for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
		told(t, data, word)
	}
	got = run(t, "restore", archive, "--identity", identity, "--administrator", "ada", "--data", data)
	require.Equal(t, 1, got.code)
	require.Contains(t, got.sentenceOf(t), "not empty")

	t.Run("without the marks it would", func(t *testing.T) {
		data := filepath.Join(t.TempDir(), "data")
		restoreKey(t, u.data, data)
		got := run(t, "restore", archive, "--identity", identity, "--keep-users", "--data", data)
		require.Zero(t, got.code, got.stderr)
		unmark(t, data)
		alive := p.alive(t, startUp(t, data))
		for _, what := range []string{"revoked API key", "used enrolment token", "used refresh token", "disabled user"} {
			require.Contains(t, alive, what)
		}
	})
}

// unmark removes what a restore marks. The services enrol again anyway, because their keys are not in a backup.
func unmark(t *testing.T, data string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(data, "kms", "kms.db"))
	require.NoError(t, err)
	defer db.Close()
	_, err = db.Exec("UPDATE api_keys SET revoked_at = 1 WHERE owner_id IN (SELECT id FROM services WHERE family = 1); UPDATE restore_mark SET not_before = 0")
	require.NoError(t, err)
}

// told checks that a service's audit trail is intact and records the restore.
func told(t *testing.T, data, word string) {
	t.Helper()
	db, err := store.Inspect(t.Context(), store.Config{Dir: filepath.Join(data, word), Name: word})
	require.NoError(t, err)
	defer db.Close()
	checked, broken, err := audit.Verify(t.Context(), db.Read(t.Context()))
	require.NoError(t, err)
	require.Zero(t, broken, word)
	require.Positive(t, checked, word)
	var n int
	require.NoError(t, db.Read(t.Context()).Get(t.Context(), &n, "SELECT COUNT(*) FROM audit_events WHERE action = 'restoreBackup' AND actor = ''"))
	require.Equal(t, 1, n, word)
}

// A finished archive is not lost if its name is taken meanwhile, and no file is overwritten.
func TestNameArchive_replacesNothingAndLosesNothing(t *testing.T) {
	dir := t.TempDir()
	unfinished, to := filepath.Join(dir, "a.part"), filepath.Join(dir, "a")
	require.NoError(t, os.WriteFile(unfinished, []byte("archive"), 0o600))
	require.NoError(t, os.WriteFile(to, []byte("other"), 0o600))
	require.ErrorContains(t, nameArchive(unfinished, to), unfinished)
	for file, want := range map[string]string{unfinished: "archive", to: "other"} {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, want, string(raw))
	}
	require.NoError(t, os.Remove(to))
	require.NoError(t, nameArchive(unfinished, to))
	raw, err := os.ReadFile(to)
	require.NoError(t, err)
	require.Equal(t, "archive", string(raw))
	require.NoFileExists(t, unfinished)
	require.Error(t, nameArchive(unfinished, to+"2"))
	require.NoFileExists(t, to+"2", "the name is given back")
}

// An archive never mixes two installations: if the environment names the place of one service, it must name that of
// each.
func TestBackup_mixesNoPlaces(t *testing.T) {
	dir := t.TempDir()
	one := func(settings ...string) result {
		cmd := command(t, "backup", "--to", filepath.Join(dir, "archive"), "--recipient", strings.TrimSpace(run(t, "backup", "key", filepath.Join(t.TempDir(), "key")).stdout))
		cmd.Dir, cmd.Env = dir, append(cmd.Env, settings...)
		return finish(t, cmd)
	}
	for _, settings := range [][]string{
		{"FOUNTAIN_KMS_DATA_DIR=" + dir}, {"FOUNTAIN_KMS_DATA_DIR=" + dir, "FOUNTAIN_TWOFACTOR_DATA_DIR=" + dir, "FOUNTAIN_SEQUENCE_DATA_DIR=" + dir},
	} {
		got := one(settings...)
		require.Equal(t, 2, got.code, got.stderr)
		require.Contains(t, got.stderr, "FOUNTAIN_SEARCH_DATA_DIR")
	}
	for _, settings := range [][]string{nil, {"FOUNTAIN_KMS_DATA_DIR=" + dir, "FOUNTAIN_DATA=" + dir}} {
		require.Equal(t, 1, one(settings...).code, "there is nothing to be copied, and that is all")
	}
}

// Each refusal is one sentence.
func TestRestore_refusesWithOneSentence(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	_, pass := password(t)
	u.bootstrap(t, pass)
	dir := t.TempDir()
	identity, other, archive := filepath.Join(dir, "backup.key"), filepath.Join(dir, "other.key"), filepath.Join(dir, "family.backup")
	recipient := strings.TrimSpace(run(t, "backup", "key", identity).stdout)
	require.Zero(t, run(t, "backup", "key", other).code)
	again := run(t, "backup", "key", other)
	require.Equal(t, 1, again.code, "no key is written over")
	require.Contains(t, again.stderr, other+" exists already")
	require.Zero(t, run(t, "backup", "--to", archive, "--recipient", recipient, "--data", u.data).code)
	require.Contains(t, run(t, "backup", "--to", archive, "--recipient", recipient, "--data", u.data).sentenceOf(t), "exists already")
	require.Equal(t, 2, run(t, "backup", "--to", archive+"2", "--data", u.data).code)
	require.Equal(t, 2, run(t, "backup", "--to", archive+"2", "--recipient", "age1nonsense", "--data", u.data).code)
	whole, err := os.ReadFile(archive)
	require.NoError(t, err)
	cut := filepath.Join(dir, "cut")
	require.NoError(t, os.WriteFile(cut, whole[:len(whole)-100], 0o600))
	place := filepath.Join(dir, "place")
	wrongRoot := filepath.Join(dir, "wrong")
	require.NoError(t, os.MkdirAll(filepath.Join(wrongRoot, "kms"), 0o700))
	require.Zero(t, run(t, "keygen", filepath.Join(wrongRoot, "kms", "root.key")).code)
	for _, c := range []struct {
		archive, identity, data, want string
	}{
		{archive, other, place, "the archive was not encrypted to this key"},
		{cut, identity, place, "damaged or cut off"},
		{archive, archive, place, "does not contain an age secret key"},
		{archive, identity, u.data, "stop it first"},
		{archive, identity, wrongRoot, "not the root key that the backup was sealed with"},
		{filepath.Join(dir, "none"), identity, place, "no such file"},
	} {
		got := run(t, "restore", c.archive, "--identity", c.identity, "--administrator", "ada", "--data", c.data)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.sentenceOf(t), c.want)
		require.NoDirExists(t, place)
	}
	require.Zero(t, u.term(t))
	require.Contains(t, run(t, "restore", archive, "--identity", identity, "--administrator", "ada", "--data", u.data).sentenceOf(t), "not empty")
	require.Equal(t, 1, run(t, "backup", "verify", cut, "--identity", identity).code)
	require.Equal(t, 1, run(t, "backup", "drill", cut, "--identity", identity).code)
	got := run(t, "restore", archive, "--identity", identity, "--administrator", "ada", "--data", place)
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "restore the root key")
	require.Contains(t, run(t, "up", "--data", place, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0").sentenceOf(t), "root key")
}

// postgresFor creates a database for each service and calls do with the settings that name them; without a server it
// calls do with none.
func postgresFor(t *testing.T, words []string, do func(t *testing.T, settings []string)) {
	t.Helper()
	require.Contains(t, t.Name(), "PostgreSQL", ".ci/run knows these tests by the word")
	if len(words) == 0 {
		do(t, nil)
		return
	}
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return
		}
		file := filepath.Join(t.TempDir(), "url")
		require.NoError(t, os.WriteFile(file, []byte(c.URL), 0o600))
		postgresFor(t, words[1:], func(t *testing.T, settings []string) {
			do(t, append(settings, "FOUNTAIN_"+strings.ToUpper(words[0])+"_DATABASE_URL_FILE="+file))
		})
	})
}

// An archive of SQLite becomes PostgreSQL databases with every row, and an archive of those can be restored too.
func TestRestore_movesAFamilyToPostgreSQL(t *testing.T) {
	postgresFor(t, []string{"kms", "twofactor", "search", "sequence"}, func(t *testing.T, settings []string) {
		u := startUp(t, filepath.Join(t.TempDir(), "data"))
		p := begin(t, u)
		require.Zero(t, u.term(t))
		dir := t.TempDir()
		identity, archive, again := filepath.Join(dir, "backup.key"), filepath.Join(dir, "family.backup"), filepath.Join(dir, "again.backup")
		recipient := strings.TrimSpace(run(t, "backup", "key", identity).stdout)
		require.Zero(t, run(t, "backup", "--to", archive, "--recipient", recipient, "--data", u.data).code)
		place := filepath.Join(dir, "place")
		there := func(args ...string) result {
			cmd := command(t, args...)
			cmd.Env = append(cmd.Env, settings...)
			return finish(t, cmd)
		}
		restoreKey(t, u.data, place)
		got := there("restore", archive, "--identity", identity, "--administrator", "ada", "--data", place)
		require.Zero(t, got.code, got.stderr)
		require.NoFileExists(t, filepath.Join(place, "kms", "kms.db"))
		got = there("restore", archive, "--identity", identity, "--administrator", "ada", "--data", filepath.Join(dir, "other"))
		require.Equal(t, 1, got.code)
		require.Contains(t, got.sentenceOf(t), "its database has tables")
		got = there("backup", "--to", again, "--recipient", recipient, "--data", place)
		require.Zero(t, got.code, got.stderr)
		require.Regexp(t, `(?s)kms +postgres.*twofactor +postgres.*search +postgres.*search-documents +sqlite.*sequence +postgres`, got.stdout)
		got = run(t, "backup", "drill", again, "--identity", identity)
		require.Zero(t, got.code, got.stderr)

		back := filepath.Join(dir, "back") // and on SQLite everything is there
		restoreKey(t, u.data, back)
		got = run(t, "restore", again, "--identity", identity, "--keep-users", "--data", back)
		require.Zero(t, got.code, got.stderr)
		p.whole(t, startUp(t, back))
	})
}

// A backup in the environment of one service, as in a container, says that it needs all of them. It mentions the engine
// only if search is configured.
func TestDocumentsGone_tellsWhatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	at := places{documents: filepath.Join(dir, "search", "engine")}
	require.ErrorContains(t, at.documentsGone(fs.ErrNotExist), "a backup needs the databases of all services")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "search"), 0o700))
	require.ErrorContains(t, at.documentsGone(fs.ErrNotExist), "FOUNTAIN_SEARCH_ENGINE_URL")
	require.NoError(t, os.Mkdir(at.documents, 0o700))
	require.Equal(t, fs.ErrNotExist, at.documentsGone(fs.ErrNotExist))
}
