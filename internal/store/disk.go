package store

import (
	"fmt"
	"path/filepath"
	"syscall"
)

// spareDisk is what must be free where a SQLite database lies. A small commit can still go into space that the write-ahead log holds already;
// the next larger one would fail.
const spareDisk = 1 << 20

// freeBytes tells how much an unprivileged process can still write where a directory lies.
var freeBytes = func(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}

// room returns ErrFull when there is less than spareDisk for a SQLite database.
func (db *DB) room() error {
	if db.identity == nil {
		return nil
	}
	free, err := freeBytes(filepath.Dir(db.identity.path))
	if err != nil {
		return fmt.Errorf("tell the free space of the disk: %w", err)
	}
	if free < spareDisk {
		return fmt.Errorf("%w: %w: %d bytes are free", ErrUnavailable, ErrFull, free)
	}
	return nil
}
