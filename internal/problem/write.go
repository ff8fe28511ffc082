package problem

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/google/uuid"
)

// MediaType is the content type of every problem.
const MediaType = "application/problem+json"

// Document is the JSON form of a problem (RFC 9457 with our members code, requestId, errors, truncated).
type Document struct {
	Type      string  `json:"type"`
	Title     string  `json:"title"`
	Status    int     `json:"status"`
	Detail    string  `json:"detail,omitempty"`
	Instance  string  `json:"instance"`
	Code      Code    `json:"code"`
	RequestID string  `json:"requestId"`
	Errors    []Field `json:"errors,omitempty"`
	Truncated bool    `json:"truncated,omitempty"`
}

// Recorder is implemented by a ResponseWriter that wants to know the error behind an answer, for its access log.
type Recorder interface{ RecordProblem(*Error) }

type (
	requestIDKey struct{}
	oauthKey     struct{}
)

// WithRequestID keeps the request's id, a UUID, where Write finds it.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the request's id, or "" outside a request.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithOAuthErrors marks a request whose errors are written in the form of RFC 6749 section 5.2.
func WithOAuthErrors(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauthKey{}, true)
}

// Write answers with err. It must be the first write of the response.
func Write(w http.ResponseWriter, r *http.Request, err error) {
	e := From(err)
	if e == nil {
		e = New(InternalError, internalDetail)
	}
	if rec, ok := w.(Recorder); ok {
		rec.RecordProblem(e)
	}
	h := w.Header()
	for _, stale := range []string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		h.Del(stale)
	}
	for k, values := range e.Header {
		h.Del(k)
		for _, v := range values {
			h.Add(k, v)
		}
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	contentType, body := MediaType, []byte(nil)
	if oauth, _ := r.Context().Value(oauthKey{}).(bool); oauth {
		contentType, body = "application/json", oauthBody(e)
	} else {
		body = Encode(e, RequestID(r.Context()))
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(e.Status())
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone; nobody is left to tell
	}
}

// Encode returns the problem document of e. An empty requestID is replaced by a new one.
func Encode(e *Error, requestID string) []byte {
	if requestID == "" {
		requestID = uuid.NewString()
	}
	body, err := json.Marshal(Document{
		Type: e.Code.TypeURI(), Title: e.Code.Title(), Status: e.Status(), Detail: e.Detail,
		Instance: "urn:uuid:" + requestID, Code: e.Code, RequestID: requestID, Errors: e.Fields, Truncated: e.Truncated,
	})
	if err != nil { // strings and ints only: cannot happen
		return []byte(`{"type":"about:blank","title":"Internal error","status":500}`)
	}
	return body
}

// oauthErrors maps codes to the error names of RFC 6749 sections 5.2 and 4.1.2.1 and RFC 8707 section 2.
var oauthErrors = map[Code]string{
	InvalidClient: "invalid_client", InvalidGrant: "invalid_grant", UnauthorizedClient: "unauthorized_client",
	UnsupportedGrantType: "unsupported_grant_type", InvalidScope: "invalid_scope", InvalidTarget: "invalid_target",
	AuthenticationRequired: "invalid_client", InvalidCredentials: "invalid_client", InvalidAPIKey: "invalid_client",
	InvalidToken: "invalid_token", InsufficientScope: "insufficient_scope",
}

func oauthBody(e *Error) []byte {
	name, ok := oauthErrors[e.Code]
	switch {
	case ok:
	case e.Code.Kind() == KindUnavailable, e.Code.Kind() == KindTooManyRequests:
		name = "temporarily_unavailable"
	case e.Status() >= 500:
		name = "server_error"
	default:
		name = "invalid_request"
	}
	body, _ := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{name, e.Detail})
	return body
}
