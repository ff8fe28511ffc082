//go:build server

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newGenerate makes a command that says where the generator is.
func newGenerate() *cobra.Command {
	return &cobra.Command{Use: "generate", Short: "Generate code for your own services (not in builds for servers)", RunE: func(*cobra.Command, []string) error {
		return errors.New("this build is for servers and has no generator: use one of go install or make build")
	}}
}
