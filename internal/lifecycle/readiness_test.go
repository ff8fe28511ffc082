package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/store"
)

func started(t *testing.T) (*Service, *bytes.Buffer) {
	c, log := settings(t)
	s := newService(t, c)
	_, err := s.Database(t.Context(), schema)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.closeDatabase() })
	s.Started(t.Context())
	return s, log
}

// later forgets the last proof.
func (s *Service) later() {
	s.readiness.mu.Lock()
	defer s.readiness.mu.Unlock()
	s.readiness.at = time.Time{}
}

func TestReady_triesTheDatabase(t *testing.T) {
	s, _ := started(t)
	require.NoError(t, s.Ready(t.Context()))
	require.NoError(t, os.Remove(filepath.Join(s.config.DataDir, "search.db")))
	require.NoError(t, s.Ready(t.Context()), "a proof lasts for a second")
	s.later()
	require.EqualError(t, s.Ready(t.Context()), "its database file was removed or replaced")
}

func TestReady_triesWhatElseTheServicePromises(t *testing.T) {
	s, _ := started(t)
	var fault error
	s.Prove("the moon", func(context.Context) error { return fault })
	require.NoError(t, s.Ready(t.Context()))
	fault = errors.New("secret cause")
	s.later()
	require.EqualError(t, s.Ready(t.Context()), "the moon does not answer", "the cause is for the log")
}

func TestReady_doesNotWaitForWhatHangs(t *testing.T) {
	c, _ := settings(t)
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, c)
		s.Started(t.Context())
		free := make(chan struct{})
		s.Prove("the moon", func(context.Context) error { <-free; return nil }) // ignores its context, as a disk does
		begun := time.Now()
		require.Error(t, s.Ready(t.Context()))
		require.Equal(t, proveWithin, time.Since(begun))
		close(free)
		synctest.Wait()
		require.NoError(t, s.Ready(t.Context()))
	})
}

func TestReady_isNotCutShortByACaller(t *testing.T) {
	s, _ := started(t)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Ready(gone))
}

func TestLogReadiness_tellsEachChangeOnce(t *testing.T) {
	c, log := settings(t)
	s := newService(t, c)
	down := unready{words: "its database does not answer", cause: errors.New("the cause")}
	for _, err := range []error{nil, down, down, nil, nil} {
		s.logReadiness(t.Context(), err)
	}
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte(`"msg":"service is not ready","because":"its database does not answer","error":"the cause"`)))
	require.Equal(t, 1, bytes.Count(log.Bytes(), []byte(`"msg":"service is ready again"`)))
}

// The metric behind alerts names the cause, and no other.
func TestNotReady_namesTheCause(t *testing.T) {
	c, _ := settings(t)
	s := newService(t, c)
	for _, one := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{unready{words: "w", cause: fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrFull)}, "disk_full"},
		{unready{words: "w", cause: fmt.Errorf("engine: %w", store.ErrFull), dependency: true}, "disk_full"},
		{unready{words: "w", cause: store.ErrDamaged}, "database_damaged"},
		{unready{words: "w", cause: fmt.Errorf("%w: %w", store.ErrUnavailable, store.ErrReplaced)}, "database_damaged"},
		{unready{words: "w", cause: store.ErrUnavailable}, "database"},
		{unready{words: "w", cause: errors.New("refused"), dependency: true}, "dependency"},
		{credential.ErrClock, "clock"},
		{errors.New("it waits for an enrolment token"), "other"},
	} {
		s.tell(reasonOf(one.err))
		told := 0.0
		for _, cause := range causes {
			value := testutil.ToFloat64(s.notReady.WithLabelValues(cause))
			told += value
			require.Equal(t, cause == one.want, value == 1, "%v: %s", one.err, cause)
		}
		require.Equal(t, one.want != "", told == 1)
	}
}
