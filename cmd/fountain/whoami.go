package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

func newWhoami() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:     "whoami",
		Example: "  fountain whoami\n  FOUNTAIN_API_KEY=$(cat key) fountain whoami --url https://fountain.example.org",
		Short:   "Show the user, service or API key that the commands act as",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.client(askCode)
			if err != nil {
				return err
			}
			if key := os.Getenv("FOUNTAIN_API_KEY"); key != "" {
				return printKey(cmd, client, key)
			}
			token, err := client.Token(cmd.Context(), "kms")
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

// printKey prints what an API key is and everything that it may do.
func printKey(cmd *cobra.Command, client *fountain.Client, key string) error {
	who, err := client.KMS.WhoamiAPIKey(cmd.Context(), kms.APIKeyText{Key: key})
	if err != nil {
		return err
	}
	k := who.APIKey
	roles := ""
	if who.Roles != nil {
		roles = strings.Join(*who.Roles, " ")
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s (%s)\nkey    %s (%s), %s, ends %s\nroles  %s\nscopes %s\n",
		k.OwnerKind, who.OwnerName, k.OwnerID, k.ID, k.Name, k.Status, when(k.ExpiresAt), roles, strings.Join(who.Scopes, " "))
	return err
}

// claims are the claims in an access token (RFC 9068). They are only displayed, so they are not verified.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Principal string   `json:"principal"`
	Scope     string   `json:"scope"`
	Roles     []string `json:"roles"`
	Expires   int64    `json:"exp"`
}

func readClaims(token string) (*claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("the access token is not a JWT")
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	var c claims
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return nil, errors.New("the access token is not a JWT")
	}
	return &c, nil
}
