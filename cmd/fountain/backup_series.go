package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fountainai/fountain/internal/clock"
)

// series is a directory of archives that are named by the time at which each was begun, to the second. What has another name in it is nobody's business here.
type series struct{ dir string }

const (
	seriesLayout = "2006-01-02T150405Z"
	seriesSuffix = ".backup"
	partSuffix   = ".part"
)

var inSeries = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d{6}Z\.backup(\.part)?$`)

// file returns the name of an archive that is started at a time.
func (s series) file(at time.Time) string {
	return filepath.Join(s.dir, at.UTC().Format(seriesLayout)+seriesSuffix)
}

// next is the file of an archive that is begun now: it is named by this second, or by the first one after it that no archive has, and none that is being written by backup --to.
// The lock keeps the name free of other backups --into; makeBackup refuses one that --to has taken since.
func (s series) next(now time.Time) string {
	for exists(s.file(now)) || exists(s.file(now)+partSuffix) {
		now = now.Add(time.Second)
	}
	return s.file(now)
}

// aheadBy is how far a time may lie ahead of the clock before it was told by a clock that was wrong.
const aheadBy = time.Minute

// names returns the names of the complete archives, newest first, and of the unfinished ones. An empty file is
// unfinished: a backup claimed the name and was killed before it renamed the archive.
func (s series) names() (whole, unfinished []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, nil, fmt.Errorf("read the directory of archives: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if !e.Type().IsRegular() || !inSeries.MatchString(name) {
			continue
		}
		info, err := e.Info()
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			return nil, nil, fmt.Errorf("read the directory of archives: %w", err)
		case strings.HasSuffix(name, partSuffix) || info.Size() == 0:
			unfinished = append(unfinished, name)
		default:
			whole = append(whole, name)
		}
	}
	slices.Sort(whole)
	slices.Reverse(whole)
	return whole, unfinished, nil
}

// newest returns the newest archive and its start time, or "" if there is none. An archive with a time ahead of the
// clock counts only if there is no other, because it would hide all archives until that time.
func (s series) newest(now time.Time) (file string, at time.Time, err error) {
	whole, _, err := s.names()
	if err != nil || len(whole) == 0 {
		return "", time.Time{}, err
	}
	newest, latest := whole[0], filepath.Base(s.file(now.Add(aheadBy)))
	if i := slices.IndexFunc(whole, func(name string) bool { return name <= latest }); i >= 0 {
		newest = whole[i]
	}
	at, err = time.Parse(seriesLayout+seriesSuffix, newest)
	if err != nil { // an invalid time, such as 99 hours
		return "", time.Time{}, fmt.Errorf("the name of %s contains no time: move the file away: %w", filepath.Join(s.dir, newest), err)
	}
	return filepath.Join(s.dir, newest), at, nil
}

// newestAt returns an archive, or the newest one if path is a directory.
func newestAt(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("read archive: %w", err)
	}
	if !info.IsDir() {
		return path, nil
	}
	file, _, err := series{path}.newest(clock.System.Now())
	if err == nil && file == "" {
		err = fmt.Errorf("%s contains no archive of backup --into", path)
	}
	return file, err
}

// lock prevents a second backup into the directory. The kernel releases the lock when the process ends. It does not
// follow a symbolic link, which could be another user's.
func (s series) lock() (unlock func() error, err error) {
	file, err := os.OpenFile(filepath.Join(s.dir, ".lock"), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the directory of archives: %w", err)
	}
	if err := takeLock(file); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("another backup is being written into %s", s.dir), file.Close())
		}
		return nil, errors.Join(fmt.Errorf("lock the directory of archives: %w", err), file.Close())
	}
	return file.Close, nil
}

// sweep removes the remains of killed backups. The caller holds the lock, so no backup --into this directory is
// running. The files of a running backup --to have a lock of their own.
func (s series) sweep() error {
	_, unfinished, err := s.names()
	for _, name := range unfinished {
		err = errors.Join(err, removeLeft(filepath.Join(s.dir, name)))
	}
	return err
}

// removeLeft removes a file of a killed backup. It leaves a file that is being written, and a file of another user,
// which it cannot open.
func removeLeft(path string) error {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove what an earlier backup left: %w", err)
	}
	switch err = takeLock(file); {
	case err == nil:
		err = os.Remove(path)
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = nil
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("remove what an earlier backup left: %w", err)
	}
	return nil
}

// takeLock locks a file until it is closed. Error: EWOULDBLOCK if another process has locked it.
func takeLock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// trim removes all archives except the newest keep ones, and returns the removed ones. The archive that was just
// written always stays, even if the clock was ahead before.
func (s series) trim(keep int, written string) (removed []string, err error) {
	whole, _, err := s.names()
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(whole, func(name string) bool { return name == filepath.Base(written) })
	for _, name := range others[min(keep-1, len(others)):] {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			return removed, fmt.Errorf("the archive is complete, but an older one still exists: %w", err)
		}
		removed = append(removed, name)
	}
	return removed, nil
}
