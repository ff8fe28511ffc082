package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var keyringHead = []string{"NAME", "ALGORITHM", "KEY", "OLDEST", "SERVICES", "ROTATED", "DELETED"}

func keyringRow(k kms.Keyring) []string {
	return []string{
		k.Name, string(k.Algorithm), strconv.FormatInt(k.CurrentKey, 10), strconv.FormatInt(k.MinVersion, 10), strings.Join(k.Services, " "), when(k.RotatedAt), whenOr(k.DeleteAt, ""),
	}
}

// newKeyrings makes the commands that manage and use keyrings.
func newKeyrings() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List keyrings by name", "  fountain keyrings list\n  fountain keyrings list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			found, rows := []kms.Keyring{}, [][]string{}
			for k, err := range c.KMS.Keyrings(cmd.Context()) {
				if err != nil {
					return err
				}
				found, rows = append(found, k), append(rows, keyringRow(k))
			}
			return o.print(cmd, found, keyringHead, rows)
		})
	get := o.onKeyring("get", "Show a keyring and its keys", func(cmd *cobra.Command, c *fountain.Client, name string) (*kms.Keyring, error) {
		return c.KMS.GetKeyring(cmd.Context(), name)
	})
	rotate := o.onKeyring("rotate", "Rotate the key of a keyring", func(cmd *cobra.Command, c *fountain.Client, name string) (*kms.Keyring, error) {
		return c.KMS.RotateKeyring(cmd.Context(), name)
	})
	remove := o.onKeyring("delete", "Delete a keyring in seven days; what it has encrypted can then never be decrypted", func(cmd *cobra.Command, c *fountain.Client, name string) (*kms.Keyring, error) {
		return c.KMS.DeleteKeyring(cmd.Context(), name)
	})
	remove.Example = "  fountain keyrings delete invoices\n  fountain keyrings delete invoices --yes --output json"
	remove = confirmed(remove, func(name string) string {
		return "delete the keyring " + name + " in seven days? What it has encrypted can then never be decrypted; until then fountain keyrings restore " + name + " undoes it"
	})
	restore := o.onKeyring("restore", "Restore a keyring that is scheduled for deletion", func(cmd *cobra.Command, c *fountain.Client, name string) (*kms.Keyring, error) {
		return c.KMS.RestoreKeyring(cmd.Context(), name)
	})
	return group("keyrings", "Encrypt, authenticate and sign data with keys that never leave the kms", list, get, o.createKeyring(), o.updateKeyring(), rotate, remove, restore,
		o.encryptData(), o.decryptData(), o.rewrapData(), o.dataKey(), o.unwrapDataKey(), o.computeMac(), o.verifyMac(), o.signData(), o.verifySignature())
}

// onKeyring makes a command that acts on one keyring and prints it.
func (o *operator) onKeyring(verb, short string, do func(cmd *cobra.Command, c *fountain.Client, name string) (*kms.Keyring, error)) *cobra.Command {
	return o.command(verb+" NAME", short, "  fountain keyrings "+verb+" invoices\n  fountain keyrings "+verb+" invoices --output json", oneArg("a keyring"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			k, err := do(cmd, c, args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, k, keyringHead, [][]string{keyringRow(*k)})
		})
}

func (o *operator) createKeyring() *cobra.Command {
	var algorithm string
	var services []string
	var uses int64
	cmd := o.onKeyring("create", "Create a keyring", func(cmd *cobra.Command, c *fountain.Client, name string) (*kms.Keyring, error) {
		body := kms.KeyringCreate{Name: name, Algorithm: kms.KeyringAlgorithm(algorithm), Services: &services}
		if !body.Algorithm.Valid() {
			return nil, usagef("--algorithm must be AES-256-GCM, HMAC-SHA256, EdDSA or ES256")
		}
		if uses > 0 {
			body.MaxUses = &uses
		}
		return c.KMS.CreateKeyring(cmd.Context(), body)
	})
	cmd.Example = "  fountain keyrings create invoices --algorithm AES-256-GCM --service billing\n  fountain keyrings create releases --algorithm EdDSA"
	cmd.Flags().StringVar(&algorithm, "algorithm", "AES-256-GCM", "algorithm: AES-256-GCM, HMAC-SHA256, EdDSA or ES256")
	cmd.Flags().StringSliceVar(&services, "service", []string{}, "service that can use the keyring; may be repeated")
	cmd.Flags().Int64Var(&uses, "max-uses", 0, "number of encryptions after which an AES-256-GCM key is replaced; default: 2147483648")
	return cmd
}

func (o *operator) updateKeyring() *cobra.Command {
	var services []string
	var uses, oldest int64
	cmd := o.onKeyring("update", "Update who can use a keyring, and its oldest usable key", func(cmd *cobra.Command, c *fountain.Client, name string) (*kms.Keyring, error) {
		now, err := c.KMS.GetKeyring(cmd.Context(), name)
		if err != nil {
			return nil, err
		}
		var body kms.KeyringUpdate
		if cmd.Flags().Changed("service") {
			body.Services = &services
		}
		if uses > 0 {
			body.MaxUses = &uses
		}
		if oldest > 0 {
			body.MinVersion = &oldest
		}
		return c.KMS.UpdateKeyring(cmd.Context(), name, fountain.IfMatch(now.Version), body)
	})
	cmd.Example = "  fountain keyrings update invoices --service billing --service ledger\n  fountain keyrings update invoices --min-version 3"
	cmd.Flags().StringSliceVar(&services, "service", []string{}, "service that can use the keyring, replacing all current ones; may be repeated")
	cmd.Flags().Int64Var(&uses, "max-uses", 0, "number of encryptions after which an AES-256-GCM key is replaced")
	cmd.Flags().Int64Var(&oldest, "min-version", 0, "give up keys older than this version: data that they have encrypted can no longer be decrypted")
	return cmd
}
