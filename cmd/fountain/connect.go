package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/cmd/fountain/internal/session"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

const defaultURL = "http://localhost:8002"

// connection holds the flags of the commands that call running services.
type connection struct {
	url    string
	caFile string
	keptCA string // CA file of the session
}

// rememberedCA returns the absolute form of --ca-file or FOUNTAIN_CA_FILE for the session, so that a later command can
// run in another folder.
func (c *connection) rememberedCA() string {
	file := c.caFile
	if file == "" {
		file = os.Getenv("FOUNTAIN_CA_FILE")
	}
	if absolute, err := filepath.Abs(file); file != "" && err == nil {
		return absolute
	}
	return file
}

func (c *connection) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.url, "url", "", "address of the gateway (FOUNTAIN_URL; default: the gateway where you signed in, or "+defaultURL+")")
	cmd.Flags().StringVar(&c.caFile, "ca-file", "", "trust only the CA certificates in this PEM file (FOUNTAIN_CA_FILE)")
}

// address returns the gateway's address: from the flag, the environment or the session, or the default.
func (c *connection) address(kept *session.Session) string {
	for _, candidate := range []string{c.url, os.Getenv("FOUNTAIN_URL")} {
		if candidate != "" {
			return strings.TrimRight(candidate, "/")
		}
	}
	if kept != nil {
		return kept.URL
	}
	return defaultURL
}

// options returns the options for every client of this command.
func (c *connection) options() ([]fountain.Option, error) {
	opts := []fountain.Option{fountain.WithUserAgent("fountain-cli/" + version)}
	file := c.caFile
	if file == "" {
		file = os.Getenv("FOUNTAIN_CA_FILE")
	}
	if file == "" {
		file = c.keptCA
	}
	if file == "" {
		return opts, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s contains no certificate", file)
	}
	return append(opts, fountain.WithRootCAs(pool)), nil
}

// anonymous returns a client without credentials.
func (c *connection) anonymous(address string, more ...fountain.Option) (*fountain.Client, error) {
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	client, err := fountain.New(address, append(opts, more...)...)
	if err != nil {
		return nil, usagef("address of the gateway: %w", err)
	}
	return client, nil
}

// client returns a client with the user's credentials: FOUNTAIN_API_KEY, else the session of `fountain login`. stepUp
// is asked for a code when an operation requires a second factor.
func (c *connection) client(stepUp fountain.StepUpFunc) (*fountain.Client, error) {
	if key := os.Getenv("FOUNTAIN_API_KEY"); key != "" {
		kept := c.sessionForKey()
		opts, err := c.options()
		if err != nil {
			return nil, err
		}
		opts = append(opts, fountain.WithStepUp(stepUp))
		client, err := fountain.New(c.address(kept), append(opts, fountain.WithAPIKey(key))...)
		if err != nil {
			return nil, errors.New("FOUNTAIN_API_KEY, FOUNTAIN_URL: " + strings.TrimPrefix(err.Error(), "WithAPIKey: "))
		}
		return client, nil
	}
	file, err := session.Default()
	if err != nil {
		return nil, err
	}
	kept, err := file.Load()
	if err != nil {
		return nil, err
	}
	address := c.address(kept)
	if sameLoopbackPort(address, kept.URL) {
		address = kept.URL
	}
	if address != kept.URL {
		return nil, fmt.Errorf("you are signed in at %s, not at %s: run fountain login --url %s", kept.URL, address, address)
	}
	c.keptCA = kept.CAFile
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, fountain.WithStepUp(stepUp))
	anonymous, err := c.anonymous(address)
	if err != nil {
		return nil, err
	}
	return fountain.New(address, append(opts, fountain.WithTokenSource(session.NewSource(file, anonymous)), fountain.WithRaisedTokens(file.Raised()))...)
}

// sessionForKey returns the session whose address and trusted CA are used with an API key if neither a flag nor the
// environment names an address. It returns nil if nobody is signed in, and also if the session cannot be read, because
// a key needs no session.
func (c *connection) sessionForKey() *session.Session {
	if c.url != "" || os.Getenv("FOUNTAIN_URL") != "" {
		return nil
	}
	file, err := session.Default()
	if err != nil {
		return nil
	}
	kept, err := file.Load()
	if err != nil {
		return nil
	}
	c.keptCA = kept.CAFile
	return kept
}

// sameLoopbackPort reports whether two addresses are the same port on this machine's loopback interface. fountain up prints
// localhost and earlier printed 127.0.0.1.
func sameLoopbackPort(one, other string) bool {
	a, errA := url.Parse(one)
	b, errB := url.Parse(other)
	return errA == nil && errB == nil && loopback(a.Hostname()) && loopback(b.Hostname()) && a.Scheme == b.Scheme && a.Port() == b.Port() && a.Path == b.Path
}

// calling rewrites the errors of a command that calls running services. It gives a clear sentence if nothing listens at
// the address. It names refused input as it was typed, and adds the next step to a refusal.
func calling(cmd *cobra.Command) *cobra.Command {
	do := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := do(cmd, args)
		var call *url.Error
		if !errors.As(err, &call) || !errors.Is(err, syscall.ECONNREFUSED) {
			return hinted(rewordRefusal(cmd, err))
		}
		address := "the gateway's address"
		if u, parseErr := url.Parse(call.URL); parseErr == nil {
			address = u.Scheme + "://" + u.Host
		}
		return fmt.Errorf("nothing answers at %s: is fountain up running there? (--url or FOUNTAIN_URL names another address)", address)
	}
	return cmd
}

// noAuthenticator is the hint for a user whose codes are refused because no authenticator is enrolled.
const noAuthenticator = "No authenticator yet? Run fountain otp enrol first."

// raises reports whether a challenge is for an operation. It is false for a sign-in, which asks only users with a
// second factor, and for a code that was sent.
func raises(challenge fountain.Challenge) bool {
	return challenge.Error != string(kms.MfaRequiredStatusMfaRequired) && challenge.Channel == ""
}

// codePrompt returns the prompt for a code.
func codePrompt(challenge fountain.Challenge) string {
	prompt := challenge.Operation + " needs a code of your authenticator: "
	if challenge.Operation == "" {
		prompt = "a token for " + challenge.Audience + " with a second factor needs a code of your authenticator: "
	}
	if challenge.Error == string(kms.MfaRequiredStatusMfaRequired) {
		prompt = "code of your authenticator, or a recovery code: "
	}
	if challenge.Channel != "" {
		prompt = "code sent to " + challenge.SentTo + " (Enter alone sends another): "
	}
	if challenge.Attempt > 1 {
		prompt = "that code was not accepted; the next one: "
		if raises(challenge) { // without an authenticator every code is wrong, and the service does not say which is the case
			prompt = noAuthenticator + "\n" + prompt
		}
	}
	return prompt
}

// noPromptError is the error of a command that needs a code and has no terminal to ask at.
func noPromptError(challenge fountain.Challenge) error {
	text := "a second factor is needed, and there is no terminal to prompt on: pass the code with --code-file"
	if raises(challenge) {
		text += " (no authenticator yet? run fountain otp enrol)"
	}
	return errors.New(text)
}

// askCode asks for a one-time code at the terminal.
func askCode(_ context.Context, challenge fountain.Challenge) (string, error) {
	code, err := terminal.Ask(codePrompt(challenge))
	if errors.Is(err, terminal.ErrNoTerminal) {
		return "", noPromptError(challenge)
	}
	if err == nil && code == "" && challenge.Channel != "" {
		return "", fountain.ErrResend
	}
	return code, err
}
