package problem

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/requestid"
)

// MediaType is the content type of every problem.
const MediaType = "application/problem+json"

// Document is the JSON form of a problem (RFC 9457 with our members from code on).
type Document struct {
	Type      string   `json:"type"`
	Title     string   `json:"title"`
	Status    int      `json:"status"`
	Detail    string   `json:"detail,omitempty"`
	Instance  string   `json:"instance"`
	Code      Code     `json:"code"`
	RequestID string   `json:"requestId"`
	Errors    []Field  `json:"errors,omitempty"`
	Truncated bool     `json:"truncated,omitempty"`
	ACRValues []string `json:"acrValues,omitempty"`
	MaxAge    int64    `json:"maxAge,omitempty"`
}

// Recorder is implemented by a ResponseWriter that records the error behind an answer for its access log.
type Recorder interface{ RecordProblem(*Error) }

type oauthKey struct{}

// WithOAuthErrors makes the 400 and 401 answers to a request have the form of RFC 6749 section 5.2.
func WithOAuthErrors(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauthKey{}, true)
}

// Write answers with err. It must be the first write to the response.
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
	if e.Status() == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", defaultChallenge(e.Code)) // a 401 must have one (RFC 9110 section 11.6.1)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	contentType, status := MediaType, e.Status()
	var body []byte
	if oauth, _ := r.Context().Value(oauthKey{}).(bool); oauth && hasOAuthForm(e) {
		contentType = "application/json"
		status, body = oauthAnswer(e)
	} else {
		body = Encode(e, requestid.From(r.Context()))
	}
	h.Set("Content-Type", contentType)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone: the error cannot be reported to anyone
	}
}

// defaultChallenge returns the challenge of a 401 whose error has none.
func defaultChallenge(c Code) string {
	if c == InvalidClient {
		return `Basic realm="fountain"` // RFC 6749 section 5.2
	}
	return `Bearer realm="fountain"`
}

// Encode returns the problem document of e. An empty requestID is replaced by a new one.
func Encode(e *Error, requestID string) []byte {
	if requestID == "" {
		requestID = id.New("req")
	}
	body, err := json.Marshal(Document{
		Type: e.Code.TypeURI(), Title: e.Code.Title(), Status: e.Status(), Detail: e.Detail,
		Instance: "urn:fountain:request:" + requestID, Code: e.Code, RequestID: requestID, Errors: e.Fields, Truncated: e.Truncated,
		ACRValues: e.ACRValues, MaxAge: e.MaxAge,
	})
	if err != nil { // strings and ints only: cannot happen
		return []byte(`{"type":"about:blank","title":"Internal error","status":500}`)
	}
	return body
}

// oauthErrors maps codes to the error names of RFC 6749 section 5.2 and RFC 8707 section 2. All other codes are invalid_request.
var oauthErrors = map[Code]string{
	InvalidClient: "invalid_client", InvalidGrant: "invalid_grant",
	UnsupportedGrantType: "unsupported_grant_type", InvalidScope: "invalid_scope", InvalidTarget: "invalid_target",
	AuthenticationRequired: "invalid_client", InvalidCredentials: "invalid_client",
}

// hasOAuthForm reports whether RFC 6749 has an error for e: a fault of the request or the client. Limits, media types and internal failures are sent
// as problems there, too.
func hasOAuthForm(e *Error) bool {
	switch e.Code.Kind() {
	case KindBadRequest, KindUnauthenticated, KindForbidden, KindUnprocessable:
		return true
	}
	return false
}

// oauthAnswer returns the status (401 or 400) and the body of RFC 6749 section 5.2.
func oauthAnswer(e *Error) (int, []byte) {
	name, ok := oauthErrors[e.Code]
	if !ok {
		name = "invalid_request"
	}
	status := http.StatusBadRequest
	if e.Status() == http.StatusUnauthorized {
		status = http.StatusUnauthorized
	}
	body, _ := json.Marshal(struct { // two strings: cannot fail
		Error       string `json:"error"`
		Description string `json:"error_description,omitempty"`
	}{name, e.Detail})
	return status, body
}
