// Package story is what `fountain demo` tells: the family's main job from the first administrator to a reorder that needs a
// second factor, on a short screenplay. Each step does what it says and checks that it happened; the first that does not
// ends the story with an error.
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

// Options says where and as whom the story happens.
type Options struct {
	Out     io.Writer
	URL     string
	Options []fountain.Option // for every client, without credentials

	BootstrapTokenFile string // makes the first administrator; empty: there is one
	Username, Password string // of the administrator to make, or who signs in; empty: Client is used

	Client func(fountain.StepUpFunc) (*fountain.Client, error) // signed in already; used without Username
	Ask    fountain.StepUpFunc                                 // asks a person, who has an authenticator already
	// Invitation is that of an administrator who was made before and has no authenticator yet; "" is none.
	Invitation string
	Scope      string // what the numbers belong to
	Tidy       bool   // take the authenticator away again at the end

	Now   func() time.Time                                 // of the authenticator; default time.Now
	Sleep func(ctx context.Context, d time.Duration) error // until the next code; default waits
}

// teller is a story under way.
type teller struct {
	Options
	script        *screenplay.Script
	client        *fountain.Client
	authenticator *authenticator
	userID        string // who has signed in
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

// failed says that a step did not do what the story tells.
func failed(format string, args ...any) error { return fmt.Errorf(format, args...) }
