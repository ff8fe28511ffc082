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

// withoutTimeout leaves the time of each attempt to the call's context alone.
func withoutTimeout(o *callOptions) { o.untimed = true }

// withCondition says that the body asks for what there is to be changed.
func withCondition(o *callOptions) { o.conditional = true }

// WithOTP sends a TOTP code along (X-OTP): the gateway redeems it if the operation asks for a second factor. A call with a
// code is repeated only if it surely never arrived, because a code works once.
func WithOTP(code string) CallOption {
	return func(o *callOptions) { o.otp = true; o.header.Set("X-OTP", code) }
}

// WithIdempotencyKey sets the key of a creating call. Without it the SDK makes a new one for each call and keeps it across
// retries; a program that may crash and start again gives one that it can find again.
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

// WithPageSize sets how many items the iterators ask for at a time; the default is 200, the most that the contracts allow.
func WithPageSize(n int32) CallOption {
	return func(o *callOptions) { o.pageSize = n }
}

// WithBearer uses this access token for the call, as it is: it is not renewed and not raised.
func WithBearer(token string) CallOption {
	return func(o *callOptions) { o.bearer = &token }
}

// WithoutAuth sends no credentials.
func WithoutAuth() CallOption { return WithBearer("") }

// WithoutRetry makes one attempt only.
func WithoutRetry() CallOption {
	return func(o *callOptions) { o.noRetry = true }
}

// WithoutStepUp returns a second-factor challenge as ErrStepUpRequired instead of satisfying it.
func WithoutStepUp() CallOption {
	return func(o *callOptions) { o.noStepUp = true }
}

// WithIfMatch makes a change only over this version of the resource (RFC 9110, section 13.1.1), for operations that take it
// as an option; ErrStale says that there is another. A change with a condition is repeated only where it surely was not carried out: a repeat would be told of its own change.
func WithIfMatch(tag ETag) CallOption { return WithHeader("If-Match", string(tag)) }

// WithIfNoneMatch makes a change only if there is no such resource yet (RFC 9110, section 13.1.2).
func WithIfNoneMatch() CallOption { return WithHeader("If-None-Match", "*") }

// WithIfChanged reads a resource only if it is another than tag names (RFC 9110, section 13.1.2); else the call returns ErrNotModified.
// WithResponse gives the tag of what was read. It can say more than the version, so that IfMatch(version) is not always the tag of what is there.
func WithIfChanged(tag ETag) CallOption { return WithHeader("If-None-Match", string(tag)) }

// Response tells about the answer of a call beyond its decoded value.
type Response struct {
	Status   int
	Header   http.Header
	ETag     ETag
	Attempts int // how often the request was sent
}

// WithResponse fills r with the last answer, success or not.
func WithResponse(r *Response) CallOption {
	return func(o *callOptions) { o.into = r }
}

// ETag names a state of a resource: its version and, where more can change, a word for that.
type ETag string

// IfMatch is the ETag of a resource's version, as the resource's Version field gives it.
func IfMatch(version int64) ETag { return ETag(`"` + strconv.FormatInt(version, 10) + `"`) }
