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

// The containers of the profiles backup and backup-drill work as configured: they write archives while the services run, keep the configured number, and the
// drill restores and checks one; the kms reports all of this. An archive that is restored into an empty family has what was written, and a key that was revoked
// after the backup stays invalid.
func TestCompose_backupsAreRestoredIntoAnEmptyFamily(t *testing.T) {
	for name, settings := range map[string][]string{
		"SQLite": {"COMPOSE_PROFILES=backup,backup-drill"}, "PostgreSQL": {"COMPOSE_PROFILES=backup,backup-drill,postgres", "FOUNTAIN_DATABASE_URL_FILE=/run/fountain/database_url"},
	} {
		t.Run(name, func(t *testing.T) {
			restoreIntoEmptyFamily(t, name == "PostgreSQL", append(settings, "FOUNTAIN_BACKUP_EVERY=10s", "FOUNTAIN_BACKUP_KEEP=2", "FOUNTAIN_DRILL_EVERY=10s"))
		})
	}
}

func restoreIntoEmptyFamily(t *testing.T, postgres bool, settings []string) {
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

	newest := s.awaitDrill(c, written)
	_, err = c.KMS.RevokeAPIKey(t.Context(), key.APIKey.ID)
	require.NoError(t, err)
	s.run("stop", "backup", "backup-drill")
	require.NotContains(t, s.try("logs", "backup"), `"level":"ERROR"`)
	archives := s.archives()
	require.LessOrEqual(t, len(archives), 2)
	require.Contains(t, archives, filepath.Base(newest), "the newest is there")
	t.Logf("%d archives were left, %v", len(archives), archives)

	s.run("down", "--timeout", "45")
	volumes := []string{"kms_data", "twofactor_data", "search_data", "sequence_data"}
	if postgres {
		volumes = append(volumes, "postgres_data")
	}
	for _, volume := range volumes {
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
	c = s.client()
	got, err := c.Sequence.GetElement(t.Context(), "stack", "scene", element.ID)
	require.NoError(t, err)
	require.Equal(t, element.Number, got.Number)
	awaitFound(t, c, 1)
	holder, err := fountain.New(s.url(), fountain.WithRootCAs(s.roots), fountain.WithAPIKey(key.Key))
	require.NoError(t, err)
	_, err = holder.Sequence.ListElements(t.Context(), "stack", "scene", nil)
	require.ErrorIs(t, err, fountain.ErrUnauthenticated, "a key that was revoked after the backup stays invalid")
	s.checkNoSecrets()
}

// backupKey creates a key pair for archives, writes both halves where the two containers read them, and returns the file of the identity.
func (s *stack) backupKey() string {
	s.t.Helper()
	key, err := age.GenerateX25519Identity()
	require.NoError(s.t, err)
	s.known["key of archives"] = key.String()
	file := filepath.Join(s.secrets, "backup-drill", "identity")
	require.NoError(s.t, os.WriteFile(file, []byte(key.String()+"\n"), 0o644))                                                             //nolint:gosec // the directory is closed to others, as for all files in it
	require.NoError(s.t, os.WriteFile(filepath.Join(s.secrets, "backup", "recipients.txt"), []byte(key.Recipient().String()+"\n"), 0o644)) //nolint:gosec // public
	return file
}

// awaitDrill waits until three backups were written after the given time and the drill has restored one of the newest two. It returns the file of that one.
func (s *stack) awaitDrill(c *fountain.Client, after time.Time) (file string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		list, err := c.KMS.ListBackups(s.t.Context(), nil)
		require.NoError(s.t, err)
		made := slices.DeleteFunc(list.Items, func(b kms.Backup) bool { return !b.MadeAt.After(after) })
		if len(made) < 3 {
			return false
		}
		for _, b := range made[:2] { // these are not removed yet
			if b.Check != nil && *b.Check == kms.BackupCheckDrill && b.FailedCheck == nil {
				file = b.File
				return true
			}
		}
		return false
	}, 4*time.Minute, time.Second, "backups are written and restored")
	return file
}

// archives returns the names of the archives in the volume of backups.
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
