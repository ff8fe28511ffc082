package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/cmd/fountain/internal/story"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
	"github.com/fountainai/fountain/impl/family"
	"github.com/fountainai/fountain/internal/config"
)

func newDemo() *cobra.Command {
	var c connection
	var tokenFile, username, passwordFile, invitationFile string
	cmd := &cobra.Command{
		Use:     "demo",
		Example: "  fountain demo\n  fountain demo --url https://fountain.example.org --username ada --password-file password",
		Short:   "Demonstrate all services, step by step, with a short play",
		Long: `demo runs a family of its own in a temporary directory, stores a short screenplay in it, searches and changes
it, and shows the use of a second factor. The exit status is 0 only if every step succeeded.

With --url it uses a running family: as the user of fountain login, or with --username and --password-file,
or, where no administrator exists, as the one that it creates with --bootstrap-token-file, --username and
--password-file. An administrator who has no authenticator yet passes the invitation that was printed with the
account in --invitation-file.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if c.url == "" {
				for _, name := range []string{"bootstrap-token-file", "username", "password-file", "invitation-file"} {
					if cmd.Flags().Changed(name) {
						return usagef("--%s is for a running family: it needs --url", name)
					}
				}
				return ownDemo(cmd.Context(), out)
			}
			if (username == "") != (passwordFile == "") || (tokenFile != "" && username == "") {
				return usagef("--username and --password-file go together, and --bootstrap-token-file needs both")
			}
			return runningDemo(cmd.Context(), out, &c, tokenFile, username, passwordFile, invitationFile)
		},
	}
	c.flags(cmd)
	cmd.Flags().Lookup("url").Usage = "use the running family behind this gateway; FOUNTAIN_URL is ignored, because the demo writes data"
	cmd.Flags().StringVar(&tokenFile, "bootstrap-token-file", "", "create the first administrator with the token in this file")
	cmd.Flags().StringVar(&username, "username", "", "username to sign in with")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "file with the password")
	cmd.Flags().StringVar(&invitationFile, "invitation-file", "", "file with the invitation, for an administrator without an authenticator")
	return cmd
}

// ownDemo starts the services in a temporary directory and tells the story there.
func ownDemo(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "fountain-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ready := make(chan family.Info, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- family.Run(ctx, family.Config{
			DataDir: filepath.Join(dir, "data"), Addr: "127.0.0.1:0", AdminAddr: "127.0.0.1:0", Version: version,
			Log: slog.New(slog.DiscardHandler), OnReady: func(info family.Info) { ready <- info },
		})
	}()
	var info family.Info
	select {
	case info = <-ready:
	case err := <-ended:
		if err == nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("start a family: %w", err)
	}
	told := story.Tell(ctx, story.Options{
		Out: out, URL: info.GatewayURL, BootstrapTokenFile: info.BootstrapTokenFile,
		Username: "ilse", Password: rand.Text(), Scope: "lowwater-light",
	})
	stop()
	return errors.Join(told, <-ended)
}

// runningDemo tells the story on an installation that others use too. It uses a scope of its own and leaves no
// authenticator.
func runningDemo(ctx context.Context, out io.Writer, c *connection, tokenFile, username, passwordFile, invitationFile string) error {
	opts, err := c.options()
	if err != nil {
		return err
	}
	o := story.Options{
		Out: out, URL: strings.TrimRight(c.url, "/"), Options: opts, BootstrapTokenFile: tokenFile, Username: username,
		Scope: "demo-" + strings.ToLower(rand.Text()[:8]), Tidy: true, Ask: askCode,
		Client: func(stepUp fountain.StepUpFunc) (*fountain.Client, error) { return c.client(stepUp) },
	}
	if username != "" {
		if o.Password, err = terminal.Password("", passwordFile); err != nil {
			return err
		}
	}
	if invitationFile != "" {
		if o.Invitation, err = config.ReadSecret(invitationFile); err != nil {
			return err
		}
	}
	return story.Tell(ctx, o)
}
