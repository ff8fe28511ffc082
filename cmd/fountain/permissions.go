package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/explain"
)

var (
	roleHead  = []string{"ROLE", "BUILT IN", "SECOND FACTOR", "SCOPES"}
	scopeHead = []string{"SCOPE", "SERVICE", "WHAT IT ALLOWS"}
)

func roleRow(r kms.Role) []string {
	builtIn := "no"
	if r.BuiltIn {
		builtIn = "yes"
	}
	return []string{r.Name, builtIn, policyWords(r.SecondFactor), strings.Join(r.Scopes, " ")}
}

// policyWords describes in a few words which second factor a role requires.
func policyWords(p kms.SecondFactorPolicy) string {
	words := []string{string(p.Required)}
	if p.Factors != nil {
		var factors []string
		for _, f := range *p.Factors {
			factors = append(factors, string(f))
		}
		words = append(words, "by "+strings.Join(factors, ","))
	}
	if p.MaxAge != nil {
		words = append(words, "for "+explain.Short(time.Duration(*p.MaxAge)*time.Second))
	}
	return strings.Join(words, " ")
}

// newSecondFactor makes the command that sets which second factor a role requires.
func newSecondFactor(o *operator) *cobra.Command {
	var required string
	var factors []string
	var maxAge time.Duration
	cmd := o.command("second-factor ROLE", "Set the second-factor policy of a role, built-in or not",
		"  fountain permissions second-factor admin --required always --factor totp,recovery_code,passkey --max-age 12h\n  fountain permissions second-factor editor --required onOperations",
		oneArg("a role"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			body := kms.SecondFactorPolicyPut{Required: kms.SecondFactorPolicyPutRequired(required)}
			if !body.Required.Valid() {
				return usagef("--required must be onOperations or always")
			}
			if maxAge%time.Second != 0 || maxAge < 0 {
				return usagef("--max-age must be whole seconds")
			}
			if maxAge > 0 {
				body.MaxAge = new(int64(maxAge / time.Second))
			}
			words := make([]kms.FactorWord, len(factors))
			for i, f := range factors {
				if words[i] = kms.FactorWord(f); !words[i].Valid() {
					return usagef("--factor must be totp, recovery_code, email, sms, webhook or passkey")
				}
			}
			if len(words) > 0 {
				body.Factors = &words
			}
			r, err := c.KMS.PutSecondFactorPolicy(cmd.Context(), args[0], body)
			if err != nil {
				return err
			}
			return o.print(cmd, r, roleHead, [][]string{roleRow(*r)})
		})
	cmd.Flags().StringVar(&required, "required", "", "when a second factor is required: onOperations (by operations that require one) or always (also at each sign-in)")
	cmd.Flags().StringSliceVar(&factors, "factor", nil, "accepted factor type (totp, recovery_code, email, sms, webhook, passkey); may be repeated; default: all")
	cmd.Flags().DurationVar(&maxAge, "max-age", 0, "how long a session keeps the authentication level of its sign-in, 5m to 168h; default: as long as the session lives")
	return cmd
}

func newPermissions() *cobra.Command {
	o := &operator{}
	scopes := o.command("scopes", "List all scopes", "  fountain permissions scopes\n  fountain permissions scopes --output json", noArgs,
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
	roles := o.command("roles", "List roles", "  fountain permissions roles\n  fountain permissions roles --output json", noArgs,
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
	set := o.command("set-role NAME", "Create a role, or replace its scopes", "  fountain permissions set-role reporter --scope reports:read\n  fountain permissions set-role reporter --scope reports:read --scope reports:write", oneArg("a role"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if len(carried) == 0 {
				return usagef("fountain permissions set-role needs --scope; fountain permissions scopes lists the scopes")
			}
			r, err := c.KMS.PutRole(cmd.Context(), args[0], kms.RolePut{Scopes: carried})
			if err != nil {
				return err
			}
			return o.print(cmd, r, roleHead, [][]string{roleRow(*r)})
		})
	set.Flags().StringSliceVar(&carried, "scope", nil, "scope of the role, replacing all current ones; may be repeated")
	remove := o.command("delete-role NAME", "Delete a role that no user has", "  fountain permissions delete-role reporter\n  fountain permissions delete-role reporter --code-file -", oneArg("a role"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := c.KMS.DeleteRole(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" deleted")
		})
	return group("permissions", "List scopes, and manage roles and their second-factor policies", scopes, roles, set, remove, newSecondFactor(o))
}
