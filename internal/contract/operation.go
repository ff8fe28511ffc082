package contract

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
)

// Operation is one operation of a contract, compiled.
type Operation struct {
	ID           string // operationId, unique in the family
	Word         string // the service's word: the audience of the tokens accepted here
	Method       string // as declared
	Path         string // the template with the base path: /kms/v1/users/{userId}
	Mount        string // "/<name>" of a member, which its service does not know; "" in the family
	Tags         []string
	Public       bool          // security: [] in the contract: no credentials are looked at
	Requirements []Requirement // alternatives; empty when Public
	Policy       Policy
	Origin       Origin // where it begins in the contract; see OriginOf
	// Unsupported says why requests of this operation cannot be checked: the gateway answers them with 501. It is "" except for operations of adopted
	// documents.
	Unsupported string

	template   string // the path as the contract has it, without the base path
	parameters []*parameter
	body       *bodyContract
	statuses   map[int]*responseContract // keyed by 200, by 4 for 4XX, by anyStatus
	accepts    []string                  // media types of the answers that are not problems
	memory     int64
	origins    map[string]Origin
	kept       sync.Map // keyed by owner; see Kept
	label      string   // see Label; "" for the ID

	adopted   bool     // of a document of others; see Adopt
	route     string   // the route that requests are matched with, of an adopted operation
	pathNames []string // of the parameters of the path, in their order, of an adopted operation
	variants  []*Operation
}

// Requirement is one alternative of an operation's security: the scopes that a token must have, and whether a one-time code (X-OTP) must be sent with
// it.
type Requirement struct {
	Scopes []string
	OTP    bool
}

// own returns a copy of the operation without kept values. A sync.Map cannot be copied, so all other fields are listed.
func (op *Operation) own() *Operation {
	return &Operation{
		ID: op.ID, Word: op.Word, Method: op.Method, Path: op.Path, Mount: op.Mount, Tags: op.Tags,
		Public: op.Public, Requirements: op.Requirements, Policy: op.Policy, Origin: op.Origin, Unsupported: op.Unsupported,
		template: op.template, parameters: op.parameters, body: op.body, statuses: op.statuses, accepts: op.accepts,
		memory: op.memory, origins: op.origins, label: op.label,
		adopted: op.adopted, route: op.route, pathNames: op.pathNames, variants: op.variants,
	}
}

// Label is the operation's unique name for metrics and logs: the ID in the family, and "<name>.<ID>" for an adopted service.
func (op *Operation) Label() string {
	if op.label != "" {
		return op.label
	}
	return op.ID
}

// Scopes returns the scopes of the first alternative, which a caller without a code must have.
func (op *Operation) Scopes() []string {
	if len(op.Requirements) == 0 {
		return nil
	}
	return op.Requirements[0].Scopes
}

// AcceptsOTP reports whether the contract accepts X-OTP as the second factor here.
func (op *Operation) AcceptsOTP() bool {
	return slices.ContainsFunc(op.Requirements, func(r Requirement) bool { return r.OTP })
}

// Idempotent reports whether repeating a request is harmless: by its method, or by its required Idempotency-Key.
func (op *Operation) Idempotent() bool {
	switch op.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions:
		return true
	}
	return op.Policy.Idempotency == IdempotencyRequired
}

// defaultRepeats applies to contracts without `retry`: a restarting service breaks its connections.
const defaultRepeats = 1

// Repeats is how often a repeatable request is sent again after a connection that broke before any answer: the value of `retry`, or once by default.
func (op *Operation) Repeats() int {
	if retry := op.Policy.Retry; retry != nil {
		return retry.Max
	}
	return defaultRepeats
}

// HasBody reports whether the contract declares a request body.
func (op *Operation) HasBody() bool { return op.body != nil }

// BodyRequired reports whether the declared body must be sent.
func (op *Operation) BodyRequired() bool { return op.body != nil && op.body.required }

// StreamsBody reports whether the request body is a stream that is not read before the handler runs.
func (op *Operation) StreamsBody() bool {
	return op.body != nil && op.Policy.Stream != nil && op.Policy.Stream.Kind == StreamNDJSON && op.body.streams
}

// StreamsAnswer reports whether answers of the operation are forwarded as they arrive, neither buffered nor checked as a whole. When only the request
// body is a stream, answers are checked as usual.
func (op *Operation) StreamsAnswer() bool {
	if op.Policy.Stream == nil || op.Policy.Stream.Kind == StreamLongPoll {
		return false
	}
	if op.adopted {
		return true
	}
	for _, r := range op.statuses {
		for _, m := range r.media {
			if m.kind == mediaLines || m.kind == mediaEvents {
				return true
			}
		}
	}
	return false
}

// maxHeldBeside is the maximum size of a buffered body in bytes, where the operation streams bodies of another media type.
const maxHeldBeside = 16 << 20

// HeldBody returns how many bytes a body may have that is buffered before the handler runs: body.max, but at most 16 MiB where the contract's size is
// that of a stream.
func (op *Operation) HeldBody() int64 {
	if op.StreamsBody() {
		return min(op.Policy.Body.Max, maxHeldBeside)
	}
	return op.Policy.Body.Max
}

// HeldPatience returns how long a buffered body may take to arrive: the operation's timeout or, where it also streams bodies, the idle time of a
// stream.
func (op *Operation) HeldPatience() time.Duration {
	if op.StreamsBody() {
		return op.Policy.Stream.Idle
	}
	return op.Policy.Timeout
}

// RequestHeaders returns the names of the declared header parameters in canonical form.
func (op *Operation) RequestHeaders() []string { return op.declared("header") }

// ResponseHeaders returns the names of the headers that the contract declares for any of the operation's answers, in canonical form.
func (op *Operation) ResponseHeaders() []string {
	var names []string
	for _, r := range op.statuses {
		for _, p := range r.headers {
			if name := http.CanonicalHeaderKey(p.name); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Cookies returns the names of the declared cookie parameters.
func (op *Operation) Cookies() []string { return op.declared("cookie") }

func (op *Operation) declared(in string) []string {
	var names []string
	for _, p := range op.parameters {
		switch {
		case p.in != in:
		case in == "header":
			names = append(names, http.CanonicalHeaderKey(p.name))
		default:
			names = append(names, p.name)
		}
	}
	for _, one := range op.variants {
		names = append(names, one.declared(in)...)
	}
	return names
}

// builder compiles one document.
type builder struct {
	word, base string
	doc        *openapi3.T
	text       place // the root of the file
	root       *policyText
	schemes    map[string]schemeKind
	scopes     map[string]string
	schemas    map[schemaKey]*schema
}

func (b *builder) operation(method, path string, item *openapi3.PathItem, o *openapi3.Operation) (*Operation, error) {
	op := &Operation{ID: o.OperationID, Word: b.word, Method: method, Path: b.base + path, template: path, Tags: o.Tags}
	op.Origin, op.origins = b.text.get("paths", path, strings.ToLower(method)).origin(), origins(b.text, path, method)
	if o.OperationID == "" {
		return op, errors.New("operationId is missing")
	}
	onPath, err := decodePolicy(item.Extensions)
	if err != nil {
		return op, about(extension, err)
	}
	own, err := decodePolicy(o.Extensions)
	if err != nil {
		return op, about(extension, err)
	}
	root := b.root
	if root == nil {
		root = &policyText{}
	}
	var errs []error
	if op.Policy, err = resolvePolicy(root, onPath, own); err != nil {
		errs = append(errs, err)
	}
	if err := b.security(op, o); err != nil {
		errs = append(errs, about("security", err))
	}
	op.Policy.APIKey = op.Policy.APIKey && !op.Public // nothing is looked at there
	if op.parameters, err = b.parameters(path, item.Parameters, o.Parameters); err != nil {
		errs = append(errs, err)
	}
	if op.body, err = b.body(o.RequestBody); err != nil {
		errs = append(errs, about("requestBody", err))
	}
	if err := b.responses(op, o); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, contradictions(op, root, onPath, own)...)
	return op, errors.Join(errs...)
}

type schemeKind int

const (
	schemeOAuth schemeKind = iota + 1
	schemeOTP
)

// compileSchemes accepts exactly the two schemes of the family: oauth2 with a closed map of scopes, and X-OTP.
func compileSchemes(doc *openapi3.T, scopes map[string]string) (map[string]schemeKind, error) {
	kinds := map[string]schemeKind{}
	if doc.Components == nil {
		return kinds, nil
	}
	for name, ref := range doc.Components.SecuritySchemes {
		s := ref.Value
		switch {
		case s == nil:
			return nil, fmt.Errorf("security scheme %s does not resolve", name)
		case s.Type == "oauth2" && s.Flows != nil:
			kinds[name] = schemeOAuth
			for _, flow := range []*openapi3.OAuthFlow{s.Flows.Implicit, s.Flows.Password, s.Flows.ClientCredentials, s.Flows.AuthorizationCode} {
				if flow == nil {
					continue
				}
				for scope, description := range flow.Scopes {
					scopes[scope] = description
				}
			}
		case s.Type == "apiKey" && s.In == "header" && s.Name == "X-OTP":
			kinds[name] = schemeOTP
		default:
			return nil, fmt.Errorf("security scheme %s: only oauth2 and apiKey in header X-OTP are supported", name)
		}
	}
	return kinds, nil
}

func (b *builder) security(op *Operation, o *openapi3.Operation) error {
	requirements := o.Security
	if requirements == nil {
		if b.doc.Security == nil {
			return errors.New("security is missing: write [] for a public operation")
		}
		requirements = &b.doc.Security
	}
	if len(*requirements) == 0 {
		op.Public = true
		return nil
	}
	for _, alternative := range *requirements {
		var r Requirement
		withToken := false
		for name, scopes := range alternative {
			switch b.schemes[name] {
			case schemeOAuth:
				withToken = true
				r.Scopes = append(r.Scopes, scopes...)
				for _, scope := range scopes {
					if _, known := b.scopes[scope]; !known {
						return fmt.Errorf("scope %s is not in the oauth2 map", scope)
					}
				}
			case schemeOTP:
				r.OTP = true
			default:
				return fmt.Errorf("security scheme %s is not defined", name)
			}
		}
		if !withToken {
			return errors.New("every alternative of security needs the oauth scheme: an empty one would make the operation public")
		}
		sort.Strings(r.Scopes)
		op.Requirements = append(op.Requirements, r)
	}
	sort.SliceStable(op.Requirements, func(i, j int) bool { return !op.Requirements[i].OTP && op.Requirements[j].OTP })
	return nil
}

// contradictions finds policies that contradict each other.
func contradictions(op *Operation, root, onPath, own *policyText) []error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	p := op.Policy
	if op.Public {
		if own.Principals != nil || own.Roles != nil || own.StepUp != nil || own.APIKey != nil {
			say("a public operation has no principals, roles, stepUp or apiKey")
		}
		if p.StepUp != nil && own.StepUp == nil {
			say("a public operation inherits stepUp, which no caller can satisfy")
		}
	}
	if own.Roles != nil && !slices.Contains(p.Principals, "user") {
		say("roles apply to users, which principals exclude")
	}
	if p.StepUp != nil {
		for _, kind := range p.StepUp.For {
			if !slices.Contains(p.Principals, kind) {
				say("stepUp is for %s, which principals exclude", kind)
			}
		}
	}
	if op.AcceptsOTP() && p.StepUp == nil {
		say("security accepts a code, but no stepUp requires one")
	}
	for _, r := range op.Requirements {
		if r.OTP && !slices.ContainsFunc(op.Requirements, func(plain Requirement) bool { return !plain.OTP && slices.Equal(plain.Scopes, r.Scopes) }) {
			say("the alternative with a code must have one without it of the same scopes")
		}
	}
	errs = append(errs, repeatContradictions(op)...)
	if p.Stream != nil && (own.Timeout != nil || own.Response != nil) {
		say("a stream is exempt from timeout and response.max; use stream.idle and stream.maxDuration")
	}
	if own.Body != nil && op.body == nil {
		say("body.max is set for an operation without a request body")
	}
	if op.body != nil && op.body.streams != (p.Stream != nil && p.Stream.Kind == StreamNDJSON) && op.body.streams {
		say("a request body of application/x-ndjson needs stream.kind ndjson")
	}
	return errs
}

// repeatContradictions checks idempotency and retry against the method and the declared header.
func repeatContradictions(op *Operation) []error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	p := op.Policy
	var header *parameter
	for _, q := range op.parameters {
		if q.in == "header" && strings.EqualFold(q.name, "Idempotency-Key") {
			header = q
		}
	}
	wants := p.Idempotency == IdempotencyRequired || p.Idempotency == IdempotencyOptional
	switch {
	case wants && header == nil:
		say("idempotency is %s, but the Idempotency-Key header is not declared", p.Idempotency)
	case !wants && header != nil && !op.adopted:
		say("the Idempotency-Key header is declared, but idempotency is not required or optional")
	case header != nil && !header.required && p.Idempotency == IdempotencyRequired:
		say("idempotency is required, but the Idempotency-Key header is optional")
	case header != nil && header.required && p.Idempotency == IdempotencyOptional:
		say("the Idempotency-Key header is required, idempotency is optional")
	}
	if wants && op.Method != http.MethodPost && op.Method != http.MethodPatch {
		say("idempotency %s is for POST and PATCH; %s is idempotent by itself", p.Idempotency, op.Method)
	}
	if p.Retry != nil && p.Retry.Max > 0 && !op.Idempotent() {
		say("retry needs an idempotent method or idempotency: required")
	}
	if p.Retry != nil && p.Retry.Max > 0 && p.Stream != nil && p.Stream.Kind != StreamLongPoll {
		say("a stream cannot be retried")
	}
	return errs
}
