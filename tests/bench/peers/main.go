// Command peers measures the gateway beside others that stand in the same place: nginx, haproxy, Caddy, a bare httputil.ReverseProxy, and what
// a Go team would build of chi, an OpenAPI middleware and a JWT library. It is a module of its own, so that the product does not depend on what
// the peers are made of. run.sh installs and builds everything and runs it; docs/performance.md keeps the figures.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	commands := map[string]func() error{"run": runAll, "reverse": serveReverse, "kin": serveKin}
	command := commands[os.Args[1]]
	if command == nil {
		usage()
	}
	if err := flag.CommandLine.Parse(os.Args[2:]); err != nil {
		os.Exit(2)
	}
	if err := command(); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: peers run|reverse|kin [flags]; see run.sh")
	os.Exit(2)
}

// The flags of all commands.
var (
	repository = flag.String("repository", "../../..", "top of the repository, with bin/fountain and bin/caddy")
	rounds     = flag.Int("rounds", 5, "run: rounds, in each of which every peer has its turn")
	seconds    = flag.Int("seconds", 4, "run: length of a turn")
	sockets    = flag.Int("connections", 16, "run: connections of wrk")
	perSecond  = flag.Int("rate", 1000, "run: requests a second of the constant-rate turns; 0: none")
	only       = flag.String("only", "", "run: names of peers, with commas; all by default")
	proxyCore  = flag.String("core", "0", "run: the core that the proxies run on; run.sh gives the load another one")
	profile    = flag.String("profile", "", "run: directory for CPU profiles of the gateway under load; none by default")

	listenAt = flag.String("listen", "", "reverse, kin: address to serve")
	adminAt  = flag.String("admin", "", "reverse, kin: address of the metrics")
	behind   = flag.String("upstream", "", "reverse, kin: base URL of the service")
	keySet   = flag.String("jwks", "", "kin: URL of the key set")
)
