package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// The help of every command that does something has at least two examples, each with the name of the command.
func TestHelp_hasTwoExamplesForEachCommand(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !cmd.Runnable() || cmd.Hidden || cmd.HasParent() && cmd.Name() == "help" || strings.HasPrefix(cmd.CommandPath(), "fountain completion") || !cmd.HasParent() || cmd.HasSubCommands() {
			return
		}
		examples := 0
		for _, line := range strings.Split(cmd.Example, "\n") {
			if strings.Contains(line, cmd.CommandPath()) {
				examples++
			}
		}
		if examples < 2 {
			t.Errorf("%s has %d examples", cmd.CommandPath(), examples)
		}
	}
	root := newRoot()
	walk(root)
	require.True(t, root.HasSubCommands())
}

// verbs are the words of CONTRIBUTING's list with which the help of such a command must start.
var verbs = map[string]string{
	"create": "Create", "register": "Register", "update": "Update", "set-roles": "Update", "rotate": "Rotate", "rotate-secret": "Rotate", "revoke": "Revoke",
	"delete": "Delete", "delete-role": "Delete", "retire": "Retire", "withdraw": "Withdraw", "disable": "Disable", "enable": "Enable", "enrol-token": "Create", "reset": "Reset",
	"keygen": "Create", "bootstrap": "Create", "enrolment-token": "Create",
}

// creates matches the words that no help text may use instead of Create.
var creates = regexp.MustCompile(`(?i)\b(make|makes|made|making|remake)\b`)

// The command line, the console and the documentation use the same word for the same thing: that of the operation
// (CONTRIBUTING.md, Words of the pages).
func TestHelp_usesTheWordsOfThePages(t *testing.T) {
	seen := map[string]bool{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if strings.HasPrefix(cmd.CommandPath(), "fountain completion") || cmd.Name() == "help" { // cobra's own
			return
		}
		if verb, listed := verbs[cmd.Name()]; listed {
			seen[cmd.Name()] = true
			first, _, _ := strings.Cut(cmd.Short, " ")
			require.Equal(t, verb, first, "%s: %s", cmd.CommandPath(), cmd.Short)
		}
		for _, text := range []string{cmd.Short, cmd.Long, cmd.LocalFlags().FlagUsages()} {
			if word := creates.FindString(text); word != "" {
				t.Errorf("%s says %q where the list has Create: %s", cmd.CommandPath(), word, text)
			}
		}
	}
	walk(newRoot())
	for name := range verbs {
		if !seen[name] {
			t.Errorf("there is no command %q any more: take it off the list", name)
		}
	}
}

// A command that takes the gateway's address also takes it from the environment, or says why not. The same holds for
// the trusted CAs.
func TestHelp_everyAddressHasItsVariable(t *testing.T) {
	seen := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		for name, variable := range map[string]string{"url": "FOUNTAIN_URL", "ca-file": "FOUNTAIN_CA_FILE"} {
			if flag := cmd.Flags().Lookup(name); flag != nil {
				seen++
				require.Contains(t, flag.Usage, variable, "%s --%s", cmd.CommandPath(), name)
			}
		}
	}
	walk(newRoot())
	require.Greater(t, seen, 20)
}
