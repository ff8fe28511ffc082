package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The way back from an upgrade, service by service: an older release refuses every command on a database that a newer
// one has changed. It says the way back in one sentence, and changes nothing.
func TestRollback_everyCommandRefusesADatabaseOfANewerRelease(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	require.Zero(t, u.term(t))
	dir := t.TempDir()
	recipient := run(t, "backup", "key", filepath.Join(dir, "key"))
	// Nothing listens there: a command that is refused because of the release must not ask the new place first.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "url"), []byte("postgres://stage:lamp@127.0.0.1:1/stage\n"), 0o600))
	for _, word := range []string{"kms", "twofactor", "search", "sequence"} {
		changeDatabase(word, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (88888, 1)")(t, u.data)
		prefix := "FOUNTAIN_" + strings.ToUpper(word) + "_"
		own := []string{prefix + "DATA_DIR=" + filepath.Join(u.data, word), prefix + "ISSUER=" + u.url, prefix + "ADDR=127.0.0.1:0", prefix + "ADMIN_ADDR=127.0.0.1:0"}
		if word != "kms" {
			own = append(own, prefix+"KMS_URL=http://127.0.0.1:1", prefix+"JWKS_URL=http://127.0.0.1:1", prefix+"ENROL_TOKEN_FILE="+filepath.Join(dir, "none"))
		}
		if word == "sequence" {
			own = append(own, prefix+"SEARCH_URL=http://127.0.0.1:1")
		}
		commands := [][]string{
			{"serve", word}, {"migrate", word}, {"up", "--data", u.data, "--addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"},
			{"backup", "--data", u.data, "--to", filepath.Join(dir, "archive"), "--recipient", strings.TrimSpace(recipient.stdout)},
			{"move-store", word, "--data", u.data, "--to-url-file", filepath.Join(dir, "url")},
		}
		if word == "kms" {
			commands = append(commands, []string{"recover", "unlock", "ada", "--data", u.data}, []string{"recover", "enrolment-token", "search", "--data", u.data},
				[]string{"issuer", "move", "https://fountain.example.org", "--data", u.data})
		} else {
			commands = append(commands, []string{"recover", "data-key", word, "--data", u.data})
		}
		before := contents(t, u.data)
		for _, args := range commands {
			cmd := command(t, args...)
			if args[0] == "serve" || args[0] == "migrate" {
				cmd.Env = append(cmd.Env, own...)
			}
			got := finish(t, cmd)
			require.Equal(t, exitFailed, got.code, "%v: %s%s", args, got.stdout, got.stderr)
			require.Contains(t, got.sentenceOf(t), "database was migrated by a newer release", args)
			require.Contains(t, got.stderr, "run the newer release, or restore a backup from before the upgrade", args)
			require.Equal(t, before, contents(t, u.data), args)
		}
		require.NoFileExists(t, filepath.Join(dir, "archive"))
		require.NoFileExists(t, filepath.Join(dir, "archive.part"))
		changeDatabase(word, "DELETE FROM goose_db_version WHERE version_id = 88888")(t, u.data)
	}
	require.Zero(t, startUp(t, u.data).term(t), "and as it was it works")
}
