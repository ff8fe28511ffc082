// Command notes is an example of your own service behind a FountainAI gateway. README.md says how to adopt it.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fountainai/fountain/clients/fountain/verify"
	"github.com/fountainai/fountain/examples/notes/internal/handlers"
	"github.com/fountainai/fountain/examples/notes/internal/store"
)

// drain is how long running requests may continue after the signal to stop.
const drain = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "notes:", err)
		os.Exit(1)
	}
}

// settings are the flags. Their defaults come from the environment.
type settings struct{ addr, issuer, data, keyFile string }

func parse(args []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("notes", flag.ContinueOnError)
	env := func(name, fallback string) string { return cmp.Or(os.Getenv(name), fallback) }
	flags.StringVar(&s.addr, "addr", env("NOTES_ADDR", "127.0.0.1:9000"), "address to listen on (NOTES_ADDR)")
	flags.StringVar(&s.issuer, "issuer", env("NOTES_ISSUER", "http://localhost:8002"), "issuer of the tokens, the gateway's public address (NOTES_ISSUER)")
	flags.StringVar(&s.data, "data", env("NOTES_DATA", "notes.db"), "path of the database (NOTES_DATA)")
	flags.StringVar(&s.keyFile, "api-key-file", env("NOTES_API_KEY_FILE", ""), "file with the service's own API key, by which it follows the revocation feed (NOTES_API_KEY_FILE)")
	err := flags.Parse(args)
	if err == nil && flags.NArg() > 0 {
		err = errors.New("it takes flags alone")
	}
	return s, err
}

// run serves until ctx ends.
func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	notes, err := store.Open(ctx, s.data, time.Now)
	if err != nil {
		return err
	}
	defer notes.Close()
	tokens, err := verify.New(s.verifier())
	if err != nil {
		return err
	}
	handler, err := serve(tokens, notes)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	slog.Info("listening", "url", "http://"+listener.Addr().String())
	return until(ctx, listener, handler, tokens)
}

func (s settings) verifier() verify.Config {
	c := verify.Config{Issuer: s.issuer, Audience: "notes"}
	if s.keyFile != "" {
		c.Feed = &verify.Feed{APIKey: func() (string, error) {
			raw, err := os.ReadFile(s.keyFile) // read each time, because it may be replaced
			return string(raw), err
		}}
	}
	return c
}

// serve returns the operations of the contract behind the guard, and next to them a health check. The contract does not
// name the health check, so the gateway does not route to it.
func serve(tokens *verify.Verifier, notes *store.Store) (http.Handler, error) {
	rules, err := policy()
	if err != nil {
		return nil, err
	}
	guard, err := tokens.Guard(rules)
	if err != nil {
		return nil, err
	}
	operations := handlers.Handler(&handlers.Server{Store: notes}, guard)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		operations.ServeHTTP(w, r)
	}), nil
}

// until serves until ctx ends, and then lets running requests finish.
func until(ctx context.Context, listener net.Listener, handler http.Handler, tokens *verify.Verifier) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	following, stopFollowing := context.WithCancel(context.WithoutCancel(ctx)) // requests that are still running need the feed
	followed := make(chan error, 1)
	go func() { followed <- tokens.Run(following) }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
		defer cancel()
		err = server.Shutdown(patience)
	}
	stopFollowing()
	return errors.Join(err, <-followed)
}
