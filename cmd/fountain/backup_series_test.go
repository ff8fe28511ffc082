package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/upkeep"
)

var monday = time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)

func put(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("archive"), 0o600))
	}
}

func namesIn(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// Only older archives of the series are ever removed, and never the one just written, even if an archive is named by a
// clock that was ahead.
func TestSeries_keepsTheNewestAndTouchesNothingElse(t *testing.T) {
	dir := t.TempDir()
	s := series{dir}
	strangers := []string{"2026-11-30.backup", "2026-11-30T030000Z.backup.old", "backup.key", "family.backup", "x2026-11-30T030000Z.backup"}
	put(t, dir, append([]string{"2026-11-27T030000Z.backup", "2026-11-28T030000Z.backup", "2026-11-29T030000Z.backup", "2027-01-01T000000Z.backup"}, strangers...)...)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "2026-11-01T030000Z.backup"), 0o700))
	require.NoError(t, os.Symlink("backup.key", filepath.Join(dir, "2026-11-02T030000Z.backup")))
	written := s.file(monday)
	put(t, dir, filepath.Base(written))
	for now, newest := range map[time.Time]string{monday: filepath.Base(written), monday.AddDate(1, 0, 0): "2027-01-01T000000Z.backup", monday.AddDate(-1, 0, 0): "2027-01-01T000000Z.backup"} {
		file, at, err := s.newest(now)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(dir, newest), file, "what was written by a clock that was ahead hides nothing that is there")
		require.Equal(t, newest, filepath.Base(s.file(at)))
	}
	removed, err := s.trim(3, written)
	require.NoError(t, err)
	require.Equal(t, []string{"2026-11-28T030000Z.backup", "2026-11-27T030000Z.backup"}, removed)
	removed, err = s.trim(1, written)
	require.NoError(t, err)
	require.Equal(t, []string{"2027-01-01T000000Z.backup", "2026-11-29T030000Z.backup"}, removed)
	require.ElementsMatch(t, append([]string{"2026-11-30T030000Z.backup", "2026-11-01T030000Z.backup", "2026-11-02T030000Z.backup"}, strangers...), namesIn(t, dir))
}

// Archives that are begun within one second have names of their own, in their order.
func TestSeries_namesArchivesOfOneSecond(t *testing.T) {
	s := series{t.TempDir()}
	var names []string
	for _, now := range []time.Time{monday, monday, monday.Add(999 * time.Millisecond), monday.Add(2 * time.Second)} {
		file := s.next(now)
		put(t, s.dir, filepath.Base(file))
		newest, _, err := s.newest(now)
		require.NoError(t, err)
		require.Equal(t, file, newest)
		names = append(names, filepath.Base(file))
	}
	require.Equal(t, []string{"2026-11-30T030000Z.backup", "2026-11-30T030001Z.backup", "2026-11-30T030002Z.backup", "2026-11-30T030003Z.backup"}, names)
	put(t, s.dir, "2026-11-30T030004Z.backup.part") // backup --to writes it
	require.Equal(t, s.file(monday.Add(5*time.Second)), s.next(monday))
}

// A backup that was killed leaves a part, which the next one removes; one that runs keeps a second one out.
func TestSeries_isOfOneBackupAtATime(t *testing.T) {
	dir := t.TempDir()
	s := series{dir}
	put(t, dir, "2026-11-28T030000Z.backup", "2026-11-29T030000Z.backup.part", "2026-11-30T030000Z.backup.part", "family.backup.part")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "2026-11-29T030000Z.backup"), nil, 0o600)) // killed between claiming the name and renaming the archive
	byName, err := os.Open(filepath.Join(dir, "2026-11-30T030000Z.backup.part"))
	require.NoError(t, err)
	require.NoError(t, takeLock(byName), "backup --to writes it")
	file, _, err := s.newest(monday)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "2026-11-28T030000Z.backup"), file, "an empty file is no archive")
	unlock, err := s.lock()
	require.NoError(t, err)
	_, err = s.lock()
	require.ErrorContains(t, err, "another backup is being written")
	require.NoError(t, s.sweep())
	require.ElementsMatch(t, []string{".lock", "2026-11-28T030000Z.backup", "2026-11-30T030000Z.backup.part", "family.backup.part"}, namesIn(t, dir))
	require.NoError(t, byName.Close())
	require.NoError(t, s.sweep())
	require.ElementsMatch(t, []string{".lock", "2026-11-28T030000Z.backup", "family.backup.part"}, namesIn(t, dir))
	require.NoError(t, unlock())
	unlock, err = s.lock()
	require.NoError(t, err)
	require.NoError(t, unlock())
	_, err = newestAt(t.TempDir())
	require.ErrorContains(t, err, "contains no archive")
}

// The owner of the directory cannot make root's backup create or open a file elsewhere.
func TestSeries_followsNoLink(t *testing.T) {
	dir, elsewhere := t.TempDir(), filepath.Join(t.TempDir(), "elsewhere")
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, ".lock")))
	_, err := series{dir}.lock()
	require.ErrorIs(t, err, syscall.ELOOP)
	require.NoFileExists(t, elsewhere)
}

// If an archive is removed during its check, because it is too old for --keep, the check does not count as failed.
func TestDrill_ofAnArchiveThatIsRemovedIsNoFailureOfIts(t *testing.T) {
	data, dir := t.TempDir(), t.TempDir()
	t.Setenv("FOUNTAIN_KMS_DATA_DIR", data)
	identity := filepath.Join(t.TempDir(), "key")
	require.Zero(t, run(t, "backup", "key", identity).code)
	file := series{dir}.file(monday)
	require.NoError(t, upkeep.AddBackup(data, upkeep.Backup{ID: "bak_1", MadeAt: monday, File: file}))
	for failed, remove := range map[upkeep.Check]bool{"": true, upkeep.Drilled: false} {
		put(t, dir, filepath.Base(file))
		cmd := newBackupDrill()
		cmd.SetContext(t.Context())
		cmd.SetErr(io.Discard)
		c := checkCall{identity: identity}
		require.Error(t, c.once(cmd, dir, upkeep.Drilled, func(file string, _ []age.Identity) (backup.Manifest, error) {
			if remove {
				require.NoError(t, os.Remove(file))
			}
			return backup.Manifest{}, errors.New("it can't be read")
		}))
		all, err := upkeep.Backups(data, "", 10)
		require.NoError(t, err)
		require.Equal(t, failed, all[0].Failed)
		require.NoError(t, upkeep.AddBackup(data, upkeep.Backup{ID: "bak_1", MadeAt: monday, File: file}))
	}
}

// turns runs a schedule with a clock that advances only while the schedule waits, and returns when each run started.
func turns(t *testing.T, every time.Duration, last time.Time, n int, do func(turn int, now *clock.Fake) error) (began []time.Duration, log string) {
	t.Helper()
	now := clock.NewFake(monday)
	ctx, cancel := context.WithCancel(t.Context())
	var out strings.Builder
	require.NoError(t, schedule{
		every: every, clock: now, log: slog.New(slog.NewJSONHandler(&out, nil)), last: func() (time.Time, error) { return last, nil },
		sleep: func(_ context.Context, d time.Duration) {
			require.Positive(t, d)
			require.LessOrEqual(t, d, lookEvery)
			now.Advance(d)
		},
		do: func() error {
			began = append(began, now.Now().Sub(monday))
			if len(began) == n {
				cancel()
				return nil
			}
			return do(len(began), now)
		},
	}.run(ctx))
	return began, out.String()
}

func TestSchedule_comesBackByTheIntervalAndSoonerAfterAFailure(t *testing.T) {
	began, log := turns(t, 24*time.Hour, time.Time{}, 4, func(turn int, _ *clock.Fake) error {
		if turn == 2 {
			return errors.New("the disk is full")
		}
		return nil
	})
	require.Zero(t, began[0], "nothing was ever done")
	between(t, 24*time.Hour, began[1]-began[0], 25*time.Hour+13*time.Minute)
	require.Equal(t, retryWithin, began[2]-began[1])
	between(t, 24*time.Hour, began[3]-began[2], 25*time.Hour+13*time.Minute)
	require.Contains(t, log, "the disk is full")
}

func between(t *testing.T, least, is, most time.Duration) {
	t.Helper()
	require.True(t, least <= is && is <= most, "%s is not within %s and %s", is, least, most)
}

// A restarted process knows when the last archive was written. An archive that is named by a clock that was ahead
// delays nothing.
func TestSchedule_goesOnWhereAnEarlierProcessWas(t *testing.T) {
	began, _ := turns(t, 24*time.Hour, monday.Add(-20*time.Hour), 1, nil)
	require.Equal(t, []time.Duration{4 * time.Hour}, began)
	began, _ = turns(t, 24*time.Hour, monday.Add(-30*time.Hour), 1, nil)
	require.Equal(t, []time.Duration{0}, began)
	began, _ = turns(t, 24*time.Hour, monday.Add(1000*time.Hour), 1, nil)
	require.Equal(t, []time.Duration{0}, began)
}

// If the clock is set back while the schedule waits, the next run is delayed by no more than the interval.
func TestSchedule_followsAClockThatIsSetBack(t *testing.T) {
	now := clock.NewFake(monday)
	ctx, cancel := context.WithCancel(t.Context())
	var began []time.Time
	setBack := sync.OnceFunc(func() { now.Advance(-1000 * time.Hour) })
	require.NoError(t, schedule{
		every: time.Hour, clock: now, log: slog.New(slog.DiscardHandler), last: func() (time.Time, error) { return time.Time{}, nil },
		sleep: func(_ context.Context, d time.Duration) { setBack(); now.Advance(d) },
		do: func() error {
			if began = append(began, now.Now()); len(began) == 2 {
				cancel()
			}
			return nil
		},
	}.run(ctx))
	between(t, -1000*time.Hour, began[1].Sub(began[0]), -998*time.Hour)
}

// A schedule in its own process: it backs up at once and at its interval, keeps this number of archives, adds them to
// the list, and ends with status 0. A drill beside it records its results in the list, including a failure.
func TestBackup_onASchedule(t *testing.T) {
	u := startUp(t, filepath.Join(t.TempDir(), "data"))
	begin(t, u)
	into, keys := t.TempDir(), t.TempDir()
	identity := filepath.Join(keys, "backup.key")
	made := run(t, "backup", "key", identity)
	require.Zero(t, made.code, made.stderr)
	recipients := filepath.Join(keys, "recipients.txt")
	require.NoError(t, os.WriteFile(recipients, []byte(made.stdout), 0o600))
	backups := background(t, "backup", "--into", into, "--keep", "2", "--every", "1s", "--recipients-file", recipients, "--data", u.data)
	list := func() []upkeep.Backup {
		all, err := upkeep.Backups(filepath.Join(u.data, "kms"), "", 1000)
		require.NoError(t, err)
		return all
	}
	require.Eventually(t, func() bool { return len(list()) >= 4 }, 2*time.Minute, 50*time.Millisecond)
	backups.end(t)
	require.Contains(t, backups.stderr.String(), `"msg":"a backup was written"`)
	require.NotContains(t, backups.stderr.String(), `"level":"ERROR"`)
	whole, unfinished, err := series{into}.names()
	require.NoError(t, err)
	require.Len(t, whole, 2)
	require.Empty(t, unfinished)
	require.Equal(t, filepath.Join(into, whole[0]), list()[0].File)

	drills := background(t, "backup", "drill", into, "--identity", identity, "--every", "1s", "--data", u.data, "--dir", t.TempDir())
	require.Eventually(t, func() bool { return list()[0].Check == upkeep.Drilled }, 2*time.Minute, 50*time.Millisecond)
	newest := filepath.Join(into, whole[0])
	text, err := os.ReadFile(newest)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(newest, text[:len(text)/2], 0o600))
	require.Eventually(t, func() bool { return list()[0].Failed == upkeep.Drilled }, 2*time.Minute, 50*time.Millisecond)
	drills.end(t)
	require.Contains(t, drills.stderr.String(), `"msg":"a backup was restored and checked"`)
	require.Contains(t, drills.stderr.String(), `"level":"ERROR"`)
	require.Equal(t, 1, run(t, "backup", "verify", into, "--identity", identity, "--data", u.data).code)
	require.Equal(t, upkeep.Verified, list()[0].Failed)
	doctor := run(t, "doctor", "--data", u.data, "--quick")
	require.Equal(t, 1, doctor.code, doctor.stdout)
	require.Contains(t, doctor.stdout, "the last check of a backup")
	require.NoError(t, os.WriteFile(newest, text, 0o600))
	require.Zero(t, run(t, "backup", "verify", into, "--identity", identity, "--data", u.data).code)
	require.Empty(t, list()[0].Failed)
}

// A wrong call and a directory that is not there are one sentence.
func TestBackup_intoADirectoryRefusesWithOneSentence(t *testing.T) {
	recipient := strings.TrimSpace(run(t, "backup", "key", filepath.Join(t.TempDir(), "key")).stdout)
	dir := t.TempDir()
	for _, args := range [][]string{
		{"--into", dir, "--to", filepath.Join(dir, "a")}, {"--to", filepath.Join(dir, "a"), "--keep", "3"}, {"--to", filepath.Join(dir, "a"), "--every", "1h"},
		{"--into", dir, "--every", "0s"}, {"--into", dir, "--every", "-1h"}, {"--into", dir, "--keep", "-1"},
	} {
		got := run(t, append([]string{"backup", "--recipient", recipient}, args...)...)
		require.Equal(t, exitUsage, got.code, args)
		got.sentenceOf(t)
	}
	got := run(t, "backup", "--recipient", recipient, "--into", filepath.Join(dir, "none"), "--data", dir)
	require.Equal(t, exitFailed, got.code)
	got.sentenceOf(t)
	got = run(t, "backup", "--into", dir, "--every", "1h", "--data", dir)
	require.Equal(t, exitUsage, got.code, "without a recipient it does not begin")
	require.Empty(t, namesIn(t, dir))
}

// running is a command that runs until it is stopped.
type running struct {
	process *os.Process
	stderr  *output
	ended   chan error
}

func background(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{stderr: newOutput(), ended: make(chan error, 1)}
	cmd := command(t, args...)
	cmd.Stdout, cmd.Stderr = newOutput(), r.stderr
	require.NoError(t, cmd.Start())
	r.process = cmd.Process
	t.Cleanup(func() { _ = r.process.Kill() }) // it has ended already, usually
	go func() { r.ended <- cmd.Wait() }()
	return r
}

// end stops it with SIGTERM. During a run the exit status is that of an interrupted command.
func (r *running) end(t *testing.T) {
	t.Helper()
	require.NoError(t, r.process.Signal(syscall.SIGTERM))
	if err := <-r.ended; err != nil {
		require.ErrorContains(t, err, "exit status 130", r.stderr.String())
	}
}
