package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/cmd/fountain/internal/session"
	"github.com/fountainai/fountain/internal/config"
)

// bootstrapCall holds the flags of bootstrap.
type bootstrapCall struct {
	operator
	username, tokenFile, passwordFile string
	plainHTTP, unknownServer          bool
}

func newBootstrap() *cobra.Command {
	o := &bootstrapCall{}
	cmd := &cobra.Command{
		Use:   "bootstrap --username NAME",
		Short: "Create the first administrator of a family, and sign in",
		Long: `bootstrap creates the first administrator with the one-time token that the kms has written (fountain
bootstrap-token creates a new one), and signs in as this user. It prints an invitation, once: with it the
administrator enrols a first authenticator, because every operation of administrators requires a second
factor.`,
		Example: `  fountain bootstrap --username ada --token-file token --password-file password
  fountain bootstrap --username ada >invitation
  fountain otp enrol --invitation-file invitation
  fountain otp confirm`,
		Args: noArgs,
		RunE: o.run,
	}
	o.flags(cmd)
	cmd.Flags().StringVar(&o.output, "output", "table", "output format: table or json")
	cmd.Flags().StringVar(&o.username, "username", "", "username of the administrator, in lower case")
	cmd.Flags().StringVar(&o.tokenFile, "token-file", filepath.Join(env("FOUNTAIN_DATA", "./data"), "kms", "bootstrap.token"), "read the one-time token from this file, or from standard input with -")
	cmd.Flags().StringVar(&o.passwordFile, "password-file", "", "read the password from this file; default: prompt for it")
	cmd.Flags().BoolVar(&o.plainHTTP, "plain-http", false, "allow sending the password over plain HTTP to another machine")
	cmd.Flags().BoolVar(&o.unknownServer, "unknown-server", false, "allow sending the password to a server that does not look like a gateway of FountainAI")
	return calling(cmd)
}

func (o *bootstrapCall) run(cmd *cobra.Command, _ []string) error {
	switch {
	case o.output != "table" && o.output != "json":
		return usagef("--output must be table or json")
	case o.username == "":
		return usagef("fountain bootstrap needs --username")
	}
	if err := usernameForm(o.username); err != nil {
		return err
	}
	password, err := filedPassword(o.passwordFile)
	if err != nil {
		return err
	}
	file, err := session.Default()
	if err != nil {
		return err
	}
	address := o.address(nil)
	client, err := o.anonymous(address, fountain.WithStepUp(o.code))
	if err != nil {
		return err
	}
	if err := trustworthy(cmd.Context(), client, address, o.plainHTTP, o.unknownServer); err != nil {
		return err
	}
	token, err := o.token()
	if err != nil {
		return err
	}
	if o.passwordFile == "" {
		if password, err = newPasswordFrom("", "a password for "+o.username+", of 12 characters at least: "); err != nil {
			return err
		}
	}
	made, err := client.KMS.BootstrapAdmin(cmd.Context(), kms.AdminBootstrap{Token: token, Username: o.username, Password: password})
	if err != nil {
		return err
	}
	if made.Invitation == nil {
		return errors.New("the kms returned no invitation")
	}
	if err := signIn(cmd, client, file, address, o.username, password, o.rememberedCA()); err != nil {
		return err
	}
	return o.secret(cmd, made, fmt.Sprintf("%s is an administrator, and signed in at %s.\nInvitation for your first authenticator (shown once; use it with `fountain otp enrol` or at %s/twofactor/v1/enroll):", o.username, address, address), made.Invitation.Token)
}

// token reads the one-time token.
func (o *bootstrapCall) token() (string, error) {
	if o.tokenFile == "-" {
		return readShort("-")
	}
	token, err := config.ReadSecret(o.tokenFile)
	if err != nil {
		return "", fmt.Errorf("one-time token: %w; fountain up prints its path while there is no administrator (--token-file)", err)
	}
	return token, nil
}

// signIn signs a user in and stores the session.
func signIn(cmd *cobra.Command, client *fountain.Client, file *session.File, address, username, password, caFile string) error {
	t, err := client.SignIn(cmd.Context(), username, password)
	page := address + "/twofactor/v1/enroll"
	switch {
	case errors.Is(err, fountain.CodeInvalidCredentials):
		return errors.New("the username or the password is wrong")
	case errors.Is(err, fountain.CodeInvalidCode):
		return fmt.Errorf("no code was accepted, so you are not signed in; whoever has no authenticator yet enrols one at %s", page)
	case errors.Is(err, fountain.CodeFactorNotAccepted):
		return fmt.Errorf("the code was right, but one of your roles does not accept codes of this kind; sign in at %s", page)
	case errors.Is(err, fountain.ErrMfaRequired):
		return fmt.Errorf("one of your roles requires a second factor that has no code to type; sign in at %s", page)
	case err != nil:
		return err
	}
	if t.RefreshToken == nil {
		return errors.New("the kms returned no refresh token")
	}
	return file.Save(&session.Session{URL: address, Username: username, RefreshToken: *t.RefreshToken, CAFile: caFile})
}
