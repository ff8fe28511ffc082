package fountain

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/fountainai/fountain/clients/common"
	"github.com/fountainai/fountain/clients/internal/transport"
	"github.com/fountainai/fountain/clients/kms"
)

// Sentinels for errors.Is. Each matches a class of *Error. A single problem has its own Code.
var (
	// ErrStepUpRequired says that the operation requires a second factor (RFC 9470). The Challenge of the *Error has
	// the details.
	ErrStepUpRequired error = CodeInsufficientUserAuthentication
	// ErrUnauthenticated is any 401.
	ErrUnauthenticated error = status(http.StatusUnauthorized)
	// ErrForbidden is any 403: the caller lacks a scope or a role, is the wrong kind of principal, or breaks a rule of
	// the service.
	ErrForbidden error = status(http.StatusForbidden)
	// ErrNotFound is any 404. A resource that the caller may not know about looks the same as one that does not exist.
	ErrNotFound error = status(http.StatusNotFound)
	// ErrConflict is any 409.
	ErrConflict error = status(http.StatusConflict)
	// ErrGone is any 410.
	ErrGone error = status(http.StatusGone)
	// ErrStale is 412: the resource has changed since its version was read.
	ErrStale error = status(http.StatusPreconditionFailed)
	// ErrNotModified is 304: the resource still has the tag given to WithIfChanged.
	ErrNotModified error = status(http.StatusNotModified)
	// ErrInvalid says that the request violates the contract or a rule of the service (400, 422). Error.Errors says
	// where.
	ErrInvalid error = class("invalid")
	// ErrRateLimited is any 429. Error.RetryAfter is how long to wait.
	ErrRateLimited error = status(http.StatusTooManyRequests)
	// ErrUnavailable is 502, 503 or 504. The same call may succeed later.
	ErrUnavailable error = class("unavailable")
	// ErrUnexpectedResponse says that the contract does not declare the response: its status, media type or body comes
	// from something other than a FountainAI service, or from a version too different from this SDK.
	ErrUnexpectedResponse error = class("unexpected response")
	// ErrResponseTooLarge says that a response was longer than WithMaxResponse allows.
	ErrResponseTooLarge = transport.ErrResponseTooLarge
)

type status int

func (s status) Error() string {
	return fmt.Sprintf("%d %s", int(s), strings.ToLower(http.StatusText(int(s))))
}

type class string

func (c class) Error() string { return string(c) }

// FieldError is one place where a request violates the contract. It never contains the offending value.
type FieldError struct {
	In      string // path, query, header, cookie or body
	Pointer string // JSON Pointer into the body (RFC 6901), or the parameter's name
	Keyword string // the rule that is violated
	Message string
	Name    string // the name by which a request can accept this change (contract_breaking)
}

// Error is a refusal: a problem document (RFC 9457), an OAuth error (RFC 6749, section 5.2), or a response that is
// neither (errors.Is(err, ErrUnexpectedResponse)). Get it with errors.As.
type Error struct {
	Operation string // the contract's operationId
	Status    int    // of the HTTP response
	Code      Code   // "" if the response is not a problem document
	Title     string
	Detail    string
	Type      string // address of the page that explains the code
	RequestID string // identifies the request in the operators' log
	Errors    []FieldError
	Truncated bool // there were more errors than Errors contains

	RetryAfter time.Duration // 0 if the response has none
	Challenge  *Challenge    // from WWW-Authenticate of a 401 or 403
	Allow      []string      // the methods that the path supports, of a 405
	OAuth      bool          // the response had the form of RFC 6749
	Header     http.Header   // of the HTTP response
}

// Error returns the operation, the status, the code and the sentences of the problem.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d", e.Operation, e.Status)
	detail := e.Detail
	if len(e.Errors) > 0 {
		detail = strings.TrimSuffix(detail, ".") // the text continues after it
	}
	for _, part := range []string{string(e.Code), detail} {
		if part != "" {
			b.WriteString(" " + part)
		}
	}
	if e.Detail == "" && e.Title != "" {
		b.WriteString(" " + e.Title)
	}
	for i, f := range e.Errors {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more", len(e.Errors)-i)
			break
		}
		b.WriteString("; " + f.In)
		if f.Pointer != "" { // "" is the whole body
			b.WriteString(" " + f.Pointer)
		}
		b.WriteString(" " + f.Message)
	}
	if e.RequestID != "" {
		b.WriteString(" [" + e.RequestID + "]")
	}
	return b.String()
}

// Is makes errors.Is work with a Code and with the sentinels.
func (e *Error) Is(target error) bool {
	switch t := target.(type) {
	case Code:
		return e.Code != "" && e.Code == t
	case status:
		return e.Status == int(t) && (e.Code != "" || t == http.StatusNotModified)
	case class:
		switch t {
		case ErrUnexpectedResponse:
			return e.Code == "" && e.Status != http.StatusNotModified
		case ErrInvalid:
			return e.Code != "" && !e.OAuth && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity)
		case ErrUnavailable:
			return e.Status >= http.StatusBadGateway && e.Status <= http.StatusGatewayTimeout
		}
	}
	return false
}

// decodeError makes the *Error for a response that is not one of the operation's successes.
func decodeError(op *operation, resp *transport.Response, now time.Time) *Error {
	e := &Error{Operation: op.id, Status: resp.Status, Header: resp.Header, RequestID: resp.Header.Get("X-Request-Id")}
	e.RetryAfter, _ = transport.RetryAfter(resp.Header, now)
	if allow := resp.Header.Get("Allow"); allow != "" {
		for method := range strings.SplitSeq(allow, ",") {
			e.Allow = append(e.Allow, strings.TrimSpace(method))
		}
	}
	e.Challenge = parseChallenge(resp.Header.Get("WWW-Authenticate"))
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.Status >= 400 && media == "application/problem+json" && e.fromProblem(resp.Body):
	case resp.Status >= 400 && media == "application/json" && e.fromOAuth(resp.Body):
	default:
		e.Title = "the contract does not declare this response"
	}
	if e.Challenge != nil {
		e.Challenge.Operation, e.Challenge.Audience = op.id, op.word
	}
	return e
}

func (e *Error) fromProblem(body []byte) bool {
	var p common.Problem
	if json.Unmarshal(body, &p) != nil || p.Code == "" {
		return false
	}
	e.Code, e.Title, e.Type, e.Detail = Code(p.Code), p.Title, p.Type, value(p.Detail)
	if p.RequestID != "" {
		e.RequestID = p.RequestID
	}
	for _, f := range value(p.Errors) {
		e.Errors = append(e.Errors, FieldError{In: string(f.In), Pointer: value(f.Pointer), Keyword: f.Keyword, Message: f.Message, Name: value(f.Name)})
	}
	e.Truncated = value(p.Truncated)
	if e.Code == CodeInsufficientUserAuthentication && e.Challenge == nil {
		e.Challenge = &Challenge{Error: p.Code}
	}
	return true
}

func (e *Error) fromOAuth(body []byte) bool {
	var o kms.OAuthError
	if json.Unmarshal(body, &o) != nil || o.Error == "" {
		return false
	}
	e.Code, e.Detail, e.OAuth = Code(o.Error), value(o.ErrorDescription), true
	return true
}

// value is what p points to, or the zero value.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// asError returns the *Error in err's tree, or nil.
func asError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}
