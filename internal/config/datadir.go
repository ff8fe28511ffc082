package config

import (
	"fmt"
	"os"
	"syscall"
)

// CheckDataDir refuses a directory in which another user could replace this service's files: one that is writable by everybody, or by a group that is
// not this process's own. A directory that does not exist yet is accepted.
func CheckDataDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return nil // its creator or user reports the error
	}
	mode := info.Mode().Perm()
	stat, known := info.Sys().(*syscall.Stat_t)
	ownGroup := known && int(stat.Gid) == os.Getegid()
	if mode&0o002 != 0 || mode&0o020 != 0 && !ownGroup {
		return fmt.Errorf("data directory %s can be written by others (mode %04o): chmod 700 it", dir, mode)
	}
	return nil
}
