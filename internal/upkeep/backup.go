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

// backupsDir contains one file for each recorded backup.
const backupsDir = "backups"

// MaxBackups is how many backups, the newest ones, are recorded.
const MaxBackups = 100

// aheadBy is how far a recorded time may be ahead of the clock. A time further ahead was written by a wrong clock.
const aheadBy = time.Minute

// Check is a kind of verification of an archive.
type Check string

// Checks of an archive.
const (
	Verified Check = "verify" // read to its end
	Drilled  Check = "drill"  // restored into an empty place, and checked there
)

// Backup is the record of an archive that was made on the kms's machine.
type Backup struct {
	ID      string    `json:"id"`
	Version string    `json:"version"` // of the program that made it
	MadeAt  time.Time `json:"madeAt"`
	File    string    `json:"file"`  // where it was written to
	Bytes   int64     `json:"bytes"` // of the archive
	Parts   []Part    `json:"parts"` // in the order of the archive

	// Fault is the error of a record that cannot be read, else nil. Then only ID and MadeAt are known, from its file name (MadeAt of a file name that
	// no command uses: the file's modification time). It is ErrDamaged, or the error of reading the file.
	Fault error  `json:"-"`
	place string // file name of a record with a fault

	// Check is the last check that the archive has passed here; "" when there is none.
	Check     Check     `json:"check,omitempty"`
	CheckedAt time.Time `json:"checkedAt,omitzero"`

	// Failed is the check that the archive has failed after the last one that it passed; "" when there is none.
	Failed   Check     `json:"failed,omitempty"`
	FailedAt time.Time `json:"failedAt,omitzero"`
}

// Part is one database in an archive.
type Part struct {
	Name     string    `json:"name"`
	Database string    `json:"database"` // sqlite or postgres
	Instant  time.Time `json:"instant"`  // every change acknowledged before is in the copy
	Rows     int64     `json:"rows"`
	Bytes    int64     `json:"bytes"` // before compression
}

// Files are named by their keys, which sort by time.
const (
	nameLayout = "20060102T150405.000000000Z"
	suffix     = ".json"
)

// Key returns the position of a backup in the list.
func (b Backup) Key() string {
	if b.place != "" {
		return b.place
	}
	return b.MadeAt.UTC().Format(nameLayout) + "-" + b.ID + suffix
}

// unreadableBackup returns a backup for an unreadable record, at its position in the list.
func unreadableBackup(all *os.Root, name string, fault error) Backup {
	b := Backup{place: name, Fault: fault}
	at, id, _ := strings.Cut(strings.TrimSuffix(name, suffix), "-")
	made, err := time.Parse(nameLayout, at)
	if err != nil { // no command has made this file
		b.ID = strings.TrimSuffix(name, suffix)
		if info, err := all.Lstat(name); err == nil {
			b.MadeAt = info.ModTime().UTC()
		}
		return b
	}
	b.MadeAt, b.ID = made, id
	return b
}

// readBackup reads a record, which must match its file name. fs.ErrNotExist: it was removed since.
func readBackup(all *os.Root, name string) (b Backup, err error) {
	if err := read(all, name, &b); err != nil {
		return Backup{}, err
	}
	if b.Key() != name {
		return Backup{}, fmt.Errorf("%s: %w: it is of another backup than its name says", name, ErrDamaged)
	}
	return b, nil
}

// AddBackup records a backup in the kms's data directory, which is created when it does not exist, as for a kms with PostgreSQL. The oldest records
// beyond MaxBackups are removed.
func AddBackup(dir string, b Backup) error {
	if err := addBackup(dir, b); err != nil {
		return fmt.Errorf("remember backup: %w", err)
	}
	return nil
}

func addBackup(dir string, b Backup) error {
	data, err := makeData(dir)
	if err != nil {
		return err
	}
	defer data.Close()
	all, err := makeDir(data, backupsDir)
	if err != nil {
		return err
	}
	defer all.Close()
	if err := write(all, b.Key(), b); err != nil {
		return err
	}
	names, err := backupNames(all)
	if err != nil {
		return err
	}
	for _, name := range names[min(MaxBackups, len(names)):] {
		if err := all.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) && !isDir(all, name) {
			return err
		}
	}
	return nil
}

// isDir reports whether a name in the list is a directory. No command creates one. A directory that is not empty cannot be removed and must not keep records from being removed.
func isDir(all *os.Root, name string) bool {
	info, err := all.Lstat(name)
	return err == nil && info.IsDir()
}

// MarkChecked records that the archive with this id has passed a check, whatever it failed before. known is false when it is not recorded here.
func MarkChecked(dir, id string, how Check, at time.Time) (known bool, err error) {
	err = inBackups(dir, func(all *os.Root, names []string) error {
		i := slices.IndexFunc(names, func(name string) bool { return strings.HasSuffix(name, "-"+id+suffix) })
		if i < 0 || id == "" {
			return nil
		}
		b, err := readBackup(all, names[i])
		if err != nil {
			return err
		}
		known, b.Check, b.CheckedAt, b.Failed, b.FailedAt = true, how, at, "", time.Time{}
		return write(all, names[i], b)
	})
	if err != nil {
		return false, fmt.Errorf("remember that a backup was checked: %w", err)
	}
	return known, nil
}

// MarkFailed records that an archive has failed a check. The archive is the newest record with this file name, in whatever directory, because an
// unreadable archive has no id. known is false when there is none.
func MarkFailed(dir, file string, how Check, at time.Time) (known bool, err error) {
	err = inBackups(dir, func(all *os.Root, names []string) error {
		for _, name := range names {
			b, err := readBackup(all, name)
			if err != nil || filepath.Base(b.File) != filepath.Base(file) { // an unreadable record is listed with its fault
				continue
			}
			known, b.Failed, b.FailedAt = true, how, at
			return write(all, name, b)
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("remember that a backup has failed a check: %w", err)
	}
	return known, nil
}

// Checks returns when a backup last passed a check, and whether one has failed a check after that. The zero time means that none has passed. A passed
// check with a time ahead of the clock does not count, because it would suppress warnings until that time; a failed one does.
func Checks(dir string, now time.Time) (passed time.Time, failed bool, err error) {
	all, err := Backups(dir, "", MaxBackups)
	var last time.Time
	for _, b := range all {
		if b.CheckedAt.After(passed) && !b.CheckedAt.After(now.Add(aheadBy)) {
			passed = b.CheckedAt
		}
		if b.FailedAt.After(last) {
			last = b.FailedAt
		}
	}
	return passed, last.After(passed), err
}

// Backups returns at most limit records, newest first: those after a key, or the first ones for "". An unreadable record is included with its Fault.
func Backups(dir, after string, limit int) (found []Backup, err error) {
	err = inBackups(dir, func(all *os.Root, names []string) error {
		for _, name := range names {
			if len(found) == limit {
				break
			}
			if after != "" && name >= after {
				continue
			}
			b, err := readBackup(all, name)
			if errors.Is(err, fs.ErrNotExist) { // removed since
				continue
			}
			if err != nil {
				b = unreadableBackup(all, name, err)
			}
			found = append(found, b)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	return found, nil
}

// LastBackup returns the newest backup, or the zero value when there is none. One with a time ahead of the clock does not count, because it would be
// the newest until that time, whether others are made or not.
func LastBackup(dir string, now time.Time) (last Backup, err error) {
	latest := now.Add(aheadBy)
	err = inBackups(dir, func(all *os.Root, names []string) (err error) {
		i := slices.IndexFunc(names, func(name string) bool {
			at, _, _ := strings.Cut(name, "-")
			made, err := time.Parse(nameLayout, at)
			return err != nil || !made.After(latest) // a file without a valid name is reported below
		})
		if i >= 0 {
			last, err = readBackup(all, names[i])
		}
		return err
	})
	if err != nil {
		return Backup{}, fmt.Errorf("read the last backup: %w", err)
	}
	return last, nil
}

// inBackups runs do with the directory of backups and the file names of the records, newest first. Without the directory there are no records, and do
// is not called.
func inBackups(dir string, do func(all *os.Root, names []string) error) error {
	data, err := open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer data.Close()
	all, err := data.OpenRoot(backupsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer all.Close()
	names, err := backupNames(all)
	if err != nil {
		return err
	}
	return do(all, names)
}

// backupNames returns the file names of the records, newest first.
func backupNames(all *os.Root) (names []string, err error) {
	entries, err := fs.ReadDir(all.FS(), ".")
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
