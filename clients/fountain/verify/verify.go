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

// Config says whose tokens are accepted, and for whom. Issuer and Audience are required.
type Config struct {
	// Issuer is the iss of the tokens (RFC 8414, section 2): the public address of the family's gateway, such as https://api.example.org.
	Issuer string
	// Audience is the name by which the service is registered at the kms.
	Audience string

	// MetadataURL is where the issuer's metadata lies; default: where RFC 8414, section 3, has it.
	MetadataURL string
	// JWKSURL is where the key set lies. When it is given, the metadata is not asked.
	JWKSURL string

	// Feed is how the service learns what has ended before its time; nil: it does not.
	Feed *Feed

	// Client makes the calls for keys and feed. It follows no redirect, and a call ends after at most 9 seconds, whatever it says of both. Default: one of
	// its own.
	Client *http.Client
	// Refuse writes a refusal; default: WriteProblem.
	Refuse func(w http.ResponseWriter, r *http.Request, p *Problem)
	// Log gets what an operator must know; default: slog.Default.
	Log *slog.Logger
	// Now is the clock by which tokens are judged; default: time.Now.
	Now func() time.Time
}

// Verifier verifies access tokens and guards handlers. It is safe for concurrent use.
type Verifier struct {
	config Config
	keys   *keySet
	feed   *follower // nil: without
	known  known
}

// serviceName is the form of a registered service's name (openapi/kms.yaml, ServiceCreate).
var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]{1,62}$`)

// New returns a verifier. It makes no call: keys are fetched when the first token comes, the feed is read by Run.
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
	client.Timeout = 0 // every call has its own; the feed's is long
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	v := &Verifier{config: c, keys: newKeySet(c)}
	if c.Feed == nil {
		c.Log.Warn("the revocation feed is not followed: a token whose session, key or user has ended holds until it expires, for up to 15 minutes", "audience", c.Audience)
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

// metadataURL inserts the well-known path between host and path of an issuer (RFC 8414, section 3.1).
func metadataURL(issuer string) string {
	u, err := url.Parse(issuer)
	if err != nil { // New has looked
		return issuer
	}
	u.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(u.Path, "/")
	return u.String()
}

// Run follows the revocation feed until ctx ends. Without Config.Feed it only waits.
func (v *Verifier) Run(ctx context.Context) error {
	if v.feed == nil {
		<-ctx.Done()
		return nil
	}
	return v.feed.run(ctx)
}

// Ready says why tokens can't be verified now; nil when they can. It fetches the keys when there are none.
func (v *Verifier) Ready(ctx context.Context) error {
	if err := v.keys.ready(ctx); err != nil {
		return fmt.Errorf("the keys that verify tokens can't be had: %w", err)
	}
	if v.feed != nil && v.feed.silent() {
		return errSilent
	}
	return nil
}

// Verify checks an access token and returns whom it speaks for. Its error is a *Problem: 401 invalid_token for a token that does not hold,
// without saying why; 503 unavailable when keys or revocations can't be had.
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
		return nil, v.unavailable("It can't be told whether the token was revoked.", err)
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
		return nil, "", v.unavailable("The keys that verify tokens cannot be had.", err)
	}
	p, notBefore, err := readClaims(token, key, v.config)
	if err != nil {
		return nil, "", v.invalidToken(err)
	}
	kept := *p
	v.known.put(token, &verified{principal: &kept, kid: kid, key: key.key, notBefore: notBefore})
	return p, kid, nil
}
