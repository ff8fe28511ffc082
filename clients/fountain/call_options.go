package fountain

import (
	"net/http"
	"net/url"
	"strconv"
)

// CallOption changes one call.
type CallOption func(*callOptions)

type callOptions struct {
	header         http.Header
	query          url.Values
	idempotencyKey string
	otp            bool
	bearer         *string
	noRetry        bool
	noStepUp       bool
	pageSize       int32
	untimed        bool
	conditional    bool
	into           *Response
}

func newCallOptions(opts []CallOption) *callOptions {
	o := &callOptions{header: make(http.Header)}
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// withoutTimeout removes the time limit of each attempt. Only the call's context limits it.
func withoutTimeout(o *callOptions) { o.untimed = true }

// withCondition says that the body contains a condition on the current state of what is changed (see
// exchange.conditional).
func withCondition(o *callOptions) { o.conditional = true }

// WithOTP sends a TOTP code with the call (X-OTP). The gateway redeems it if the operation requires a second factor.
// Because a code works once, such a call is retried only if it certainly never arrived.
func WithOTP(code string) CallOption {
	return func(o *callOptions) { o.otp = true; o.header.Set("X-OTP", code) }
}

// WithIdempotencyKey sets the Idempotency-Key of a creating call. By default the SDK makes a new key for each call and
// keeps it across retries. A program that may crash and restart should pass a key that it can find again.
func WithIdempotencyKey(key string) CallOption {
	return func(o *callOptions) { o.idempotencyKey = key }
}

// WithHeader sets a header.
func WithHeader(name, value string) CallOption {
	return func(o *callOptions) { o.header.Set(name, value) }
}

// WithQuery adds a query parameter, for example the status filter of the elements list.
func WithQuery(name, value string) CallOption {
	return func(o *callOptions) {
		if o.query == nil {
			o.query = make(url.Values)
		}
		o.query.Add(name, value)
	}
}

// WithPageSize sets how many items an iterator requests at a time. The default is 200, the most that the contracts
// allow.
func WithPageSize(n int32) CallOption {
	return func(o *callOptions) { o.pageSize = n }
}

// WithBearer uses the given access token for the call. The client neither renews nor raises it.
func WithBearer(token string) CallOption {
	return func(o *callOptions) { o.bearer = &token }
}

// WithoutAuth sends no credentials.
func WithoutAuth() CallOption { return WithBearer("") }

// WithoutRetry makes one attempt only.
func WithoutRetry() CallOption {
	return func(o *callOptions) { o.noRetry = true }
}

// WithoutStepUp makes the call return ErrStepUpRequired for a second-factor challenge instead of answering it.
func WithoutStepUp() CallOption {
	return func(o *callOptions) { o.noStepUp = true }
}

// WithIfMatch makes a change only if the resource still has this tag (RFC 9110, section 13.1.1); otherwise the call
// returns ErrStale. It is for operations that take If-Match as an option. A call with a condition is retried only if
// the attempt certainly made no change, because a repeat would be refused on account of the call's own change.
func WithIfMatch(tag ETag) CallOption { return WithHeader("If-Match", string(tag)) }

// WithIfNoneMatch makes a change only if the resource does not exist yet (RFC 9110, section 13.1.2).
func WithIfNoneMatch() CallOption { return WithHeader("If-None-Match", "*") }

// WithIfChanged reads a resource only if its tag differs from tag (RFC 9110, section 13.1.2); otherwise the call
// returns ErrNotModified. Use WithResponse to get the tag of what was read. A tag can contain more than the version, so
// IfMatch(version) is not always the current tag.
func WithIfChanged(tag ETag) CallOption { return WithHeader("If-None-Match", string(tag)) }

// Response describes the response of a call beyond its decoded value.
type Response struct {
	Status   int
	Header   http.Header
	ETag     ETag
	Attempts int // how often the request was sent
}

// WithResponse fills r with the last response, whether it is a success or not.
func WithResponse(r *Response) CallOption {
	return func(o *callOptions) { o.into = r }
}

// ETag identifies a state of a resource: its version and, where more than the version can change, a marker for the
// rest.
type ETag string

// IfMatch returns the ETag for a version of a resource, as in its Version field.
func IfMatch(version int64) ETag { return ETag(`"` + strconv.FormatInt(version, 10) + `"`) }
