package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/openapi"
)

// defaultPorts maps each service to its default port (docs/architecture.md).
var defaultPorts = map[string]string{"sequence": "8000", "search": "8001", "gateway": "8002", "kms": "8003", "twofactor": "8004"}

func newHealthcheck() *cobra.Command {
	var timeout time.Duration
	var alive bool
	cmd := &cobra.Command{
		Use:     "healthcheck [SERVICE]",
		Example: "  fountain healthcheck\n  fountain healthcheck kms --timeout 10s\n  fountain healthcheck kms --alive",
		Short:   "Check whether the service on this machine is ready, for health checks of containers",
		Long: `healthcheck exits with 0 if the service is ready. Without an argument it checks the service that the
environment configures (FOUNTAIN_KMS_..., FOUNTAIN_SEARCH_..., ...), or the gateway of fountain up.

With --alive it exits with 0 if the service responds at all, ready or not: an unavailable database or a drain
is no reason to kill a process.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes at most one argument, a service", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var word string
			var err error
			if len(args) == 1 {
				word, err = knownWord(args[0])
			} else {
				word, err = configuredWord(os.Environ())
			}
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return checkAnswer(ctx, word, alive)
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the response")
	cmd.Flags().BoolVar(&alive, "alive", false, "check whether the service responds, not whether it is ready")
	return cmd
}

func knownWord(word string) (string, error) {
	for _, known := range openapi.Words() {
		if word == known {
			return word, nil
		}
	}
	return "", usagef("there is no service %q; the services are %s", word, strings.Join(openapi.Words(), ", "))
}

// configuredWord returns the only service that the environment configures, or the gateway if it configures none.
func configuredWord(environ []string) (string, error) {
	found := ""
	for _, word := range openapi.Words() {
		prefix := "FOUNTAIN_" + strings.ToUpper(word) + "_"
		for _, entry := range environ {
			if strings.HasPrefix(entry, prefix) && found != word {
				if found != "" {
					return "", usagef("the environment configures %s and %s: name the one to ask", found, word)
				}
				found = word
			}
		}
	}
	if found == "" {
		return "gateway", nil
	}
	return found, nil
}

// localURL returns the URL of a service on this machine.
func localURL(word string) (string, error) {
	prefix := "FOUNTAIN_" + strings.ToUpper(word) + "_"
	addr := os.Getenv(prefix + "ADDR")
	if addr == "" && word == "gateway" {
		addr = os.Getenv("FOUNTAIN_ADDR")
	}
	if addr == "" {
		addr = ":" + defaultPorts[word]
	}
	at, err := reachedAt(addr)
	if err != nil {
		return "", err
	}
	scheme := "http"
	if os.Getenv(prefix+"TLS_CERT_FILE") != "" {
		scheme = "https"
	}
	return scheme + "://" + at, nil
}

// reachedAt returns the host and port at which this machine reaches a listener: the loopback address if it listens on
// all addresses.
func reachedAt(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", errors.New("the configured address is not HOST:PORT")
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// checkAnswer checks that a service is ready, or with alive only that it responds.
func checkAnswer(ctx context.Context, word string, alive bool) error {
	ask := "ready"
	if alive {
		ask = "health"
	}
	base, err := localURL(word)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/"+word+"/v1/"+ask, nil)
	if err != nil {
		return err
	}
	// The certificate is for the public name. This request goes to a process on the same machine, sends no secret and
	// uses only the status of the response.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", word, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection closes cleanly
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is not %s (%s)", word, map[bool]string{false: "ready", true: "well"}[alive], resp.Status)
	}
	return nil
}
