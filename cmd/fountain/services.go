package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var serviceHead = []string{"NAME", "ID", "STATUS", "LAST USED", "SCOPES", "DECLARES"}

func serviceRow(s kms.Service) []string {
	return []string{s.Name, s.ID, string(s.Status), whenOr(s.LastUsedAt, "never"), strings.Join(s.Scopes, " "), strings.Join(s.DeclaredScopes, " ")}
}

func newServices() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List services", "  fountain services list\n  fountain services list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var services []kms.Service
			var rows [][]string
			for s, err := range c.KMS.Services(cmd.Context()) {
				if err != nil {
					return err
				}
				services, rows = append(services, s), append(rows, serviceRow(s))
			}
			return o.print(cmd, services, serviceHead, rows)
		})
	get := o.command("get NAME", "Show a service", "  fountain services get reports\n  fountain services get svc_01... --output json", oneArg("a service"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			s, err := serviceNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, s, serviceHead, [][]string{serviceRow(*s)})
		})
	token := o.command("enrol-token NAME", "Create an enrolment token for a service", "  fountain services enrol-token reports\n  fountain services enrol-token sequence --output json", oneArg("a service"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			s, err := serviceNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			made, err := c.KMS.CreateEnrolmentToken(cmd.Context(), s.ID)
			if err != nil {
				return err
			}
			return o.secret(cmd, made, "the token works once, within ten minutes:", made.Token)
		})
	token.Aliases = []string{"enroll-token"}
	return group("services", "Manage services", list, get, o.registerService(), token, o.updateService(),
		o.serviceStatus("disable NAME", "Disable a service, and revoke its keys and tokens", "disabled"),
		o.serviceStatus("enable NAME", "Enable a service", "active"),
		o.deleteService())
}

func (o *operator) deleteService() *cobra.Command {
	cmd := o.command("delete NAME", "Delete a service permanently, with the scopes that it declares", "  fountain services delete reports\n  fountain services delete reports --yes --code-file -", oneArg("a service"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			s, err := serviceNamed(cmd.Context(), c, args[0])
			if err != nil {
				return err
			}
			if err := c.KMS.DeleteService(cmd.Context(), s.ID); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" deleted")
		})
	cmd.Long = `delete ends the keys and tokens of a service, its contract, and the scopes that it declares. This cannot be
undone, and the name stays taken: no other service can be registered with it. To end a service for a while, use
"fountain services disable". The command asks for confirmation, unless --yes is given.

Administrators have every declared scope: if the service declares any, the access tokens of all administrators
end with them, including yours. Sessions continue, and the next command that requires a second factor asks for
a code again.`
	return confirmed(cmd, func(name string) string {
		return "delete the service " + name + " for ever? Its keys, its tokens, its contract and the scopes that it declares end, and its name stays taken"
	})
}

func (o *operator) registerService() *cobra.Command {
	var scopes, declared []string
	var tenant string
	cmd := o.command("register NAME", "Register a service", `  fountain services register reports --scope elements:read
  fountain services register reports --declare reports:read --declare reports:write`, oneArg("a name"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			body := kms.ServiceCreate{Name: args[0], Scopes: append([]string{}, scopes...), Tenant: optional(tenant)}
			if len(declared) > 0 {
				body.DeclaredScopes = &declared
			}
			made, err := c.KMS.RegisterService(cmd.Context(), body)
			if err != nil {
				return err
			}
			return o.secret(cmd, made, "registered "+made.Service.ID+"; the service exchanges this token for its key, once, within ten minutes:", made.Enrolment.Token)
		})
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "scope that the service gets at other services; may be repeated")
	cmd.Flags().StringSliceVar(&declared, "declare", nil, "scope that the service declares, NAME:VERB; may be repeated")
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant of the service, which can never change; default: none")
	return cmd
}

func (o *operator) updateService() *cobra.Command {
	var scopes, declared []string
	cmd := o.command("update NAME", "Update the scopes that a service has and those that it declares", `  fountain services update reports --scope elements:read --scope documents:search
  fountain services update reports --declare reports:read`, oneArg("a service"), nil)
	cmd.Flags().StringSliceVar(&scopes, "scope", nil, "scope that the service gets at other services, replacing all current ones; may be repeated")
	cmd.Flags().StringSliceVar(&declared, "declare", nil, "scope that the service declares, replacing all current ones; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var change kms.ServiceUpdate
		if cmd.Flags().Changed("scope") {
			change.Scopes = &scopes
		}
		if cmd.Flags().Changed("declare") {
			change.DeclaredScopes = &declared
		}
		if change.Scopes == nil && change.DeclaredScopes == nil {
			return usagef("fountain services update needs --scope, --declare or both; an empty value removes all")
		}
		return o.changeService(cmd, args[0], change)
	}
	return cmd
}

func (o *operator) serviceStatus(use, short, to string) *cobra.Command {
	name, _, _ := strings.Cut(use, " ")
	cmd := o.command(use, short, "  fountain services "+name+" reports\n  fountain services "+name+" reports --code-file -", oneArg("a service"), nil)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		status := kms.ServiceUpdateStatus(to)
		return o.changeService(cmd, args[0], kms.ServiceUpdate{Status: &status})
	}
	return cmd
}

// changeService changes the current version of a service.
func (o *operator) changeService(cmd *cobra.Command, name string, change kms.ServiceUpdate) error {
	c, err := o.client(o.code)
	if err != nil {
		return err
	}
	s, err := serviceNamed(cmd.Context(), c, name)
	if err != nil {
		return err
	}
	s, err = c.KMS.UpdateService(cmd.Context(), s.ID, fountain.IfMatch(s.Version), change)
	if err != nil {
		return err
	}
	return o.print(cmd, s, serviceHead, [][]string{serviceRow(*s)})
}

// optional returns a pointer to s, or nil if s is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
