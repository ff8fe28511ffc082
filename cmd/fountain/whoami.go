package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
)

func newWhoami() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Tell who the commands act as",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.client(askCode)
			if err != nil {
				return err
			}
			token, err := anyToken(cmd.Context(), client)
			if err != nil {
				return err
			}
			who, err := readClaims(token)
			if err != nil {
				return err
			}
			name := who.Subject
			if who.Principal == "user" {
				if user, err := client.KMS.GetUser(cmd.Context(), who.Subject); err == nil {
					name = user.Username + " (" + user.ID + ")"
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s\nissuer %s\nroles  %s\nscopes %s\n",
				who.Principal, name, who.Issuer, strings.Join(who.Roles, " "), who.Scope)
			return err
		},
	}
	c.flags(cmd)
	return cmd
}

// anyToken returns a token for the first service that the scopes reach: an API key may be for one alone.
func anyToken(ctx context.Context, client *fountain.Client) (string, error) {
	var token string
	var err error
	for _, service := range []string{"kms", "sequence", "search", "twofactor"} {
		if token, err = client.Token(ctx, service); !errors.Is(err, fountain.CodeInvalidTarget) {
			break
		}
	}
	return token, err
}

// claims is what an access token tells its holder (RFC 9068). Nothing is decided by it here, so it is not verified.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Principal string   `json:"principal"`
	Scope     string   `json:"scope"`
	Roles     []string `json:"roles"`
}

func readClaims(token string) (*claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the access token has not the form of a JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return nil, errors.New("the access token has not the form of a JWT")
	}
	return &c, nil
}
