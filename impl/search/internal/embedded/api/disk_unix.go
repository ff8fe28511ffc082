//go:build unix

package api

import "syscall"

// disk returns the size of the file system that contains dir, and the free space in it, in bytes.
func disk(dir string) (total, free uint64) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0, 0
	}
	return s.Blocks * uint64(s.Bsize), s.Bavail * uint64(s.Bsize)
}
