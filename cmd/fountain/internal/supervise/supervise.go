// Package supervise runs a process with secrets and restarts it when they change.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Place says where the process finds a secret. Exactly one of Env and File is set.
type Place struct {
	Secret string // its name
	Env    string // environment variable
	File   string // file, relative to the folder of the secrets
}

// Values are secrets by name.
type Values map[string]string

// Config configures Run. All fields except Begun, Reached and Log are required.
type Config struct {
	Command []string
	Places  []Place
	Environ []string // of the process, without secrets
	Folder  string   // folder for the files; the process finds it as FOUNTAIN_SECRETS_DIR
	Grace   time.Duration
	// Read returns all secrets. It may take long: signals and the end of the process are handled meanwhile. If its ctx
	// has ended, Run does not wait for it.
	Read func(ctx context.Context) (Values, error)
	// Begun is called once, when the secrets have been read for the first time; it may be nil.
	Begun func()
	// Changed receives a value whenever a secret may have changed.
	Changed <-chan struct{}
	// Signals are passed on to the process. Before the process runs, a signal that would end it ends Run.
	Signals <-chan os.Signal
	// Reached reports whether the process has already received a signal, because a terminal sends it to all processes
	// in its foreground. If it is nil, no signal has.
	Reached func(s os.Signal) bool
	// Pause is how long to wait before Read is retried after an error.
	Pause time.Duration
	Log   func(text string)
}

// FolderVariable is the environment variable with the folder of the files.
const FolderVariable = "FOUNTAIN_SECRETS_DIR"

// signalStatus plus the signal's number is the exit status of a process that a signal ended, as in shells.
const signalStatus = 128

// Run runs the process until it ends and returns its exit status. If a signal ended it, or ended Run before the process
// ran, the status is 128 plus the signal's number. Run removes the files afterwards. An error means that the secrets
// could not be read at first, or that the process could not be started.
func Run(ctx context.Context, c Config) (status int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	values, status, err := c.first(ctx)
	if err != nil || status != 0 {
		return status, err
	}
	if c.Begun != nil {
		c.Begun()
	}
	defer c.remove()
	for {
		p, err := c.start(values)
		if err != nil {
			return 0, err
		}
		if again := c.attend(ctx, p, &values); !again {
			return p.status(), nil
		}
	}
}

// reading is the result of a Read.
type reading struct {
	values Values
	err    error
}

// read starts to read the secrets. A caller that no longer waits cancels ctx.
func (c *Config) read(ctx context.Context) <-chan reading {
	done := make(chan reading, 1)
	go func() {
		values, err := c.Read(ctx)
		done <- reading{values, err}
	}()
	return done
}

// first reads the secrets before the process runs. If a signal arrives that would have ended the process, it returns
// the exit status that the process would have had.
func (c *Config) first(ctx context.Context) (values Values, status int, err error) {
	done := c.read(ctx)
	for {
		select {
		case r := <-done:
			return r.values, 0, r.err
		case s := <-c.Signals:
			if number, is := s.(syscall.Signal); is && ends(s) {
				return nil, signalStatus + int(number), nil
			}
		}
	}
}

// ends reports whether a signal asks a process to end.
func ends(s os.Signal) bool {
	return s == os.Interrupt || s == syscall.SIGTERM || s == syscall.SIGQUIT || s == syscall.SIGHUP
}

// process is a running process.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
}

func (c *Config) start(values Values) (*process, error) {
	environ := append([]string{}, c.Environ...)
	files := false
	for _, at := range c.Places {
		value, known := values[at.Secret]
		switch {
		case !known:
			return nil, fmt.Errorf("secret %s was not read", at.Secret)
		case at.Env != "" && strings.ContainsRune(value, 0):
			return nil, fmt.Errorf("secret %s can't be in the environment, for it holds a zero byte; give it as a file", at.Secret)
		case at.Env != "":
			environ = append(environ, at.Env+"="+value)
		default:
			files = true
			if err := write(filepath.Join(c.Folder, at.File), value); err != nil {
				return nil, fmt.Errorf("write secret %s: %w", at.Secret, err)
			}
		}
	}
	if files {
		environ = append(environ, FolderVariable+"="+c.Folder)
	}
	cmd := exec.Command(c.Command[0], c.Command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Command[0], err)
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		defer close(p.ended)
		_ = cmd.Wait() // the result is in ProcessState
	}()
	return p, nil
}

// write replaces a file atomically, so that no reader sees a partial one.
func write(path, value string) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = temporary.WriteString(value)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	return nil
}

func (c *Config) remove() {
	for _, at := range c.Places {
		if at.File == "" {
			continue
		}
		if err := os.Remove(filepath.Join(c.Folder, at.File)); err != nil && !errors.Is(err, os.ErrNotExist) {
			c.say("the file of secret " + at.Secret + " could not be removed: " + err.Error())
		}
	}
}

func (c *Config) say(text string) {
	if c.Log != nil {
		c.Log(text)
	}
}

// attend passes signals on until the process has ended. If its secrets change, attend stops the process and returns
// true to restart it. Of consecutive read errors it logs only the first one, and then the first success.
func (c *Config) attend(ctx context.Context, p *process, values *Values) (again bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var retry <-chan time.Time
	var done <-chan reading // nil: no read is in progress
	changed, failing := false, false
	for {
		if changed && done == nil {
			changed, retry, done = false, nil, c.read(ctx)
		}
		select {
		case <-p.ended:
			return false
		case s := <-c.Signals:
			c.pass(p, s)
		case <-c.Changed:
			changed = true
		case <-retry:
			changed = true
		case r := <-done:
			done = nil
			switch {
			case r.err != nil:
				if !failing {
					c.say("the secrets can't be read; the process continues with the current ones: " + r.err.Error())
				}
				failing, retry = true, time.After(c.Pause)
				continue
			case failing:
				failing = false
				c.say("the secrets can be read again")
			}
			if same(*values, r.values) {
				continue
			}
			*values = r.values
			c.say("a secret has changed; the process is started again")
			return c.stop(p)
		}
	}
}

// pass passes a signal on, unless the process has already received it.
func (c *Config) pass(p *process, s os.Signal) {
	if c.Reached == nil || !c.Reached(s) {
		p.signal(s)
	}
}

func same(a, b Values) bool {
	if len(a) != len(b) {
		return false
	}
	for name, value := range a {
		if other, known := b[name]; !known || other != value {
			return false
		}
	}
	return true
}

// stop asks the process to end, and kills it after the grace period. If a signal that would have ended the process
// arrives meanwhile, stop returns false, so that the process is not restarted.
func (c *Config) stop(p *process) (again bool) {
	again = true
	p.signal(syscall.SIGTERM)
	over := time.NewTimer(c.Grace)
	defer over.Stop()
	for {
		select {
		case <-p.ended:
			return again
		case s := <-c.Signals:
			if ends(s) {
				again = false
			}
			c.pass(p, s)
		case <-over.C:
			p.signal(os.Kill)
		}
	}
}

// signal passes a signal on. If the process has ended, it does nothing.
func (p *process) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) status() int {
	<-p.ended
	state := p.cmd.ProcessState
	if state == nil {
		return signalStatus
	}
	if wait, ok := state.Sys().(syscall.WaitStatus); ok && wait.Signaled() {
		return signalStatus + int(wait.Signal())
	}
	return state.ExitCode()
}
