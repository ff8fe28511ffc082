package problem

import "net/http"

// Code names one kind of refusal. The list below is closed: a code that is not in the table cannot be sent. Every code has a page
// docs/problems/<code>.md, served by the gateway, that says what it means and what to do.
type Code string

// Error makes a Code usable as the target of errors.Is: errors.Is(err, problem.NotFound).
func (c Code) Error() string { return string(c) }

// Requests that could not be parsed or do not match the contract.
const (
	InvalidRequest   Code = "invalid_request"   // the request as a whole makes no sense
	MalformedRequest Code = "malformed_request" // the head of the request breaks the rules of HTTP/1.1
	MalformedTarget  Code = "malformed_target"  // the path or its escapes cannot be decoded
	MalformedQuery   Code = "malformed_query"   // the query string cannot be decoded
	MalformedBody    Code = "malformed_body"    // the body is not one well-formed document
	UnexpectedBody   Code = "unexpected_body"   // a body was sent, and the contract declares none
	InvalidParameter Code = "invalid_parameter" // a path, query, header or cookie parameter is missing, repeated or wrong
	InvalidCursor    Code = "invalid_cursor"    // a page cursor that was not made by this list
	InvalidBody      Code = "invalid_body"      // a well-formed body that violates the contract's schema
	ValidationFailed Code = "validation_failed" // fits the schema, but violates a rule of the domain
	UnsupportedQuery Code = "unsupported_query" // the search engine in use cannot do what was asked
	InvalidContract  Code = "invalid_contract"  // an OpenAPI document can't be adopted
)

// Problems with the caller's identity or permissions.
const (
	AuthenticationRequired         Code = "authentication_required"          // no credentials were sent
	InvalidToken                   Code = "invalid_token"                    // the access token is invalid
	InsufficientUserAuthentication Code = "insufficient_user_authentication" // RFC 9470: a stronger or fresher login is needed
	InvalidCredentials             Code = "invalid_credentials"              // user name, password or key are wrong
	InvalidCode                    Code = "invalid_code"                     // a one-time code is wrong or already used
	InvalidPasskey                 Code = "invalid_passkey"                  // an answer of a passkey is invalid
	InvalidProof                   Code = "invalid_proof"                    // a step-up proof is invalid
	InvalidEnrolmentToken          Code = "invalid_enrolment_token"          // an enrolment token is invalid
	InvalidBootstrapToken          Code = "invalid_bootstrap_token"          // the bootstrap token is invalid
	InvalidResetToken              Code = "invalid_reset_token"              // a password reset token is invalid
	InvalidInvitation              Code = "invalid_invitation"               // an invitation is unknown, expired, used or another user's
	InvitationRequired             Code = "invitation_required"              // an administrator's first factor needs an invitation
	FactorNotAccepted              Code = "factor_not_accepted"              // a second factor of a type that a role of the user does not accept
	InsufficientScope              Code = "insufficient_scope"               // RFC 6750: the token lacks a scope
	InsufficientRole               Code = "insufficient_role"                // the user has none of the required roles
	PrincipalNotAllowed            Code = "principal_not_allowed"            // users, or services, may never call this operation
	Forbidden                      Code = "forbidden"                        // the caller may not do this to this resource
	BootstrapClosed                Code = "bootstrap_closed"                 // an administrator exists already
	SessionEnded                   Code = "session_ended"                    // the session was ended or expired
)

// RFC 6749 and RFC 8707 errors, sent in their own form by operations with errors: oauth.
const (
	InvalidClient        Code = "invalid_client"
	InvalidGrant         Code = "invalid_grant"
	UnsupportedGrantType Code = "unsupported_grant_type"
	InvalidScope         Code = "invalid_scope"
	InvalidTarget        Code = "invalid_target"
)

// Requests that conflict with the current state.
const (
	NotFound            Code = "not_found"
	Gone                Code = "gone"
	MethodNotAllowed    Code = "method_not_allowed"
	MethodUnknown       Code = "method_unknown"
	Unsupported         Code = "unsupported_operation" // an adopted contract has it in a form against which requests can't be checked
	Misdirected         Code = "misdirected_request"   // the Host does not belong to this server
	VersionUnsupported  Code = "http_version_unsupported"
	CodingUnsupported   Code = "transfer_coding_unsupported"
	ExpectationFailed   Code = "expectation_failed"
	NotAcceptable       Code = "not_acceptable"
	AlreadyExists       Code = "already_exists"
	StateConflict       Code = "state_conflict"       // the resource is in a state that forbids this
	LastAdministrator   Code = "last_administrator"   // the last administrator cannot be removed
	RequiredService     Code = "required_service"     // the family can't work, or be repaired, without this service
	LimitReached        Code = "limit_reached"        // a stated cap on the number of things is reached
	PreconditionFailed  Code = "precondition_failed"  // If-Match is stale
	PreconditionMissing Code = "precondition_missing" // If-Match is needed
	VersionConflict     Code = "version_conflict"     // an item requires another version than the present one
	IdempotencyConflict Code = "idempotency_conflict"
	IdempotencyInFlight Code = "idempotency_in_flight"
	IdempotencyMissing  Code = "idempotency_missing"
	ReplayExpired       Code = "replay_expired"
	WeakPassword        Code = "weak_password"      // the password is too short or known
	ProofUsed           Code = "proof_used"         // a proof can be used once
	ElementOmitted      Code = "element_omitted"    // the element gets no new version until it is restored
	SequenceExhausted   Code = "sequence_exhausted" // all numbers are used
	OrderChanged        Code = "order_changed"      // the order changed during a consistent walk, which must end with the order with which it began
	PasskeysOff         Code = "passkeys_off"       // the service has no name to which passkeys could be bound
	MailOff             Code = "mail_off"           // the family has no mail server
	ContractBreaking    Code = "contract_breaking"  // a document breaks clients of the live one, or weakens its protection
)

// Requests that exceed a limit.
const (
	BodyTooLarge        Code = "body_too_large"
	TargetTooLong       Code = "target_too_long"
	HeadersTooLarge     Code = "headers_too_large"
	UnsupportedMedia    Code = "unsupported_media_type"
	UnsupportedEncoding Code = "unsupported_encoding"
	RequestTimeout      Code = "request_timeout"
	RateLimited         Code = "rate_limited"
	ConcurrencyLimited  Code = "concurrency_limited"
	QueueShareExceeded  Code = "queue_share_exceeded"
	TooManyAttempts     Code = "too_many_attempts"
	ResponseTooLarge    Code = "response_too_large"
)

// Faults of the family or of a dependency.
const (
	InternalError       Code = "internal_error"
	NotReady            Code = "not_ready"
	Overloaded          Code = "overloaded"
	Unavailable         Code = "unavailable"
	EngineUnavailable   Code = "engine_unavailable"
	UpstreamUnavailable Code = "upstream_unavailable"
	BadUpstream         Code = "bad_upstream"
	UpstreamTimeout     Code = "upstream_timeout"
	Timeout             Code = "timeout"
)

// Kind groups codes that share an HTTP status.
type Kind int

// The kinds. Their HTTP status is in the one table kindStatus.
const (
	KindBadRequest Kind = iota + 1
	KindUnauthenticated
	KindForbidden
	KindNotFound
	KindMethodNotAllowed
	KindNotAcceptable
	KindRequestTimeout
	KindConflict
	KindGone
	KindPreconditionFailed
	KindBodyTooLarge
	KindTargetTooLong
	KindUnsupportedMedia
	KindExpectationFailed
	KindMisdirected
	KindUnprocessable
	KindPreconditionRequired
	KindTooManyRequests
	KindHeadersTooLarge
	KindInternal
	KindNotImplemented
	KindBadGateway
	KindUnavailable
	KindGatewayTimeout
	KindVersionNotSupported
)

// kindStatus is the only mapping of kinds to HTTP statuses.
var kindStatus = map[Kind]int{
	KindBadRequest:           http.StatusBadRequest,
	KindUnauthenticated:      http.StatusUnauthorized,
	KindForbidden:            http.StatusForbidden,
	KindNotFound:             http.StatusNotFound,
	KindMethodNotAllowed:     http.StatusMethodNotAllowed,
	KindNotAcceptable:        http.StatusNotAcceptable,
	KindRequestTimeout:       http.StatusRequestTimeout,
	KindConflict:             http.StatusConflict,
	KindGone:                 http.StatusGone,
	KindPreconditionFailed:   http.StatusPreconditionFailed,
	KindBodyTooLarge:         http.StatusRequestEntityTooLarge,
	KindTargetTooLong:        http.StatusRequestURITooLong,
	KindUnsupportedMedia:     http.StatusUnsupportedMediaType,
	KindExpectationFailed:    http.StatusExpectationFailed,
	KindMisdirected:          http.StatusMisdirectedRequest,
	KindUnprocessable:        http.StatusUnprocessableEntity,
	KindPreconditionRequired: http.StatusPreconditionRequired,
	KindTooManyRequests:      http.StatusTooManyRequests,
	KindHeadersTooLarge:      http.StatusRequestHeaderFieldsTooLarge,
	KindInternal:             http.StatusInternalServerError,
	KindNotImplemented:       http.StatusNotImplemented,
	KindBadGateway:           http.StatusBadGateway,
	KindUnavailable:          http.StatusServiceUnavailable,
	KindGatewayTimeout:       http.StatusGatewayTimeout,
	KindVersionNotSupported:  http.StatusHTTPVersionNotSupported,
}

// definition is a code's entry in the table: its kind and its short title, which never changes.
type definition struct {
	kind  Kind
	title string
}

var definitions = map[Code]definition{
	InvalidRequest:   {KindBadRequest, "Invalid request"},
	MalformedRequest: {KindBadRequest, "Malformed request"},
	MalformedTarget:  {KindBadRequest, "Malformed request target"},
	MalformedQuery:   {KindBadRequest, "Malformed query"},
	MalformedBody:    {KindBadRequest, "Malformed body"},
	UnexpectedBody:   {KindBadRequest, "Unexpected body"},
	InvalidParameter: {KindBadRequest, "Invalid parameter"},
	InvalidCursor:    {KindBadRequest, "Invalid cursor"},
	InvalidBody:      {KindUnprocessable, "Invalid body"},
	ValidationFailed: {KindUnprocessable, "Validation failed"},
	UnsupportedQuery: {KindUnprocessable, "Unsupported query"},
	InvalidContract:  {KindUnprocessable, "Invalid contract"},

	AuthenticationRequired:         {KindUnauthenticated, "Authentication required"},
	InvalidToken:                   {KindUnauthenticated, "Invalid token"},
	InsufficientUserAuthentication: {KindUnauthenticated, "Stronger authentication required"},
	InvalidCredentials:             {KindUnauthenticated, "Invalid credentials"},
	InvalidCode:                    {KindUnprocessable, "Invalid code"},
	InvalidPasskey:                 {KindUnprocessable, "Invalid passkey"},
	InvalidProof:                   {KindUnprocessable, "Invalid proof"},
	InvalidEnrolmentToken:          {KindUnauthenticated, "Invalid enrolment token"},
	InvalidBootstrapToken:          {KindUnauthenticated, "Invalid bootstrap token"},
	InvalidResetToken:              {KindUnauthenticated, "Invalid reset token"},
	InvalidInvitation:              {KindUnprocessable, "Invalid invitation"},
	InvitationRequired:             {KindForbidden, "Invitation required"},
	FactorNotAccepted:              {KindForbidden, "Factor not accepted"},
	InsufficientScope:              {KindForbidden, "Insufficient scope"},
	InsufficientRole:               {KindForbidden, "Insufficient role"},
	PrincipalNotAllowed:            {KindForbidden, "Principal not allowed"},
	Forbidden:                      {KindForbidden, "Forbidden"},
	BootstrapClosed:                {KindConflict, "Bootstrap closed"},
	SessionEnded:                   {KindUnauthenticated, "Session ended"},

	InvalidClient:        {KindUnauthenticated, "Invalid client"},
	InvalidGrant:         {KindBadRequest, "Invalid grant"},
	UnsupportedGrantType: {KindBadRequest, "Unsupported grant type"},
	InvalidScope:         {KindBadRequest, "Invalid scope"},
	InvalidTarget:        {KindBadRequest, "Invalid target"},

	NotFound:            {KindNotFound, "Not found"},
	Gone:                {KindGone, "Gone"},
	MethodNotAllowed:    {KindMethodNotAllowed, "Method not allowed"},
	MethodUnknown:       {KindNotImplemented, "Method unknown"},
	Unsupported:         {KindNotImplemented, "Unsupported operation"},
	Misdirected:         {KindMisdirected, "Misdirected request"},
	VersionUnsupported:  {KindVersionNotSupported, "HTTP version unsupported"},
	CodingUnsupported:   {KindNotImplemented, "Transfer coding unsupported"},
	ExpectationFailed:   {KindExpectationFailed, "Expectation failed"},
	NotAcceptable:       {KindNotAcceptable, "Not acceptable"},
	AlreadyExists:       {KindConflict, "Already exists"},
	StateConflict:       {KindConflict, "State conflict"},
	LastAdministrator:   {KindConflict, "Last administrator"},
	RequiredService:     {KindConflict, "Required service"},
	LimitReached:        {KindConflict, "Limit reached"},
	PreconditionFailed:  {KindPreconditionFailed, "Precondition failed"},
	PreconditionMissing: {KindPreconditionRequired, "Precondition required"},
	VersionConflict:     {KindConflict, "Version conflict"},
	IdempotencyConflict: {KindUnprocessable, "Idempotency key reused"},
	IdempotencyInFlight: {KindConflict, "Idempotent request in flight"},
	IdempotencyMissing:  {KindBadRequest, "Idempotency key required"},
	ReplayExpired:       {KindConflict, "Replay expired"},
	WeakPassword:        {KindUnprocessable, "Weak password"},
	ProofUsed:           {KindConflict, "Proof used"},
	ElementOmitted:      {KindConflict, "Element omitted"},
	SequenceExhausted:   {KindConflict, "Sequence exhausted"},
	OrderChanged:        {KindConflict, "Order changed"},
	PasskeysOff:         {KindConflict, "Passkeys are off"},
	MailOff:             {KindConflict, "Mail is off"},
	ContractBreaking:    {KindConflict, "Contract breaking"},

	BodyTooLarge:        {KindBodyTooLarge, "Body too large"},
	TargetTooLong:       {KindTargetTooLong, "Request target too long"},
	HeadersTooLarge:     {KindHeadersTooLarge, "Headers too large"},
	UnsupportedMedia:    {KindUnsupportedMedia, "Unsupported media type"},
	UnsupportedEncoding: {KindUnsupportedMedia, "Unsupported content coding"},
	RequestTimeout:      {KindRequestTimeout, "Request timeout"},
	RateLimited:         {KindTooManyRequests, "Rate limited"},
	ConcurrencyLimited:  {KindTooManyRequests, "Concurrency limited"},
	QueueShareExceeded:  {KindTooManyRequests, "Queue share exceeded"},
	TooManyAttempts:     {KindTooManyRequests, "Too many attempts"},
	ResponseTooLarge:    {KindBadGateway, "Response too large"},

	InternalError:       {KindInternal, "Internal error"},
	NotReady:            {KindUnavailable, "Not ready"},
	Overloaded:          {KindUnavailable, "Overloaded"},
	Unavailable:         {KindUnavailable, "Unavailable"},
	EngineUnavailable:   {KindUnavailable, "Search engine unavailable"},
	UpstreamUnavailable: {KindUnavailable, "Upstream unavailable"},
	BadUpstream:         {KindBadGateway, "Bad upstream answer"},
	UpstreamTimeout:     {KindGatewayTimeout, "Upstream timeout"},
	Timeout:             {KindUnavailable, "Timeout"},
}

// Codes returns every code of the closed table, in no particular order.
func Codes() []Code {
	out := make([]Code, 0, len(definitions))
	for c := range definitions {
		out = append(out, c)
	}
	return out
}

// Known reports whether c is in the closed table.
func (c Code) Known() bool { _, ok := definitions[c]; return ok }

// Kind returns the code's kind; an unknown code counts as KindInternal.
func (c Code) Kind() Kind {
	if d, ok := definitions[c]; ok {
		return d.kind
	}
	return KindInternal
}

// Status returns the code's HTTP status.
func (c Code) Status() int { return kindStatus[c.Kind()] }

// Title returns the short sentence that is the same for every problem of this code.
func (c Code) Title() string {
	if d, ok := definitions[c]; ok {
		return d.title
	}
	return definitions[InternalError].title
}

// TypeURI returns the reference of the page that explains the code. It is a path: it resolves against the origin by which the client reached the
// family (RFC 9457, section 3.1.1) and is the same text everywhere (docs/decisions/0034-problem-types-are-paths.md).
func (c Code) TypeURI() string { return "/problems/" + string(c) }
