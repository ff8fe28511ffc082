package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Config says which issuer's tokens are accepted, and for which audience. Issuer and Audience are required.
type Config struct {
	// Issuer is the iss of the tokens (RFC 8414, section 2): the public address of the gateway, such as
	// https://api.example.org.
	Issuer string
	// Audience is the name under which the service is registered at the kms.
	Audience string

	// MetadataURL is the address of the issuer's metadata. The default is the one of RFC 8414, section 3.
	MetadataURL string
	// JWKSURL is the address of the key set. If it is set, the metadata is not fetched for the keys.
	JWKSURL string

	// Feed is how the service learns of revocations. If it is nil, the service does not learn of them.
	Feed *Feed

	// Client makes the requests for keys and feed. The verifier sets its own redirect policy and timeouts: it follows
	// no redirect, and a request ends after at most 9 seconds. The default is a new client.
	Client *http.Client
	// Refuse writes a refusal. The default is WriteProblem.
	Refuse func(w http.ResponseWriter, r *http.Request, p *Problem)
	// Log gets what an operator must know. The default is slog.Default.
	Log *slog.Logger
	// Now is the clock for the validity period of tokens. The default is time.Now.
	Now func() time.Time
}

// Verifier verifies access tokens and guards handlers. It is safe for concurrent use.
type Verifier struct {
	config Config
	keys   *keySet
	feed   *follower // nil: revocations are not followed
	known  known
}

// serviceName is the format of the name of a registered service (openapi/kms.yaml, ServiceCreate).
var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,62}$`)

// New returns a verifier. It sends no request: keys are fetched for the first token, and Run reads the feed.
func New(c Config) (*Verifier, error) {
	for what, text := range map[string]string{"Issuer": c.Issuer, "MetadataURL": c.MetadataURL, "JWKSURL": c.JWKSURL} {
		if (text != "" || what == "Issuer") && !isHTTP(text) {
			return nil, fmt.Errorf("verify: %s is not an http or https URL", what)
		}
	}
	if !serviceName.MatchString(c.Audience) {
		return nil, errors.New("verify: Audience is not the name of a registered service")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Refuse == nil {
		c.Refuse = WriteProblem
	}
	var client http.Client
	if c.Client != nil {
		client = *c.Client
	}
	client.Timeout = 0 // each request has its own timeout; that of the feed is longer
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	v := &Verifier{config: c, keys: newKeySet(c)}
	if c.Feed == nil {
		c.Log.Warn("the revocation feed is not followed: a token whose session, key or user has ended stays valid until it expires, for up to 15 minutes", "audience", c.Audience)
		return v, nil
	}
	var err error
	if v.feed, err = newFollower(*c.Feed, c, v.keys.renew); err != nil {
		return nil, err
	}
	return v, nil
}

func isHTTP(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// metadataURL inserts the well-known path between the host and the path of an issuer (RFC 8414, section 3.1).
func metadataURL(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil { // cannot happen: New has checked it
		return issuer
	}
	u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
	return u.String()
}

// Run follows the revocation feed until ctx ends. Without Config.Feed it only waits for that.
func (v *Verifier) Run(ctx context.Context) error {
	if v.feed == nil {
		<-ctx.Done()
		return nil
	}
	return v.feed.run(ctx)
}

// Ready returns why tokens cannot be verified now, or nil if they can. It fetches the keys if there are none.
func (v *Verifier) Ready(ctx context.Context) error {
	if err := v.keys.ready(ctx); err != nil {
		return fmt.Errorf("the keys that verify tokens can't be fetched: %w", err)
	}
	if v.feed != nil && v.feed.silent() {
		return errSilent
	}
	return nil
}

// Verify checks an access token and returns its principal. Its error is a *Problem: 401 invalid_token, without a
// reason, for a token that is not valid; 503 unavailable if keys or revocations are not available.
func (v *Verifier) Verify(ctx context.Context, token string) (*Principal, error) {
	p, kid := v.again(ctx, token)
	if p == nil {
		var err error
		if p, kid, err = v.verify(ctx, token); err != nil {
			return nil, err
		}
	}
	if v.feed == nil {
		return p, nil
	}
	switch ended, err := v.feed.ended(p, kid); {
	case err != nil:
		return nil, v.unavailable("The service cannot check whether the token was revoked.", err)
	case ended:
		v.known.drop(token)
		return nil, v.invalidToken(errors.New("it has ended"))
	}
	return p, nil
}

func (v *Verifier) verify(ctx context.Context, token string) (*Principal, string, error) {
	if strings.HasPrefix(token, "fk_") {
		p := v.invalidToken(errors.New("an API key"))
		p.Detail = "This is an API key, no access token: trade it for one at POST /kms/v1/oauth2/token (client_credentials)."
		return nil, "", p
	}
	kid, err := readHeader(token)
	if err != nil {
		return nil, "", v.invalidToken(err)
	}
	key, err := v.keys.find(ctx, kid)
	if errors.Is(err, errUnknownKey) {
		return nil, "", v.invalidToken(err)
	}
	if err != nil {
		return nil, "", v.unavailable("The keys that verify tokens cannot be fetched.", err)
	}
	p, notBefore, err := readClaims(token, key, v.config)
	if err != nil {
		return nil, "", v.invalidToken(err)
	}
	kept := *p
	v.known.put(token, &verified{principal: &kept, kid: kid, key: key.key, notBefore: notBefore})
	return p, kid, nil
}
