package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/impl/family"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/clock"
)

// newRestore makes the command that restores a backup into empty places.
func newRestore() *cobra.Command {
	var r restore
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Restore an archive to empty data directories and databases (on the services' machine)",
		Long: `restore restores an archive of "fountain backup" to empty data directories and empty PostgreSQL databases.
It refuses any other target, a wrong key, an incomplete archive and an archive of a newer release, before it
changes anything. The services must not run.

Nothing becomes valid again by a restore: earlier sessions, tokens, API keys, invitations and codes are
refused, the signing keys are new, and the family's services enrol again. Users who were disabled after the
backup cannot be known, so all users are disabled except the administrator that you name; with --keep-users
you state that nobody was disabled or deleted. The command lists what it has ended.

Restore the root key (root.key in the data directory of the kms) yourself, before or after; the kms starts
only with that one.`,
		Example: `  fountain restore family.backup --identity backup.key --administrator ada
  fountain restore family.backup --identity backup.key --keep-users --data /var/lib/fountain`,
		Args: oneArg("an archive"),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&r.identity, "identity", "", "file with the secret key of the archive")
	cmd.Flags().StringVar(&r.administrator, "administrator", "", "username of the administrator who stays enabled; all other users are disabled")
	cmd.Flags().BoolVar(&r.keepUsers, "keep-users", false, "keep users as they are in the backup; use it only if nobody was disabled or deleted since")
	cmd.Flags().BoolVar(&r.asJSON, "json", false, "print the result of the restore as JSON")
	cmd.Flags().StringVar(&r.data, "data", dataFlag(), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_<SERVICE>_DATA_DIR and ..._DATABASE_URL_FILE are those of separate services")
	return cmd
}

// restore holds the flags of restore.
type restore struct {
	data, identity, administrator string
	keepUsers, asJSON             bool
}

func (r restore) run(cmd *cobra.Command, file string) error {
	if r.administrator != "" && r.keepUsers {
		return usagef("--administrator and --keep-users exclude each other")
	}
	who, err := readIdentities(r.identity)
	if err != nil {
		return err
	}
	given := cmd.Flags().Changed("data")
	at, err := findPlaces(r.data, given)
	if err != nil {
		return err
	}
	if running, err := family.Locked(filepath.Clean(r.data)); err == nil && running {
		return fmt.Errorf("fountain up is running on %s: stop it first", r.data)
	}
	rootMissing := false
	restored, sums, err := backup.Restore(cmd.Context(), opener(file), at.parts, backup.RestoreOptions{
		Identities: who, Clock: clock.System, Administrator: r.administrator, KeepUsers: r.keepUsers,
		Check: func(m backup.Manifest) (err error) {
			rootMissing, err = kms.CheckBackup(at.kms, m, r.administrator, r.keepUsers)
			return err
		},
	})
	if errors.Is(err, kms.ErrChooseUsers) {
		return &usageError{err}
	}
	if errors.Is(err, backup.ErrOtherParts) {
		return fmt.Errorf("restore %s: %w; FOUNTAIN_SEARCH_ENGINE_URL must be set here as it was for the backup: when search uses a Typesense, archives do not contain its documents", file, err)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", file, err)
	}
	if rootMissing {
		restored.Notes = append(restored.Notes, backup.Note{Part: "kms", What: "restore the root key: put it into " + at.kms.RootKeyFile + " before the start"})
	}
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]any{"manifest": restored.Archive, "sums": sums, "restoredAt": restored.At, "notes": restored.Notes})
	}
	return printRestored(cmd, restored, sums)
}

func printRestored(cmd *cobra.Command, r *backup.Restored, sums []backup.Sum) error {
	out := cmd.OutOrStdout()
	if err := printCopies(out, r.Archive, sums); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintf(out, "%s: %s\n", note.Part, note.What)
		for _, one := range note.List {
			fmt.Fprintf(out, "  %s\n", one)
		}
	}
	_, err := fmt.Fprintln(out, "restored")
	return err
}
