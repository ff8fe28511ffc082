package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/backup"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/telemetry"
	"github.com/fountainai/fountain/internal/upkeep"
)

const (
	retryWithin = 15 * time.Minute // after a failure
	lookEvery   = time.Minute      // how often the clock is read: it may be set, or stop while the machine sleeps
)

// checkInterval refuses an interval that is too short.
func checkInterval(cmd *cobra.Command, every time.Duration) error {
	if cmd.Flags().Changed("every") && every < time.Second {
		return usagef("--every must be 1s at least")
	}
	return nil
}

// schedule repeats a task.
type schedule struct {
	every time.Duration
	last  func() (time.Time, error) // time of the last run, perhaps by an earlier process; zero: never
	do    func() error
	clock clock.Clock
	log   *slog.Logger
	sleep func(ctx context.Context, d time.Duration) // sleeps for at most d
}

// run runs the task until the context ends. It returns nil if the context ends between two runs, and the error of a run
// that was interrupted.
func (s schedule) run(ctx context.Context) error {
	due := s.first()
	for {
		for now := s.clock.Now(); now.Before(due); now = s.clock.Now() {
			if s.sleep(ctx, min(due.Sub(now), lookEvery)); ctx.Err() != nil {
				return nil
			}
			due = s.limitDue(due)
		}
		if ctx.Err() != nil {
			return nil
		}
		switch err := s.do(); {
		case err != nil && ctx.Err() != nil:
			return err
		case err != nil:
			due = s.clock.Now().Add(min(s.every, retryWithin))
			s.log.ErrorContext(ctx, "it failed and is retried", "error", sentence(err), "at", due)
		default:
			due = s.clock.Now().Add(s.every + rand.N(s.every/20+1)) //nolint:gosec // so that many do not begin at once
		}
	}
}

// first returns when the first run is due: now, unless an earlier process has run the task within the interval. So a
// container that restarts in a loop does not fill the disk.
func (s schedule) first() time.Time {
	now := s.clock.Now()
	last, err := s.last()
	if err != nil || last.IsZero() || last.After(now) { // do reports the error
		return now
	}
	return last.Add(s.every)
}

// limitDue moves a due time that is too far ahead back to the latest possible one. That happens when the clock was set
// back.
func (s schedule) limitDue(due time.Time) time.Time {
	if latest := s.clock.Now().Add(s.every + s.every/20 + time.Second); due.After(latest) {
		return latest
	}
	return due
}

// wait waits for d or for the end of the context.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// addTo writes the next archive of the directory and removes the surplus ones.
func (b *backupCall) addTo(cmd *cobra.Command) error {
	made, err := b.add(cmd)
	if err != nil {
		return err
	}
	if err := printCopies(cmd.OutOrStdout(), made.manifest, made.sums); err != nil {
		return err
	}
	for _, name := range made.removed {
		fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", filepath.Join(b.into, name))
	}
	return nil
}

func (b *backupCall) add(cmd *cobra.Command) (made archive, err error) {
	s := series{b.into}
	unlock, err := s.lock()
	if err != nil {
		return made, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := s.sweep(); err != nil {
		return made, err
	}
	if made, err = b.write(cmd, s.next(clock.System.Now())); err == nil && b.keep > 0 {
		made.removed, err = s.trim(b.keep, made.file)
	}
	return made, err
}

// schedule makes backups repeatedly.
func (b *backupCall) schedule(cmd *cobra.Command) error {
	if _, err := readRecipients(b.recipients, b.recipientsFile); err != nil { // report a usage error immediately
		return err
	}
	log, end := telemetry.NewBatchedLogger(os.Stderr, slog.LevelInfo)
	defer end()
	s := series{b.into}
	return schedule{
		every: b.every, clock: clock.System, log: log, sleep: wait,
		last: func() (at time.Time, err error) { _, at, err = s.newest(clock.System.Now()); return at, err },
		do: func() error {
			began := time.Now()
			made, err := b.add(cmd)
			if err != nil && made.file != "" && exists(made.file) { // the archive is complete: further attempts would fill the disk
				log.ErrorContext(cmd.Context(), "a backup was written, but a later step failed", "file", made.file, "error", sentence(err))
				return nil
			}
			if err != nil {
				return err
			}
			var bytes int64
			for _, one := range made.sums {
				bytes += one.Bytes
			}
			log.InfoContext(cmd.Context(), "a backup was written", "id", made.manifest.ID, "file", made.file, "dataBytes", bytes, "removed", made.removed, "seconds", time.Since(began).Seconds())
			return nil
		},
	}.run(cmd.Context())
}

// schedule makes a drill of the newest archive repeatedly. A drill by an earlier process does not count, because its
// result may not have been seen.
func (c *checkCall) schedule(cmd *cobra.Command, dir string, every time.Duration, check func(file string, who []age.Identity) (backup.Manifest, error)) error {
	if _, err := readIdentities(c.identity); err != nil {
		return err
	}
	log, end := telemetry.NewBatchedLogger(os.Stderr, slog.LevelInfo)
	defer end()
	return schedule{
		every: every, clock: clock.System, log: log, sleep: wait,
		last: func() (time.Time, error) { return time.Time{}, nil },
		do: func() error {
			began := time.Now()
			var m backup.Manifest
			err := c.once(cmd, dir, upkeep.Drilled, func(file string, who []age.Identity) (_ backup.Manifest, err error) {
				m, err = check(file, who)
				return m, err
			})
			if err == nil {
				log.InfoContext(cmd.Context(), "a backup was restored and checked", "id", m.ID, "seconds", time.Since(began).Seconds())
			}
			return err
		},
	}.run(cmd.Context())
}
