// Package transport carries the SDK's requests: one bounded attempt at a time (Sender), the decision when to try again
// (Backoff, Budget, RetryAfter, NotSent), and a cache of tokens that asks for a new one only once however many callers wait
// (Cache). It knows HTTP and nothing of the contracts.
package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// ErrResponseTooLarge says that an answer's body was longer than the Sender reads.
var ErrResponseTooLarge = errors.New("response is larger than the client's limit")

// Sender makes single attempts.
type Sender struct {
	HTTP      *http.Client
	UserAgent string
	MaxBody   int64         // most bytes read of an answer
	Timeout   time.Duration // of one attempt, body included; 0: only the caller's context counts
}

// Response is an answer that was read to its end.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Send makes one attempt with a copy of template, so that the same template serves the next attempt. edit changes the copy
// before it goes; it may be nil. Errors are ctx's, the network's or ErrResponseTooLarge; any HTTP status is a Response.
func (s *Sender) Send(ctx context.Context, template *http.Request, edit func(*http.Request)) (*Response, error) {
	if s.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.Timeout)
		defer cancel()
	}
	req := template.Clone(ctx)
	if template.GetBody != nil {
		body, err := template.GetBody()
		if err != nil {
			return nil, fmt.Errorf("rewind request body: %w", err)
		}
		req.Body = body
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", s.UserAgent)
	}
	if edit != nil {
		edit(req)
	}
	resp, err := s.HTTP.Do(req)
	if err != nil {
		return nil, err
	}
	body, err := ReadBody(resp, s.MaxBody)
	if err != nil {
		return nil, err
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// ReadBody reads and closes an answer's body. More than limit bytes is ErrResponseTooLarge.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }() // nothing to do about it: the answer was read or given up
	if resp.ContentLength > limit {
		return nil, ErrResponseTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read response: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, ErrResponseTooLarge
	}
	return body, nil
}
