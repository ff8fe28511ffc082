package family

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/fountainai/fountain/internal/config"
)

// ErrLocked says that another process uses the data directory.
var ErrLocked = errors.New("another process uses the data directory")

// lockFile is the name in the data directory whose lock says that a family runs there. It holds where its gateway answered when it was last ready.
const lockFile = "family.lock"

// lock makes the data directory if there is none and takes it for this process. A directory that was there keeps its mode.
func lock(dir string) (unlock func(), err error) {
	if err := config.CheckDataDir(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory %s can't be made: %w", dir, cause(err))
	}
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data directory %s can't be written to: %w", dir, cause(err))
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("data directory %s: %w", dir, ErrLocked)
		}
		return nil, fmt.Errorf("lock data directory %s: %w", dir, err)
	}
	return func() { _ = file.Close() }, nil // closing gives the lock back
}

// Locked reports whether a family runs on a data directory now.
func Locked(dir string) (bool, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// tellAddress keeps where the gateway answers, for programs on this machine. The lock stays.
func tellAddress(dir, url string) error {
	if err := os.WriteFile(filepath.Join(dir, lockFile), []byte(url+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the gateway's address: %w", err)
	}
	return nil
}

// Address returns the URL by which the gateway of the family that runs on a data directory (Locked) is reached from this machine; "" where it was never ready.
func Address(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		return "", fmt.Errorf("read the gateway's address: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// cause is an error of the file system without the path, which the caller names.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
