package seal_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/seal"
)

func splitRoot(t *testing.T, of, need int) (file string, shares []seal.NamedShare) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "root.key")
	require.NoError(t, seal.CreateRoot(file))
	texts, id, err := seal.SplitRoot(file, of, need)
	require.NoError(t, err)
	root, err := seal.LoadRoot(file)
	require.NoError(t, err)
	require.Equal(t, root.ID(), id)
	for i, text := range texts {
		shares = append(shares, seal.NamedShare{Name: "share " + strconv.Itoa(i+1), Text: []byte(text)})
	}
	require.Len(t, shares, of)
	return file, shares
}

// Any three of five shares restore the key, byte for byte, in any order; so do all five.
func TestCombineRoot_makesTheKeyOfAnyEnoughShares(t *testing.T) {
	file, shares := splitRoot(t, 5, 3)
	key, err := os.ReadFile(file)
	require.NoError(t, err)
	tried := 0
	for mask := range 1 << 5 {
		var some []seal.NamedShare
		for i := range 5 {
			if mask>>i&1 == 1 {
				some = append([]seal.NamedShare{shares[i]}, some...)
			}
		}
		out := filepath.Join(t.TempDir(), "combined.key")
		_, err := seal.CombineRoot(some, out)
		if len(some) < 3 {
			require.ErrorIs(t, err, seal.ErrShares)
			require.NoFileExists(t, out)
			continue
		}
		require.NoError(t, err)
		made, err := os.ReadFile(out)
		require.NoError(t, err)
		require.True(t, bytes.Equal(key, made))
		info, err := os.Stat(out)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm())
		_, err = seal.CombineRoot(some, out)
		require.ErrorIs(t, err, os.ErrExist, "it replaces nothing")
		tried++
	}
	require.Equal(t, 16, tried)
}

// Two keys with one share in common, and two splits of one key, differ in every share: a single share reveals nothing about the key.
func TestSplitRoot_isRandomEveryTime(t *testing.T) {
	file, shares := splitRoot(t, 3, 2)
	key, err := os.ReadFile(file)
	require.NoError(t, err)
	again, _, err := seal.SplitRoot(file, 3, 2)
	require.NoError(t, err)
	for i, text := range again {
		require.NotEqual(t, string(shares[i].Text), text)
		require.NotContains(t, text, string(key))
	}
	_, err = seal.CombineRoot([]seal.NamedShare{shares[0], {Name: "new", Text: []byte(again[1])}}, filepath.Join(t.TempDir(), "key"))
	require.ErrorIs(t, err, seal.ErrShare, "of another set")
	require.ErrorContains(t, err, "new")
	for _, wrong := range [][2]int{{1, 1}, {3, 1}, {2, 3}, {seal.MaxShares + 1, 2}} {
		_, _, err := seal.SplitRoot(file, wrong[0], wrong[1])
		require.Error(t, err)
	}
}

// Every change of a share is detected before anything is written. The error names the share if its checksum reveals which one it is.
func TestCombineRoot_refusesWhatWasChangedByName(t *testing.T) {
	_, shares := splitRoot(t, 3, 2)
	out := filepath.Join(t.TempDir(), "combined.key")
	for at := range shares[1].Text {
		bad := bytes.Clone(shares[1].Text)
		bad[at] ^= 1
		_, err := seal.CombineRoot([]seal.NamedShare{shares[0], {Name: "the second", Text: bad}}, out)
		if at == len(bad)-1 && err == nil { // another space behind it
			require.NoError(t, os.Remove(out))
			continue
		}
		require.ErrorIs(t, err, seal.ErrShare, "%d", at)
		require.ErrorContains(t, err, "the second")
		require.NoFileExists(t, out)
	}
	_, err := seal.CombineRoot([]seal.NamedShare{shares[0], {Name: "copy", Text: shares[0].Text}}, out)
	require.ErrorIs(t, err, seal.ErrShare)
	require.ErrorContains(t, err, "the same share as share 1")
	for _, none := range [][]byte{nil, []byte("x"), bytes.Repeat([]byte("x"), 4096), shares[1].Text[:40]} {
		_, err := seal.CombineRoot([]seal.NamedShare{{Name: "none", Text: none}}, out)
		require.ErrorContains(t, err, "none")
	}
	forged := strings.Replace(string(shares[1].Text), "value=", "value=0", 1) // longer by one
	_, err = seal.CombineRoot([]seal.NamedShare{shares[0], {Name: "forged", Text: []byte(forged)}}, out)
	require.ErrorIs(t, err, seal.ErrShare)
	_, err = seal.CombineRoot([]seal.NamedShare{shares[0], {Name: "forged", Text: seal.Forge(t, shares[1].Text)}}, out)
	require.ErrorIs(t, err, seal.ErrShares, "its checksum is right: the check of the key finds it")
	require.NoFileExists(t, out)
}

func FuzzCombineRoot(f *testing.F) {
	file := filepath.Join(f.TempDir(), "root.key")
	require.NoError(f, seal.CreateRoot(file))
	texts, _, err := seal.SplitRoot(file, 3, 2)
	require.NoError(f, err)
	f.Add([]byte(texts[1]))
	f.Add([]byte("fountain-root-key-share-v1 set="))
	f.Fuzz(func(t *testing.T, text []byte) {
		out := filepath.Join(t.TempDir(), "key")
		if _, err := seal.CombineRoot([]seal.NamedShare{{Name: "a", Text: []byte(texts[0])}, {Name: "b", Text: text}}, out); err != nil {
			require.NoFileExists(t, out)
			return
		}
		made, err := os.ReadFile(out)
		require.NoError(t, err)
		key, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, key, made, "it is the key, or nothing")
	})
}
