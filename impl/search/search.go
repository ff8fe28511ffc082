// Package search is the front of the search engine: services talk to it and never to the engine, which is a Typesense or, when
// there is none, the embedded engine that serves the same API.
package search

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/handlers"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// callTimeout bounds a whole call to the kms.
const callTimeout = 10 * time.Second

// Run serves until ctx ends, then drains and returns nil. What may come later, the kms, the database and Typesense among them, it
// waits for, not ready; a wrong configuration, an address in use and data that it must not touch are errors.
func Run(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("configuration of search: %w", err)
	}
	client, err := httpclient.New(c.TLS.CAFile, callTimeout)
	if err != nil {
		return err
	}
	source, err := credential.Open(credential.Config{
		Word: handlers.Word, Dir: c.DataDir, EnrolTokenFile: c.EnrolTokenFile, KMSURL: c.KMSURL,
		HTTPClient: client, Clock: c.Clock, Log: c.Log,
	})
	if err != nil {
		return err
	}
	s, err := newService(c, client, credentials{source})
	if err != nil {
		return err
	}
	return s.run(ctx)
}

// credentials is the identity that the kms gave this service.
type credentials struct{ *credential.Source }

// DataKey implements identity.
func (c credentials) DataKey(ctx context.Context, db *store.DB) (*seal.Key, error) {
	return credential.DataKey(ctx, c.Source, db)
}

// Authorize implements identity.
func (c credentials) Authorize(ctx context.Context, r *http.Request) error {
	return c.Editor(auth.ProofAudience)(ctx, r)
}

// Renew implements identity.
func (c credentials) Renew() { c.Forget(auth.ProofAudience) }
