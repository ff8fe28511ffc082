package telemetry

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// writes records each write separately.
type writes struct {
	mu  sync.Mutex
	all []string
	err error
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, string(p))
	return len(p), w.err
}

// lines returns how many lines each write had, and forgets the writes.
func (w *writes) lines() (counts []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.all {
		counts = append(counts, strings.Count(text, "\n"))
	}
	w.all = nil
	return counts
}

func TestBatchedLogger_writesWhatWaitsAfter100Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &writes{}
		log, _ := NewBatchedLogger(w, slog.LevelInfo)
		for range 3 { // the timer starts again for each batch
			log.Info("first")
			time.Sleep(99 * time.Millisecond)
			synctest.Wait()
			log.Info("second")
			require.Empty(t, w.lines())
			time.Sleep(time.Millisecond)
			synctest.Wait()
			require.Equal(t, []int{2}, w.lines())
		}
		time.Sleep(time.Hour)
		require.Empty(t, w.lines(), "nothing is written where nothing waits")
	})
}

func TestBatchedLogger_writesWarningsAtOnceAndInTheirOrder(t *testing.T) {
	w := &writes{}
	log, _ := NewBatchedLogger(w, slog.LevelInfo)
	log.Info("before")
	log.Warn("odd", "err", errors.New("an attribute that is not plain"))
	require.Len(t, w.all, 1)
	require.Less(t, strings.Index(w.all[0], "before"), strings.Index(w.all[0], "odd"))
	require.Equal(t, []int{2}, w.lines())
	log.With("service", "kms").Error("plain")
	require.Equal(t, []int{1}, w.lines())
}

func TestBatchedLogger_writesNoMoreThan64KiBAtOnce(t *testing.T) {
	w := &writes{}
	log, end := NewBatchedLogger(w, slog.LevelInfo)
	for range 1000 {
		log.Info(strings.Repeat("x", 1000))
	}
	log.Info(strings.Repeat("y", maxBatch))
	end()
	total := 0
	for i, text := range w.all {
		if !strings.Contains(text, "y") {
			require.LessOrEqual(t, len(text), maxBatch)
		} else {
			require.Equal(t, len(w.all)-1, i, "the long line is after those before it")
		}
		require.True(t, strings.HasSuffix(text, "}\n"), "no line is cut")
	}
	require.Less(t, len(w.all), 30)
	for _, n := range w.lines() {
		total += n
	}
	require.Equal(t, 1001, total)
}

func TestBatchedLogger_losesNothingAtItsEnd(t *testing.T) {
	w := &writes{}
	log, end := NewBatchedLogger(w, slog.LevelInfo)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				log.Info("request")
			}
		})
	}
	end() // while others write; later lines are written at once
	all.Wait()
	total := 0
	for _, n := range w.lines() {
		total += n
	}
	require.Equal(t, 4000, total)
	log.Info("later")
	require.Equal(t, []int{1}, w.lines())
}

// A log that can't be written to blocks nothing and does not grow in memory.
func TestBatchedLogger_goesOnWhereItCannotWrite(t *testing.T) {
	w := &writes{err: errors.New("no space left on device")}
	log, end := NewBatchedLogger(w, slog.LevelInfo)
	for range 1000 {
		log.Info(strings.Repeat("x", 1000))
	}
	log.Error("lost")
	w.err = nil
	w.lines()
	log.Error("found")
	require.Equal(t, []int{1}, w.lines())
	end()
}
