package seal

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	othersAny   fs.FileMode = 0o077
	othersWrite fs.FileMode = 0o022
)

// checkRootFile refuses a key that another user can read or replace. A mode that admits others (mounted secrets have 0644) is accepted when a
// directory above the file admits only its owner, and no directory from there down is writable by others.
func checkRootFile(path string, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("stat root key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", ErrRootFile)
	}
	if !trustedOwner(info) {
		return fmt.Errorf("%w: it belongs to another user", ErrRootFile)
	}
	if info.Mode().Perm()&othersAny == 0 {
		return nil
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return fmt.Errorf("resolve root key path: %w", err)
	}
	// A second hard link to the file could be where others have access.
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && stat.Nlink == 1 && closedDirectory(filepath.Dir(real)) {
		return nil
	}
	return fmt.Errorf("%w: mode %04o admits others, and so do the directories above it; use 0600", ErrRootFile, info.Mode().Perm())
}

// closedDirectory walks up from dir and reports whether it meets a directory that admits only this user or root before one that belongs to, or is
// writable by, another user.
func closedDirectory(dir string) bool {
	for {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !trustedOwner(info) {
			return false
		}
		if info.Mode().Perm()&othersAny == 0 {
			return true
		}
		if info.Mode().Perm()&othersWrite != 0 || dir == filepath.Dir(dir) {
			return false
		}
		dir = filepath.Dir(dir)
	}
}

func trustedOwner(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}
