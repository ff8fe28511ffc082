package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// Every command that does something shows at least two examples in its help, each of which names it.
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

// verbs are the words of CONTRIBUTING's list by which the help of a command of this name begins.
var verbs = map[string]string{
	"create": "Create", "register": "Register", "update": "Update", "set-roles": "Update", "rotate": "Rotate", "rotate-secret": "Rotate", "revoke": "Revoke",
	"delete": "Delete", "delete-role": "Delete", "retire": "Retire", "withdraw": "Withdraw", "disable": "Disable", "enable": "Enable", "enrol-token": "Create", "reset": "Reset",
	"keygen": "Create", "bootstrap": "Create", "enrolment-token": "Create",
}

// creates are the words that stand for Create nowhere in a help text.
var creates = regexp.MustCompile(`(?i)\b(make|makes|made|making|remake)\b`)

// The command line, the console and the documentation have one word for one thing: that of the operation (CONTRIBUTING.md, Words of the pages).
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

// A command that takes the family's address takes it from the environment too, or says why not; so it does with the authorities that are trusted.
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
