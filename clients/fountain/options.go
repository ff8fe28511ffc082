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

// Option configures a Client.
type Option func(*settings) error

// StepUpFunc returns a one-time code. The client calls it when an operation requires a second factor, or when the
// sign-in itself does (Challenge.Operation is then loginUser). It may wait for user input; ctx is the context of the
// call. After a wrong code the client calls it again with a larger Challenge.Attempt, up to three times in all. If it
// returns the same code again, or an error, the call fails. If the session ends between a correct code and the step-up,
// the client signs in again and begins once more, with Attempt 1.
type StepUpFunc func(ctx context.Context, challenge Challenge) (code string, err error)

// RetryPolicy says how failed calls are retried. Only calls that the contract lets be repeated are retried: reads,
// operations whose description says so, and those with an Idempotency-Key. Any other call is retried only when no
// connection was made. A call that names the version it changes (If-Match, ifVersion), or requires that there is none,
// is retried only after a response that says that nothing was done.
type RetryPolicy struct {
	MaxAttempts int           // total number of attempts; 1 disables retries
	Base        time.Duration // wait before the second attempt; doubled for each further one
	MaxWait     time.Duration // longest wait between two attempts; a longer Retry-After ends the call
}

// DefaultRetry is the policy of a Client without WithRetry.
var DefaultRetry = RetryPolicy{MaxAttempts: 4, Base: 100 * time.Millisecond, MaxWait: 10 * time.Second}

// settings collects the options of a Client.
type settings struct {
	credential  string // the option that set source, for the error about a second one
	source      func(*Client) TokenSource
	stepUp      StepUpFunc
	sentBy      string // channel of WithSentCode
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
		return fmt.Errorf("%s: %s is already set, and a client has one credential", option, s.credential)
	}
	s.credential, s.source = option, source
	return nil
}

// WithUser signs in with a password at the first call that needs a token. The client then renews the session, and signs
// in again when the session has ended. If a role of the user requires a second factor at sign-in, the client asks the
// function of WithStepUp for a code; without that function the call returns ErrMfaRequired.
func WithUser(username, password string) Option {
	return func(s *settings) error {
		return s.credentials("WithUser", func(c *Client) TokenSource {
			return newSession(c, &session{client: c, username: username, password: password})
		})
	}
}

// WithRefreshToken continues a session. A refresh token works once. The client calls onRotate with each new refresh
// token before it uses the access token that came with it, so that the caller can store it. onRotate may be nil.
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

// WithAPIKey exchanges the API key for short-lived tokens, one for each service that is called (RFC 8707).
func WithAPIKey(key string) Option {
	return func(s *settings) error {
		id, err := keyID(key)
		if err != nil {
			return fmt.Errorf("WithAPIKey: %w", err)
		}
		return s.credentials("WithAPIKey", func(c *Client) TokenSource { return newKeySource(c, id, key) })
	}
}

// WithTokenSource takes access tokens from source. If source has a method Invalidate(token string), the client calls it
// with a token that was refused as invalid, and repeats the call once.
func WithTokenSource(source TokenSource) Option {
	return func(s *settings) error {
		if source == nil {
			return errors.New("WithTokenSource: the source is nil")
		}
		return s.credentials("WithTokenSource", func(*Client) TokenSource { return source })
	}
}

// WithStepUp lets the client answer second-factor challenges (RFC 9470). The client asks f for a code of an
// authenticator or a recovery code, verifies it at the twofactor service, and gets a raised token from the kms: an
// access token for one service that carries the second factor. It keeps the token until it expires, and repeats the
// call once.
func WithStepUp(f StepUpFunc) Option {
	return func(s *settings) error { s.stepUp = f; return nil }
}

// ErrResend is returned by a StepUpFunc to have another code sent. It is for codes that are sent (Challenge.Channel).
// The old code stops working, earlier attempts still count, and the function is called again. At most five codes are
// sent for one sign-in.
var ErrResend = errors.New("send another code")

// WithSentCode sends the code of a sign-in that requires a second factor by a channel, email or sms, if the user's
// roles accept that channel. By default a code is sent only if neither a code of an authenticator nor a recovery code
// is accepted.
func WithSentCode(channel string) Option {
	return func(s *settings) error {
		if channel != string(twofactor.ChallengeCreateChannelEmail) && channel != string(twofactor.ChallengeCreateChannelSms) {
			return errors.New("WithSentCode: the channel is email or sms")
		}
		s.sentBy = channel
		return nil
	}
}

// RaisedTokens stores raised access tokens (see WithStepUp) between runs of a program. A user then gives one code for
// the five minutes that such a token lives, not one for each run. Anyone who can read a stored token can use it.
type RaisedTokens interface {
	// Load returns the stored token for a service and its expiry. The token is "" if there is none.
	Load(audience string) (token string, expires time.Time)
	// Keep stores a token for a service until it expires.
	Keep(audience, token string, expires time.Time)
}

// WithRaisedTokens stores raised tokens in k. It has no effect without WithStepUp.
func WithRaisedTokens(k RaisedTokens) Option {
	return func(s *settings) error { s.raised = k; return nil }
}

// WithHTTPClient sends requests through h instead of a client of the SDK. Redirects are not followed in either case.
func WithHTTPClient(h *http.Client) Option {
	return func(s *settings) error { s.httpClient = h; return nil }
}

// WithRootCAs trusts only these certificate authorities for the gateway's certificate.
func WithRootCAs(pool *x509.CertPool) Option {
	return func(s *settings) error { s.rootCAs = pool; return nil }
}

// WithMiddleware wraps the round tripper, for example to record or trace requests. The first one given is the
// outermost.
func WithMiddleware(wrap func(http.RoundTripper) http.RoundTripper) Option {
	return func(s *settings) error { s.middleware = append(s.middleware, wrap); return nil }
}

// WithServiceURL uses baseURL for one service (kms, twofactor, sequence, search or gateway) instead of the gateway.
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

// WithTimeout limits each single attempt. The default is 60 s. With 0, only the call's context limits it.
func WithTimeout(d time.Duration) Option {
	return func(s *settings) error {
		if d < 0 {
			return errors.New("WithTimeout: the time is negative")
		}
		s.timeout = d
		return nil
	}
}

// WithMaxResponse limits the bytes read of a response. The default is 32 MiB, the most that the contracts allow.
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
