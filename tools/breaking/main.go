// Command breaking compares the contracts with those of the last release and
// refuses a change that would break a client of that release.
//
//	go run -C tools/breaking .            # exit 1 and one line per break
//	go run -C tools/breaking . --accept   # the contracts become the released ones
//
// A break is anything that oasdiff calls an error, a removed contract, a changed
// operationId (the SDK's method names are made from them), a changed default or
// number format, and a removed property or header of a response. Who may call,
// and under which limits, is compared too: a change that refuses more, or that
// allows more, is reported as well.
//
// Before 1.0 a break can be accepted by name: <released>/accepted.txt has one
// accepted break per line, "<file>: <METHOD path>: <id>", as the command prints
// it. A line that matches no break is an error, so the list stays correct.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 0 no break, 1 breaks, 2 the comparison failed.
func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("breaking", flag.ContinueOnError)
	flags.SetOutput(stderr)
	contracts := flags.String("contracts", filepath.Join("..", "..", "openapi"), "folder of the contracts")
	released := flags.String("released", "", "folder of the released contracts (default <contracts>/released)")
	accept := flags.Bool("accept", false, "copy the contracts over the released ones: done when a release is made")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *released == "" {
		*released = filepath.Join(*contracts, "released")
	}
	if *accept {
		copied, err := acceptContracts(*contracts, *released)
		if err != nil {
			fmt.Fprintln(stderr, "breaking:", err)
			return 2
		}
		fmt.Fprintf(stdout, "%d contract files are now the released ones\n", copied)
		return 0
	}
	breaks, compared, err := compare(*contracts, *released)
	if err != nil {
		fmt.Fprintln(stderr, "breaking:", err)
		return 2
	}
	accepted, err := readAccepted(filepath.Join(*released, acceptedFile))
	if err != nil {
		fmt.Fprintln(stderr, "breaking:", err)
		return 2
	}
	breaks, stale := accepted.split(breaks)
	for _, line := range stale {
		fmt.Fprintf(stdout, "%s: accepted, but there is no such break\n", line)
	}
	for _, b := range breaks {
		fmt.Fprintln(stdout, b)
	}
	switch {
	case len(breaks) > 0:
		fmt.Fprintf(stderr, "%d breaking changes against the last release; keep the old form beside the new one, "+
			"accept each by name in %s and in the changelog, or, when a release is made, run: make breaking-accept\n", len(breaks), acceptedFile)
		return 1
	case len(stale) > 0:
		fmt.Fprintf(stderr, "%d lines of %s match no break; remove them\n", len(stale), acceptedFile)
		return 1
	}
	fmt.Fprintf(stdout, "no breaking change in %d contracts beside %d accepted ones\n", compared, len(accepted))
	return 0
}
