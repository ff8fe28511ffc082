package handlers

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"github.com/fountainai/fountain/generated/kmsapi"
	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/signing"
	"github.com/fountainai/fountain/internal/problem"
)

// sessionCookie is the cookie with a browser's refresh token. Its prefix has browsers take it only with Secure, for the whole host and no other
// (RFC 6265bis, section 4.1.3.2), and what is called fountain is forwarded to no adopted service.
const sessionCookie = "__Host-fountain-session"

// setCookie is the Set-Cookie header that gives a browser this refresh token, or takes it away ("").
func setCookie(refresh string) *string {
	cookie := http.Cookie{Name: sessionCookie, Value: refresh, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if refresh == "" {
		cookie.MaxAge = -1
	}
	return new(cookie.String())
}

// refreshPlace is where a sign-in gives its refresh token.
type refreshPlace struct{ cookie bool }

// refreshPlace reads where a request wants its refresh token; a cookie is for pages of our own origin alone (forbidden).
func (h api) refreshPlace(ctx context.Context, wanted *kmsapi.RefreshIn) (refreshPlace, error) {
	if wanted == nil || *wanted != kmsapi.RefreshInCookie {
		return refreshPlace{}, nil
	}
	return refreshPlace{cookie: true}, h.ownPage(ctx)
}

// put returns the answer's body and its Set-Cookie header.
func (to refreshPlace) put(issued signing.Issued) (kmsapi.TokenResponse, *string) {
	body := tokenBody(issued)
	if !to.cookie {
		return body, nil
	}
	body.RefreshToken = nil
	return body, setCookie(issued.Refresh)
}

// ownPage demands that the request is one of a page of the origin that it was sent to, as the gateway tells it, or of the issuer's. Browsers write Origin into
// every POST, and no script can change it.
func (h api) ownPage(ctx context.Context) error {
	in := receivedFrom(ctx)
	if len(in.origin) == 1 && (in.origin[0] == in.sentTo || in.origin[0] == originOf(h.Mint.Issuer)) {
		return nil
	}
	return problem.New(problem.Forbidden, "A session in a cookie is for pages of the family's own origin.")
}

// originOf returns the origin of an address, or "".
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// RefreshBrowserSession implements refreshBrowserSession.
func (h api) RefreshBrowserSession(ctx context.Context, r kmsapi.RefreshBrowserSessionRequestObject) (kmsapi.RefreshBrowserSessionResponseObject, error) {
	if err := h.ownPage(ctx); err != nil {
		return nil, err
	}
	if r.Params.SessionCookie == nil {
		return kmsapi.RefreshBrowserSession204Response{}, nil
	}
	issued, err := h.Sessions.Refresh(ctx, *r.Params.SessionCookie, signing.Request{Resources: resources(r.Body.Resource)})
	switch {
	case errors.Is(err, domain.SessionEnded):
		return kmsapi.RefreshBrowserSession204Response{Headers: kmsapi.RefreshBrowserSession204ResponseHeaders{SetCookie: setCookie("")}}, nil
	case err != nil:
		return nil, err
	}
	body, cookie := refreshPlace{cookie: true}.put(issued)
	return kmsapi.RefreshBrowserSession200JSONResponse{Body: body, Headers: kmsapi.RefreshBrowserSession200ResponseHeaders{SetCookie: cookie}}, nil
}

// LogoutUser implements logoutUser. Where the browser's cookie is of another session of the same person, who has signed in again since, that one ends too:
// nobody is to be signed in here after they signed out. The cookie of another person stays: they have signed in meanwhile, in another tab.
func (h api) LogoutUser(ctx context.Context, r kmsapi.LogoutUserRequestObject) (kmsapi.LogoutUserResponseObject, error) {
	if err := h.Sessions.Logout(ctx, caller(ctx)); err != nil {
		return nil, err
	}
	if r.Params.SessionCookie == nil {
		return kmsapi.LogoutUser204Response{}, nil
	}
	others, err := h.Sessions.Others(ctx, *r.Params.SessionCookie, caller(ctx).Subject)
	if err != nil || others {
		return kmsapi.LogoutUser204Response{}, err
	}
	if err := h.Sessions.RevokeRefresh(ctx, signing.LoginClient, *r.Params.SessionCookie); err != nil {
		return nil, err
	}
	return kmsapi.LogoutUser204Response{Headers: kmsapi.LogoutUser204ResponseHeaders{SetCookie: setCookie("")}}, nil
}

// resources are the services that a token is asked for; none: as Request of package signing has it.
func resources(wanted *[]string) []string {
	if wanted == nil {
		return nil
	}
	return *wanted
}
