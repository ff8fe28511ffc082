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

// newBackup makes the command that backs up all services while they run.
func newBackup() *cobra.Command {
	var b backupCall
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Back up the databases of all services to one encrypted archive while they run (on the services' machine)",
		Long: `backup copies the databases of kms, twofactor, search and sequence, and the documents of the embedded search
engine, to one archive that is encrypted to your key (age-encryption.org; "fountain backup key" creates one).
Each copy is one consistent state of its database, and contains every write that was acknowledged before its
point in time; "backup verify" shows these times. SQLite and PostgreSQL are copied in the same format, and can
be restored to either.

With --into the archive is named by its time, in a directory of which --keep keeps the newest archives. With
--every the command keeps running until SIGTERM or SIGINT: it backs up when the newest archive of the
directory has reached that age, and retries a failed backup within 15 minutes. It then writes its log to
standard error, and its exit status is 0 if it was stopped between two backups.

An archive never contains the root key: store the root key in another place than the archives. It also does
not contain the documents of your own Typesense server.`,
		Example: `  fountain backup --to family.backup --recipient age1...
  fountain backup --to /backups/monday --recipients-file keys.txt --data /var/lib/fountain
  fountain backup --into /backups --keep 14 --every 24h --recipients-file keys.txt`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return b.run(cmd) },
	}
	cmd.Flags().StringVar(&b.to, "to", "", "write the archive to this file, which must not exist")
	cmd.Flags().StringVar(&b.into, "into", "", "instead of --to: write the archive to this directory, named by its time")
	cmd.Flags().IntVar(&b.keep, "keep", 0, "with --into: number of archives to keep in the directory, the newest; 0 keeps all")
	cmd.Flags().DurationVar(&b.every, "every", 0, "with --into: keep running, and back up at this interval, at least 1s; a random delay of up to a twentieth of it may be added")
	cmd.Flags().StringArrayVar(&b.recipients, "recipient", nil, "age public key that the archive is encrypted to (age1...); may be repeated")
	cmd.Flags().StringVar(&b.recipientsFile, "recipients-file", "", "file with age public keys, one per line")
	cmd.Flags().StringVar(&b.data, "data", dataFlag(), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_<SERVICE>_DATA_DIR and ..._DATABASE_URL_FILE are those of separate services")
	cmd.AddCommand(newBackupKey(), newBackupVerify(), newBackupDrill(), newBackupList())
	return cmd
}

// backupCall holds the flags of backup.
type backupCall struct {
	data, to, into, recipientsFile string
	recipients                     []string
	keep                           int
	every                          time.Duration
}

func (b *backupCall) run(cmd *cobra.Command) error {
	switch {
	case b.into == "" && (b.keep != 0 || b.every != 0):
		return usagef("--keep and --every are for the archives of a directory: --into names it")
	case b.into != "" && b.to != "":
		return usagef("an archive is written --to a file or --into a directory, and not both")
	case b.keep < 0:
		return usagef("--keep must not be negative")
	}
	if err := checkInterval(cmd, b.every); err != nil {
		return err
	}
	switch {
	case b.every > 0:
		return b.schedule(cmd)
	case b.into != "":
		return b.addTo(cmd)
	}
	to, err := archiveTo(b.to)
	if err != nil {
		return err
	}
	made, err := b.write(cmd, to)
	if err != nil {
		return err
	}
	return printCopies(cmd.OutOrStdout(), made.manifest, made.sums)
}

// archive is an archive that was written.
type archive struct {
	file     string
	manifest backup.Manifest
	sums     []backup.Sum
	removed  []string // older archives of its directory
}

// write writes one archive. It reads the settings again each time, because the password of a database may have changed.
func (b *backupCall) write(cmd *cobra.Command, to string) (made archive, err error) {
	who, err := readRecipients(b.recipients, b.recipientsFile)
	if err != nil {
		return made, err
	}
	at, err := findPlaces(b.data, cmd.Flags().Changed("data"))
	if err != nil {
		return made, err
	}
	made.file = to
	made.manifest, made.sums, err = makeBackup(cmd.Context(), at, to, who)
	return made, err
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

// maxKeys limits key files, in bytes.
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
			return nil, fmt.Errorf("%s does not contain age public keys, one per line", file)
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
	if err != nil { // the text of err could contain the key
		return nil, fmt.Errorf("%s does not contain an age secret key (AGE-SECRET-KEY-1...)", file)
	}
	return identities, nil
}

// makeBackup writes the archive to a temporary file first, so that a file with the archive's name is always complete.
func makeBackup(ctx context.Context, at *places, to string, who []age.Recipient) (m backup.Manifest, sums []backup.Sum, err error) {
	unfinished := to + ".part"
	file, err := os.OpenFile(unfinished, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return m, nil, fmt.Errorf("%s exists, from a backup that is running or was killed: remove it when none is running", unfinished)
	}
	if err != nil {
		return m, nil, fmt.Errorf("write archive: %w", err)
	}
	if err := takeLock(file); errors.Is(err, syscall.EWOULDBLOCK) { // where locks are not supported, sweep does not remove files either
		return m, nil, errors.Join(fmt.Errorf("%s was removed as a leftover of an earlier backup: run the backup again", unfinished), file.Close())
	}
	m, sums, err = backup.Write(ctx, file, at.parts, backup.Options{Recipients: who, Version: version, Clock: clock.System})
	if err := errors.Join(at.documentsGone(err), file.Sync(), file.Close()); err != nil {
		return m, nil, errors.Join(fmt.Errorf("back up: %w", err), os.Remove(unfinished))
	}
	if err := nameArchive(unfinished, to); err != nil {
		return m, nil, err
	}
	if err := remember(at.kms.DataDir, to, m, sums); err != nil {
		return m, nil, fmt.Errorf("the archive is complete, but could not be added to the list of backups: %w", err)
	}
	return m, sums, nil
}

// nameArchive gives a complete archive its name, which must not be taken. It claims the name with an empty file and
// renames the archive over it. A hard link would not replace a file either, but exFAT, CIFS and others have no hard
// links. If the name cannot be claimed, the archive stays where it is, and is complete.
func nameArchive(unfinished, to string) error {
	claim, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(claim.Close(), os.Rename(unfinished, to))
		if err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}
	if err != nil {
		return fmt.Errorf("the archive is complete, but still has the name %s, because it could not be renamed to %s: %w", unfinished, to, err)
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) { // the file system writes names synchronously or does not support the call
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
		Short: "Create a key pair for archives: write the secret key to a new file, print the public key",
		Long: `key writes an age secret key to FILE (mode 0600), which must not exist, and prints the public key. Backups
need only the public key: keep FILE on another machine than the one that writes the backups.`,
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
	var c checkCall
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE|DIRECTORY",
		Short: "Verify that an archive can be decrypted and is complete, and list its contents",
		Long: `verify reads an archive to its end; for a directory that backup --into fills, the newest one. It needs only
the archive and its secret key. With --data, on the services' machine, it also records in the list of backups
whether this archive was verified or failed.`,
		Example: "  fountain backup verify family.backup --identity backup.key\n  fountain backup verify /backups --identity backup.key --json",
		Args:    oneArg("an archive"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.once(cmd, args[0], upkeep.Verified, func(file string, who []age.Identity) (backup.Manifest, error) {
				m, sums, err := readArchive(file, who)
				if err != nil {
					return m, err
				}
				if asJSON {
					return m, printJSON(cmd.OutOrStdout(), map[string]any{"manifest": m, "sums": sums})
				}
				return m, printCopies(cmd.OutOrStdout(), m, sums)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the manifest and the checksums as JSON")
	c.flags(cmd)
	return cmd
}

// readArchive reads an archive to its end.
func readArchive(file string, who []age.Identity) (m backup.Manifest, sums []backup.Sum, err error) {
	in, err := os.Open(file)
	if err != nil {
		return m, nil, fmt.Errorf("read archive: %w", err)
	}
	m, sums, err = backup.Verify(in, who)
	if err := errors.Join(err, in.Close()); err != nil {
		return m, nil, fmt.Errorf("%s: %w", file, err)
	}
	return m, sums, nil
}

func newBackupDrill() *cobra.Command {
	var c checkCall
	var dir string
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "drill FILE|DIRECTORY",
		Short: "Test a restore: restore an archive to a temporary directory, check it, and remove it",
		Long: `drill does the same as restore, in a directory that is removed afterwards: it reads the archive, creates each
of its databases, has SQLite check each of them, verifies the hashes of every audit trail, and ends everything
that a restore ends. It needs as much disk space as the data, and no root key. It is suitable for a timer: the
exit status is 0 only if all of it succeeded. With --data, on the services' machine, it also records in the
list of backups whether this archive passed the drill or failed. For a directory that backup --into fills, it
takes the newest archive. With --every it keeps running until SIGTERM or SIGINT, writes its log to standard
error, and retries a failed drill within 15 minutes.`,
		Example: `  fountain backup drill family.backup --identity backup.key
  fountain backup drill family.backup --identity backup.key --data /var/lib/fountain --dir /var/tmp
  fountain backup drill /backups --identity backup.key --every 24h`,
		Args: oneArg("an archive"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkInterval(cmd, every); err != nil {
				return err
			}
			try := func(file string, who []age.Identity) (backup.Manifest, error) { return drillIn(cmd, file, dir, who) }
			if every == 0 {
				return c.once(cmd, args[0], upkeep.Drilled, try)
			}
			return c.schedule(cmd, args[0], every, try)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "parent of the temporary directory; default: the directory for temporary files")
	cmd.Flags().DurationVar(&every, "every", 0, "keep running, and test the newest archive of the directory at this interval, at least 1s; a random delay of up to a twentieth of it may be added")
	c.flags(cmd)
	return cmd
}

// checkCall holds the flags of a check of archives.
type checkCall struct{ identity, data string }

func (c *checkCall) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.identity, "identity", "", "file with the secret key")
	checkedFlag(cmd, &c.data)
}

// once checks an archive, or the newest one of a directory, and records the result in the list of backups. A missing
// key or directory is not recorded as a failure of an archive.
func (c *checkCall) once(cmd *cobra.Command, at string, how upkeep.Check, check func(file string, who []age.Identity) (backup.Manifest, error)) error {
	who, err := readIdentities(c.identity)
	if err != nil {
		return err
	}
	file, err := newestAt(at)
	if err != nil {
		return err
	}
	m, err := check(file, who)
	if err != nil && !exists(file) { // removed during the check, for example by --keep: not a failure of the archive
		return err
	}
	if err != nil {
		return noteFailure(cmd, c.data, file, how, err)
	}
	return noteCheck(cmd, c.data, m, how)
}

// drillIn makes a drill in a directory, which it removes afterwards.
func drillIn(cmd *cobra.Command, file, dir string, who []age.Identity) (backup.Manifest, error) {
	at, err := os.MkdirTemp(dir, "fountain-drill-")
	if err != nil {
		return backup.Manifest{}, fmt.Errorf("make a directory for the drill: %w", err)
	}
	m, err := drill(cmd, file, at, who)
	return m, errors.Join(err, os.RemoveAll(at))
}

func drill(cmd *cobra.Command, file, dir string, who []age.Identity) (m backup.Manifest, err error) {
	began := time.Now()
	if m, _, err = readArchive(file, who); err != nil {
		return m, err
	}
	at, err := scratch(filepath.Join(dir, "data"))
	if err != nil {
		return m, err
	}
	at.only(m)
	var looked []string
	_, sums, err := backup.Restore(cmd.Context(), opener(file), at.parts, backup.RestoreOptions{
		Identities: who, Clock: clock.System, KeepUsers: true, Discard: true,
		Look: func(ctx context.Context, c backup.Copy, db *store.DB) error {
			sentence, err := checkRestored(ctx, c, db)
			looked = append(looked, sentence)
			return err
		},
	})
	if err != nil {
		return m, fmt.Errorf("the drill failed: %s: %w", file, err)
	}
	if err := printCopies(cmd.OutOrStdout(), m, sums); err != nil {
		return m, err
	}
	for _, sentence := range looked {
		fmt.Fprintln(cmd.OutOrStdout(), sentence)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s can be restored; the drill took %s\n", file, time.Since(began).Round(time.Millisecond))
	return m, err
}

// checkRestored checks that a restored database is one that its service can use.
func checkRestored(ctx context.Context, c backup.Copy, db *store.DB) (string, error) {
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
			return "", fmt.Errorf("its audit trail is not valid from event %d on", broken)
		}
		return fmt.Sprintf("%s: the database is whole, and its audit trail of %s holds", c.Name, counted(int(checked), "event")), nil
	}
	return c.Name + ": the database is whole", nil
}
