package upkeep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// backupsDir holds one file for each backup that is remembered.
const backupsDir = "backups"

// MaxBackups is how many backups are remembered, the newest.
const MaxBackups = 100

// Check is how an archive was looked at after it was made.
type Check string

// The checks of an archive.
const (
	Verified Check = "verify" // read to its end
	Drilled  Check = "drill"  // restored into an empty place, and looked at
)

// Backup is an archive that was made beside the kms.
type Backup struct {
	ID      string    `json:"id"`
	Version string    `json:"version"` // of the program that made it
	MadeAt  time.Time `json:"madeAt"`
	File    string    `json:"file"`  // where it was written to
	Bytes   int64     `json:"bytes"` // of the archive
	Parts   []Part    `json:"parts"` // in its order

	// Check is the last check that the archive has passed here; "" when none has.
	Check     Check     `json:"check,omitempty"`
	CheckedAt time.Time `json:"checkedAt,omitzero"`
}

// Part is one copied database of an archive.
type Part struct {
	Name     string    `json:"name"`
	Database string    `json:"database"` // sqlite or postgres
	Instant  time.Time `json:"instant"`  // what was acknowledged before is in the copy
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"` // before compression
}

// Files have the names of their keys, which sort by time.
const (
	nameLayout = "20060102T150405.000000000Z"
	suffix     = ".json"
)

// Key is the place of a backup in the list.
func (b Backup) Key() string { return b.MadeAt.UTC().Format(nameLayout) + "-" + b.ID + suffix }

// AddBackup remembers a backup in the kms's data directory, which is made when it is not there, as where the kms uses PostgreSQL. The oldest ones over MaxBackups are forgotten.
func AddBackup(dir string, b Backup) error {
	err := func() error {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		at, err := makeDir(dir, backupsDir)
		if err != nil {
			return err
		}
		if err := write(at, b.Key(), b); err != nil {
			return err
		}
		names, err := backupNames(dir)
		if err != nil {
			return err
		}
		for _, name := range names[min(MaxBackups, len(names)):] {
			if err := os.Remove(filepath.Join(at, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		return fmt.Errorf("remember backup: %w", err)
	}
	return nil
}

// MarkChecked notes that the archive with the id has passed a check. known is false when it is not remembered here.
func MarkChecked(dir, id string, how Check, at time.Time) (known bool, err error) {
	names, err := backupNames(dir)
	if err == nil {
		i := slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, "-"+id+suffix) })
		if i < 0 || id == "" {
			return false, nil
		}
		var b Backup
		path := filepath.Join(dir, backupsDir, names[i])
		if err = read(path, &b); err == nil {
			b.Check, b.CheckedAt = how, at
			err = write(filepath.Dir(path), names[i], b)
		}
	}
	if err != nil {
		return false, fmt.Errorf("remember that a backup was checked: %w", err)
	}
	return true, nil
}

// Backups returns at most limit of the backups that are remembered, newest first: those that follow a key, or the first ones for "".
func Backups(dir, after string, limit int) ([]Backup, error) {
	names, err := backupNames(dir)
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var all []Backup
	for _, name := range names {
		if len(all) == limit {
			break
		}
		if after != "" && name >= after {
			continue
		}
		var b Backup
		switch err := read(filepath.Join(dir, backupsDir, name), &b); {
		case errors.Is(err, fs.ErrNotExist): // forgotten since
		case err != nil:
			return nil, fmt.Errorf("list backups: %w", err)
		default:
			all = append(all, b)
		}
	}
	return all, nil
}

// LastBackup returns the newest backup; the zero value when there is none.
func LastBackup(dir string) (last Backup, err error) {
	names, err := backupNames(dir)
	if err != nil || len(names) == 0 {
		return Backup{}, err
	}
	if err := read(filepath.Join(dir, backupsDir, names[0]), &last); err != nil {
		return Backup{}, fmt.Errorf("read the last backup: %w", err)
	}
	return last, nil
}

// backupNames are the files of what is remembered, newest first.
func backupNames(dir string) (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, backupsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the directory of backups: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), suffix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}
