// Command fountain is the single binary of FountainAI. It runs all services or one of them, and it is the command line
// tool for operators and writers. Each command has its own file.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/cmd/fountain/internal/session"
	"github.com/fountainai/fountain/internal/runner"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2

	exitInterrupted = 130 // 128 plus the number of SIGINT, as in shells
)

func main() {
	ctx, stop := runner.Signals(context.Background())
	err := newRoot().ExecuteContext(ctx)
	interrupted := ctx.Err() != nil
	stop()
	if err == nil {
		return
	}
	var status exitStatus
	if errors.As(err, &status) {
		os.Exit(int(status))
	}
	fmt.Fprintln(os.Stderr, "fountain: "+sentence(err)+newerReleaseHint(err))
	var usage *usageError
	if errors.As(err, &usage) {
		os.Exit(exitUsage)
	}
	if interrupted {
		os.Exit(exitInterrupted)
	}
	os.Exit(exitFailed)
}

// usageError is a wrong flag, argument or command name.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// sentence formats an error as one line.
func sentence(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "fountain",
		Short:         "A secured, contract-first backplane: keys, second factors, sequence numbers and search behind one gateway",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().Func("profile", "use the session with this name, if there are several (FOUNTAIN_PROFILE)", func(name string) error {
		return os.Setenv(session.ProfileVariable, name)
	})
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%w; %s --help lists the flags", err, cmd.CommandPath())
	})
	root.AddCommand(
		newUp(), newServe(), newMigrate(), newHealthcheck(), newVersion(), calling(newExplain()),
		newKeygen(), newBootstrap(), newBootstrapToken(), newRecover(), newBackup(), newRestore(), newMoveStore(), newIssuer(), newDoctor(),
		calling(newLogin()), calling(newLogout()), calling(newWhoami()), calling(newImport()), calling(newExport()), newDemo(),
		newUsers(), newSessions(), newConsents(), newPasswd(), newServices(), newClients(), newPermissions(), newKeys(), newSecrets(), newSigningKeys(), newRootKey(), newKeyrings(), newAudit(), newOTP(),
		newAdopt(), newAdopted(), newRetire(), newGenerate(), newCall(), newToken(), newDeadLetters(),
		newElements(), newSequence(), calling(newChanges()), newCollections(), newDocuments(), newJobs(), newSearch(), newSearchKeys(),
		newSets(search.SetKindSynonyms, "synonym sets", `{"synonyms":[{"words":["play","drama"]}]}`),
		newSets(search.SetKindCurations, "curation sets", `{"curations":[{"query":"hamlet","match":"exact","pinned":[{"id":"1","position":1}]}]}`),
		newSets(search.SetKindStopwords, "stopword sets", `{"stopwords":["the","a"]}`),
		newSets(search.SetKindPresets, "presets", `{"preset":{"queryBy":["text"],"perPage":20}}`),
	)
	return root
}

// noArgs and oneArg are cobra's checks with a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s takes no arguments, but got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s takes one argument, %s", cmd.CommandPath(), what)
		}
		return nil
	}
}
