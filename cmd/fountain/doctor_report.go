package main

import (
	"cmp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
)

// newDoctorReport makes the command that reads the report that the doctor has left for the kms.
func newDoctorReport() *cobra.Command {
	o := &operator{}
	cmd := o.command("report", "Show the last report of the doctor from the machine of the kms", "  fountain doctor report\n  fountain doctor report --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			d, err := c.KMS.GetDiagnosis(cmd.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, 0, len(d.Findings))
			for _, f := range d.Findings {
				service, do := "-", ""
				if f.Service != nil {
					service = cmp.Or(*f.Service, service)
				}
				if f.Do != nil {
					do = *f.Do
				}
				rows = append(rows, []string{when(d.At), strings.ToUpper(string(f.Level)), service, f.Check, f.What, do})
			}
			return o.print(cmd, d, []string{"LOOKED", "LEVEL", "SERVICE", "CHECK", "FOUND", "TO DO"}, rows)
		})
	cmd.Long = `report gets the report that doctor --keep has stored next to the kms, for example from a timer. The kms itself
checks nothing; the report says how old it is. It requires the role admin and a second factor.`
	return cmd
}
