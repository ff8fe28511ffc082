// Command webapp is an example of your own web app whose users sign in at FountainAI (OpenID Connect, with code and
// PKCE). It keeps the signed-in user in a session in its own memory, and stores nothing from FountainAI in the browser.
// See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	address := flag.String("addr", "127.0.0.1:3000", "loopback address that the app listens on")
	issuer := flag.String("issuer", "http://localhost:8002", "the family's issuer: what `fountain up` prints as its address")
	clientID := flag.String("client", "", "client id, as `fountain clients register` gave it")
	secretFile := flag.String("secret-file", "", "file with the client's secret")
	flag.Parse()
	secret, err := os.ReadFile(*secretFile)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	app, err := newApp(ctx, settings{Issuer: *issuer, ClientID: *clientID, Secret: strings.TrimSpace(string(secret)), Address: "http://" + *address})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: app.routes(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, MaxHeaderBytes: 32 << 10}
	log.Printf("open http://%s", listener.Addr())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(closing); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
