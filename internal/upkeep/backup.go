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

// aheadBy is how far a time may lie ahead of the clock before it was told by a clock that was wrong.
const aheadBy = time.Minute

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

	// Fault is what is wrong with the record; nil for one that can be read. Then ID and MadeAt are what its name says (MadeAt of a name that no
	// command gives: when the file was changed), and nothing else is known. ErrDamaged, or the record could not be read.
	Fault error  `json:"-"`
	place string // name of a record with a fault

	// Check is the last check that the archive has passed here; "" when none has.
	Check     Check     `json:"check,omitempty"`
	CheckedAt time.Time `json:"checkedAt,omitzero"`

	// Failed is the check that the archive has failed after any that it has passed; "" when it has not.
	Failed   Check     `json:"failed,omitempty"`
	FailedAt time.Time `json:"failedAt,omitzero"`
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
func (b Backup) Key() string {
	if b.place != "" {
		return b.place
	}
	return b.MadeAt.UTC().Format(nameLayout) + "-" + b.ID + suffix
}

// faulty is a backup whose record tells nothing, at its place in the list.
func faulty(all *os.Root, name string, fault error) Backup {
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

// readBackup reads a record, which must be that of its name. fs.ErrNotExist: it was forgotten since.
func readBackup(all *os.Root, name string) (b Backup, err error) {
	if err := read(all, name, &b); err != nil {
		return Backup{}, err
	}
	if b.Key() != name {
		return Backup{}, fmt.Errorf("%s: %w: it is of another backup than its name says", name, ErrDamaged)
	}
	return b, nil
}

// AddBackup remembers a backup in the kms's data directory, which is made when it is not there, as where the kms uses PostgreSQL. The oldest ones over MaxBackups are forgotten.
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

// isDir reports whether a name in the list is a directory's, which no command has made. One with something in it stays, and is in the way of no record.
func isDir(all *os.Root, name string) bool {
	info, err := all.Lstat(name)
	return err == nil && info.IsDir()
}

// MarkChecked notes that the archive with the id has passed a check, whatever it has failed before. known is false when it is not remembered here.
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

// MarkFailed notes that an archive has failed a check: the newest that is remembered under a file of this name, in whatever directory, because an archive that can't be read
// tells no id. known is false when none is remembered here.
func MarkFailed(dir, file string, how Check, at time.Time) (known bool, err error) {
	err = inBackups(dir, func(all *os.Root, names []string) error {
		for _, name := range names {
			b, err := readBackup(all, name)
			if err != nil || filepath.Base(b.File) != filepath.Base(file) { // a record that tells nothing is listed with its fault
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

// Checks returns when a backup last passed a check, and whether one has failed a check after that. The zero time: none has passed any. A check that was passed by a clock
// that was ahead does not count, because nothing would be told until then; one that was failed does.
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

// Backups returns at most limit of the backups that are remembered, newest first: those that follow a key, or the first ones for "". One whose record is no good is there with its Fault.
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
			if errors.Is(err, fs.ErrNotExist) { // forgotten since
				continue
			}
			if err != nil {
				b = faulty(all, name, err)
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

// LastBackup returns the newest backup; the zero value when there is none. One that was made by a clock that was ahead does not count, because it would be the newest until then,
// whether others are made or not.
func LastBackup(dir string, now time.Time) (last Backup, err error) {
	latest := now.Add(aheadBy)
	err = inBackups(dir, func(all *os.Root, names []string) (err error) {
		i := slices.IndexFunc(names, func(name string) bool {
			at, _, _ := strings.Cut(name, "-")
			made, err := time.Parse(nameLayout, at)
			return err != nil || !made.After(latest) // that it has no such name is told below
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

// inBackups runs do with the directory of backups and the files of what is remembered, newest first. Without the directory nothing is remembered, and do does not run.
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

// backupNames are the files of what is remembered, newest first.
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
