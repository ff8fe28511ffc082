package fountain

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/fountainai/fountain/clients/twofactor"
)

// Option sets how a Client works.
type Option func(*settings) error

// StepUpFunc is asked for a one-time code when an operation needs a second factor, or the sign-in itself (Challenge.Operation
// is loginUser then). It may wait for a person; ctx is the call's. After a wrong code it is asked again, up to three times in all, with a larger Challenge.Attempt; giving the same
// code again, or an error, ends the call with the refusal.
type StepUpFunc func(ctx context.Context, challenge Challenge) (code string, err error)

// RetryPolicy says how failed calls are tried again. Only what the contract calls repeatable is: reads, operations whose
// description says so, and those with an Idempotency-Key; anything else only when no connection was made. What asks for the version that it changes
// (If-Match, ifVersion), or for there to be none, is repeated only after an answer that says that nothing was done.
type RetryPolicy struct {
	MaxAttempts int           // in all; 1 switches retries off
	Base        time.Duration // before the second attempt; doubled for each further one
	MaxWait     time.Duration // longest wait between two; a longer Retry-After ends the call instead
}

// DefaultRetry is the policy of a Client without WithRetry.
var DefaultRetry = RetryPolicy{MaxAttempts: 4, Base: 100 * time.Millisecond, MaxWait: 10 * time.Second}

// settings collects the options of a Client.
type settings struct {
	credential  string // the option that gave source, for the error about a second one
	source      func(*Client) TokenSource
	stepUp      StepUpFunc
	sentBy      string // WithSentCode
	raised      RaisedTokens
	httpClient  *http.Client
	rootCAs     *x509.CertPool
	middleware  []func(http.RoundTripper) http.RoundTripper
	serviceURLs map[string]string
	userAgent   string
	timeout     time.Duration
	maxResponse int64
	retry       RetryPolicy
}

func (s *settings) credentials(option string, source func(*Client) TokenSource) error {
	if s.credential != "" {
		return fmt.Errorf("%s: %s is already given, and a client has one credential", option, s.credential)
	}
	s.credential, s.source = option, source
	return nil
}

// WithUser signs in with a password at the first call that needs it, renews the session, and signs in again when it ended. Where a role of the user asks for
// a second factor at sign-in, the function of WithStepUp is asked for a code; without one the call ends with ErrMfaRequired.
func WithUser(username, password string) Option {
	return func(s *settings) error {
		return s.credentials("WithUser", func(c *Client) TokenSource {
			return newSession(c, &session{client: c, username: username, password: password})
		})
	}
}

// WithRefreshToken continues a session. A refresh token is used once: onRotate, which may be nil, is called with each new
// one before the access token that came with it is used, so that the caller can keep it.
func WithRefreshToken(token string, onRotate func(token string)) Option {
	return func(s *settings) error {
		if token == "" {
			return errors.New("WithRefreshToken: the token is empty")
		}
		return s.credentials("WithRefreshToken", func(c *Client) TokenSource {
			return newSession(c, &session{client: c, refresh: token, onRotate: onRotate})
		})
	}
}

// WithAPIKey trades the API key for short-lived tokens, one for each service that is called (RFC 8707).
func WithAPIKey(key string) Option {
	return func(s *settings) error {
		id, err := keyID(key)
		if err != nil {
			return fmt.Errorf("WithAPIKey: %w", err)
		}
		return s.credentials("WithAPIKey", func(c *Client) TokenSource { return newKeySource(c, id, key) })
	}
}

// WithTokenSource takes access tokens from source. If source has a method Invalidate(token string), it is called with a
// token that was refused as invalid, and the call is repeated once.
func WithTokenSource(source TokenSource) Option {
	return func(s *settings) error {
		if source == nil {
			return errors.New("WithTokenSource: the source is nil")
		}
		return s.credentials("WithTokenSource", func(*Client) TokenSource { return source })
	}
}

// WithStepUp lets the client satisfy second-factor challenges (RFC 9470): it asks f for a code of an authenticator, or a recovery code, verifies it at the twofactor
// service, gets a raised token for the one service from the kms, keeps it while it lives, and repeats the call once.
func WithStepUp(f StepUpFunc) Option {
	return func(s *settings) error { s.stepUp = f; return nil }
}

// ErrResend is what a StepUpFunc returns to have another code sent, where the code that it is asked for is one that is sent (Challenge.Channel): the old one is
// good no more, attempts stay counted, and the function is asked again. At most five are sent for one sign-in.
var ErrResend = errors.New("send another code")

// WithSentCode has the code of a sign-in that asks for a second factor sent by a channel, email or sms, where the user's roles accept that. Without it a code is sent
// only where neither a code of an authenticator nor a recovery code is accepted.
func WithSentCode(channel string) Option {
	return func(s *settings) error {
		if channel != string(twofactor.ChallengeCreateChannelEmail) && channel != string(twofactor.ChallengeCreateChannelSms) {
			return errors.New("WithSentCode: the channel is email or sms")
		}
		s.sentBy = channel
		return nil
	}
}

// RaisedTokens keeps raised access tokens (see WithStepUp) between the runs of a program, so that a person gives one code for the five minutes
// that such a token lives and not one for each run. Whoever reads them can do what they allow.
type RaisedTokens interface {
	// Load returns the token that was kept for a service and its end; "" when there is none.
	Load(audience string) (token string, expires time.Time)
	// Keep keeps a token for a service until it ends.
	Keep(audience, token string, expires time.Time)
}

// WithRaisedTokens has raised tokens kept by k. It does nothing without WithStepUp.
func WithRaisedTokens(k RaisedTokens) Option {
	return func(s *settings) error { s.raised = k; return nil }
}

// WithHTTPClient sends through h instead of a client of the SDK's own. Redirects are not followed in either case.
func WithHTTPClient(h *http.Client) Option {
	return func(s *settings) error { s.httpClient = h; return nil }
}

// WithRootCAs trusts only these authorities for the gateway's certificate.
func WithRootCAs(pool *x509.CertPool) Option {
	return func(s *settings) error { s.rootCAs = pool; return nil }
}

// WithMiddleware wraps the round tripper, for recording or tracing; the first given is the outermost.
func WithMiddleware(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(s *settings) error { s.middleware = append(s.middleware, wrap); return nil }
}

// WithServiceURL reaches one service (kms, twofactor, sequence, search or gateway) at an address of its own instead of
// through the gateway.
func WithServiceURL(service, baseURL string) Option {
	return func(s *settings) error {
		base, err := parseBase(baseURL)
		if err != nil {
			return fmt.Errorf("WithServiceURL: %w", err)
		}
		if s.serviceURLs == nil {
			s.serviceURLs = make(map[string]string)
		}
		s.serviceURLs[service] = base
		return nil
	}
}

// WithUserAgent puts product, for example "reports/1.2", before the SDK's own user agent.
func WithUserAgent(product string) Option {
	return func(s *settings) error { s.userAgent = product; return nil }
}

// WithTimeout bounds every single attempt; the default is 60 s, and 0 leaves it to the call's context alone.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 {
			return errors.New("WithTimeout: the time is negative")
		}
		s.timeout = d
		return nil
	}
}

// WithMaxResponse bounds the bytes read of an answer; the default is 32 MiB, the most the contracts know.
func WithMaxResponse(bytes int64) Option {
	return func(s *settings) error {
		if bytes <= 0 {
			return errors.New("WithMaxResponse: the limit must be positive")
		}
		s.maxResponse = bytes
		return nil
	}
}

// WithRetry replaces DefaultRetry.
func WithRetry(p RetryPolicy) Option {
	return func(s *settings) error {
		if p.MaxAttempts < 1 || p.Base < 0 || p.MaxWait < 0 {
			return errors.New("WithRetry: MaxAttempts must be at least 1 and no time negative")
		}
		s.retry = p
		return nil
	}
}
