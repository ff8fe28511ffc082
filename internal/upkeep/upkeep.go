// Package upkeep keeps, in the data directory of the kms, what operators' commands did on its machine: which backups were made and checked, and what the doctor
// found last. Commands write it, the kms tells it to administrators. No backup holds it, and nothing but people, alerts and the doctor depends on it.
package upkeep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxFile bounds a record, in bytes. A doctor who finds something wrong with every file of every service stays far below it.
const maxFile = 1 << 20

// write puts a record under its name in one step: a reader sees the one before or this one. The file belongs to the owner of the directory, so that the kms can
// read it after a command of root's.
func write(dir, name string, record any) (err error) {
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	if len(text) >= maxFile {
		return fmt.Errorf("the record has more than %d bytes", maxFile)
	}
	file, err := os.CreateTemp(dir, ".record-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, give(file, dir), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), filepath.Join(dir, name))
}

// makeDir makes a directory of the owner of the one that it is in.
func makeDir(parent, name string) (dir string, err error) {
	dir = filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		return dir, nil
	} else if err != nil {
		return "", err
	}
	file, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	return dir, errors.Join(give(file, parent), file.Close())
}

// give gives a file the owner of a directory, where that is another one.
func give(file *os.File, dir string) error {
	if os.Geteuid() != 0 {
		return nil // who is not root owns what it makes, and can't give it away
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return file.Chown(int(owner.Uid), int(owner.Gid))
}

// read reads a record.
func read(path string, into any) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return err
	case len(text) > maxFile:
		return fmt.Errorf("%s is larger than %d bytes", filepath.Base(path), maxFile)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s is damaged: %w", filepath.Base(path), err)
	}
	return nil
}
