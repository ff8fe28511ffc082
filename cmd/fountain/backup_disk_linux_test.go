package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/upkeep"
)

// If the disk is full of archives, the next backup fails with one sentence, leaves no partial file, and removes no
// existing archive.
func TestBackup_ontoAFullDiskLosesNoEarlierOne(t *testing.T) {
	disk := t.TempDir()
	err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16k")
	if errors.Is(err, syscall.EPERM) && !strings.Contains(os.Getenv("FOUNTAIN_TEST_REQUIRE"), "postgres") {
		t.Skip("only root can mount a small disk; CI is root")
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, 0)) })
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	put(t, disk, "2026-11-28T030000Z.backup", "2026-11-29T030000Z.backup")
	recipient := strings.TrimSpace(run(t, "backup", "key", filepath.Join(t.TempDir(), "key")).stdout)

	got := run(t, "backup", "--into", disk, "--keep", "1", "--recipient", recipient, "--data", u.data)
	require.Equal(t, exitFailed, got.code, got.stdout)
	require.Contains(t, got.sentenceOf(t), "no space left on device")
	require.Equal(t, []string{".lock", "2026-11-28T030000Z.backup", "2026-11-29T030000Z.backup"}, namesIn(t, disk))
	made, err := upkeep.Backups(filepath.Join(u.data, "kms"), "", 10)
	require.NoError(t, err)
	require.Empty(t, made)

	require.NoError(t, syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"))
	got = run(t, "backup", "--into", disk, "--keep", "1", "--recipient", recipient, "--data", u.data)
	require.Zero(t, got.code, got.stderr)
	require.Len(t, namesIn(t, disk), 2, "the lock and the one that was written")
}
