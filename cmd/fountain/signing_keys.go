package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
)

var signingKeyHead = []string{"KID", "ALGORITHM", "STATE", "PUBLISHED", "SIGNS FROM", "SIGNS UNTIL", "GONE", "REVOKED"}

func signingKeyRow(k kms.SigningKey) []string {
	at := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return when(*t)
	}
	return []string{k.Kid, string(k.Algorithm), string(k.State), when(k.PublishedAt), at(k.ActiveAt), at(k.RetiringAt), at(k.GoneAt), at(k.RevokedAt)}
}

// newSigningKeys makes the commands for the keys that sign tokens.
func newSigningKeys() *cobra.Command {
	o := &operator{}
	list := o.command("list", "List token-signing keys, newest first", "  fountain signing-keys list\n  fountain signing-keys list --output json", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			keys, rows := []kms.SigningKey{}, [][]string{}
			for k, err := range c.KMS.SigningKeys(cmd.Context()) {
				if err != nil {
					return err
				}
				keys, rows = append(keys, k), append(rows, signingKeyRow(k))
			}
			return o.print(cmd, keys, signingKeyHead, rows)
		})
	revoke := o.command("revoke KID", "Revoke a token-signing key and every token that it has signed", "  fountain signing-keys revoke kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\n  fountain signing-keys revoke kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k --code-file -", oneArg("a key id"),
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			k, err := c.KMS.RevokeSigningKey(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return o.print(cmd, k, signingKeyHead, [][]string{signingKeyRow(*k)})
		})
	revoke.Long = `revoke is for a key that may be compromised. Every service refuses every token that the key has signed within
seconds, including tokens that were verified before. If it is the active key, the next one signs immediately:
users continue with their refresh token, services with their API key.`
	return group("signing-keys", "Manage token-signing keys", list, o.rotateSigningKey(), revoke)
}

func (o *operator) rotateSigningKey() *cobra.Command {
	var algorithm string
	cmd := o.command("rotate", "Rotate the token-signing key", "  fountain signing-keys rotate\n  fountain signing-keys rotate --algorithm ES256", noArgs,
		func(cmd *cobra.Command, c *fountain.Client, _ []string) error {
			var body kms.SigningKeyRotate
			if algorithm != "" {
				body.Algorithm = new(kms.SigningAlgorithm(algorithm))
				if !body.Algorithm.Valid() {
					return usagef("--algorithm must be EdDSA or ES256")
				}
			}
			k, err := c.KMS.RotateSigningKey(cmd.Context(), body)
			if err != nil {
				return err
			}
			return o.print(cmd, k, signingKeyHead, [][]string{signingKeyRow(*k)})
		})
	cmd.Long = `rotate prints the key that will sign, and when it starts: in 10 seconds, or once it has been published for 10
minutes. No token becomes invalid. The kms also rotates the key automatically, every
FOUNTAIN_KMS_SIGNING_KEY_LIFE.`
	cmd.Flags().StringVar(&algorithm, "algorithm", "", "algorithm: EdDSA or ES256; default: that of the next key")
	return cmd
}
