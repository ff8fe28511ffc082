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

// ErrLocked means that another process uses the data directory.
var ErrLocked = errors.New("another process uses the data directory")

// lockFile is the file in the data directory that is locked while a family runs there. It contains the URL of the gateway of the last family that was
// ready.
const lockFile = "family.lock"

// lock creates the data directory if it does not exist, and locks it for this process. It does not change the mode of an existing directory. It fails
// with ErrLocked when another process has the lock.
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
	return func() { _ = file.Close() }, nil // closing releases the lock
}

// Locked reports whether a family is running on a data directory.
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

// writeAddress stores the gateway's URL for programs on this machine. The file stays locked.
func writeAddress(dir, url string) error {
	if err := os.WriteFile(filepath.Join(dir, lockFile), []byte(url+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the gateway's address: %w", err)
	}
	return nil
}

// Address returns the URL at which the gateway of the family that runs on a data directory (Locked) is reached from this machine; "" if it has never
// been ready.
func Address(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil {
		return "", fmt.Errorf("read the gateway's address: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// cause returns the cause of a file system error without the path, which the caller adds.
func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
