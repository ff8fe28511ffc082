package config

import (
	"fmt"
	"os"
	"syscall"
)

// CheckDataDir refuses a directory in which somebody else could put other files in the place of this service's: one that everybody may
// write to, or a group that is not this process's own. One that is not there yet is good.
func CheckDataDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return nil // whoever makes or uses it says why that can't be
	}
	mode := info.Mode().Perm()
	stat, known := info.Sys().(*syscall.Stat_t)
	ownGroup := known && int(stat.Gid) == os.Getegid()
	if mode&0o002 != 0 || mode&0o020 != 0 && !ownGroup {
		return fmt.Errorf("data directory %s can be written by others (mode %04o): chmod 700 it", dir, mode)
	}
	return nil
}
