package verify

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Problem is a refusal (RFC 9457) in the format of the FountainAI services. It is an error. Its text is for logs and
// contains no token.
type Problem struct {
	Status    int
	Code      string // a FountainAI problem code: the gateway has a page for each at /problems/<code>
	Title     string
	Detail    string   // one sentence for the caller
	ACRValues []string // with insufficient_user_authentication: the levels that would suffice (RFC 9470)
	MaxAge    int64    // with insufficient_user_authentication: maximum age of the second factor in seconds
	Header    http.Header

	cause error
}

// Error implements error.
func (p *Problem) Error() string {
	text := p.Code + ": " + p.Detail
	if p.cause != nil {
		text += ": " + p.cause.Error()
	}
	return text
}

// Unwrap returns the cause, which is not sent to the caller.
func (p *Problem) Unwrap() error { return p.cause }

// document is the JSON form of a Problem.
type document struct {
	Type      string   `json:"type"`
	Title     string   `json:"title"`
	Status    int      `json:"status"`
	Detail    string   `json:"detail,omitempty"`
	Instance  string   `json:"instance"`
	Code      string   `json:"code"`
	RequestID string   `json:"requestId"`
	ACRValues []string `json:"acrValues,omitempty"`
	MaxAge    int64    `json:"maxAge,omitempty"`
}

// requestID is the form of a request id that is accepted from the caller.
var requestID = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)

// RequestID returns the request's X-Request-Id, which the gateway sends, or a new id if there is none.
func RequestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); requestID.MatchString(id) {
		return id
	}
	return "req_" + rand.Text()
}

// WriteProblem writes a refusal as the response. Nothing may have been written before.
func WriteProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	id := RequestID(r)
	body, err := json.Marshal(document{
		Type: "/problems/" + p.Code, Title: p.Title, Status: p.Status, Detail: p.Detail,
		Instance: "urn:fountain:request:" + id, Code: p.Code, RequestID: id, ACRValues: p.ACRValues, MaxAge: p.MaxAge,
	})
	if err != nil { // cannot happen: strings and numbers only
		body = []byte(`{"type":"about:blank","title":"Internal error","status":500}`)
	}
	h := w.Header()
	for key, values := range p.Header {
		h[key] = values
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the caller has disconnected; there is nobody to report it to
	}
}

// challenge returns a WWW-Authenticate header of the Bearer scheme (RFC 6750, section 3). pairs are names and values,
// which must not contain quotes.
func (v *Verifier) challenge(pairs ...string) http.Header {
	var out strings.Builder
	out.WriteString(`Bearer realm="` + v.config.Audience + `"`)
	for i := 0; i < len(pairs); i += 2 {
		out.WriteString(`, ` + pairs[i] + `="` + pairs[i+1] + `"`)
	}
	return http.Header{"Www-Authenticate": {out.String()}}
}

func (v *Verifier) noCredentials() *Problem {
	return &Problem{Status: http.StatusUnauthorized, Code: "authentication_required", Title: "Authentication required",
		Detail: "This operation needs a bearer token.", Header: v.challenge()}
}

func (v *Verifier) invalidToken(cause error) *Problem {
	return &Problem{Status: http.StatusUnauthorized, Code: "invalid_token", Title: "Invalid token",
		Detail: "The access token is not valid.", Header: v.challenge("error", "invalid_token"), cause: cause}
}

func (v *Verifier) insufficientScope(scopes []string) *Problem {
	return &Problem{Status: http.StatusForbidden, Code: "insufficient_scope", Title: "Insufficient scope",
		Detail: "The access token lacks a scope that this operation needs.",
		Header: v.challenge("error", "insufficient_scope", "scope", strings.Join(scopes, " "))}
}

func (v *Verifier) stepUpNeeded(s StepUp) *Problem {
	seconds := int64(s.MaxAge / time.Second)
	text := strconv.FormatInt(seconds, 10)
	return &Problem{Status: http.StatusUnauthorized, Code: "insufficient_user_authentication", Title: "Stronger authentication required",
		Detail: "A second factor within the last " + text + " seconds is needed.", ACRValues: []string{s.ACR}, MaxAge: seconds,
		Header: v.challenge("error", "insufficient_user_authentication", "error_description", "A second factor is needed", "acr_values", s.ACR, "max_age", text)}
}

func (v *Verifier) unavailable(detail string, cause error) *Problem {
	return &Problem{Status: http.StatusServiceUnavailable, Code: "unavailable", Title: "Unavailable", Detail: detail,
		Header: http.Header{"Retry-After": {"1"}}, cause: cause}
}

func forbidden(code, title, detail string) *Problem {
	return &Problem{Status: http.StatusForbidden, Code: code, Title: title, Detail: detail}
}
