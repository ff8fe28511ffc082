package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/gateway"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/contract"
)

var adoptedHead = []string{"NAME", "STATUS", "VERSION", "DOCUMENT", "UPSTREAMS", "WARNINGS", "SHADOW", "CHANGED"}

// listedContract is an adopted service in the output of adopted.
type listedContract struct {
	kms.Contract
	Gateway gatewayState `json:"gateway"`
}

// status returns the status to show. An adoption that the gateway refuses is not shown as active.
func (l listedContract) status() string {
	switch g := l.Gateway; {
	case l.Status != kms.ContractStatusActive:
		return string(l.Status)
	case g.State == gatewayRefuses && g.Revision > 0:
		return fmt.Sprintf("version %d, the next is refused (%s)", g.Revision, g.Refused)
	case g.State == gatewayRefuses:
		return "refused (" + g.Refused + ")"
	case g.State == gatewayWaits && g.Revision == 0:
		return gatewayWaits
	case g.State == string(gateway.ServiceStatusStatusDown):
		return "active, not reached"
	}
	return string(l.Status)
}

func newAdopted() *cobra.Command {
	o := &operator{}
	return calling(o.command("adopted", "List adopted services", "  fountain adopted\n  fountain adopted --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			there, err := c.Gateway.ListGatewayServices(cmd.Context())
			if err != nil {
				return err
			}
			var all []listedContract
			var rows [][]string
			for kept, err := range c.KMS.Contracts(cmd.Context()) {
				if err != nil {
					return err
				}
				one, shadow := listedContract{kept, standing(there, &kept)}, ""
				if one.Shadow != nil {
					shadow = one.Shadow.DocumentVersion
				}
				all, rows = append(all, one), append(rows, []string{one.Name, one.status(), fmt.Sprint(one.Version), one.DocumentVersion,
					strings.Join(one.Upstreams, " "), fmt.Sprint(one.WarningCount), shadow, when(one.UpdatedAt)})
			}
			return o.print(cmd, all, adoptedHead, rows)
		}))
}

// inForce reads the contract of an adopted service from the kms, which requires a second factor.
func inForce(ctx context.Context, client *fountain.Client, name string) (contract.Adoption, error) {
	kept, err := client.KMS.GetServiceContract(ctx, name)
	if err != nil {
		return contract.Adoption{}, fmt.Errorf("read the contract in force: %w", err)
	}
	a := contract.Adoption{Name: name, File: kept.Document.File, Files: map[string][]byte{}, Public: kept.Contract.Public}
	for _, f := range kept.Document.Files {
		a.Files[f.Name] = []byte(f.Text)
	}
	return a, nil
}

func newRetire() *cobra.Command {
	o := &operator{}
	return calling(o.command("retire NAME", "Retire an adopted service: the gateway stops serving it; the service stays registered", "  fountain retire notes\n  fountain retire notes --code-file -", oneArg("an adopted service"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			if err := c.KMS.RetireContract(cmd.Context(), args[0]); err != nil {
				return err
			}
			if err := gone(cmd.Context(), c, args[0]); err != nil {
				return err
			}
			return o.done(cmd, args[0]+" is retired")
		}))
}
