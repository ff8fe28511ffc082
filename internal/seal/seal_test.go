package seal_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/internal/seal"
)

func newRoot(t *testing.T) *seal.Root {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys", "root.key")
	require.NoError(t, seal.CreateRoot(path))
	root, err := seal.LoadRoot(path)
	require.NoError(t, err)
	return root
}

func aead(t *testing.T) *seal.Keyset {
	t.Helper()
	k, err := seal.NewAEAD()
	require.NoError(t, err)
	return k
}

func mac(t *testing.T) *seal.Keyset {
	t.Helper()
	k, err := seal.NewMAC()
	require.NoError(t, err)
	return k
}

func dataKey(t *testing.T) *seal.Key {
	t.Helper()
	k, err := seal.FromDataKey(seal.NewDataKey())
	require.NoError(t, err)
	return k
}

type sealer interface {
	Seal(plain, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

func TestSeal_opensOnlyUnalteredAndInItsPlace(t *testing.T) {
	for name, k := range map[string]sealer{"keyset": aead(t), "data key": dataKey(t)} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
				aad := rapid.SliceOf(rapid.Byte()).Draw(t, "aad")
				sealed, err := k.Seal(plain, aad)
				require.NoError(t, err)
				again, err := k.Seal(plain, aad)
				require.NoError(t, err)
				require.NotEqual(t, sealed, again, "the same nonce twice")

				opened, err := k.Open(sealed, aad)
				require.NoError(t, err)
				require.True(t, bytes.Equal(plain, opened))

				_, err = k.Open(sealed, append(bytes.Clone(aad), 'x'))
				require.ErrorIs(t, err, seal.ErrOpen, "moved to another row")
				bit := rapid.IntRange(0, len(sealed)*8-1).Draw(t, "bit")
				sealed[bit/8] ^= 1 << (bit % 8)
				_, err = k.Open(sealed, aad)
				require.ErrorIs(t, err, seal.ErrOpen, "altered")
				_, err = k.Open(sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "cut")], aad)
				require.ErrorIs(t, err, seal.ErrOpen, "cut")
			})
		})
	}
}

func TestOpen_refusesAnotherKey(t *testing.T) {
	sealed, err := dataKey(t).Seal([]byte("x"), nil)
	require.NoError(t, err)
	_, err = dataKey(t).Open(sealed, nil)
	require.ErrorIs(t, err, seal.ErrOpen)
	_, err = aead(t).Open(sealed, nil)
	require.ErrorIs(t, err, seal.ErrOpen)
}

type summer interface {
	Sum(data []byte) ([]byte, error)
	Verify(sum, data []byte) error
}

func TestSum_isStableAndVerifiesOnlyItsData(t *testing.T) {
	for name, k := range map[string]summer{"keyset": mac(t), "data key": dataKey(t)} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				data := rapid.SliceOf(rapid.Byte()).Draw(t, "data")
				sum, err := k.Sum(data)
				require.NoError(t, err)
				again, err := k.Sum(data)
				require.NoError(t, err)
				require.Equal(t, sum, again)
				require.NoError(t, k.Verify(sum, data))
				require.ErrorIs(t, k.Verify(sum, append(bytes.Clone(data), 0)), seal.ErrOpen)
				sum[rapid.IntRange(0, len(sum)-1).Draw(t, "at")]++
				require.ErrorIs(t, k.Verify(sum, data), seal.ErrOpen)
				require.ErrorIs(t, k.Verify(nil, data), seal.ErrOpen)
			})
		})
	}
}

func TestRotate_keepsWhatOlderKeysMade(t *testing.T) {
	old := aead(t)
	sealed, err := old.Seal([]byte("secret"), []byte("aad"))
	require.NoError(t, err)
	rotated, err := old.Rotate()
	require.NoError(t, err)
	require.Equal(t, []uint32{old.Primary(), rotated.Primary()}, rotated.Keys())
	require.Equal(t, []uint32{old.Primary()}, old.Keys(), "the original is unchanged")

	plain, err := rotated.Open(sealed, []byte("aad"))
	require.NoError(t, err)
	require.Equal(t, "secret", string(plain))
	newer, err := rotated.Seal([]byte("secret"), nil)
	require.NoError(t, err)
	_, err = old.Open(newer, nil)
	require.ErrorIs(t, err, seal.ErrOpen, "the new key seals")

	_, err = rotated.Without(rotated.Primary())
	require.Error(t, err, "the primary key stays")
	shrunk, err := rotated.Without(old.Primary())
	require.NoError(t, err)
	_, err = shrunk.Open(sealed, []byte("aad"))
	require.ErrorIs(t, err, seal.ErrOpen)
}

func TestSums_findRowsFromBeforeARotation(t *testing.T) {
	first := mac(t)
	second, err := first.Rotate()
	require.NoError(t, err)
	third, err := second.Rotate()
	require.NoError(t, err)
	data := []byte("key text")
	var want [][]byte
	for _, k := range []*seal.Keyset{third, second, first} {
		sum, err := k.Sum(data)
		require.NoError(t, err)
		require.NoError(t, third.Verify(sum, data))
		want = append(want, sum)
	}
	got, err := third.Sums(data)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.NotEqual(t, got[0], got[1])
}

func TestKeyset_refusesTheOtherPurpose(t *testing.T) {
	_, err := aead(t).Sum(nil)
	require.ErrorIs(t, err, seal.ErrPurpose)
	_, err = aead(t).Sums(nil)
	require.ErrorIs(t, err, seal.ErrPurpose)
	require.ErrorIs(t, aead(t).Verify(nil, nil), seal.ErrPurpose)
	_, err = mac(t).Seal(nil, nil)
	require.ErrorIs(t, err, seal.ErrPurpose)
	_, err = mac(t).Open(nil, nil)
	require.ErrorIs(t, err, seal.ErrPurpose)
}

func TestRoot_sealsKeysetsUnderTheirName(t *testing.T) {
	root := newRoot(t)
	for _, k := range []*seal.Keyset{aead(t), mac(t)} {
		k, err := k.Rotate()
		require.NoError(t, err)
		sealed, err := root.SealKeyset("secrets", k)
		require.NoError(t, err)
		id, err := seal.RootID(sealed)
		require.NoError(t, err)
		require.Equal(t, root.ID(), id)

		opened, err := root.OpenKeyset("secrets", sealed)
		require.NoError(t, err)
		require.Equal(t, k.Keys(), opened.Keys())
		require.Equal(t, k.Primary(), opened.Primary())

		_, err = root.OpenKeyset("signing", sealed)
		require.ErrorIs(t, err, seal.ErrOpen)
		_, err = newRoot(t).OpenKeyset("secrets", sealed)
		require.ErrorIs(t, err, seal.ErrWrongRoot)
		sealed[len(root.ID())+30] ^= 1
		_, err = root.OpenKeyset("secrets", sealed)
		require.ErrorIs(t, err, seal.ErrOpen)
		_, err = root.OpenKeyset("secrets", []byte("nonsense"))
		require.ErrorIs(t, err, seal.ErrOpen)
	}
}

func TestKeys_areNeverPrinted(t *testing.T) {
	raw := seal.NewDataKey()
	k, err := seal.FromDataKey(raw)
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		require.Equal(t, "seal.Key", fmt.Sprintf(verb, k))
		require.Equal(t, "seal.Keyset(1 keys)", fmt.Sprintf(verb, aead(t)))
		require.Regexp(t, `^seal\.Root\(root_[0-9a-f]{16}\)$`, fmt.Sprintf(verb, newRoot(t)))
	}
}

func TestCreateRoot_neverReplacesAndIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "root.key")
	require.NoError(t, seal.CreateRoot(path))
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, before, 32)
	require.ErrorIs(t, seal.CreateRoot(path), fs.ErrExist)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	dir, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), dir.Mode().Perm())
}

func TestLoadRoot_refusesWhatIsNoRandomKey(t *testing.T) {
	repeated := bytes.Repeat([]byte{1, 2, 3, 200}, 8)
	for name, content := range map[string][]byte{
		"empty": {}, "31 bytes": seal.NewDataKey()[:31], "33 bytes": append(seal.NewDataKey(), 1),
		"all zero": make([]byte, 32), "few different bytes": repeated,
		"text": []byte("abcdefghijklmnopqrstuvwxyz012345"), "text with newline": []byte("correct horse battery staple 12\n"),
	} {
		path := filepath.Join(t.TempDir(), "root.key")
		require.NoError(t, os.WriteFile(path, content, 0o600))
		_, err := seal.LoadRoot(path)
		require.ErrorIs(t, err, seal.ErrRootFile, name)
		if len(content) > 8 {
			require.NotContains(t, err.Error(), string(content[:8]), name)
		}
	}
	_, err := seal.LoadRoot(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = seal.LoadRoot(t.TempDir())
	require.ErrorIs(t, err, seal.ErrRootFile, "a directory")
}

// tree creates nested directories with the given modes (outermost first) and a root key with the given mode in the innermost one. The directory above
// them is writable by everyone, so that the mode of the machine's temporary directory does not matter.
func tree(t *testing.T, key fs.FileMode, dirs ...fs.FileMode) string {
	t.Helper()
	base := t.TempDir()
	path := filepath.Join(base, strings.Repeat("d/", len(dirs)), "root.key")
	raw := make([]byte, 32)
	_, err := rand.Read(raw)
	require.NoError(t, err)
	require.NoError(t, os.Chmod(base, 0o777))
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	require.NoError(t, os.Chmod(path, key))
	for i, mode := range dirs {
		require.NoError(t, os.Chmod(filepath.Join(base, strings.Repeat("d/", i+1)), mode))
	}
	return path
}

func TestLoadRoot_refusesAKeyThatOthersCanReach(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		ok   bool
	}{
		"0600 anywhere":                      {tree(t, 0o600, 0o755), true},
		"0400 anywhere":                      {tree(t, 0o400, 0o755), true},
		"0644 in a private directory":        {tree(t, 0o644, 0o700), true},
		"0444 below a private directory":     {tree(t, 0o444, 0o700, 0o755), true},
		"0644 below one others can write":    {tree(t, 0o644, 0o700, 0o777), false},
		"0644 with only public directories":  {tree(t, 0o644, 0o755), false},
		"0640 with only public directories":  {tree(t, 0o640, 0o755), false},
		"0660 where the group may pass":      {tree(t, 0o660, 0o710), false},
		"0604 where others may pass":         {tree(t, 0o604, 0o701), false},
		"0644 in a directory others can use": {tree(t, 0o644, 0o1777), false},
	} {
		_, err := seal.LoadRoot(c.path)
		if c.ok {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, seal.ErrRootFile, name)
		}
	}
}

func TestLoadRoot_looksThroughLinks(t *testing.T) {
	wide := tree(t, 0o644, 0o755)
	private := filepath.Join(t.TempDir(), "private")
	require.NoError(t, os.Mkdir(private, 0o700))
	link := filepath.Join(private, "root.key")
	require.NoError(t, os.Symlink(wide, link))
	_, err := seal.LoadRoot(link)
	require.ErrorIs(t, err, seal.ErrRootFile, "what counts is where the file is")

	closed := tree(t, 0o644, 0o700)
	second := filepath.Join(t.TempDir(), "second")
	require.NoError(t, os.Link(closed, second))
	_, err = seal.LoadRoot(closed)
	require.ErrorIs(t, err, seal.ErrRootFile, "it has another name elsewhere")
}

// A rotation that is interrupted anywhere leaves a complete key, and can be continued.
func TestReplaceRoot_keepsTheOldKeyAndEndsWhatWasCutOff(t *testing.T) {
	file := filepath.Join(t.TempDir(), "root.key")
	id := func(path string) string {
		t.Helper()
		root, err := seal.LoadRoot(path)
		require.NoError(t, err)
		return root.ID()
	}
	require.ErrorIs(t, seal.ReplaceRoot(file), fs.ErrNotExist)
	require.NoError(t, seal.CreateRoot(file))
	first := id(file)
	// Cut off before the new key has its name: both names are the old key's.
	require.NoError(t, seal.CreateRoot(file+".next"))
	require.NoError(t, os.Link(file, seal.PreviousFile(file)))
	next := id(file + ".next")
	require.NoError(t, seal.ReplaceRoot(file))
	require.Equal(t, next, id(file))
	require.Equal(t, first, id(seal.PreviousFile(file)))
	require.NoFileExists(t, file+".next")
	require.ErrorIs(t, seal.ReplaceRoot(file), fs.ErrExist, "the first may still be needed")
	require.Equal(t, next, id(file))
	require.NoError(t, os.Remove(seal.PreviousFile(file)))
	require.NoError(t, seal.ReplaceRoot(file))
	require.Equal(t, next, id(seal.PreviousFile(file)))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	require.NoError(t, os.Remove(seal.PreviousFile(file)))
	require.NoError(t, os.WriteFile(file+".next", []byte("half"), 0o600))
	require.ErrorIs(t, seal.ReplaceRoot(file), seal.ErrRootFile)
}
