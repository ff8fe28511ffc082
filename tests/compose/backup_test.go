//go:build compose

package compose

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
)

// The containers of the profiles backup and backup-drill, as they are: archives are written beside the family at work, so many are left, one is restored and looked at by the drill, the
// kms tells of all of it, and an archive that is restored into an empty family has what was written, while a key that was revoked after it is not good again.
func TestCompose_backupsAreRestoredIntoAnEmptyFamily(t *testing.T) {
	for name, settings := range map[string][]string{
		"SQLite": {"COMPOSE_PROFILES=backup,backup-drill"}, "PostgreSQL": {"COMPOSE_PROFILES=backup,backup-drill,postgres", "FOUNTAIN_DATABASE_URL_FILE=/run/fountain/database_url"},
	} {
		t.Run(name, func(t *testing.T) {
			backedUp(t, name == "PostgreSQL", append(settings, "FOUNTAIN_BACKUP_EVERY=10s", "FOUNTAIN_BACKUP_KEEP=2", "FOUNTAIN_DRILL_EVERY=10s"))
		})
	}
}

func backedUp(t *testing.T, postgres bool, settings []string) {
	s := newStack(t, settings...)
	identity := s.backupKey()
	s.up()
	c := s.administrator()
	element, err := c.Sequence.CreateElement(t.Context(), "stack", "scene", sequence.ElementCreate{Data: json.RawMessage(`{"text":"a lamp in the window"}`)})
	require.NoError(t, err)
	_, err = c.Search.CreateCollection(t.Context(), search.CollectionCreate{Name: "plays", Fields: []search.Field{{Name: "text", Type: "string"}}})
	require.NoError(t, err)
	document := json.RawMessage(`{"text":"the ghost walks"}`)
	_, err = c.Search.SyncDocuments(t.Context(), "plays", search.DocumentSync{Items: []search.SyncItem{{Op: search.SyncItemOpUpsert, ID: "1", Document: &document}}})
	require.NoError(t, err)
	key, err := c.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "lamp", Scopes: []string{"elements:read"}})
	require.NoError(t, err)
	written := time.Now()

	newest := s.drilled(c, written)
	_, err = c.KMS.RevokeAPIKey(t.Context(), key.APIKey.ID)
	require.NoError(t, err)
	s.run("stop", "backup", "backup-drill")
	require.NotContains(t, s.try("logs", "backup"), `"level":"ERROR"`)
	archives := s.archives()
	require.LessOrEqual(t, len(archives), 2)
	require.Contains(t, archives, filepath.Base(newest), "the newest is there")
	t.Logf("%d archives were left, %v", len(archives), archives)

	s.run("down", "--timeout", "45")
	gone := []string{"kms_data", "twofactor_data", "search_data", "sequence_data"}
	if postgres {
		gone = append(gone, "postgres_data")
	}
	for _, volume := range gone {
		s.docker("volume", "rm", s.project+"_"+volume)
	}
	s.run("create", "--pull", "never", "--no-build")
	if postgres {
		s.run("up", "-d", "--wait", "--pull", "never", "--no-build", "postgres")
	}
	began := time.Now()
	s.run("run", "--rm", "-T", "--no-deps", "-v", identity+":/run/identity:ro", "backup", "restore", newest, "--identity", "/run/identity", "--administrator", "ada")
	t.Logf("restored after %s", time.Since(began).Round(100*time.Millisecond))
	s.up()
	c = s.again()
	got, err := c.Sequence.GetElement(t.Context(), "stack", "scene", element.ID)
	require.NoError(t, err)
	require.Equal(t, element.Number, got.Number)
	found(t, c, 1)
	holder, err := fountain.New(s.url(), fountain.WithRootCAs(s.roots), fountain.WithAPIKey(key.Key))
	require.NoError(t, err)
	_, err = holder.Sequence.ListElements(t.Context(), "stack", "scene", nil)
	require.ErrorIs(t, err, fountain.ErrUnauthenticated, "a key that was revoked after the backup is not good again")
	s.tellNothing()
}

// backupKey makes a key of archives, puts its halves where the two containers read them, and returns the file with the secret one.
func (s *stack) backupKey() string {
	s.t.Helper()
	key, err := age.GenerateX25519Identity()
	require.NoError(s.t, err)
	s.known["key of archives"] = key.String()
	file := filepath.Join(s.secrets, "backup-drill", "identity")
	require.NoError(s.t, os.WriteFile(file, []byte(key.String()+"\n"), 0o644))                                                             //nolint:gosec // in a folder that is closed, as all files there
	require.NoError(s.t, os.WriteFile(filepath.Join(s.secrets, "backup", "recipients.txt"), []byte(key.Recipient().String()+"\n"), 0o644)) //nolint:gosec // public
	return file
}

// drilled waits until three backups were written after a time, and one of them was restored by the drill. It returns the file of the newest that was.
func (s *stack) drilled(c *fountain.Client, after time.Time) (file string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		list, err := c.KMS.ListBackups(s.t.Context(), nil)
		require.NoError(s.t, err)
		made := slices.DeleteFunc(list.Items, func(b kms.Backup) bool { return !b.MadeAt.After(after) })
		if len(made) < 3 {
			return false
		}
		for _, b := range made[:2] { // which are not removed yet
			if b.Check != nil && *b.Check == kms.BackupCheckDrill && b.FailedCheck == nil {
				file = b.File
				return true
			}
		}
		return false
	}, 4*time.Minute, time.Second, "backups are written and restored")
	return file
}

// archives are the files in the volume of backups.
func (s *stack) archives() []string {
	s.t.Helper()
	to := filepath.Join(s.t.TempDir(), "backups")
	s.run("cp", "backup:/backups", to)
	entries, err := os.ReadDir(to)
	require.NoError(s.t, err)
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".backup") {
			out = append(out, e.Name())
		}
	}
	return out
}
