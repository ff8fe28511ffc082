package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The drill of docs/operations.md: the root key is split, its file is lost, and three of five share holders restore it.
// The kms starts with it and opens what it has sealed.
func TestRootKey_isBroughtBackFromShares(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	u := startUp(t, data)
	require.Zero(t, u.term(t))
	file := filepath.Join(data, "kms", "root.key")
	key, err := os.ReadFile(file)
	require.NoError(t, err)
	h := &home{t: t, dir: t.TempDir()}
	media := t.TempDir()
	split := []string{"root-key", "split", "--file", file, "--shares", "5", "--threshold", "3"}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		split = append(split, "--out", filepath.Join(media, name))
	}
	got := h.run(split...)
	require.Zero(t, got.code, got.stderr)
	require.Empty(t, got.stderr, "each lies at a place of its own")
	require.NotContains(t, got.stdout+got.stderr, string(key))
	shares, err := filepath.Glob(filepath.Join(media, "*", "*-share-*-of-5.txt"))
	require.NoError(t, err)
	require.Len(t, shares, 5)
	for _, share := range shares {
		info, err := os.Stat(share)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
	}
	require.Equal(t, 1, h.run(split...).code, "it replaces no share")
	require.Equal(t, 2, h.run("root-key", "split", "--file", file, "--shares", "3", "--out", media, "--out", media).code)
	require.Equal(t, 2, h.run("root-key", "combine", shares[0]).code, "--out is needed")

	require.NoError(t, os.Rename(file, filepath.Join(media, "lost")))
	few := h.run("root-key", "combine", shares[0], shares[1], "--out", file)
	require.Equal(t, 1, few.code)
	require.Contains(t, few.stderr, "3 are needed, 2 are given")
	together := filepath.Join(media, "together")
	got = h.run("root-key", "split", "--file", filepath.Join(media, "lost"), "--out", together)
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stderr, "give each to another person")
	got = h.run("root-key", "split", "--file", filepath.Join(media, "lost"), "--shares", "3", "--threshold", "2", "--out", filepath.Join(media, "x"), "--out", filepath.Join(media, "y"), "--out", filepath.Join(media, "x"))
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stderr, filepath.Join(media, "x")+" holds 2 or more shares")
	require.NotContains(t, got.stderr, filepath.Join(media, "y"))
	others, err := filepath.Glob(filepath.Join(together, "*.txt"))
	require.NoError(t, err)
	mixed := h.run("root-key", "combine", shares[0], shares[1], others[2], "--out", file)
	require.Equal(t, 1, mixed.code)
	require.Contains(t, mixed.stderr, others[2])
	require.Contains(t, mixed.stderr, "another set")
	require.NoFileExists(t, file)
	got = h.run("root-key", "combine", shares[4], shares[0], shares[2], "--out", file)
	require.Zero(t, got.code, got.stderr)
	back, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, key, back)
	again := startUp(t, data)
	require.Zero(t, again.term(t))
}
