package openid

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/kms/internal/authority"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/store"
)

// Request is an authorization request of a web app. It comes through the person's browser, so nothing in it is trusted before it is checked.
type Request struct {
	ResponseType, ResponseMode, ClientID, RedirectURI, Scope, State, Nonce string
	CodeChallenge, CodeChallengeMethod                                     string
	Prompt, MaxAge, ACRValues, IDTokenHint                                 string
	RequestObject, RequestURI                                              string
}

// The scopes that OpenID Connect defines. All others are those of services.
const (
	openID  = "openid"
	profile = "profile"
	offline = "offline_access"
)

const (
	// fresh is the maximum age of a sign-in for prompt=login: the person needs some time on the page after signing in.
	fresh = 5 * time.Minute
	// least is the smallest effective max_age, for the same reason.
	least = 30 * time.Second
)

// Scopes returns the scopes that web apps may request, subject to their registration: those of OpenID Connect, and the family's.
func Scopes(c *authority.Catalogue) []string {
	scopes := []string{offline, openID, profile}
	for _, one := range c.Scopes() {
		if one.Name != openID {
			scopes = append(scopes, one.Name)
		}
	}
	return scopes
}

// fault is an error that is reported to the client in the redirect (RFC 6749, section 4.1.2.1; OpenID Connect Core 1.0, section 3.1.2.6).
type fault struct{ code, description string }

// checkedRequest is a checked request of a registered client for a registered redirect URI.
type checkedRequest struct {
	Request
	client Client
	fault  *fault // the fault in the rest of the request; nil for none
	prompt []string
	maxAge time.Duration // maximum age of the sign-in; 0: any age
	acr    []string      // one of these must be met; empty: any
	asked  []string      // the requested scopes
	factor bool          // whether a role of the person requires a second factor that the session lacks
}

// checkRequest checks a request. An unregistered client or redirect URI is domain.ValidationFailed, without a redirect. The client's row gets the given lock.
func (p *Provider) checkRequest(ctx context.Context, q store.Querier, r Request, lock authority.Lock) (checkedRequest, error) {
	c, found, err := p.Rows.Client(ctx, q, r.ClientID, lock)
	if err != nil {
		return checkedRequest{}, fmt.Errorf("read client: %w", err)
	}
	if !found {
		return checkedRequest{}, domain.Refuse(domain.ValidationFailed, "The app that sent you here is not registered.").
			WithField("body", "/client_id", "registered", "is not a registered client")
	}
	if !slices.Contains(c.RedirectURIs, r.RedirectURI) {
		return checkedRequest{}, domain.Refuse(domain.ValidationFailed, "The app that sent you here wants to continue at an address that is not registered for it.").
			WithField("body", "/redirect_uri", "registered", "is not one of the client's registered URIs")
	}
	j := checkedRequest{Request: r, client: c, prompt: strings.Fields(r.Prompt), asked: strings.Fields(r.Scope)}
	for _, acr := range strings.Fields(r.ACRValues) {
		if contract.ACRSatisfies(acr, contract.ACRPassword) { // other values are unknown here, and ignored
			j.acr = append(j.acr, acr)
		}
	}
	if j.fault = checkParameters(r, j.prompt, j.asked); j.fault == nil {
		j.maxAge, j.fault = maxAge(r.MaxAge, j.hasPrompt("login") || j.hasPrompt("select_account"))
	}
	return j, nil
}

// hasPrompt reports whether the request has the prompt.
func (j checkedRequest) hasPrompt(prompt string) bool { return slices.Contains(j.prompt, prompt) }

// checkParameters returns the fault of a request, or nil.
func checkParameters(r Request, prompt, scopes []string) *fault {
	switch {
	case r.RequestObject != "":
		return &fault{"request_not_supported", "Request objects are not supported."}
	case r.RequestURI != "":
		return &fault{"request_uri_not_supported", "Request objects are not supported."}
	case r.ResponseType == "":
		return &fault{"invalid_request", "response_type is missing."}
	case r.ResponseType != "code":
		return &fault{"unsupported_response_type", "The response type must be code."}
	case r.ResponseMode != "" && r.ResponseMode != "query":
		return &fault{"invalid_request", "The response mode must be query."}
	case !slices.Contains(scopes, openID):
		return &fault{"invalid_scope", "The scope openid is missing."}
	case r.CodeChallenge == "":
		return &fault{"invalid_request", "code_challenge is missing (RFC 7636)."}
	case r.CodeChallengeMethod != "S256":
		return &fault{"invalid_request", "The code challenge method must be S256."}
	case !challenge(r.CodeChallenge):
		return &fault{"invalid_request", "code_challenge is not a SHA-256 hash in base64url."}
	case slices.Contains(prompt, "none") && len(prompt) > 1:
		return &fault{"invalid_request", "prompt can't combine none with other values."}
	case slices.ContainsFunc(prompt, func(one string) bool { return !slices.Contains(Prompts, one) }):
		return &fault{"invalid_request", "prompt has an unknown value."}
	}
	return nil
}

// Prompts are the supported values of prompt. select_account is treated like login.
var Prompts = []string{"none", "login", "consent", "select_account"}

func challenge(text string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(sum) == 32 && !strings.ContainsAny(text, "\r\n")
}

// maxAge returns the maximum age of a sign-in; 0 for any age. login says that a fresh sign-in is requested.
func maxAge(text string, login bool) (time.Duration, *fault) {
	if text == "" {
		if login {
			return fresh, nil
		}
		return 0, nil
	}
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, &fault{"invalid_request", "max_age is not a number of seconds."}
	}
	age := max(time.Duration(seconds)*time.Second, least)
	if login {
		age = min(age, fresh)
	}
	return age, nil
}

// location returns the redirect with a response: the redirect URI with the parameters in its query, the unchanged state, and iss (RFC 9207).
func (p *Provider) location(r Request, answer url.Values) string {
	if r.State != "" {
		answer.Set("state", r.State)
	}
	answer.Set("iss", p.Mint.Issuer)
	return withQuery(r.RedirectURI, answer)
}

// withQuery appends parameters to the query that a registered URI may have; the rest of the URI does not change.
func withQuery(uri string, values url.Values) string {
	switch {
	case len(values) == 0:
		return uri
	case !strings.Contains(uri, "?"):
		return uri + "?" + values.Encode()
	case strings.HasSuffix(uri, "?") || strings.HasSuffix(uri, "&"):
		return uri + values.Encode()
	}
	return uri + "&" + values.Encode()
}

func (p *Provider) failure(r Request, f fault) string {
	return p.location(r, url.Values{"error": {f.code}, "error_description": {f.description}})
}

// grantable returns the requested scopes that the client may have for the user: those of OpenID Connect, and those that both client and user have. It ignores
// others.
func (j checkedRequest) grantable(u authority.Owner) []string {
	var out []string
	for _, scope := range j.asked {
		if scope == openID || scope == profile || scope == offline || has(j.client.Scopes, scope) && has(u.Scopes, scope) {
			out = append(out, scope)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func has(words []string, word string) bool { return slices.Contains(words, word) }
