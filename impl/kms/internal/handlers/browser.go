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

// sessionCookie is the cookie with a browser's refresh token. Because of its prefix, browsers accept it only with Secure, and for exactly this host
// (RFC 6265bis, section 4.1.3.2). Cookies whose name begins with fountain after the prefix are not forwarded to adopted services.
const sessionCookie = "__Host-fountain-session"

// setCookie returns the Set-Cookie header that stores the refresh token in the browser, or deletes it ("").
func setCookie(refresh string) *string {
	cookie := http.Cookie{Name: sessionCookie, Value: refresh, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
	if refresh == "" {
		cookie.MaxAge = -1
	}
	return new(cookie.String())
}

// refreshPlace says where a sign-in returns its refresh token: in a cookie or in the body.
type refreshPlace struct{ cookie bool }

// refreshPlace reads where a request wants its refresh token. A cookie is only for pages of our own origin (problem.Forbidden).
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

// ownPage requires that the request comes from a page of the origin that it was sent to, as reported by the gateway, or of the issuer's origin. Browsers add
// Origin to every POST, and scripts can't change it.
func (h api) ownPage(ctx context.Context) error {
	in := receivedFrom(ctx)
	if len(in.origin) == 1 && (in.origin[0] == in.sentTo || in.origin[0] == originOf(h.Mint.Issuer)) {
		return nil
	}
	return problem.New(problem.Forbidden, "A session cookie can only be used by pages of the server's own origin.")
}

// originOf returns the origin of a URL, or "" if it has none.
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

// LogoutUser implements logoutUser. If the browser's cookie belongs to another session of the same person, who has signed in again since, that session ends
// too, so that the person is not still signed in here. The cookie of another person, who has signed in meanwhile in another tab, is kept.
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

// resources returns the services that a token is requested for; nil when the request names none (see signing.Request).
func resources(wanted *[]string) []string {
	if wanted == nil {
		return nil
	}
	return *wanted
}
