package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/upkeep"
)

// newBackupList makes the command that lists the backups made beside the kms.
func newBackupList() *cobra.Command {
	o := &operator{}
	cmd := o.command("list", "List the backups of this kms, newest first", "  fountain backup list\n  fountain backup list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			all, rows := []kms.Backup{}, [][]string{}
			for b, err := range c.KMS.Backups(cmd.Context()) {
				if err != nil {
					return err
				}
				check, at := "", ""
				if b.Check != nil && b.CheckedAt != nil {
					check, at = string(*b.Check), when(*b.CheckedAt)
				}
				if b.FailedCheck != nil && b.FailedAt != nil {
					check, at = string(*b.FailedCheck)+" FAILED", when(*b.FailedAt)
				}
				row := []string{b.ID, when(b.MadeAt), b.Version, strconv.FormatInt(b.Bytes, 10), b.File, check, at}
				if b.Fault != nil {
					row = []string{b.ID, when(b.MadeAt), "", "", "(the record of this backup is " + string(*b.Fault) + ")", "", ""}
				}
				all, rows = append(all, b), append(rows, row)
			}
			return o.print(cmd, all, []string{"ID", "CREATED", "BY", "BYTES", "FILE", "CHECK", "CHECKED"}, rows)
		})
	cmd.Long = `list asks the kms which backups were written on its machine with its data directory, the newest 100, and which
check each of them has passed or failed there (backup verify and backup drill with --data). It requires the
role admin and a second factor. It does not know whether an archive still exists where it was written.`
	return cmd
}

// remember adds an archive to the list of backups.
func remember(dir, file string, m backup.Manifest, sums []backup.Sum) error {
	b := upkeep.Backup{ID: m.ID, Version: m.Version, MadeAt: m.MadeAt, File: file}
	if at, err := filepath.Abs(file); err == nil {
		b.File = at
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("measure the archive: %w", err)
	}
	b.Bytes = info.Size()
	for _, c := range m.Parts {
		rows, bytes := sizeOf(c.Name, sums)
		b.Parts = append(b.Parts, upkeep.Part{Name: c.Name, Database: string(c.Database), Instant: c.Instant, Rows: rows, Bytes: bytes})
	}
	return upkeep.AddBackup(dir, b)
}

// sizeOf returns the size of a part.
func sizeOf(part string, sums []backup.Sum) (rows, bytes int64) {
	for _, s := range sums {
		if s.Part == part {
			rows, bytes = rows+s.Rows, bytes+s.Bytes
		}
	}
	return rows, bytes
}

// checkedFlag adds --data, which names the data directory whose list of backups records a check.
func checkedFlag(cmd *cobra.Command, data *string) {
	cmd.Flags().StringVar(data, "data", "", "record the result in the list of backups in this data directory of fountain up; default: that of FOUNTAIN_KMS_DATA_DIR or FOUNTAIN_DATA, or record nothing")
}

// listAt returns the data directory of the kms with the list of backups, or "" if there is none.
func listAt(data string) string {
	own, all := os.Getenv("FOUNTAIN_KMS_DATA_DIR"), os.Getenv("FOUNTAIN_DATA")
	switch {
	case data != "":
		return filepath.Join(data, "kms")
	case own != "":
		return own
	case all != "":
		return filepath.Join(all, "kms")
	}
	return ""
}

// noteFailure records in the list of backups that an archive has failed a check, and returns the failure.
func noteFailure(cmd *cobra.Command, data, file string, how upkeep.Check, failure error) error {
	dir := listAt(data)
	if dir == "" || cmd.Context().Err() != nil { // an interrupted check has no result
		return failure
	}
	known, err := upkeep.MarkFailed(dir, file, how, clock.System.Now())
	if err == nil && !known {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is not in the backup list of %s, so this failure was not recorded\n", filepath.Base(file), dir)
	}
	return errors.Join(failure, err)
}

// noteCheck records in the list of backups that an archive has passed a check. If the list does not contain the
// archive, perhaps because it is from another machine, noteCheck prints that and returns no error.
func noteCheck(cmd *cobra.Command, data string, m backup.Manifest, how upkeep.Check) error {
	dir := listAt(data)
	if dir == "" {
		return nil
	}
	known, err := upkeep.MarkChecked(dir, m.ID, how, clock.System.Now())
	if err != nil {
		return err
	}
	if !known {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is not in the backup list of %s, so this check was not recorded\n", m.ID, dir)
	}
	return nil
}
