package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/internal/telemetry"
)

func newMigrate() *cobra.Command {
	return &cobra.Command{
		Use:     "migrate SERVICE",
		Example: "  fountain migrate kms\n  FOUNTAIN_SEQUENCE_DATABASE_URL_FILE=url fountain migrate sequence",
		Short:   "Apply the pending migrations to a service's database, without starting the service",
		Long: `migrate applies the pending migrations to the service's database, and exits. Every start of the service does
the same; use this command to apply them at a time of your choice. It uses the settings of serve.`,
		Args: oneArg("a service"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := loadProgram(args[0])
			if err != nil {
				return err
			}
			if p.migrate == nil {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s keeps no database\n", p.word)
				return err
			}
			p.service.Log = telemetry.NewLogger(os.Stderr, p.service.LogLevel).With("service", p.word)
			if err := p.migrate(cmd.Context()); err != nil {
				return fmt.Errorf("migrate %s: %w", p.word, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "the database of %s is up to date\n", p.word)
			return err
		},
	}
}
