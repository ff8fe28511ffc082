package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/cmd/fountain/internal/session"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

func newLogin() *cobra.Command {
	var c operator
	var username, passwordFile, sendCode string
	var plainHTTP, unknownServer bool
	cmd := &cobra.Command{
		Use: "login --username NAME",
		Example: `  fountain login --username ada
  fountain login --username ada --send-code sms
  fountain login --url https://fountain.example.org --username ada --password-file password --code-file -`,
		Short: "Sign in, and store the session for the other commands",
		Long: `login asks for the password without echo (or reads it from --password-file), and stores a refresh token,
readable only by you, in your configuration directory. The other commands use it until fountain logout.
Scripts use FOUNTAIN_URL and FOUNTAIN_API_KEY instead.

If one of your roles requires a second factor at sign-in, login also asks for a code of your authenticator or
a recovery code. --send-code sends a code to one of your confirmed addresses or numbers instead, if all of
your roles accept that. Passkeys work only in a browser, at /twofactor/v1/enroll of the same address, where
you can also enrol a first authenticator.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if username == "" {
				return usagef("fountain login needs --username")
			}
			file, err := session.Default()
			if err != nil {
				return err
			}
			address := c.address(nil)
			options := []fountain.Option{fountain.WithStepUp(c.code)}
			if sendCode != "" {
				options = append(options, fountain.WithSentCode(sendCode))
			}
			if sendCode != "" && sendCode != "email" && sendCode != "sms" {
				return usagef("--send-code is email or sms")
			}
			client, err := c.anonymous(address, options...)
			if err != nil {
				return err
			}
			if err := trustworthy(cmd.Context(), client, address, plainHTTP, unknownServer); err != nil {
				return err
			}
			password, err := terminal.Password("password of "+username+": ", passwordFile)
			if err != nil {
				return err
			}
			if err := signIn(cmd, client, file, address, username, password, c.rememberedCA()); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "signed in at %s as %s\n", address, username)
			return err
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&username, "username", "", "username to sign in with")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "read the password from this file; default: prompt for it")
	cmd.Flags().StringVar(&c.codeFile, "code-file", "", "read the one-time code from this file, or from standard input with -; default: prompt for it")
	cmd.Flags().StringVar(&sendCode, "send-code", "", "send a code to you: by email or sms")
	cmd.Flags().BoolVar(&plainHTTP, "plain-http", false, "allow sending the password over plain HTTP to another machine")
	cmd.Flags().BoolVar(&unknownServer, "unknown-server", false, "allow sending the password to a server that does not look like a gateway of FountainAI")
	return cmd
}

// trustworthy refuses to send a password over a connection that others could read, or to a server that is not
// FountainAI.
func trustworthy(ctx context.Context, client *fountain.Client, address string, plainHTTP, unknownServer bool) error {
	u, err := url.Parse(address)
	if err != nil {
		return usagef("--url: %w", err)
	}
	if u.Scheme == "http" && !plainHTTP && !loopback(u.Hostname()) {
		return fmt.Errorf("the password would go to %s over plain HTTP, readable on the way: use https, or pass --plain-http", u.Host)
	}
	if unknownServer {
		return nil
	}
	health, err := client.Gateway.GetGatewayHealth(ctx)
	var call *url.Error
	if errors.As(err, &call) {
		return err
	}
	if err != nil || health.Service != "gateway" {
		return fmt.Errorf("%s does not look like a family's gateway, so the password was not sent: is the address right? (--unknown-server sends it anyway)", address)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
