package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// PreviousFile is where the root key before lies, beside the one at path.
func PreviousFile(path string) string { return path + ".previous" }

// ReplaceRoot puts a new random root key at path and keeps the one that was there at PreviousFile(path). At every moment path holds a whole key, and the old one is
// in one of the two; a call that was killed is ended by the next. It is fs.ErrExist when an older key is still kept: nobody knows whether it is needed.
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
	} else if err != nil { // half a key of a call that was killed
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
