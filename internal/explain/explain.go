// Package explain reports what the gateway will do with a request, and what the log contains about one: each check in the order of the stations, what
// the contract demands there, the line of the contract, and the verdict of the code that the gateway itself runs. It uses the embedded contracts and
// those that it is given and makes no call, so whatever depends on a running gateway stays undecided.
package explain

import (
	"fmt"
	"net/http"
	"time"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// Explainer has the contracts of the family and of adopted services. It is safe for concurrent use.
type Explainer struct {
	table      *contract.Table
	operations map[string]*contract.Operation // keyed by the operation's name in the log
}

// New loads the embedded contracts and adds those of adopted services.
func New(adopted ...*contract.Contract) (*Explainer, error) {
	contracts, err := contract.LoadAll()
	if err != nil {
		return nil, err
	}
	contracts = append(contracts, adopted...)
	table, err := contract.NewTable(contracts...)
	if err != nil {
		return nil, fmt.Errorf("join the contracts: %w", err)
	}
	e := &Explainer{table: table, operations: map[string]*contract.Operation{}}
	for _, c := range contracts {
		for _, op := range c.Operations {
			e.operations[op.Label()] = op
		}
	}
	return e, nil
}

// Request is the request to explain.
type Request struct {
	Method string
	Target string      // path and query as they are sent, still escaped
	Header http.Header // in canonical form; neither Authorization nor X-OTP, which are secrets
	Body   []byte      // nil: unknown, and what depends on it stays undecided
	Token  string      // access token or API key; "": unknown
	Now    time.Time   // the time at which the token is checked
}

// Verdict is the result of a check.
type Verdict string

// The verdicts.
const (
	Passes    Verdict = "passes"
	Refused   Verdict = "refused"
	Undecided Verdict = "undecided" // part of the request is unknown here
	Depends   Verdict = "depends"   // on the running gateway or the service
)

// Explanation is the result of all checks of one request.
type Explanation struct {
	Method      string  `json:"method"`
	Route       string  `json:"route,omitempty"` // the contract's path; "" when there is none
	OperationID string  `json:"operationId,omitempty"`
	Service     string  `json:"service,omitempty"`
	Origin      string  `json:"origin,omitempty"` // where the operation begins: kms.yaml:123
	Token       *Token  `json:"token,omitempty"`
	Checks      []Check `json:"checks"`
	Verdict     Verdict `json:"verdict"`             // Passes when nothing in the contract refuses it, whatever else depends
	RefusedBy   string  `json:"refusedBy,omitempty"` // the first check that refuses: its answer is the gateway's
	Answer      *Answer `json:"answer,omitempty"`
}

// Token contains the claims of the access token. Its signature, issuer and revocation are not verified.
type Token struct {
	Verified  bool      `json:"verified"` // always false
	Subject   string    `json:"subject"`
	Principal string    `json:"principal"`
	Audience  []string  `json:"audience"`
	Scopes    []string  `json:"scopes"`
	Roles     []string  `json:"roles,omitempty"`
	ACR       string    `json:"acr,omitempty"`
	AuthTime  time.Time `json:"authTime,omitzero"`
	Expires   time.Time `json:"expires"`
}

// Check is one check of a request.
type Check struct {
	Name    string   `json:"name"` // as the access log's refusedBy has it
	Verdict Verdict  `json:"verdict,omitempty"`
	Note    string   `json:"note,omitempty"` // why it is undecided, or what it depends on
	Demands []Demand `json:"demands,omitempty"`
	Answer  *Answer  `json:"answer,omitempty"` // of a check that refuses
}

// Demand is one requirement of the contract at a check.
type Demand struct {
	What     string `json:"what"`             // security, requestBody, parameters.query.limit, x-fountain.timeout, x-fountain.rate.per-ip
	Requires string `json:"requires"`         // in words
	Origin   string `json:"origin,omitempty"` // kms.yaml:123; "" where the contract does not say it and a default holds
	Default  bool   `json:"default,omitempty"`
}

// Answer is a refusal as a client gets it. It repeats nothing of the request except names of parameters and members.
type Answer struct {
	Status    int             `json:"status"`
	Code      problem.Code    `json:"code"`
	Detail    string          `json:"detail"`
	Allow     string          `json:"allow,omitempty"` // of 405
	Errors    []problem.Field `json:"errors,omitempty"`
	Truncated bool            `json:"truncated,omitempty"`
}

// answerTo writes a refusal as the gateway would, and returns the result.
func answerTo(r *http.Request, op *contract.Operation, err error) *Answer {
	if op != nil && op.Policy.Errors == contract.ErrorsOAuth {
		r = r.WithContext(problem.WithOAuthErrors(r.Context()))
	}
	w := &sink{header: http.Header{}}
	problem.Write(w, r, err)
	e := problem.From(err)
	return &Answer{Status: w.status, Code: e.Code, Detail: e.Detail, Allow: w.header.Get("Allow"), Errors: e.Fields, Truncated: e.Truncated}
}

// sink is a ResponseWriter that stores the head of an answer.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }

// Operation returns the operation for a method and an escaped path, or nil.
func (e *Explainer) Operation(method, escapedPath string) *contract.Operation {
	var m contract.Match
	if e.table.Match(method, escapedPath, &m) != nil {
		return nil
	}
	return m.Operation
}

// Explain runs all checks on a request. The first refusal is marked; later checks are reported all the same.
func (e *Explainer) Explain(r Request) *Explanation {
	w := &way{explainer: e, request: r, said: &Explanation{Method: r.Method, Checks: []Check{}, Verdict: Passes}}
	if w.find() {
		w.pass()
	}
	return w.said
}

func newToken(p *auth.Principal) *Token {
	return &Token{
		Subject: p.Subject, Principal: p.Kind, Audience: p.Audience, Scopes: p.Scopes, Roles: p.Roles, ACR: p.ACR, AuthTime: p.AuthTime, Expires: p.Expires,
	}
}
