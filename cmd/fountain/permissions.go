package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var (
	roleHead  = []string{"ROLE", "BUILT IN", "SCOPES"}
	scopeHead = []string{"SCOPE", "SERVICE", "WHAT IT ALLOWS"}
)

func roleRow(r kms.Role) []string {
	builtIn := "no"
	if r.BuiltIn {
		builtIn = "yes"
	}
	return []string{r.Name, builtIn, strings.Join(r.Scopes, " ")}
}

func newPermissions() *cobra.Command {
	o := &operator{}
	scopes := o.command("scopes", "List the scopes that there are", "  fountain permissions scopes\n  fountain permissions scopes --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var all []kms.Scope
			var rows [][]string
			for s, err := range c.KMS.Scopes(cmd.Context()) {
				if err != nil {
					return err
				}
				description := ""
				if s.Description != nil {
					description = *s.Description
				}
				all, rows = append(all, s), append(rows, []string{s.Scope, s.Service, description})
			}
			return o.print(cmd, all, scopeHead, rows)
		})
	roles := o.command("roles", "List the roles that users may have", "  fountain permissions roles\n  fountain permissions roles --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var all []kms.Role
			var rows [][]string
			for r, err := range c.KMS.Roles(cmd.Context()) {
				if err != nil {
					return err
				}
				all, rows = append(all, r), append(rows, roleRow(r))
			}
			return o.print(cmd, all, roleHead, rows)
		})
	var carried []string
	set := o.command("set-role NAME", "Define a role, or change what it gives", "  fountain permissions set-role reporter --scope reports:read\n  fountain permissions set-role reporter --scope reports:read --scope reports:write", oneArg("a role"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if len(carried) == 0 {
				return usagef("fountain permissions set-role takes --scope; fountain permissions scopes lists them")
			}
			r, err := c.KMS.PutRole(cmd.Context(), args[0], kms.RolePut{Scopes: carried})
			if err != nil {
				return err
			}
			return o.print(cmd, r, roleHead, [][]string{roleRow(*r)})
		})
	set.Flags().StringSliceVar(&carried, "scope", nil, "all that the role gives from now on; may be repeated")
	remove := o.command("delete-role NAME", "Delete a role that no user has", "  fountain permissions delete-role reporter\n  fountain permissions delete-role reporter --code-file -", oneArg("a role"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := c.KMS.DeleteRole(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" deleted")
		})
	return group("permissions", "List scopes, and manage roles", scopes, roles, set, remove)
}
