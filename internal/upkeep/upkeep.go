// Package upkeep records, in the data directory of the kms, what operators' commands did on its machine: which backups were made and checked, and the
// last result of the doctor. Commands write the records, and the kms shows them to administrators. They are in no backup, and only people, alerts and
// the doctor depend on them.
package upkeep

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// maxFile is the maximum size of a record in bytes. A doctor that reports every file of every service stays far below it.
	maxFile = 1 << 20

	draftPrefix = ".record-"
	draftLife   = time.Hour // an older draft was left by a killed command
)

// ErrDamaged means that a record was not written by a command.
var ErrDamaged = errors.New("the record is damaged")

// open opens a directory as an os.Root, which confines all access to it: the directory belongs to the kms's user, who could place a symbolic link
// there for a command of root's to write, remove or change the owner of a file elsewhere.
func open(dir string) (*os.Root, error) {
	named, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil && os.Geteuid() == 0 && !os.SameFile(named, opened) && ownerOf(named).Uid != 0 {
		err = fmt.Errorf("%s is a symbolic link of another user's, which root does not follow", dir)
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// write replaces a record atomically: a reader sees the old one or this one. The file gets the owner of the directory, so that the kms can read it
// after a command of root's.
func write(dir *os.Root, name string, record any) (err error) {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if len(text) >= maxFile {
		return fmt.Errorf("the record has more than %d bytes", maxFile)
	}
	if err := removeDrafts(dir); err != nil {
		return err
	}
	draft := draftPrefix + rand.Text()
	file, err := dir.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, dir.Remove(draft))
		}
	}()
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, give(file, dir), file.Sync(), file.Close()); err != nil {
		return err
	}
	return dir.Rename(draft, name)
}

// removeDrafts removes what killed commands have left.
func removeDrafts(dir *os.Root) error {
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), draftPrefix) {
			continue
		}
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > draftLife {
			err = dir.Remove(e.Name())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// makeDir creates a directory with the owner of its parent, and opens it. A directory that a killed command of root's created without changing its
// owner is fixed.
func makeDir(parent *os.Root, name string) (dir *os.Root, err error) {
	if err := parent.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	file, err := parent.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && ownerOf(info).Uid == 0 {
		err = give(file, parent)
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	return parent.OpenRoot(name)
}

// makeData opens the data directory. If it does not exist it is created with the owner of its parent.
func makeData(dir string) (*os.Root, error) {
	data, err := open(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return data, err
	}
	above := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(above, 0o700); err != nil {
		return nil, err
	}
	parent, err := open(above)
	if err != nil {
		return nil, err
	}
	defer parent.Close()
	return makeDir(parent, filepath.Base(dir))
}

// give changes the owner of a file to that of a directory, if they differ.
func give(file *os.File, dir *os.Root) error {
	if os.Geteuid() != 0 {
		return nil // without root, a user owns what it creates and cannot give it away
	}
	info, err := dir.Stat(".")
	if err != nil {
		return err
	}
	owner := ownerOf(info)
	return file.Chown(int(owner.Uid), int(owner.Gid))
}

// ownerOf returns the system's information about a file, or the zero value, which means root, where there is none.
func ownerOf(info fs.FileInfo) syscall.Stat_t {
	if known, ok := info.Sys().(*syscall.Stat_t); ok {
		return *known
	}
	return syscall.Stat_t{}
}

// read reads a record. It does not block: what is not a regular file is refused.
func read(dir *os.Root, name string, into any) error {
	file, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w: not a regular file", name, ErrDamaged)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxFile:
		return fmt.Errorf("%s: %w: it is larger than %d bytes", name, ErrDamaged, maxFile)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w: %w", name, ErrDamaged, err)
	}
	return nil
}
