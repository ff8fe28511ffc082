package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var (
	secretPolicyHead = []string{"NAME", "FOR", "PATH", "CAPABILITIES", "UPDATED"}
	secretAccessHead = []string{"NAME", "FOR", "MAY", "MISSING SCOPES", "BY POLICIES"}
)

func secretPolicyRow(p kms.SecretPolicy) []string {
	return []string{p.Name, subjectText(p.Subject), string(p.Path), capabilityText(p.Capabilities), when(p.UpdatedAt)}
}

func subjectText(s kms.SecretPolicySubject) string { return string(s.Kind) + ":" + s.ID }

func capabilityText(capabilities []kms.SecretCapability) string {
	words := make([]string, len(capabilities))
	for i, c := range capabilities {
		words[i] = string(c)
	}
	return strings.Join(words, " ")
}

// secretSubject holds the flags that name a subject: a role, a user or a service.
type secretSubject struct{ role, user, service string }

func (s *secretSubject) flags(cmd *cobra.Command, verb string) {
	cmd.Flags().StringVar(&s.role, "role", "", verb+" users with this role")
	cmd.Flags().StringVar(&s.user, "user", "", verb+" the user with this name or id")
	cmd.Flags().StringVar(&s.service, "service", "", verb+" the service with this name or id")
}

// find replaces the names of a user and a service by their ids, as which policies keep them.
func (s *secretSubject) find(ctx context.Context, c *fountain.Client) error {
	if s.user != "" && s.user != "*" && !strings.HasPrefix(s.user, "usr_") {
		u, err := userNamed(ctx, c, s.user)
		if err != nil {
			return err
		}
		s.user = u.ID
	}
	if s.service != "" && s.service != "*" && !strings.HasPrefix(s.service, "svc_") {
		one, err := serviceNamed(ctx, c, s.service)
		if err != nil {
			return err
		}
		s.service = one.ID
	}
	return nil
}

// given returns the given flags as subjects.
func (s *secretSubject) given() (subjects []kms.SecretPolicySubject) {
	for _, one := range []kms.SecretPolicySubject{
		{Kind: kms.SecretPolicySubjectKindRole, ID: s.role}, {Kind: kms.SecretPolicySubjectKindUser, ID: s.user}, {Kind: kms.SecretPolicySubjectKindService, ID: s.service},
	} {
		if one.ID != "" {
			subjects = append(subjects, one)
		}
	}
	return subjects
}

// secretPolicies makes the commands for secret policies.
func (o *operator) secretPolicies() *cobra.Command {
	list := o.command("list", "List secret policies in order of name", "  fountain secrets policies list\n  fountain secrets policies list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			found, rows := []kms.SecretPolicy{}, [][]string{}
			for p, err := range c.KMS.SecretPolicies(cmd.Context()) {
				if err != nil {
					return err
				}
				found, rows = append(found, p), append(rows, secretPolicyRow(p))
			}
			return o.print(cmd, found, secretPolicyHead, rows)
		})
	get := o.command("get POLICY", "Show a secret policy", "  fountain secrets policies get payments-reads\n  fountain secrets policies get payments-reads --output json", oneArg("a policy"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			p, err := c.KMS.GetSecretPolicy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, p, secretPolicyHead, [][]string{secretPolicyRow(*p)})
		})
	remove := o.command("delete POLICY", "Delete a secret policy; what no other policy allows is then denied", "  fountain secrets policies delete payments-reads\n  fountain secrets policies delete administrators",
		oneArg("a policy"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := c.KMS.DeleteSecretPolicy(cmd.Context(), args[0]); err != nil {
				return err
			}
			return o.done(cmd, "policy "+args[0]+" deleted")
		})
	policies := group("policies", "Manage policies for the secrets of a path", list, get, o.putSecretPolicy(), remove)
	policies.Example = "  fountain secrets policies list\n  fountain secrets policies put payments-reads --role payments --path team.payments --may list,read"
	return policies
}

func (o *operator) putSecretPolicy() *cobra.Command {
	var whom secretSubject
	var path string
	var may []string
	var create bool
	cmd := o.command("put POLICY", "Set a policy for the secrets of a path", `  fountain secrets policies put payments-reads --role payments --path team.payments --may list,read
  fountain secrets policies put rotator --service payments --path team --may rotate,read --create`, oneArg("a policy"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if len(whom.given()) != 1 {
				return usagef("one of --role, --user and --service is required")
			}
			if path == "" || len(may) == 0 {
				return usagef("--path and --may are required")
			}
			body := kms.SecretPolicyPut{Path: path}
			for _, word := range may {
				capability := kms.SecretCapability(word)
				if !capability.Valid() {
					return usagef("--may takes list, read, write, delete, destroy and rotate")
				}
				body.Capabilities = append(body.Capabilities, capability)
			}
			if err := whom.find(cmd.Context(), c); err != nil {
				return err
			}
			body.Subject = whom.given()[0]
			var opts []fountain.CallOption
			if create {
				opts = append(opts, fountain.WithIfNoneMatch())
			}
			p, err := c.KMS.PutSecretPolicy(cmd.Context(), args[0], body, opts...)
			if err != nil {
				return err
			}
			return o.print(cmd, p, secretPolicyHead, [][]string{secretPolicyRow(*p)})
		})
	cmd.Long = `put creates a policy, or replaces the one with that name. Policies only allow: what several policies allow
adds up, and what none allows is denied. A path covers the secret of that name and those whose name continues
with a dot: team.payments does not cover team.payments2. It can be '*' for all secrets, and '{service}' for
those with the name of the calling service; --service '*' is every service.`
	whom.flags(cmd, "allow")
	cmd.Flags().StringVar(&path, "path", "", "path of the secrets, '*' for all secrets, or '{service}' for those of the calling service")
	cmd.Flags().StringSliceVar(&may, "may", nil, "capabilities, separated by commas: list, read, write, delete, destroy, rotate")
	cmd.Flags().BoolVar(&create, "create", false, "fail if the policy exists")
	return cmd
}

func (o *operator) secretAccess() *cobra.Command {
	var whom secretSubject
	cmd := o.command("access NAME", "Explain what you or another subject can do with a secret, and the policies that allow it", "  fountain secrets access team.payments.db\n  fountain secrets access team.payments.db --role payments\n  fountain secrets access team.payments.db --service payments",
		oneArg("a secret"), func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if len(whom.given()) > 1 {
				return usagef("--role, --user and --service exclude each other")
			}
			if err := whom.find(cmd.Context(), c); err != nil {
				return err
			}
			given := func(id string) *string {
				if id == "" {
					return nil
				}
				return &id
			}
			a, err := c.KMS.ExplainSecretAccess(cmd.Context(), args[0], &kms.ExplainSecretAccessParams{Role: given(whom.role), User: given(whom.user), Service: given(whom.service)})
			if err != nil {
				return err
			}
			by := make([]string, len(a.Policies))
			for i, p := range a.Policies {
				by[i] = p.Name
			}
			may := capabilityText(a.Capabilities)
			if may == "" {
				may = "nothing"
			}
			return o.print(cmd, a, secretAccessHead, [][]string{{a.Name, subjectText(a.Subject), may, strings.Join(a.MissingScopes, " "), strings.Join(by, " ")}})
		})
	whom.flags(cmd, "explain the access of")
	return cmd
}
