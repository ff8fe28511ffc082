// Package problem is the only way in which an error leaves a service: an Error with a code of a closed table, written as RFC 9457
// application/problem+json (or, where the contract says so, as an RFC 6749 OAuth error). Any other error becomes internal_error, and its text is only
// logged. No field of an Error may contain the value that was refused.
package problem

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// MaxFields is how many violations one problem lists. When there are more, truncated is true.
const MaxFields = 16

// Field describes one violation: where it is (body, query, path, header, cookie), which part (a JSON pointer for the body, the name for a parameter),
// which keyword of the schema is violated, and a sentence that does not repeat the value.
type Field struct {
	In      string `json:"in"`
	Pointer string `json:"pointer"`
	Keyword string `json:"keyword"`
	Message string `json:"message"`
	Name    string `json:"name,omitempty"` // the name by which a repeat of the request may accept it
}

// Error is an error that may be sent to a client. It is immutable: the With methods and Wrap return copies, so that a package may keep one as a
// sentinel.
type Error struct {
	Code      Code
	Detail    string
	Fields    []Field
	Truncated bool
	Header    http.Header
	ACRValues []string // with insufficient_user_authentication: the levels that would do (RFC 9470)
	MaxAge    int64    // with insufficient_user_authentication: how old the factor may be, in seconds
	cause     error
}

// New returns an Error. detail is one public sentence; it may name a rule, never a value that was sent or a secret. An unknown code becomes
// internal_error with the unknown code in its cause.
func New(code Code, detail string) *Error {
	if !code.Known() {
		return &Error{Code: InternalError, Detail: internalDetail, cause: errors.New("unknown problem code " + string(code))}
	}
	return &Error{Code: code, Detail: detail}
}

// BadCursor returns the problem of a cursor that was not made by this list (page.ErrInvalid).
func BadCursor() *Error {
	return New(InvalidCursor, "The cursor was not made by this list; start again without one.").
		WithField("query", "cursor", "cursor", "is not a cursor of this list")
}

const internalDetail = "The service failed. Its log has the cause under the request ID."

// Error returns code, detail and cause for logs. It is never sent.
func (e *Error) Error() string {
	s := string(e.Code)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Unwrap returns the cause, which is never sent.
func (e *Error) Unwrap() error { return e.cause }

// Is matches another Error of the same code, or the Code itself.
func (e *Error) Is(target error) bool {
	switch t := target.(type) {
	case Code:
		return e.Code == t
	case *Error:
		return e.Code == t.Code
	}
	return false
}

// Status returns the HTTP status of the error's code.
func (e *Error) Status() int { return e.Code.Status() }

func (e *Error) clone() *Error {
	c := *e
	c.Fields = append([]Field(nil), e.Fields...)
	c.Header = e.Header.Clone()
	return &c
}

// Wrap returns a copy with a cause, which is only logged.
func (e *Error) Wrap(cause error) *Error {
	c := e.clone()
	c.cause = cause
	return c
}

// WithField returns a copy with one more violation. From the seventeenth on it only records that there are more.
func (e *Error) WithField(in, pointer, keyword, message string) *Error {
	return e.With(Field{In: in, Pointer: pointer, Keyword: keyword, Message: message})
}

// With is WithField for a field with a name.
func (e *Error) With(f Field) *Error {
	c := e.clone()
	if len(c.Fields) >= MaxFields {
		c.Truncated = true
		return c
	}
	c.Fields = append(c.Fields, f)
	return c
}

// WithHeader returns a copy with one more response header, for example WWW-Authenticate or Allow.
func (e *Error) WithHeader(key, value string) *Error {
	c := e.clone()
	if c.Header == nil {
		c.Header = http.Header{}
	}
	c.Header.Add(key, value)
	return c
}

// WithAuthentication returns a copy whose body says which authentication is needed: the members acrValues and maxAge of our contract have the meaning
// of RFC 9470's parameters. maxAge is sent in whole seconds.
func (e *Error) WithAuthentication(acrValues []string, maxAge time.Duration) *Error {
	c := e.clone()
	c.ACRValues, c.MaxAge = append([]string(nil), acrValues...), int64(maxAge/time.Second)
	return c
}

// WithRetryAfter returns a copy with Retry-After in whole seconds, rounded up, at least 1.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := e.clone()
	if c.Header == nil {
		c.Header = http.Header{}
	}
	seconds := max(1, int64((d+time.Second-1)/time.Second))
	c.Header.Set("Retry-After", strconv.FormatInt(seconds, 10))
	return c
}

// From converts any error to an Error. An Error anywhere in the chain is returned, with err as its cause where err adds text; an expired context
// becomes timeout; everything else becomes internal_error with err as the cause. From(nil) is nil.
func From(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		if error(e) == err {
			return e
		}
		return e.Wrap(err)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return New(BodyTooLarge, "The body is larger than this operation accepts.").Wrap(err)
	case errors.Is(err, context.DeadlineExceeded):
		return New(Timeout, "The operation did not finish in its time.").WithRetryAfter(time.Second).Wrap(err)
	}
	return New(InternalError, internalDetail).Wrap(err)
}
