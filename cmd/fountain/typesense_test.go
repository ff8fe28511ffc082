package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search"
)

func TestServeTypesense_checkTellsWhatItCompared(t *testing.T) {
	dir := t.TempDir()
	missing := run(t, "serve", "typesense", "--data", filepath.Join(dir, "nothing"), "--check")
	require.Equal(t, 1, missing.code)
	require.Contains(t, missing.sentenceOf(t), "no such file or directory")
	require.NoDirExists(t, filepath.Join(dir, "nothing"))

	empty := run(t, "serve", "typesense", "--data", dir, "--check")
	require.Zero(t, empty.code, empty.stderr)
	require.Equal(t, "0 collections with 0 documents: the indexes match them\n", empty.stdout)

	for _, args := range [][]string{{"--check"}, {"--data", dir, "--check", "--repair"}} {
		require.Equal(t, 2, run(t, append([]string{"serve", "typesense"}, args...)...).code, args)
	}
}

func TestServeTypesense_countsAreNotWrittenAllTheTime(t *testing.T) {
	dir := t.TempDir()
	r := run(t, "serve", "typesense", "--data", dir, "--key-file", filepath.Join(dir, "key"), "--enable-search-analytics", "--analytics-flush-interval", "59")
	require.Equal(t, 2, r.code)
	require.Contains(t, r.stderr, "--analytics-flush-interval: must be at least 60")
}

func TestCheckTypesense_faultsAreAnErrorThatSaysWhatToDo(t *testing.T) {
	lines, err := checked("/srv/typesense", search.Checked{Collections: 3, Documents: 9, Faults: []search.Fault{{Collection: "plays", Lacking: 2, Different: 1}, {Collection: "shop", Damaged: true}}})
	require.Equal(t, "plays: 2 documents are not in the index, 0 are in it and not stored, 1 are in it otherwise than they are stored\nshop: the index can't be read\n", lines)
	require.EqualError(t, err, "2 of 3 indexes do not match their documents: remove /srv/typesense/index while the engine is stopped, and the next start rebuilds them")
}
