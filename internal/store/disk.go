package store

import (
	"fmt"
	"path/filepath"
	"syscall"
)

// spareDisk is the free disk space that a SQLite database needs, in bytes. A small commit may still fit into space that the write-ahead log has
// already allocated; the next larger one would fail.
const spareDisk = 1 << 20

// freeBytes returns how many bytes an unprivileged process can still write to a directory's file system.
var freeBytes = func(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}

// room returns ErrFull when a SQLite database has less than spareDisk free.
func (db *DB) room() error {
	if db.identity == nil {
		return nil
	}
	free, err := freeBytes(filepath.Dir(db.identity.path))
	if err != nil {
		return fmt.Errorf("read the free space of the disk: %w", err)
	}
	if free < spareDisk {
		return fmt.Errorf("%w: %w: %d bytes are free", ErrUnavailable, ErrFull, free)
	}
	return nil
}
