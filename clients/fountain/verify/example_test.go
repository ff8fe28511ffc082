package verify_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/fountainai/fountain/clients/fountain/verify"
)

// Your own service, with a policy in code. It listens on loopback, behind the gateway.
func Example() {
	tokens, err := verify.New(verify.Config{Issuer: "https://api.example.org", Audience: "notes"})
	if err != nil {
		panic(err)
	}
	guard, err := tokens.Guard(verify.Policy{
		"GET /v1/notes":         verify.Require("notes:read"),
		"DELETE /v1/notes/{id}": verify.Require("notes:delete").WithStepUp("aal2", 5*time.Minute),
	})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/notes", func(w http.ResponseWriter, r *http.Request) {
		p, _ := verify.FromContext(r.Context())
		fmt.Fprintln(w, "notes of", p.Subject)
	})
	server := &http.Server{Addr: "127.0.0.1:9000", Handler: guard(mux), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.ListenAndServe() }()
}

// With the revocation feed the service refuses revoked tokens within a second. Its API key is in a file that may be
// replaced.
func ExampleFeed() {
	tokens, err := verify.New(verify.Config{Issuer: "https://api.example.org", Audience: "notes", Feed: &verify.Feed{
		APIKey: func() (string, error) {
			raw, err := os.ReadFile("notes.key")
			return string(raw), err
		},
	}})
	if err != nil {
		panic(err)
	}
	go func() { _ = tokens.Run(context.Background()) }() // until the program ends
}

// A service may write refusals in its own format.
func ExampleConfig_refuse() {
	_, err := verify.New(verify.Config{Issuer: "https://api.example.org", Audience: "notes", Log: slog.New(slog.DiscardHandler),
		Refuse: func(w http.ResponseWriter, r *http.Request, p *verify.Problem) {
			p.Detail = strings.ToUpper(p.Detail)
			verify.WriteProblem(w, r, p)
		}})
	fmt.Println(err)
	// Output: <nil>
}

// The policy can be read from the service's contract in JSON.
func ExampleReadPolicy() {
	policy, err := verify.ReadPolicy([]byte(`{
		"servers": [{"url": "/v1"}],
		"components": {"securitySchemes": {"oauth": {"type": "oauth2"}}},
		"paths": {"/notes": {"get": {"security": [{"oauth": ["notes:read"]}]}}}
	}`))
	if err != nil {
		var refusal *verify.Problem
		fmt.Println(errors.As(err, &refusal))
	}
	fmt.Println(policy["GET /v1/notes"].Scopes)
	// Output: [[notes:read]]
}
