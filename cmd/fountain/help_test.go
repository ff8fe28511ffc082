package main

import (
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
