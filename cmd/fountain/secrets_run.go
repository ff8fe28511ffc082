package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/cmd/fountain/internal/supervise"
)

// exitStatus is the exit status of the process that this one ran.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("the process ended with status %d", int(e)) }

// secretsRun runs a process with secrets.
type secretsRun struct {
	operator    *operator
	envs, files []string
	grace       time.Duration
	once        bool

	mu    sync.Mutex
	known map[string]int64 // version by name, as last read
}

const readPause = 5 * time.Second // retry interval for secrets that could not be read

// forwardedSignals lists the signals that are passed on to the process.
var forwardedSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGWINCH}

func newSecretsRun(o *operator) *cobra.Command {
	run := &secretsRun{operator: o, known: map[string]int64{}}
	cmd := o.command("run --env NAME=SECRET --file FILE=SECRET -- COMMAND", "Run a process with secrets, and restart it when they change",
		`  fountain secrets run --env DB_PASSWORD=app.db -- ./server
  fountain secrets run --file tls.key=app.tls -- sh -c 'exec server --key "$FOUNTAIN_SECRETS_DIR/tls.key"'`,
		func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("%s takes the command to run, after --", cmd.CommandPath())
			}
			return nil
		}, run.do)
	cmd.Long = `run reads secrets from the kms and passes them to a process: as environment variables, or as files in a
private directory, which the process finds in FOUNTAIN_SECRETS_DIR and which is removed when it ends. When a
secret has a new current version, the process gets SIGTERM, after --grace SIGKILL, and is restarted with the
new value. Signals are passed on, and the exit status of the process is that of this command. While the kms is
unavailable, the process continues with the values that it has. The process shares the terminal, which itself
sends it Ctrl-C: in the foreground of a terminal SIGINT, SIGQUIT and SIGWINCH are not passed on a second time,
so stop it from another place with SIGTERM.

A service uses its API key (FOUNTAIN_API_KEY), which the process does not get. It can read the secrets of its
own name, unless a policy says otherwise: the service app reads app and app.db ("fountain secrets access
app.db --service ID" shows it). An administrator adds the scope to those that the service has, and creates the
key:

  fountain services update app --scope secrets:read
  fountain keys create server --service app --scope secrets:read
  FOUNTAIN_API_KEY=... fountain secrets run --env DB_PASSWORD=app.db -- ./server

A user is asked for a code before the process starts, and never while it runs; when the code is no longer
valid, changes cannot be read, which is reported once.`
	cmd.Flags().StringArrayVar(&run.envs, "env", nil, "environment variable and the secret that provides its value, NAME=SECRET; may be repeated")
	cmd.Flags().StringArrayVar(&run.files, "file", nil, "file and the secret that provides its contents, FILE=SECRET; may be repeated")
	cmd.Flags().DurationVar(&run.grace, "grace", 10*time.Second, "time between SIGTERM and SIGKILL when the process is restarted")
	cmd.Flags().BoolVar(&run.once, "once", false, "do not restart the process when a secret changes")
	return cmd
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	plainFile    = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)
)

// places parses the flags.
func (r *secretsRun) places() (places []supervise.Place, err error) {
	taken := map[string]bool{}
	for _, kind := range []struct {
		flag  string
		given []string
		form  *regexp.Regexp
		put   func(p *supervise.Place, name string)
	}{
		{"--env", r.envs, variableName, func(p *supervise.Place, name string) { p.Env = name }},
		{"--file", r.files, plainFile, func(p *supervise.Place, name string) { p.File = name }},
	} {
		for _, text := range kind.given {
			name, secret, cut := strings.Cut(text, "=")
			if !cut || secret == "" || !kind.form.MatchString(name) {
				return nil, usagef("%s takes a name, = and a secret", kind.flag)
			}
			if taken[kind.flag+name] {
				return nil, usagef("%s names %s twice", kind.flag, name)
			}
			taken[kind.flag+name] = true
			place := supervise.Place{Secret: secret}
			kind.put(&place, name)
			places = append(places, place)
		}
	}
	if len(places) == 0 {
		return nil, usagef("no secret is named: --env NAME=SECRET or --file FILE=SECRET")
	}
	return places, nil
}

func (r *secretsRun) do(cmd *cobra.Command, c *fountain.Client, args []string) error {
	places, err := r.places()
	if err != nil {
		return err
	}
	for _, at := range places {
		r.known[at.Secret] = 0
	}
	folder, err := os.MkdirTemp("", "fountain-secrets-") // 0700
	if err != nil {
		return fmt.Errorf("make a folder for secrets: %w", err)
	}
	defer os.RemoveAll(folder)
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwardedSignals...)
	defer signal.Stop(signals)
	// A signal is for the process to handle. It must not stop this command, which serves the process.
	ctx, cancel := context.WithCancel(context.WithoutCancel(cmd.Context()))
	log := func(text string) { fmt.Fprintln(cmd.ErrOrStderr(), "fountain: "+text) }
	changed := make(chan struct{}, 1)
	var watching sync.WaitGroup
	defer func() { cancel(); watching.Wait() }()
	status, err := supervise.Run(ctx, supervise.Config{
		Command: args, Places: places, Environ: withoutCredential(os.Environ()), Folder: folder, Grace: r.grace, Pause: readPause, Changed: changed, Signals: signals, Log: log, Reached: fromTerminal,
		Read: func(ctx context.Context) (supervise.Values, error) { return r.read(ctx, c) },
		Begun: func() {
			r.operator.unattended.Store(true) // from now on the process owns the terminal
			if !r.once {
				r.watchAll(ctx, c, &watching, changed, log)
			}
		},
	})
	if err != nil {
		return err
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

// fromTerminal reports whether a signal comes from the terminal and this process is in the terminal's foreground. The
// process that it runs is in the same group and then got the signal too. A group of its own would cut the process off
// from the terminal.
func fromTerminal(s os.Signal) bool {
	if s != os.Interrupt && s != syscall.SIGQUIT && s != syscall.SIGWINCH {
		return false
	}
	terminal, err := os.Open("/dev/tty")
	if err != nil { // there is no terminal
		return false
	}
	defer terminal.Close()
	foreground, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == syscall.Getpgrp()
}

// withoutCredential removes the credential of this command from an environment. The process gets the secrets, not the
// key to all of them.
func withoutCredential(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(pair string) bool { return strings.HasPrefix(pair, "FOUNTAIN_API_KEY=") })
}

func (r *secretsRun) names() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Sorted(maps.Keys(r.known))
}

func (r *secretsRun) read(ctx context.Context, c *fountain.Client) (supervise.Values, error) {
	values := supervise.Values{}
	for _, name := range r.names() {
		s, err := c.KMS.GetSecret(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read secret %s: %w", name, err)
		}
		values[name] = s.Value
		r.mu.Lock()
		r.known[name] = s.Version
		r.mu.Unlock()
	}
	return values, nil
}

func (r *secretsRun) version(name string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[name]
}

// watchAll starts to watch every secret for a new version.
func (r *secretsRun) watchAll(ctx context.Context, c *fountain.Client, watching *sync.WaitGroup, changed chan<- struct{}, log func(string)) {
	for _, name := range r.names() {
		watching.Go(func() { r.watch(ctx, c, name, changed, log) })
	}
}

// watch watches a secret until ctx ends. It logs when it starts to fail and when it works again.
func (r *secretsRun) watch(ctx context.Context, c *fountain.Client, name string, changed chan<- struct{}, log func(string)) {
	failing, seen := false, r.version(name)
	for ctx.Err() == nil {
		version, err := c.KMS.WatchSecret(ctx, name, seen, watchWait)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing:
			failing = true
			log("changes of secret " + name + " can't be watched: " + err.Error())
		case err == nil && failing:
			failing = false
			log("changes of secret " + name + " are watched again")
		}
		if err == nil && version != seen {
			seen = version
			select {
			case changed <- struct{}{}:
			default: // a change has already been signalled
			}
		}
		if err == nil {
			continue
		}
		pause := time.NewTimer(readPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}
