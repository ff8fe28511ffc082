package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/impl/family"
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/config"
)

// newIssuer makes the command that changes the issuer, for an installation that gets another name.
func newIssuer() *cobra.Command {
	var data string
	move := &cobra.Command{
		Use:   "move URL",
		Short: "Change the issuer that was fixed at the first start",
		Long: `move changes the issuer in the tokens of the family. On SQLite the kms (fountain up) must be stopped; on
PostgreSQL stop all its instances. FOUNTAIN_KMS_... settings specify database and root key, as for fountain
serve kms. Afterwards start every service with the new issuer.

Access tokens of the old issuer are refused from then on. Sessions, refresh tokens and API keys stay valid.
Passkeys belong to the host name of a site and do not work at another one.`,
		Example: `  fountain issuer move https://fountain.example.org
  fountain issuer move https://fountain.example.org --data /var/lib/fountain`,
		Args: oneArg("the new issuer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return moveIssuer(cmd, data, args[0])
		},
	}
	move.Flags().StringVar(&data, "data", dataFlag(), "data directory of fountain up (FOUNTAIN_DATA); FOUNTAIN_KMS_DATA_DIR is that of a separate kms")
	cmd := &cobra.Command{
		Use: "issuer", Short: "Change the issuer of a family (on the machine of the kms)",
		Example: "  fountain issuer move https://fountain.example.org\n  fountain issuer --help",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(move)
	return cmd
}

func moveIssuer(cmd *cobra.Command, data, to string) error {
	var settings struct { // all settings of `serve kms`, because the command runs in its environment
		kms.Config
		Admin
	}
	if err := config.Load("FOUNTAIN_KMS_", &settings); err != nil {
		return &usageError{err}
	}
	c := settings.Config
	ofUp := c.DataDir == "" || cmd.Flags().Changed("data")
	if ofUp {
		c.DataDir = filepath.Join(data, "kms")
	}
	c.Log = slog.New(slog.DiscardHandler)
	moved, err := kms.MoveIssuer(cmd.Context(), c, to)
	if errors.Is(err, kms.ErrRunning) {
		return fmt.Errorf("%s: %w", c.DataDir, err)
	}
	if err != nil {
		return fmt.Errorf("move issuer: %w", err)
	}
	if ofUp {
		if err := family.RememberIssuer(data, to); err != nil {
			return err
		}
	}
	if moved.From == to {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "the issuer is %s already\n", to)
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "the issuer was %s and is %s; it is event %d of the kms's audit log. Start every service with the new one\n", moved.From, to, moved.AuditSeq)
	return err
}
