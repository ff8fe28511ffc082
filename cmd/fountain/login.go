package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/cmd/fountain/internal/session"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

func newLogin() *cobra.Command {
	var c connection
	var username, passwordFile string
	cmd := &cobra.Command{
		Use:   "login --username NAME",
		Short: "Sign in, and keep the session for the other commands",
		Long: `login asks for the password without showing it (or reads it from --password-file) and
keeps a refresh token, for you alone, in your configuration directory. The other commands
use it until fountain logout. Scripts use FOUNTAIN_URL and FOUNTAIN_API_KEY instead.`,
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
			client, err := c.anonymous(address)
			if err != nil {
				return err
			}
			password, err := terminal.Password("password of "+username+": ", passwordFile)
			if err != nil {
				return err
			}
			t, err := client.KMS.LoginUser(cmd.Context(), kms.Login{Username: username, Password: password})
			if errors.Is(err, fountain.CodeInvalidCredentials) {
				return errors.New("the username or the password is wrong")
			}
			if err != nil {
				return err
			}
			if t.RefreshToken == nil {
				return errors.New("the kms gave no refresh token")
			}
			if err := file.Save(&session.Session{URL: address, Username: username, RefreshToken: *t.RefreshToken}); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "signed in at %s as %s\n", address, username)
			return err
		},
	}
	c.flags(cmd)
	cmd.Flags().StringVar(&username, "username", "", "who signs in")
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "read the password from this file instead of the terminal")
	return cmd
}
