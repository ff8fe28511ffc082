package upkeep_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/upkeep"
)

var (
	monday = time.Date(2026, 11, 30, 3, 0, 0, 5, time.UTC)
	later  = monday.Add(24 * time.Hour)
)

func one(n int) upkeep.Backup {
	return upkeep.Backup{
		ID: fmt.Sprintf("bak_%03d", n), Version: "0.1.0", MadeAt: monday.Add(time.Duration(n) * time.Second), File: "/backups/one", Bytes: 5,
		Parts: []upkeep.Part{{Name: "kms", Database: "sqlite", Instant: monday, Rows: 3, Bytes: 4}},
	}
}

func TestBackups_listsTheNewestFirstAndForgetsTheOldest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kms") // as with PostgreSQL, where the directory does not exist yet
	none, err := upkeep.Backups(dir, "", 1000)
	require.NoError(t, err)
	require.Empty(t, none)
	last, err := upkeep.LastBackup(dir, later)
	require.NoError(t, err)
	require.Zero(t, last)
	for n := range upkeep.MaxBackups + 3 {
		require.NoError(t, upkeep.AddBackup(dir, one(n)))
	}
	all, err := upkeep.Backups(dir, "", 1000)
	require.NoError(t, err)
	require.Len(t, all, upkeep.MaxBackups)
	require.Equal(t, one(upkeep.MaxBackups+2), all[0])
	require.Equal(t, one(3), all[upkeep.MaxBackups-1])
	for at := 0; at < upkeep.MaxBackups; at += 30 {
		after := ""
		if at > 0 {
			after = all[at-1].Key()
		}
		page, err := upkeep.Backups(dir, after, 30)
		require.NoError(t, err)
		require.Equal(t, all[at:min(at+30, len(all))], page)
	}
	last, err = upkeep.LastBackup(dir, later)
	require.NoError(t, err)
	require.Equal(t, all[0], last)
	requireOnly(t, filepath.Join(dir, "backups"), upkeep.MaxBackups)
}

// A foreign directory with content, whose name makes it the oldest record, can't be deleted. Backups are still recorded beside it, and no more of
// them than usual are kept.
func TestAddBackup_remembersBesideADirectoryThatStays(t *testing.T) {
	dir := t.TempDir()
	kept := filepath.Join(dir, "backups", "0.json", "kept")
	require.NoError(t, os.MkdirAll(filepath.Dir(kept), 0o700))
	require.NoError(t, os.WriteFile(kept, nil, 0o600))
	for n := range upkeep.MaxBackups + 1 {
		require.NoError(t, upkeep.AddBackup(dir, one(n)))
	}
	require.FileExists(t, kept)
	requireOnly(t, filepath.Join(dir, "backups"), upkeep.MaxBackups+1)
	last, err := upkeep.LastBackup(dir, later)
	require.NoError(t, err)
	require.Equal(t, one(upkeep.MaxBackups), last)
}

// requireOnly requires exactly this number of files, each of them complete.
func requireOnly(t *testing.T, dir string, files int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, files)
	for _, e := range entries {
		require.False(t, strings.HasPrefix(e.Name(), "."), "%s was left behind", e.Name())
	}
}

func TestBackups_madeAtTheSameTimeAreAllRemembered(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for n := range 20 {
		all.Go(func() {
			b := one(n)
			b.MadeAt = monday
			if err := upkeep.AddBackup(dir, b); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	found, err := upkeep.Backups(dir, "", 1000)
	require.NoError(t, err)
	require.Len(t, found, 20)
}

func TestMarkChecked_marksTheArchiveAlone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, upkeep.AddBackup(dir, one(1)))
	require.NoError(t, upkeep.AddBackup(dir, one(2)))
	for _, id := range []string{"", "001", "bak_003", "../bak_001", "bak_0"} {
		known, err := upkeep.MarkChecked(dir, id, upkeep.Drilled, monday)
		require.NoError(t, err)
		require.False(t, known, id)
	}
	known, err := upkeep.MarkChecked(dir, "bak_001", upkeep.Verified, monday.Add(time.Hour))
	require.NoError(t, err)
	require.True(t, known)
	marked := one(1)
	marked.Check, marked.CheckedAt = upkeep.Verified, monday.Add(time.Hour)
	all, err := upkeep.Backups(dir, "", 1000)
	require.NoError(t, err)
	require.Equal(t, []upkeep.Backup{one(2), marked}, all)
}

// A clock that was ahead for a while delays no alarm: backups and passed checks of that time do not count, failed checks do.
func TestBackups_ofAClockThatWasAheadHideNothing(t *testing.T) {
	dir := t.TempDir()
	ahead := one(1)
	ahead.MadeAt, ahead.File = monday.AddDate(1, 0, 0), "/backups/ahead"
	require.NoError(t, upkeep.AddBackup(dir, ahead))
	last, err := upkeep.LastBackup(dir, later)
	require.NoError(t, err)
	require.Zero(t, last)
	require.NoError(t, upkeep.AddBackup(dir, one(2)))
	last, err = upkeep.LastBackup(dir, later)
	require.NoError(t, err)
	require.Equal(t, one(2), last)
	last, err = upkeep.LastBackup(dir, ahead.MadeAt)
	require.NoError(t, err)
	require.Equal(t, ahead, last)

	_, err = upkeep.MarkChecked(dir, ahead.ID, upkeep.Drilled, ahead.MadeAt)
	require.NoError(t, err)
	passed, failed, err := upkeep.Checks(dir, later)
	require.NoError(t, err)
	require.Zero(t, passed)
	require.False(t, failed)
	_, err = upkeep.MarkFailed(dir, one(2).File, upkeep.Drilled, monday.Add(time.Hour))
	require.NoError(t, err)
	_, failed, err = upkeep.Checks(dir, later)
	require.NoError(t, err)
	require.True(t, failed, "the check that the clock has in the future was passed before")
	_, err = upkeep.MarkChecked(dir, one(2).ID, upkeep.Drilled, monday.Add(2*time.Hour))
	require.NoError(t, err)
	_, err = upkeep.MarkFailed(dir, ahead.File, upkeep.Drilled, ahead.MadeAt)
	require.NoError(t, err)
	_, failed, err = upkeep.Checks(dir, later)
	require.NoError(t, err)
	require.True(t, failed)
}

// A failed check is reported until the same archive passes one. As a fault of all backups it counts until any archive passes a later one.
func TestMarkFailed_isTakenBackByACheckThatIsPassed(t *testing.T) {
	dir := t.TempDir()
	first, second := one(1), one(2)
	first.File, second.File = "/backups/first", "/backups/second"
	require.NoError(t, upkeep.AddBackup(dir, first))
	require.NoError(t, upkeep.AddBackup(dir, second))
	checks := func(passed time.Time, failed bool) {
		t.Helper()
		gotPassed, gotFailed, err := upkeep.Checks(dir, later)
		require.NoError(t, err)
		require.True(t, passed.Equal(gotPassed), gotPassed)
		require.Equal(t, failed, gotFailed)
	}
	checks(time.Time{}, false)
	known, err := upkeep.MarkFailed(dir, "/mnt/third", upkeep.Drilled, monday)
	require.NoError(t, err)
	require.False(t, known)
	known, err = upkeep.MarkFailed(dir, "/mnt/second", upkeep.Drilled, monday.Add(time.Hour))
	require.NoError(t, err)
	require.True(t, known, "it was written in another container")
	checks(time.Time{}, true)
	all, err := upkeep.Backups(dir, "", 1000)
	require.NoError(t, err)
	second.Failed, second.FailedAt = upkeep.Drilled, monday.Add(time.Hour)
	require.Equal(t, []upkeep.Backup{second, first}, all)

	_, err = upkeep.MarkChecked(dir, "bak_001", upkeep.Verified, monday)
	require.NoError(t, err)
	checks(monday, true)
	_, err = upkeep.MarkChecked(dir, "bak_002", upkeep.Drilled, monday.Add(2*time.Hour))
	require.NoError(t, err)
	checks(monday.Add(2*time.Hour), false)
	all, err = upkeep.Backups(dir, "", 1000)
	require.NoError(t, err)
	require.Empty(t, all[0].Failed)
}

func TestDiagnosis_isTheLast(t *testing.T) {
	dir := t.TempDir()
	_, known, err := upkeep.LastDiagnosis(dir)
	require.NoError(t, err)
	require.False(t, known)
	for _, worst := range []string{"error", "ok"} {
		kept := upkeep.Diagnosis{At: monday, Version: "0.1.0", Quick: true, Worst: worst, Findings: []upkeep.Finding{{Service: "kms", Check: "disk", Level: worst, What: "it is full", Do: "free some room"}}}
		require.NoError(t, upkeep.KeepDiagnosis(dir, kept))
		got, known, err := upkeep.LastDiagnosis(dir)
		require.NoError(t, err)
		require.True(t, known)
		require.Equal(t, kept, got)
	}
	requireOnly(t, dir, 1)
}

// A record that is cut off, foreign, too large or not a file is listed at its place with its fault. The others are listed page by page, and functions
// that look only at the newest record return its fault.
func TestBackups_tellADamagedRecordAtItsPlace(t *testing.T) {
	dir := t.TempDir()
	for n := range 6 {
		require.NoError(t, upkeep.AddBackup(dir, one(n)))
	}
	at := func(n int) string { return filepath.Join(dir, "backups", one(n).Key()) }
	other, err := os.ReadFile(at(0))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(at(5), []byte(`{"id":`), 0o600))
	require.NoError(t, os.WriteFile(at(3), other, 0o600))
	require.NoError(t, os.WriteFile(at(2), []byte(`{"file":"`+strings.Repeat("x", 1<<20)+`"}`), 0o600))
	require.NoError(t, os.Remove(at(1)))
	require.NoError(t, os.Mkdir(at(1), 0o700))
	var all []upkeep.Backup
	for after := ""; ; after = all[len(all)-1].Key() {
		page, err := upkeep.Backups(dir, after, 2)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
	}
	require.Len(t, all, 6)
	for i, b := range all {
		n := 5 - i
		if n == 4 || n == 0 {
			require.Equal(t, one(n), b)
			continue
		}
		require.ErrorIs(t, b.Fault, upkeep.ErrDamaged, n)
		require.Equal(t, one(n).ID, b.ID)
		require.True(t, one(n).MadeAt.Equal(b.MadeAt), n)
		require.Zero(t, b.Parts)
	}
	_, err = upkeep.LastBackup(dir, later)
	require.ErrorIs(t, err, upkeep.ErrDamaged)
	_, err = upkeep.MarkChecked(dir, one(5).ID, upkeep.Verified, monday)
	require.ErrorIs(t, err, upkeep.ErrDamaged)
}

// A damaged or oversized record is an error, whoever wrote it, and no record of that size is written.
func TestRecords_areBoundedAndDamageIsTold(t *testing.T) {
	dir := t.TempDir()
	require.Error(t, upkeep.KeepDiagnosis(dir, upkeep.Diagnosis{Worst: strings.Repeat("x", 1<<20)}))
	requireOnly(t, dir, 0)
	for name, text := range map[string]string{"damaged": `{"at":`, "too large": `{"worst":"` + strings.Repeat("x", 1<<20) + `"}`} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "doctor.json"), []byte(text), 0o600))
			_, _, err := upkeep.LastDiagnosis(dir)
			require.Error(t, err)
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "backups"), 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "backups", "1-bak_1.json"), []byte(text), 0o600))
			listed, err := upkeep.Backups(dir, "", 1000)
			require.NoError(t, err)
			require.ErrorIs(t, listed[0].Fault, upkeep.ErrDamaged)
			require.Equal(t, "1-bak_1", listed[0].ID, "no command has made this name")
			require.False(t, listed[0].MadeAt.IsZero())
			_, err = upkeep.LastBackup(dir, later)
			require.Error(t, err)
			_, err = upkeep.MarkChecked(dir, "bak_1", upkeep.Verified, monday)
			require.Error(t, err)
		})
	}
}

// Files that a command of root writes belong to the kms's user, who has to read them.
func TestRecords_belongToTheOwnerOfTheDirectory(t *testing.T) {
	dir, owner := t.TempDir(), os.Geteuid()
	if owner == 0 { // only root can change the owner of files
		owner = 65534
		require.NoError(t, os.Chown(dir, owner, owner))
	}
	require.NoError(t, upkeep.AddBackup(dir, one(1)))
	require.NoError(t, upkeep.KeepDiagnosis(dir, upkeep.Diagnosis{At: monday}))
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.EqualValues(t, owner, info.Sys().(*syscall.Stat_t).Uid, path)
		require.True(t, path == dir || info.Mode().Perm()&0o077 == 0, path)
		return nil
	}))
}

// A data directory that a command of root creates belongs to the owner of its parent directory, and so does its content.
func TestAddBackup_makesDirectoriesOfTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	const owner = 65534
	around := t.TempDir()
	require.NoError(t, os.Chown(around, owner, owner))
	dir := filepath.Join(around, "kms")
	require.NoError(t, upkeep.AddBackup(dir, one(1)))
	require.NoError(t, os.Chown(filepath.Join(dir, "backups"), 0, 0)) // as after a kill
	require.NoError(t, upkeep.AddBackup(dir, one(2)))
	for _, path := range []string{dir, filepath.Join(dir, "backups"), filepath.Join(dir, "backups", one(2).Key())} {
		info, err := os.Lstat(path)
		require.NoError(t, err)
		require.EqualValues(t, owner, info.Sys().(*syscall.Stat_t).Uid, path)
	}
}

// The kms's user can create symbolic links in its directory. No command, which may run as root, follows them to write, remove, read or give away
// files elsewhere.
func TestRecords_followNoLinkOutOfTheDirectory(t *testing.T) {
	elsewhere := t.TempDir()
	for n := range upkeep.MaxBackups + 5 {
		require.NoError(t, os.WriteFile(filepath.Join(elsewhere, fmt.Sprintf("%03d-bak_%03d.json", n, n)), []byte(`{"id":"theirs"}`), 0o600))
	}
	untouched := func() {
		t.Helper()
		requireOnly(t, elsewhere, upkeep.MaxBackups+5)
		info, err := os.Stat(elsewhere)
		require.NoError(t, err)
		require.EqualValues(t, os.Geteuid(), info.Sys().(*syscall.Stat_t).Uid)
	}
	t.Run("directory", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, "backups")))
		require.Error(t, upkeep.AddBackup(dir, one(1)))
		_, err := upkeep.MarkChecked(dir, "bak_001", upkeep.Verified, monday)
		require.Error(t, err)
		_, err = upkeep.Backups(dir, "", 1000)
		require.Error(t, err)
		_, err = upkeep.LastBackup(dir, later)
		require.Error(t, err)
		untouched()
	})
	t.Run("record", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, upkeep.AddBackup(dir, one(1)))
		theirs := filepath.Join(elsewhere, "000-bak_000.json")
		link := filepath.Join(dir, "backups", one(1).Key())
		require.NoError(t, os.Remove(link))
		require.NoError(t, os.Symlink(theirs, link))
		_, err := upkeep.MarkChecked(dir, "bak_001", upkeep.Verified, monday)
		require.Error(t, err)
		require.NoError(t, os.Symlink(theirs, filepath.Join(dir, "doctor.json")))
		_, _, err = upkeep.LastDiagnosis(dir)
		require.Error(t, err)
		require.NoError(t, upkeep.KeepDiagnosis(dir, upkeep.Diagnosis{At: monday}), "the link is replaced")
		text, err := os.ReadFile(theirs)
		require.NoError(t, err)
		require.Equal(t, `{"id":"theirs"}`, string(text))
		untouched()
	})
	t.Run("data directory", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("who is not root can do nothing that the owner of the link could not")
		}
		dir := filepath.Join(t.TempDir(), "kms")
		require.NoError(t, os.Symlink(elsewhere, dir))
		require.NoError(t, os.Lchown(dir, 65534, 65534))
		require.Error(t, upkeep.KeepDiagnosis(dir, upkeep.Diagnosis{At: monday}))
		require.Error(t, upkeep.AddBackup(dir, one(1)))
		untouched()
		require.NoError(t, os.Lchown(dir, 0, 0))
		require.NoError(t, upkeep.KeepDiagnosis(dir, upkeep.Diagnosis{At: monday}), "an administrator may have moved it")
	})
}

// A pipe in the place of a record blocks no command.
func TestRecords_waitForNobody(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "doctor.json"), 0o600))
	_, _, err := upkeep.LastDiagnosis(dir)
	require.ErrorContains(t, err, "not a regular file")
}

// Partial files of a command that was killed are removed by a later one. Files that another command is writing are not.
func TestRecords_removeWhatAKillLeft(t *testing.T) {
	dir := t.TempDir()
	left, written := filepath.Join(dir, ".record-left"), filepath.Join(dir, ".record-written")
	for _, draft := range []string{left, written} {
		require.NoError(t, os.WriteFile(draft, nil, 0o600))
	}
	require.NoError(t, os.Chtimes(left, time.Time{}, time.Now().Add(-2*time.Hour)))
	require.NoError(t, upkeep.KeepDiagnosis(dir, upkeep.Diagnosis{At: monday}))
	require.NoFileExists(t, left)
	require.FileExists(t, written)
}

// The names in the files are documented for users and scripts, and must not change.
func TestBackup_isWrittenAsDocumented(t *testing.T) {
	text, err := json.Marshal(one(1))
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"bak_001","version":"0.1.0","madeAt":"2026-11-30T03:00:01.000000005Z","file":"/backups/one","bytes":5,"parts":[{"name":"kms","database":"sqlite","instant":"2026-11-30T03:00:00.000000005Z","rows":3,"bytes":4}]}`, string(text))
}
