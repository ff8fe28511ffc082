package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var serviceHead = []string{"NAME", "ID", "STATUS", "SCOPES"}

func serviceRow(s kms.Service) []string {
	return []string{s.Name, s.ID, string(s.Status), strings.Join(s.Scopes, " ")}
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
	var scopes []string
	register := o.command("register NAME", "Register a service", "  fountain services register reports --scope elements:read\n  fountain services register reports --scope elements:read --output json", oneArg("a name"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			made, err := c.KMS.RegisterService(cmd.Context(), kms.ServiceCreate{Name: args[0], Scopes: scopes})
			if err != nil {
				return err
			}
			return o.secret(cmd, made, "registered "+made.Service.ID+"; the service trades this token for its key, once, within ten minutes:", made.Enrolment.Token)
		})
	register.Flags().StringSliceVar(&scopes, "scope", nil, "a scope that the service gets; may be repeated")
	token := o.command("enrol-token NAME", "Make a new enrolment token for a service", "  fountain services enrol-token reports\n  fountain services enrol-token sequence --output json", oneArg("a service"),
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
	status := func(use, short, to string) *cobra.Command {
		name, _, _ := strings.Cut(use, " ")
		return o.command(use, short, "  fountain services "+name+" reports\n  fountain services "+name+" reports --code-file -", oneArg("a service"),
			func(cmd *cobra.Command, c *fountain.Client, args []string) error {
				s, err := serviceNamed(cmd.Context(), c, args[0])
				if err != nil {
					return err
				}
				s, err = c.KMS.UpdateService(cmd.Context(), s.ID, fountain.IfMatch(s.Version), kms.ServiceUpdate{Status: kms.ServiceUpdateStatus(to)})
				if err != nil {
					return err
				}
				return o.print(cmd, s, serviceHead, [][]string{serviceRow(*s)})
			})
	}
	return group("services", "Manage services", list, get, register, token,
		status("disable NAME", "Disable a service: its keys and tokens end", "disabled"), status("enable NAME", "Enable a service", "active"))
}
