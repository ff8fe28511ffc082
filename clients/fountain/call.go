package fountain

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/fountainai/fountain/clients/internal/transport"
)

// builder makes the request for a service at the given address. The generated New...Request functions do the work.
type builder func(server string) (*http.Request, error)

// send calls an operation whose success is a JSON document.
func send[T any](ctx context.Context, c *Client, op *operation, opts []CallOption, build builder) (*T, error) {
	resp, err := c.do(ctx, op, opts, build)
	if err != nil {
		return nil, err
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	out := new(T)
	if media != "application/json" || json.Unmarshal(resp.Body, out) != nil {
		return nil, decodeError(op, resp, c.now())
	}
	return out, nil
}

// exec calls an operation whose success has no content.
func exec(ctx context.Context, c *Client, op *operation, opts []CallOption, build builder) error {
	_, err := c.do(ctx, op, opts, build)
	return err
}

// fetch calls an operation whose success is a file of one of the given media types.
func fetch(ctx context.Context, c *Client, op *operation, opts []CallOption, build builder, media ...string) ([]byte, error) {
	resp, err := c.do(ctx, op, opts, build)
	if err != nil {
		return nil, err
	}
	got, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if !slices.Contains(media, got) {
		return nil, decodeError(op, resp, c.now())
	}
	return resp.Body, nil
}

// exchange is the state of one call: its request and the attempts made so far.
type exchange struct {
	client *Client
	op     *operation
	opts   *callOptions
	req    *http.Request

	sent    int    // attempts so far
	retries int    // how many of these followed a failure
	reauths int    // how often a refused token was replaced
	raised  bool   // the call has already asked for a second factor
	token   string // used by the last attempt
}

// do calls an operation. It authenticates, retries and steps up as the options and the contract allow.
func (c *Client) do(ctx context.Context, op *operation, opts []CallOption, build builder) (*transport.Response, error) {
	x := &exchange{client: c, op: op, opts: newCallOptions(opts)}
	if err := x.prepare(build); err != nil {
		return nil, fmt.Errorf("%s: %w", op.id, err)
	}
	for {
		resp, err := x.attempt(ctx)
		if err == nil {
			c.budget.Refund()
			return resp, nil
		}
		again, err := x.recover(ctx, err)
		if !again {
			return nil, err
		}
	}
}

// newKey makes an Idempotency-Key: the time, then 130 random bits. The time comes first so that keys made close
// together are close together in the service's index.
func newKey() string { return strconv.FormatInt(time.Now().UnixMilli(), 36) + "-" + rand.Text() }

// prepare builds the request that every attempt copies.
func (x *exchange) prepare(build builder) error {
	req, err := build(x.client.server(x.op.word))
	if err != nil {
		return err
	}
	if !x.op.fits(x.client.server(x.op.word), req.URL) {
		return errors.New("an argument of the path is empty or a dot segment")
	}
	if x.op.repeat == withKey {
		key := x.opts.idempotencyKey
		if key == "" {
			key = newKey()
		}
		req.Header.Set("Idempotency-Key", key)
	}
	for name, values := range x.opts.header {
		req.Header[name] = values
	}
	if x.opts.query != nil {
		query := req.URL.Query()
		for name, values := range x.opts.query {
			query[name] = values
		}
		req.URL.RawQuery = query.Encode()
	}
	if req.Header.Get("Accept") == "" {
		req.Header.Set("Accept", "application/json, application/problem+json, */*;q=0.1")
	}
	x.req = req
	return nil
}

// attempt sends the request once. If the response is not one of the operation's successes, it returns both the response
// and an *Error.
func (x *exchange) attempt(ctx context.Context) (*transport.Response, error) {
	if err := x.authenticate(ctx); err != nil {
		return nil, &finalError{fmt.Errorf("%s: authenticate: %w", x.op.id, err)}
	}
	x.sent++
	sender := x.client.sender
	if x.opts.untimed {
		sender.Timeout = 0
	}
	resp, err := sender.Send(ctx, x.req, func(r *http.Request) {
		if x.token != "" && r.Header.Get("Authorization") == "" {
			r.Header.Set("Authorization", "Bearer "+x.token)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.op.id, err)
	}
	if into := x.opts.into; into != nil {
		*into = Response{Status: resp.Status, Header: resp.Header, ETag: ETag(resp.Header.Get("ETag")), Attempts: x.sent}
	}
	if !x.op.succeeded(resp.Status) {
		return resp, decodeError(x.op, resp, x.client.now())
	}
	return resp, nil
}

// authenticate chooses the token of the attempt: the one given for the call, a raised token if the operation has asked
// for a second factor before, or a token from the client's source.
func (x *exchange) authenticate(ctx context.Context) error {
	x.token = ""
	switch c := x.client; {
	case x.opts.bearer != nil:
		x.token = *x.opts.bearer
	case x.op.public || c.source == nil:
	default:
		if c.raiser != nil && !x.opts.noStepUp && !x.opts.otp {
			if token, ok := c.raiser.peek(x.op); ok {
				x.token = token
				return nil
			}
		}
		token, err := c.source.Token(ctx, x.op.word)
		x.token = token
		return err
	}
	return nil
}

// finalError marks an error that repeating the request cannot fix.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

// recover prepares another attempt after err and reports whether there is one. If not, it returns the error of the
// call.
func (x *exchange) recover(ctx context.Context, err error) (bool, error) {
	var final *finalError
	if errors.As(err, &final) {
		return false, final.err
	}
	if ctx.Err() != nil {
		return false, err
	}
	e := asError(err)
	switch {
	case e != nil && (e.Code == CodeInvalidToken || e.Code == CodeSessionEnded) && x.reauthenticate():
		return true, nil
	case e != nil && e.Code == CodeInsufficientUserAuthentication && e.Challenge.wantsCode() && x.mayRaise():
		x.raised = true
		if raiseErr := x.client.raiser.raise(ctx, x.op, e.Challenge, x.token); raiseErr != nil {
			return false, fmt.Errorf("%w; step up: %w", err, raiseErr)
		}
		return true, nil
	}
	wait, again := x.wait(err, e)
	if !again || !x.client.budget.Take() {
		return false, err
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		return false, err
	}
	if transport.Sleep(ctx, wait) != nil {
		return false, err
	}
	x.retries++
	return true, nil
}

// reauthenticate drops a refused token so that the next attempt gets a new one. It does so at most twice: once for a
// raised token and once for a plain one.
func (x *exchange) reauthenticate() bool {
	if x.opts.bearer != nil || x.op.public || x.token == "" || x.reauths >= 2 {
		return false
	}
	x.reauths++
	if r := x.client.raiser; r != nil && r.drop(x.token) {
		x.raised = false // the next attempt may ask for a code
		return true
	}
	source, ok := x.client.source.(invalidator)
	if ok {
		source.Invalidate(x.token)
	}
	return ok
}

func (x *exchange) mayRaise() bool {
	return x.client.raiser != nil && x.client.source != nil && !x.raised && !x.opts.noStepUp && x.opts.bearer == nil && !x.opts.otp
}

// conditional reports whether the call changes the resource only if a condition holds. If its response is lost, a
// repeat would find the change that the first attempt made, and would be refused as if another caller had made it. A
// call with an Idempotency-Key is not conditional in this sense, because a repeat gets the first response again.
func (x *exchange) conditional() bool {
	switch {
	case x.op.repeat == withKey:
		return false
	case x.opts.conditional || x.req.Header.Get("If-Match") != "":
		return true
	}
	return x.req.Method != http.MethodGet && x.req.Method != http.MethodHead && x.req.Header.Get("If-None-Match") != ""
}

// notExecuted reports whether a refusal says that nothing was done.
func notExecuted(e *Error) bool {
	return e.Status == http.StatusTooManyRequests || e.Code == CodeNotReady
}

// wait reports whether a failed attempt is retried, and after how long.
func (x *exchange) wait(err error, e *Error) (time.Duration, bool) {
	policy := x.client.retry
	var untrusted *tls.CertificateVerificationError
	if x.opts.noRetry || x.retries+1 >= policy.MaxAttempts || errors.Is(err, ErrResponseTooLarge) || errors.As(err, &untrusted) {
		return 0, false
	}
	backoff := transport.Backoff{Base: policy.Base, Max: policy.MaxWait}.Wait(x.retries + 1)
	repeatable := x.op.repeat != never && !x.opts.otp
	if e == nil {
		return backoff, transport.NotSent(err) || repeatable && !x.conditional()
	}
	if !repeatable || x.conditional() && !notExecuted(e) {
		return 0, false
	}
	switch e.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if e.RetryAfter > policy.MaxWait {
			return 0, false
		}
		return max(backoff, e.RetryAfter), true
	case http.StatusConflict:
		return backoff, e.Code == CodeIdempotencyInFlight
	}
	return 0, false
}
