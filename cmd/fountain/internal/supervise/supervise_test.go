package supervise_test

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/cmd/fountain/internal/supervise"
)

// stage is a supervised shell script that writes what it sees to a file.
type stage struct {
	t       *testing.T
	told    string // the file
	folder  string
	changed chan struct{}
	signals chan os.Signal

	mu     sync.Mutex
	values supervise.Values
	fail   error
	log    []string
	reads  int
	hang   bool // a Read lasts until its ctx ends

	reached func(os.Signal) bool
}

func newStage(t *testing.T) *stage {
	return &stage{
		t: t, told: filepath.Join(t.TempDir(), "told"), folder: t.TempDir(), changed: make(chan struct{}), signals: make(chan os.Signal),
		values: supervise.Values{"app.db": "first", "app.tls": "key"},
	}
}

func (s *stage) set(name, value string, fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values, s.fail = supervise.Values{"app.db": s.values["app.db"], "app.tls": s.values["app.tls"]}, fail
	s.values[name] = value
}

func (s *stage) read(ctx context.Context) (supervise.Values, error) {
	s.mu.Lock()
	values, fail, hang := s.values, s.fail, s.hang
	s.reads++
	s.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return values, fail
}

func (s *stage) hangs() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = true
}

// hasRead waits until Read was called n times.
func (s *stage) hasRead(n int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.reads >= n
	}, 30*time.Second, time.Millisecond)
}

func (s *stage) run(script string, places ...supervise.Place) (end <-chan int) {
	done := make(chan int, 1)
	go func() {
		status, err := supervise.Run(s.t.Context(), supervise.Config{
			Command: []string{"/bin/sh", "-c", script}, Places: places, Environ: []string{"TOLD=" + s.told, "PATH=" + os.Getenv("PATH")}, Folder: s.folder,
			Grace: 200 * time.Millisecond, Pause: time.Millisecond, Changed: s.changed, Signals: s.signals,
			Read: s.read, Reached: s.reached,
			Log: func(text string) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.log = append(s.log, text)
			},
		})
		if err != nil {
			s.t.Error(err)
		}
		done <- status
	}()
	return done
}

// says waits until the script has written text.
func (s *stage) says(text string) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		raw, _ := os.ReadFile(s.told)
		return strings.Contains(string(raw), text)
	}, 30*time.Second, time.Millisecond, text)
}

func TestRun_givesSecretsAndKeepsTheStatus(t *testing.T) {
	s := newStage(t)
	end := s.run(`echo "$DB $(cat $FOUNTAIN_SECRETS_DIR/tls.key) $(stat -c %a $FOUNTAIN_SECRETS_DIR/tls.key)" > $TOLD; exit 7`,
		supervise.Place{Secret: "app.db", Env: "DB"}, supervise.Place{Secret: "app.tls", File: "tls.key"})
	require.Equal(t, 7, <-end)
	s.says("first key 600")
	left, err := os.ReadDir(s.folder)
	require.NoError(t, err)
	require.Empty(t, left, "nothing is left lying")
}

func TestRun_startsTheProcessAgainWhenASecretChanges(t *testing.T) {
	s := newStage(t)
	end := s.run(`trap 'echo ended >> $TOLD; exit 0' TERM; echo "with $DB" >> $TOLD; while :; do sleep 0.01; done`, supervise.Place{Secret: "app.db", Env: "DB"})
	s.says("with first")
	s.changed <- struct{}{} // nothing has changed
	s.set("app.db", "first", errors.New("the kms is away"))
	s.changed <- struct{}{}
	s.set("app.db", "second", nil)
	s.says("ended")
	s.says("with second")
	raw, err := os.ReadFile(s.told)
	require.NoError(t, err)
	require.Equal(t, "with first\nended\nwith second\n", string(raw), "and not for a change of nothing")
	s.signals <- syscall.SIGTERM
	require.Zero(t, <-end)
}

func TestRun_passesSignalsOn(t *testing.T) {
	ours := make(chan os.Signal, 1)
	signal.Notify(ours, syscall.SIGHUP) // the parent process may ignore the signal, as nohup does, and a shell that starts so cannot trap it
	t.Cleanup(func() { signal.Stop(ours) })
	s := newStage(t)
	end := s.run(`trap 'echo hup >> $TOLD' HUP; trap 'exit 5' USR1; echo up >> $TOLD; while :; do sleep 0.01; done`, supervise.Place{Secret: "app.db", Env: "DB"})
	s.says("up")
	s.signals <- syscall.SIGHUP
	s.says("hup")
	s.signals <- syscall.SIGUSR1
	require.Equal(t, 5, <-end)

	end = s.run(`echo again >> $TOLD; exec sleep 60`, supervise.Place{Secret: "app.db", Env: "DB"})
	s.says("again")
	s.signals <- syscall.SIGKILL
	require.Equal(t, 128+9, <-end)
}

func TestRun_killsWhatDoesNotEnd(t *testing.T) {
	s := newStage(t)
	end := s.run(`trap '' TERM; echo "with $DB" >> $TOLD; while :; do sleep 0.01; done`, supervise.Place{Secret: "app.db", Env: "DB"})
	s.says("with first")
	s.set("app.db", "second", nil)
	s.changed <- struct{}{}
	s.says("with second")
	s.signals <- syscall.SIGKILL
	require.Equal(t, 128+9, <-end)
}

func TestRun_startsNothingWithoutItsSecrets(t *testing.T) {
	for name, c := range map[string]struct {
		command string
		value   string
		fail    error
	}{
		"no such program":                {"/nonexistent/program", "value", nil},
		"a zero byte in the environment": {"/bin/true", "a\x00b", nil},
		"the secrets can't be read":      {"/bin/true", "", errors.New("the kms is away")},
	} {
		_, err := supervise.Run(t.Context(), supervise.Config{
			Command: []string{c.command}, Places: []supervise.Place{{Secret: "app.db", Env: "DB"}}, Folder: t.TempDir(),
			Read: func(context.Context) (supervise.Values, error) { return supervise.Values{"app.db": c.value}, c.fail },
		})
		require.Error(t, err, name)
		if c.value != "" {
			require.NotContains(t, err.Error(), c.value, name)
		}
	}
}

// A kms that does not respond delays neither a signal nor the end of the process.
func TestRun_attendsWhileSecretsAreRead(t *testing.T) {
	s := newStage(t)
	end := s.run(`trap 'exit 5' USR1; echo up >> $TOLD; while :; do sleep 0.01; done`, supervise.Place{Secret: "app.db", Env: "DB"})
	s.says("up")
	s.hangs()
	s.changed <- struct{}{}
	s.hasRead(2)
	s.signals <- syscall.SIGUSR1
	require.Equal(t, 5, <-end)
}

// A signal ends Run before the process has started.
func TestRun_endsWhileSecretsAreReadAtFirst(t *testing.T) {
	s := newStage(t)
	s.hangs()
	end := s.run(`echo up >> $TOLD`, supervise.Place{Secret: "app.db", Env: "DB"})
	s.hasRead(1)
	s.signals <- syscall.SIGWINCH
	s.signals <- syscall.SIGTERM
	require.Equal(t, 128+15, <-end)
	require.NoFileExists(t, s.told)
}

// Of consecutive failures the first one is logged, and then the recovery.
func TestRun_tellsARowOfFailuresOnce(t *testing.T) {
	s := newStage(t)
	end := s.run(`echo up >> $TOLD; while :; do sleep 0.01; done`, supervise.Place{Secret: "app.db", Env: "DB"})
	s.says("up")
	s.set("app.db", "first", errors.New("the kms is away"))
	s.changed <- struct{}{}
	s.hasRead(6)
	s.set("app.db", "first", nil)
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.log) == 2
	}, 30*time.Second, time.Millisecond)
	s.signals <- syscall.SIGTERM
	require.Equal(t, 128+15, <-end)
	require.Contains(t, s.log[0], "the kms is away")
	require.Equal(t, "the secrets can be read again", s.log[1])
}

// A signal that the terminal has sent to the process is not sent to it again.
func TestRun_passesOnNothingTwice(t *testing.T) {
	s := newStage(t)
	s.reached = func(sent os.Signal) bool { return sent == os.Interrupt }
	end := s.run(`trap 'echo interrupted >> $TOLD' INT; trap 'exit 5' USR1; echo up >> $TOLD; while :; do sleep 0.01; done`, supervise.Place{Secret: "app.db", Env: "DB"})
	s.says("up")
	s.signals <- os.Interrupt
	s.signals <- syscall.SIGUSR1
	require.Equal(t, 5, <-end)
	raw, err := os.ReadFile(s.told)
	require.NoError(t, err)
	require.Equal(t, "up\n", string(raw))
}
