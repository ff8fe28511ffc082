package story

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/impl/family"
)

// movedClock is the machine's clock, which is moved forward instead of waiting.
type movedClock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *movedClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *movedClock) sleep(_ context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
	return nil
}

func startFamily(t *testing.T, clock *movedClock) family.Info {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan family.Info, 1), make(chan error, 1)
	go func() {
		ended <- family.Run(ctx, family.Config{
			DataDir: filepath.Join(t.TempDir(), "data"), Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Clock: clock,
			OnReady: func(i family.Info) { ready <- i },
		})
	}()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	select {
	case info := <-ready:
		return info
	case <-time.After(5 * time.Minute):
		t.Fatal("the family was not ready in time")
	}
	panic("unreachable")
}

func TestTell_inARunningFamilyLeavesNoAuthenticatorAndCanBeToldAgain(t *testing.T) {
	clock := &movedClock{}
	info := startFamily(t, clock)
	var out strings.Builder
	o := Options{
		Out: &out, URL: info.GatewayURL, BootstrapTokenFile: info.BootstrapTokenFile, Username: "ada", Password: "a lamp nobody else has lit",
		Scope: "first", Tidy: true, Now: clock.Now, Sleep: clock.sleep,
	}
	require.NoError(t, Tell(t.Context(), o), out.String())
	require.Contains(t, out.String(), "DELETE /twofactor/v1/factors/")
	c, err := fountain.New(info.GatewayURL, fountain.WithUser("ada", o.Password))
	require.NoError(t, err)
	for f, err := range c.Twofactor.Factors(t.Context()) {
		require.NoError(t, err)
		require.NotEqual(t, "active", string(f.Status))
	}

	first := strings.Join(strings.Fields(out.String()), " ")
	out.Reset()
	o.BootstrapTokenFile, o.Scope, o.Username = "", "second", ""
	o.Invitation = regexp.MustCompile(`\bin_[A-Za-z0-9_-]+`).FindString(first)
	require.NotEmpty(t, o.Invitation, "the administrator can enrol an authenticator of their own")
	o.Client = func(stepUp fountain.StepUpFunc) (*fountain.Client, error) {
		return fountain.New(info.GatewayURL, fountain.WithUser("ada", o.Password), fountain.WithStepUp(stepUp))
	}
	require.NoError(t, Tell(t.Context(), o), out.String())
	require.Contains(t, out.String(), "There is an administrator already")

	o.Out = &out
	err = Tell(t.Context(), o)
	require.ErrorContains(t, err, "step 7, A new version: the line to change does not exist", "the scope holds a changed play now")
}

func TestTell_leavesNoAuthenticatorWhenItIsInterrupted(t *testing.T) {
	clock := &movedClock{}
	info := startFamily(t, clock)
	ctx, interrupt := context.WithCancel(t.Context())
	var out strings.Builder
	o := Options{
		Out: &out, URL: info.GatewayURL, BootstrapTokenFile: info.BootstrapTokenFile, Username: "ada", Password: "a lamp nobody else has lit",
		Scope: "first", Tidy: true, Now: clock.Now,
		Sleep: func(c context.Context, d time.Duration) error { // while it waits for its last code
			if ctx.Err() == nil {
				interrupt()
				return context.Canceled
			}
			return clock.sleep(c, d)
		},
	}
	require.ErrorIs(t, Tell(ctx, o), context.Canceled)
	require.Contains(t, out.String(), "The story ends early.")
	c, err := fountain.New(info.GatewayURL, fountain.WithUser("ada", o.Password))
	require.NoError(t, err)
	for f, err := range c.Twofactor.Factors(t.Context()) {
		require.NoError(t, err)
		require.NotEqual(t, "active", string(f.Status))
	}
}

func TestPrint_keepsWithinTheWidth(t *testing.T) {
	var out strings.Builder
	teller := &teller{Options: Options{Out: &out}}
	teller.say("%s %s", strings.Repeat("word ", 60), strings.Repeat("x", 200))
	teller.call("POST /"+strings.Repeat("long/", 30), "200 well")
	teller.row("%s", strings.Repeat("ß", 100))
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, utf8.RuneCountInString(strings.TrimSuffix(line, "\n")), width, line)
	}
}
