package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/upkeep"
)

// newBackup copies everything, while it works.
func newBackup() *cobra.Command {
	var data, to, recipientsFile string
	var recipients []string
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "On the machine of the services: copy all their databases into one encrypted archive, while they work",
		Long: `backup copies the databases of kms, twofactor, search and sequence, and the documents of the embedded
search engine, into one archive that is encrypted to your key (age-encryption.org; "fountain backup
key" creates one). Each copy is one state of its database, and holds every write that was
acknowledged before its instant; "backup verify" shows the instants. SQLite and PostgreSQL are
copied in the same form, and restored to either.

The root key is never in it: keep that at another place than the archives. The documents of a
Typesense of your own are not in it either.`,
		Example: `  fountain backup --to family.backup --recipient age1...
  fountain backup --to /backups/monday --recipients-file keys.txt --data /var/lib/fountain`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			to, err := archiveTo(to)
			if err != nil {
				return err
			}
			who, err := readRecipients(recipients, recipientsFile)
			if err != nil {
				return err
			}
			at, err := findPlaces(data, cmd.Flags().Changed("data"))
			if err != nil {
				return err
			}
			return makeBackup(cmd, at, to, who)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "file that the archive is written to; it must not exist")
	cmd.Flags().StringArrayVar(&recipients, "recipient", nil, "public key that the archive is encrypted to (age1...); several may be given")
	cmd.Flags().StringVar(&recipientsFile, "recipients-file", "", "file with public keys, one a line")
	cmd.Flags().StringVar(&data, "data", dataFlag(), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_<SERVICE>_DATA_DIR and ..._DATABASE_URL_FILE name those of single services")
	cmd.AddCommand(newBackupKey(), newBackupVerify(), newBackupDrill(), newBackupList())
	return cmd
}

func archiveTo(to string) (string, error) {
	if to == "" {
		return "", usagef("--to names the file that the archive is written to")
	}
	if exists(to) {
		return "", fmt.Errorf("%s exists already", to)
	}
	return to, nil
}

// maxKeys bounds the files of keys, in bytes.
const maxKeys = 1 << 20

func readRecipients(given []string, file string) (out []age.Recipient, err error) {
	for _, text := range given {
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, usagef("--recipient is not a public key of age (age1...)")
		}
		out = append(out, r)
	}
	if file != "" {
		in, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read recipients: %w", err)
		}
		defer in.Close()
		more, err := age.ParseRecipients(io.LimitReader(in, maxKeys))
		if err != nil {
			return nil, fmt.Errorf("%s does not hold public keys of age, one a line", file)
		}
		out = append(out, more...)
	}
	if len(out) == 0 {
		return nil, usagef("--recipient or --recipients-file says who can open the archive; fountain backup key FILE creates a key")
	}
	return out, nil
}

func readIdentities(file string) ([]age.Identity, error) {
	if file == "" {
		return nil, usagef("--identity names the file with the secret key of the archive")
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	defer in.Close()
	identities, err := age.ParseIdentities(io.LimitReader(in, maxKeys))
	if err != nil { // its own text may repeat the key
		return nil, fmt.Errorf("%s does not hold a secret key of age (AGE-SECRET-KEY-1...)", file)
	}
	return identities, nil
}

// makeBackup writes the archive beside its name first, so that what has the name is whole.
func makeBackup(cmd *cobra.Command, at *places, to string, who []age.Recipient) (err error) {
	unfinished := to + ".part"
	file, err := os.OpenFile(unfinished, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there, of a backup that runs or was killed: remove it when none runs", unfinished)
	}
	if err != nil {
		return fmt.Errorf("write archive: %w", err)
	}
	m, sums, err := backup.Write(cmd.Context(), file, at.parts, backup.Options{Recipients: who, Version: version, Clock: clock.System})
	if err := errors.Join(at.documentsGone(err), file.Sync(), file.Close()); err != nil {
		return errors.Join(fmt.Errorf("back up: %w", err), os.Remove(unfinished))
	}
	if err := nameArchive(unfinished, to); err != nil {
		return err
	}
	if err := remember(at.kms.DataDir, to, m, sums); err != nil {
		return fmt.Errorf("the archive is whole, but the list of backups does not hold it: %w", err)
	}
	return printCopies(cmd.OutOrStdout(), m, sums)
}

// nameArchive gives a whole archive its name, which nothing may have. It takes the name with an empty file and renames over that: a hard link would replace
// nothing either, but exFAT, CIFS and others have none. Where the name can't be had, the archive stays where it is: it is whole.
func nameArchive(unfinished, to string) error {
	claim, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(claim.Close(), os.Rename(unfinished, to))
		if err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}
	if err != nil {
		return fmt.Errorf("the archive is whole, but lies at %s, for it can't be named %s: %w", unfinished, to, err)
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) { // of file systems that write names at once, or can't be asked
		err = nil
	}
	if err := errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}

func printCopies(out io.Writer, m backup.Manifest, sums []backup.Sum) error {
	fmt.Fprintf(out, "%s, made by %s\n", m.ID, m.Version)
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "PART\tDATABASE\tINSTANT\tROWS\tBYTES")
	for _, c := range m.Parts {
		rows, bytes := sizeOf(c.Name, sums)
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\n", c.Name, c.Database, c.Instant.Format(time.RFC3339Nano), rows, bytes)
	}
	return table.Flush()
}

func newBackupKey() *cobra.Command {
	return &cobra.Command{
		Use:   "key FILE",
		Short: "Create a key for archives: the secret half into a new file, the public half on standard output",
		Long: `key writes a secret key of age into FILE (0600), which must not exist, and prints the public key. Backups
need the public key alone: keep FILE on another machine than the one that writes them.`,
		Example: "  fountain backup key backup.key\n  fountain backup --to family.backup --recipient \"$(fountain backup key backup.key)\"",
		Args:    oneArg("a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			identity, err := age.GenerateX25519Identity()
			if err != nil {
				return fmt.Errorf("make key: %w", err)
			}
			file, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s exists already, and a key is never written over: backups may need it", args[0])
			}
			if err != nil {
				return fmt.Errorf("make key: %w", err)
			}
			_, err = fmt.Fprintf(file, "# public key: %s\n%s\n", identity.Recipient(), identity)
			if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
				return fmt.Errorf("write key: %w", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), identity.Recipient())
			return err
		},
	}
}

func opener(file string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(file) }
}

func newBackupVerify() *cobra.Command {
	var identity, data string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Read an archive to its end: that it opens, is whole, and what is in it",
		Long: `verify reads an archive to its end. It needs nothing but the archive and its secret key. With --data, on the
machine of the services, the list of backups says afterwards that this one was verified.`,
		Example: "  fountain backup verify family.backup --identity backup.key\n  fountain backup verify family.backup --identity backup.key --json",
		Args:    oneArg("an archive"),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := readIdentities(identity)
			if err != nil {
				return err
			}
			in, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("read archive: %w", err)
			}
			defer in.Close()
			m, sums, err := backup.Verify(in, who)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := noteCheck(cmd, data, m, upkeep.Verified); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"manifest": m, "sums": sums})
			}
			return printCopies(cmd.OutOrStdout(), m, sums)
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", "file with the secret key")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print manifest and checksums as JSON")
	checkedFlag(cmd, &data)
	return cmd
}

func newBackupDrill() *cobra.Command {
	var identity, dir, data string
	cmd := &cobra.Command{
		Use:   "drill FILE",
		Short: "Restore an archive into an empty directory, look at it, and remove it: for a timer",
		Long: `drill does what restore does, in a directory that is removed afterwards: it reads the archive, creates every
database of it, has SQLite check each, holds every audit trail against its hashes, and ends what a
restore ends. It needs as much room as the data, and no root key. Its exit status says whether all
of it succeeded. With --data, on the machine of the services, the list of backups says afterwards that
this one passed a drill.`,
		Example: "  fountain backup drill family.backup --identity backup.key\n  fountain backup drill family.backup --identity backup.key --data /var/lib/fountain --dir /var/tmp",
		Args:    oneArg("an archive"),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, err := readIdentities(identity)
			if err != nil {
				return err
			}
			at, err := os.MkdirTemp(dir, "fountain-drill-")
			if err != nil {
				return fmt.Errorf("make a directory for the drill: %w", err)
			}
			return errors.Join(drill(cmd, args[0], at, data, who), os.RemoveAll(at))
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", "file with the secret key")
	cmd.Flags().StringVar(&dir, "dir", "", "where the directory of the drill is created; default: that of temporary files")
	checkedFlag(cmd, &data)
	return cmd
}

func drill(cmd *cobra.Command, file, dir, data string, who []age.Identity) error {
	began := time.Now()
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read archive: %w", err)
	}
	m, _, err := backup.Verify(in, who)
	if err := errors.Join(err, in.Close()); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	at, err := scratch(filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	at.only(m)
	var looked []string
	_, sums, err := backup.Restore(cmd.Context(), opener(file), at.parts, backup.RestoreOptions{
		Identities: who, Clock: clock.System, KeepUsers: true, Discard: true,
		Look: func(ctx context.Context, c backup.Copy, db *store.DB) error {
			sentence, err := lookAt(ctx, c, db)
			looked = append(looked, sentence)
			return err
		},
	})
	if err != nil {
		return fmt.Errorf("the drill failed: %s: %w", file, err)
	}
	if err := noteCheck(cmd, data, m, upkeep.Drilled); err != nil {
		return err
	}
	if err := printCopies(cmd.OutOrStdout(), m, sums); err != nil {
		return err
	}
	for _, sentence := range looked {
		fmt.Fprintln(cmd.OutOrStdout(), sentence)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s can be restored; the drill took %s\n", file, time.Since(began).Round(time.Millisecond))
	return err
}

// lookAt looks whether a restored database is what its service expects.
func lookAt(ctx context.Context, c backup.Copy, db *store.DB) (string, error) {
	if err := db.Check(ctx); err != nil {
		return "", err
	}
	for _, t := range c.Tables {
		if t.Name != "audit_events" {
			continue
		}
		checked, broken, err := audit.Verify(ctx, db.Read(ctx))
		if err != nil {
			return "", err
		}
		if broken > 0 {
			return "", fmt.Errorf("its audit trail does not hold at event %d", broken)
		}
		return fmt.Sprintf("%s: the database is whole, and its audit trail of %s holds", c.Name, counted(int(checked), "event")), nil
	}
	return c.Name + ": the database is whole", nil
}
