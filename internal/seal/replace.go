package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PreviousFile returns the path of the previous root key, beside the one at path.
func PreviousFile(path string) string { return path + ".previous" }

// ReplaceRoot writes a new random root key to path and keeps the old one at PreviousFile(path). At every moment path holds a complete key, and the
// old key is in one of the two files; a killed call is completed by the next. It returns fs.ErrExist when a previous key still exists, because it may
// still be needed.
func ReplaceRoot(path string) error {
	old, err := LoadRoot(path)
	if err != nil {
		return err
	}
	next, previous, dir := path+".next", PreviousFile(path), filepath.Dir(path)
	kept, err := LoadRoot(previous)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("previous root key: %w", err)
	case kept.ID() != old.ID():
		return fmt.Errorf("%s: %w", previous, fs.ErrExist)
	}
	if _, err := LoadRoot(next); errors.Is(err, fs.ErrNotExist) {
		err = CreateRoot(next)
		if err != nil {
			return err
		}
	} else if err != nil { // an incomplete key left by a killed call
		return fmt.Errorf("remove %s: %w", next, err)
	}
	if kept == nil {
		if err := os.Link(path, previous); err != nil {
			return fmt.Errorf("keep root key: %w", err)
		}
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("keep root key: %w", err)
		}
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("replace root key: %w", err)
	}
	return syncDir(dir)
}
