// Package story is the story that `fountain demo` tells on a short screenplay: from the first administrator to a
// reorder that needs a second factor. Each step does what it says and checks the result. The first step that fails ends
// the story with an error.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/internal/screenplay"
)

// Options says where the story runs, and as which user.
type Options struct {
	Out     io.Writer
	URL     string
	Options []fountain.Option // for every client; no credentials

	BootstrapTokenFile string // for the first administrator; empty: there is one already
	Username, Password string // of the administrator to create or to sign in; empty: Client is used

	Client func(fountain.StepUpFunc) (*fountain.Client, error) // already signed in; used without Username
	Ask    fountain.StepUpFunc                                 // asks a user who already has an authenticator
	// Invitation is for an administrator who was created before and has no authenticator yet; "" for none.
	Invitation string
	Scope      string // scope of the elements
	Tidy       bool   // remove the authenticator at the end

	Now   func() time.Time                                 // clock of the authenticator; default time.Now
	Sleep func(ctx context.Context, d time.Duration) error // waits for the next code; default: a timer
}

// teller is the state of a story.
type teller struct {
	Options
	script        *screenplay.Script
	client        *fountain.Client
	authenticator *authenticator
	userID        string // the user who has signed in
	step          int
}

// Tell tells the story.
func Tell(ctx context.Context, o Options) error {
	script, err := parse()
	if err != nil {
		return err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	t := &teller{Options: o, script: script}
	t.title()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"The family", t.family},
		{"The first administrator", t.bootstrap},
		{"Signing in", t.signIn},
		{"A screenplay becomes elements", t.importPlay},
		{"Numbers without a gap", t.numbers},
		{"A search that forgives", t.search},
		{"A new version", t.version},
		{"A change that everybody would feel", t.refused},
		{"A second factor", t.enrol},
		{"The same change, accepted", t.accepted},
		{"What is left", t.tidy},
	} {
		t.head(step.name)
		if err := step.do(ctx); err != nil {
			return errors.Join(fmt.Errorf("step %d, %s: %w", t.step, step.name, err), t.takeBack(ctx))
		}
	}
	t.say("That was the whole story: every step did what it said.")
	return nil
}

// failed returns the error of a step that did not do what the story says.
func failed(format string, args ...any) error { return fmt.Errorf(format, args...) }
