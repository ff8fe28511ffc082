package settings

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStore_keepsWhatWasAcknowledged(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	require.NoError(t, err)
	require.NoError(t, s.Update(func(c *Change) error {
		c.Put("aliases", "b", json.RawMessage(`{"n":1}`))
		c.Put("aliases", "a", json.RawMessage(`{"n":2}`))
		c.Put("keys", "1", json.RawMessage(`{}`))
		return nil
	}))
	require.NoError(t, s.Update(func(c *Change) error { require.True(t, c.Delete("keys", "1")); return nil }))
	again, err := Open(dir)
	require.NoError(t, err)
	require.Equal(t, []Record{{"a", json.RawMessage(`{"n":2}`)}, {"b", json.RawMessage(`{"n":1}`)}}, again.List("aliases"))
	require.Empty(t, again.List("keys"))
	info, err := os.Stat(filepath.Join(dir, fileName))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "keys are in it")
}

func TestUpdate_changesNothingWhenItFails(t *testing.T) {
	s, err := Open(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, s.Update(func(c *Change) error { c.Put("k", "a", json.RawMessage(`1`)); return nil }))
	before := s.Generation()
	wrong := errors.New("no")
	require.ErrorIs(t, s.Update(func(c *Change) error { c.Put("k", "a", json.RawMessage(`2`)); c.DeleteAll("k"); return wrong }), wrong)
	large := json.RawMessage(`"` + strings.Repeat("x", MaxRecordBytes) + `"`)
	require.ErrorIs(t, s.Update(func(c *Change) error { c.Put("k", "b", large); return nil }), ErrFull)
	v, ok := s.Get("k", "a")
	require.True(t, ok)
	require.Equal(t, "1", string(v))
	require.Equal(t, before, s.Generation())
}

func TestOpen_saysThatTheFileIsDamaged(t *testing.T) {
	for _, body := range []string{"", "{", `{"format":9}`, "\x00\x01"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, fileName), []byte(body), 0o600))
		_, err := Open(dir)
		require.ErrorIs(t, err, ErrDamaged, "%q", body)
	}
}

func TestUpdate_showsWhatIsInTheFile(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	require.NoError(t, err)
	wrong := errors.New("no")
	s.sync = func(string) error { return wrong }
	require.ErrorIs(t, s.Update(func(c *Change) error { c.Put("k", "a", json.RawMessage(`1`)); return nil }), wrong)
	again, err := Open(dir)
	require.NoError(t, err)
	require.Equal(t, again.List("k"), s.List("k"))
	require.Len(t, s.List("k"), 1)
}

func TestOpen_removesUnfinishedFiles(t *testing.T) {
	dir := t.TempDir()
	tmp, copied := filepath.Join(dir, fileName+".1234"+temporary), filepath.Join(dir, fileName+".20261129")
	require.NoError(t, os.WriteFile(tmp, []byte("{"), 0o600))
	require.NoError(t, os.WriteFile(copied, []byte("{"), 0o600))
	_, err := Open(dir)
	require.NoError(t, err)
	require.NoFileExists(t, tmp, "keys are in it")
	require.FileExists(t, copied, "an operator's own")
}
