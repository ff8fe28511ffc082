//go:build server

package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newGenerate makes a command that says where the generator is.
func newGenerate() *cobra.Command {
	return &cobra.Command{Use: "generate", Short: "Write code for services of your own (in builds for people)", RunE: func(*cobra.Command, []string) error {
		return errors.New("this build is for servers and has no generator: use one of go install or make build")
	}}
}
