package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var clientHead = []string{"NAME", "ID", "TYPE", "TRUSTED", "REDIRECTS TO", "SCOPES"}

func clientRow(c kms.WebClient) []string {
	return []string{c.Name, c.ID, string(c.Type), strconv.FormatBool(c.Trusted), strings.Join(c.RedirectUris, " "), strings.Join(c.Scopes, " ")}
}

func newClients() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List web apps", "  fountain clients list\n  fountain clients list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var clients []kms.WebClient
			var rows [][]string
			for one, err := range c.KMS.Clients(cmd.Context()) {
				if err != nil {
					return err
				}
				clients, rows = append(clients, one), append(rows, clientRow(one))
			}
			return o.print(cmd, clients, clientHead, rows)
		})
	get := o.command("get NAME", "Show a web app", "  fountain clients get Reports\n  fountain clients get cli_01... --output json", oneArg("a web app"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			one, err := clientNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, one, clientHead, [][]string{clientRow(*one)})
		})
	secret := o.command("rotate-secret NAME", "Rotate a web app's secret; the old secret stops working immediately",
		"  fountain clients rotate-secret Reports\n  fountain clients rotate-secret Reports --code-file -", oneArg("a web app"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			one, err := clientNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			made, err := c.KMS.RotateClientSecret(cmd.Context(), one.ID)
			if err != nil {
				return err
			}
			return o.secret(cmd, made, "the new secret of "+one.ID+", shown once:", *made.ClientSecret)
		})
	remove := o.command("delete NAME", "Delete a web app, and revoke the codes and tokens that it has for users", "  fountain clients delete Reports\n  fountain clients delete cli_01... --code-file -",
		oneArg("a web app"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			one, err := clientNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := c.KMS.DeleteClient(cmd.Context(), one.ID); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" deleted")
		})
	return group("clients", "Manage web apps that sign users in (OpenID Connect)", list, get, o.registerClient(), o.updateClient(), secret, remove)
}

// clientFlags holds the flags that describe a web app.
type clientFlags struct {
	redirects, afterwards, scopes []string
	trusted                       bool
}

func (f *clientFlags) define(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.redirects, "redirect", nil, "redirect URI after sign-in, matched exactly: https, or http on localhost; may be repeated")
	cmd.Flags().StringSliceVar(&f.afterwards, "after-logout", nil, "redirect URI after sign-out, matched exactly; may be repeated")
	cmd.Flags().StringSliceVar(&f.scopes, "scope", nil, "scope that the app can request; may be repeated")
	cmd.Flags().BoolVar(&f.trusted, "trusted", false, "the app is the team's own: users are not asked for consent")
}

func (o *operator) registerClient() *cobra.Command {
	var flags clientFlags
	var public bool
	cmd := o.command("register NAME", "Register a web app that signs users in", `  fountain clients register Reports --redirect https://reports.example/callback --trusted
  fountain clients register Kiosk --public --redirect http://localhost:3000/callback --scope elements:read`, oneArg("a name"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
		if len(flags.redirects) == 0 {
			return usagef("fountain clients register needs --redirect")
		}
		body := kms.ClientCreate{Name: args[0], Type: kms.ClientCreateTypeConfidential, RedirectUris: flags.redirects, Trusted: &flags.trusted}
		if public {
			body.Type = kms.ClientCreateTypePublic
		}
		if len(flags.afterwards) > 0 {
			body.PostLogoutRedirectUris = &flags.afterwards
		}
		if len(flags.scopes) > 0 {
			body.Scopes = &flags.scopes
		}
		made, err := c.KMS.RegisterClient(cmd.Context(), body)
		if err != nil {
			return err
		}
		if made.ClientSecret == nil {
			return o.print(cmd, made, clientHead, [][]string{clientRow(made.Client)})
		}
		return o.secret(cmd, made, "registered "+made.Client.ID+"; its secret, shown once:", *made.ClientSecret)
	})
	flags.define(cmd)
	cmd.Flags().BoolVar(&public, "public", false, "the app cannot keep a secret, and uses only PKCE")
	return cmd
}

func (o *operator) updateClient() *cobra.Command {
	var flags clientFlags
	var name string
	cmd := o.command("update NAME", "Update a web app; settings that are not given stay unchanged", `  fountain clients update Reports --redirect https://reports.example/callback --redirect http://localhost:3000/callback
  fountain clients update Reports --trusted=false --name 'Reports of the team'`, oneArg("a web app"), nil)
	flags.define(cmd)
	cmd.Flags().StringVar(&name, "name", "", "name that users see when they are asked for consent")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var change kms.ClientUpdate
		said := cmd.Flags().Changed
		if said("name") {
			change.Name = &name
		}
		if said("redirect") {
			change.RedirectUris = &flags.redirects
		}
		if said("after-logout") {
			change.PostLogoutRedirectUris = &flags.afterwards
		}
		if said("scope") {
			change.Scopes = &flags.scopes
		}
		if said("trusted") {
			change.Trusted = &flags.trusted
		}
		if change == (kms.ClientUpdate{}) {
			return usagef("fountain clients update needs --name, --redirect, --after-logout, --scope or --trusted")
		}
		c, err := o.client(o.code)
		if err != nil {
			return err
		}
		one, err := clientNamed(cmd.Context(), c, args[0])
		if err != nil {
			return err
		}
		one, err = c.KMS.UpdateClient(cmd.Context(), one.ID, fountain.IfMatch(one.Version), change)
		if err != nil {
			return err
		}
		return o.print(cmd, one, clientHead, [][]string{clientRow(*one)})
	}
	return cmd
}
