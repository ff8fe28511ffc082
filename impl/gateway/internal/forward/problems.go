package forward

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

// failure converts an error between gateway and service to a problem for the client.
func failure(x *httpserver.Exchange, sent *sentBody, err error) error {
	var known *problem.Error
	var dial *upstream.DialError
	var malformed *upstream.MalformedError
	switch {
	case errors.As(err, &known):
		return err
	case sent != nil && sent.failed() != nil:
		return bodyFailure(sent.failed())
	case errors.Is(context.Cause(x.Request.Context()), errIdle):
		return problem.New(problem.UpstreamTimeout, "The service did not answer in time.").Wrap(errIdle)
	case x.Request.Context().Err() == context.Canceled, errors.Is(err, context.Canceled):
		return problem.New(problem.Timeout, "The client disconnected before the service answered.").Wrap(err)
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.UpstreamTimeout, "The service did not answer in time.").Wrap(err)
	case errors.Is(err, upstream.ErrTooLarge):
		return problem.New(problem.ResponseTooLarge, "The service's answer is larger than the contract allows.").Wrap(err)
	case errors.As(err, &malformed):
		return problem.New(problem.BadUpstream, "The service's answer is not valid HTTP.").Wrap(err)
	case errors.Is(err, upstream.ErrFull):
		return problem.New(problem.Overloaded, "Too many requests of this service run right now.").WithRetryAfter(time.Second).Wrap(err)
	case errors.Is(err, upstream.ErrUnavailable), errors.Is(err, upstream.ErrOpen), errors.As(err, &dial):
		return problem.New(problem.UpstreamUnavailable, "The service cannot be reached.").WithRetryAfter(time.Second).Wrap(err)
	}
	return problem.New(problem.BadUpstream, "The service ended the connection before it answered.").Wrap(err)
}

// bodyFailure returns the problem for a body that could not be read completely from the client.
func bodyFailure(err error) error {
	var tooLarge *http.MaxBytesError
	var known *problem.Error
	switch {
	case errors.As(err, &known): // from the check of a streamed body
		return err
	case errors.As(err, &tooLarge):
		return problem.New(problem.BodyTooLarge, "The body is larger than this operation accepts.").Wrap(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(problem.RequestTimeout, "The body did not arrive in time.").Wrap(err)
	}
	return problem.New(problem.MalformedBody, "The body could not be read completely.").Wrap(err)
}
