package lifecycle

import (
	"context"
	"net/http"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/credential"
	"github.com/fountainai/fountain/internal/httpclient"
	"github.com/fountainai/fountain/internal/revocation"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

// Identity is a service's identity: its credential at the kms and its data key. *credential.Source is one.
type Identity interface {
	// Ready returns nil while the kms accepts this service; otherwise the error says why not, in words that may be published.
	Ready() error
	// Run keeps the credential valid until ctx ends.
	Run(ctx context.Context) error
	// Token returns an access token of this service for an audience.
	Token(ctx context.Context, audience string) (string, error)
	// Forget drops a cached token that was refused.
	Forget(audience string)
	// DataKey returns the key with which this service seals; db stores its wrapped form.
	DataKey(ctx context.Context, db *store.DB) (*seal.Key, error)
}

// Enrol returns the credential of the service with this word, which calls the kms with client and waits for a kms that restarts. It makes no call
// yet.
func Enrol(word string, c config.Service, client *http.Client) (*credential.Source, error) {
	return credential.Open(credential.Config{
		Word: word, Dir: c.DataDir, EnrolTokenFile: c.EnrolTokenFile, KMSURL: config.First(c.KMSURL), HTTPClient: httpclient.Patient(client), Clock: c.Clock, Log: c.Log,
	})
}

// Identify gives the service its identity, which is kept valid while the service runs, and the kms's revocation feed; client calls the kms. Without
// either the service is not ready.
func (s *Service) Identify(who Identity, client *http.Client) {
	s.Require(who.Ready)
	if w, ok := who.(witness); ok {
		s.witness = w
	}
	s.Go("credential", who.Run)
	follower := revocation.NewFollower(revocation.Config{
		KMSURL: config.First(s.config.KMSURL), Client: client, Credential: who, Clock: s.config.Clock, Log: s.config.Log, Registerer: s.config.Registerer,
		Apply: s.Apply,
	})
	s.revocations, s.feedRead = follower, follower.Heard()
	s.Require(follower.Ready)
	s.Go("revocation feed", follower.Run)
}

// Unended returns keys without those that the kms has revoked, once the service is identified. It is for what the kms signs apart from access tokens.
func (s *Service) Unended(keys auth.KeySource) auth.KeySource { return s.revocations.Unended(keys) }

// Bearer returns a request editor for the generated clients that sends who's access token for an audience.
func Bearer(who Identity, audience string) func(ctx context.Context, r *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		token, err := who.Token(ctx, audience)
		if err != nil {
			return err
		}
		r.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}
