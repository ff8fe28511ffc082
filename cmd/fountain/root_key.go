package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

// newRootKey makes the commands that rotate the root key.
func newRootKey() *cobra.Command {
	o := &operator{}
	status := o.command("status", "Show the active root key and the progress of a rotation", "  fountain root-key status\n  fountain root-key status --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			k, err := c.KMS.GetRootKey(cmd.Context())
			if err != nil {
				return err
			}
			return o.printRootKey(cmd, k)
		})
	rotate := o.command("rotate", "Rotate to the root key in the file", "  fountain root-key rotate\n  fountain root-key rotate --code-file -", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			k, err := c.KMS.RotateRootKey(cmd.Context())
			if err != nil {
				return err
			}
			return o.printRootKey(cmd, k)
		})
	rotate.Long = `rotate activates the new root key; everything that the old one has encrypted is encrypted again in the
background, and no request fails. Before that, put the new key into the root key file and the old one next to it,
at every replica of the kms. On the machine with the file, that is

  fountain keygen --replace root.key

When root-key status shows idle again, remove root.key.previous from the machine, and keep it for as long as
there are backups from before the rotation: only it can decrypt them.`
	cmd := group("root-key", "Rotate the root key, which encrypts all other keys, and split it into shares", status, rotate)
	cmd.AddCommand(newRootKeySplit(), newRootKeyCombine())
	return cmd
}

func (o *operator) printRootKey(cmd *cobra.Command, k *kms.RootKey) error {
	rows := make([][]string, 0, len(k.Replicas))
	for _, r := range k.Replicas {
		fault := ""
		if r.Fault != nil {
			fault = *r.Fault
		}
		rows = append(rows, []string{k.Active, string(k.State), strconv.FormatInt(k.Remaining, 10), r.Replica, strings.Join(r.RootKeys, " "), when(r.SeenAt), fault})
	}
	return o.print(cmd, k, []string{"ACTIVE", "STATE", "REMAINING", "REPLICA", "ITS ROOT KEYS", "SEEN", "FAULT"}, rows)
}
