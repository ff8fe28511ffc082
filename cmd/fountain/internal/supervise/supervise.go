// Package supervise runs a process that is given secrets, and starts it again when they change.
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
	Env    string // a variable of the environment
	File   string // a file, relative to the folder of the secrets
}

// Values are secrets by name.
type Values map[string]string

// Config says what runs. All fields but Log are required.
type Config struct {
	Command []string
	Places  []Place
	Environ []string // of the process, without secrets
	Folder  string   // where files are written; the process finds it as FOUNTAIN_SECRETS_DIR
	Grace   time.Duration
	// Read returns all secrets. It may take its time: signals and the end of the process are attended to meanwhile. One whose ctx has ended is not waited for.
	Read func(ctx context.Context) (Values, error)
	// Begun is called once, when the secrets were read for the first time; nil: nobody is told.
	Begun func()
	// Changed gets something whenever a secret may have changed.
	Changed <-chan struct{}
	// Signals are passed on to the process. Before it runs, one that would end it ends Run.
	Signals <-chan os.Signal
	// Reached reports whether the process got a signal already, as it does what a terminal sends to all in its foreground; nil: none.
	Reached func(s os.Signal) bool
	// Pause is how long a failed Read waits for the next one.
	Pause time.Duration
	Log   func(text string)
}

// FolderVariable names the folder of the files to the process.
const FolderVariable = "FOUNTAIN_SECRETS_DIR"

// signalStatus is added to the number of the signal that ended a process, as shells do.
const signalStatus = 128

// Run runs the process until it ends, and returns its exit status: of one that a signal ended, also before it ran, 128 and the signal's number. Its files are
// removed then. An
// error says that the process could not be started at first.
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

// reading is what a Read returned.
type reading struct {
	values Values
	err    error
}

// read begins to read. Whoever waits no longer cancels ctx.
func (c *Config) read(ctx context.Context) <-chan reading {
	done := make(chan reading, 1)
	go func() {
		values, err := c.Read(ctx)
		done <- reading{values, err}
	}()
	return done
}

// first reads the secrets before there is a process. A signal that would have ended it gives the status that it would have had.
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

// process is one that runs.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
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
		_ = cmd.Wait() // what it says is in ProcessState
	}()
	return p, nil
}

// write puts a file in its place in one step, so that nobody reads half of it.
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

// attend passes signals on until the process ends, or has been ended because its secrets have changed: then it is to be started again. Of a row of failures to
// read them it tells the first, and the end.
func (c *Config) attend(ctx context.Context, p *process, values *Values) (again bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var retry <-chan time.Time
	var done <-chan reading // nil: nothing is read
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
					c.say("the secrets can't be read; the process goes on with those it has: " + r.err.Error())
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

// pass passes a signal on, unless the process got it already.
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

// stop ends the process: it is asked, and killed when it has not ended after the grace. A signal that would have ended it meanwhile means that it is not to
// be started again.
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

// signal passes a signal on; one that has ended gets none.
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
