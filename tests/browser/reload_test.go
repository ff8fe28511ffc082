//go:build browser

package browser

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/kms"
)

// page is an address, without its origin, and what is to be read there.
type page struct{ address, text string }

// pages are the addresses that somebody who is signed in comes to, each with content.
func (h *theatre) pages() (all []page) {
	all = []page{
		{"/", "Numbered elements and their versions"},
		{"/docs", "FountainAI Key Management Service"}, // one code shows every contract: a large one, an operation of one, an adopted one
		{"/docs?contract=sequence#/elements/createElement", "The element gets the next number of its type in the scope"},
		{"/docs?contract=reports", "Reports"},
		{"/docs?contract=unknown", "There is no contract with this name"},
		{"/nowhere", "Page not found"},
		{"/problems", "weak_password"},
		{"/problems/weak_password", "fewer than 12 characters"},
		{"/twofactor/v1/enroll", "Your second factors"},
		{"/kms/v1/auth/password-reset", "Choose a new password"},
		{"/console", "My account"},
	}
	views := map[string]string{
		"account": "your user name", "keys": "lectern", "users": "edsger", "users/{edsger}": "edsger@example.org", "roles": "librarian", "roles/librarian": "elements:read",
		"services": "reports", "services/{reports}": "reports:read", "clients": "Programme", "clients/{Programme}": "https://app.example/callback", "secrets": "reports.mailbox",
		"secrets/reports.mailbox": "The kms does not rotate this secret.", "keyrings": "AES-256-GCM", "keyrings/receipts": "Encryptions of one key", "signing-keys": "EdDSA", "root-key": "everything is sealed with the active key",
		"audit": "putSecondFactorPolicy", "audit-archives": "fountain audit archive", "sets": "articles", "sets/stopwords/articles": `"the"`, "health": "Search engine",
		"upkeep":  "No report is stored.",
		"adopted": "1.4.0 (revision 1)", "adopted/reports": "listReports GET /reports", "sequence": "play", "sequence/play": "Next number", "sequence/play/scene": `{"title":"here"}`,
		"sequence/play/scene/{scene}": `"title": "here"`, "search": "plays", "search/plays": "title (string)", "search/verses/sync": "9007199254740993", "limits": "reports", "limits/kms": "loginUser POST /auth/login",
		"limits/reports": "Every operation", "nowhere": "View not found",
	}
	for _, view := range slices.Sorted(maps.Keys(views)) {
		all = append(all, page{"/console#/" + h.route(view), views[view]})
	}
	return all
}

// strangersPages are those that somebody comes to who is not signed in.
func (h *theatre) strangersPages() []page {
	asked := url.Values{
		"response_type": {"code"}, "client_id": {h.ids["Programme"]}, "redirect_uri": {"https://app.example/callback"}, "scope": {"openid"},
		"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"},
	}
	return []page{
		{"/", "Sign in"}, {"/docs?contract=reports", "Reports"}, {"/problems/rate_limited", "rate_limited"}, {"/console", "Sign in"}, {"/console#/users", "Sign in"},
		{"/twofactor/v1/enroll", "Sign in"}, {"/kms/v1/oauth2/authorize?" + asked.Encode(), "Sign in to continue to Programme."},
	}
}

// stays holds that a page shows what it has, by its address or a link and after a reload, at the same address; and that nobody is signed out by it.
func (h *theatre) stays(one page, name string) {
	h.t.Helper()
	began := time.Now()
	if view, ok := strings.CutPrefix(one.address, "/console#"); ok && strings.HasPrefix(h.address(), "/console#") {
		h.browser.evaluate(h.tab, "location.hash = "+strconv.Quote(view)) // as its links do: the reload alone loads the console
	} else {
		h.browser.goTo(h.tab, "about:blank")
		h.browser.goTo(h.tab, h.family.site+one.address)
	}
	h.reads(one.text)
	h.browser.call(h.tab, "Page.reload", nil, nil)
	h.browser.loaded(h.tab)
	h.reads(one.text)
	require.Equal(h.t, one.address, h.address())
	if own := strings.HasPrefix(one.address, "/console") || strings.HasPrefix(one.address, "/docs") || strings.HasPrefix(one.address, "/twofactor"); own && name != "" {
		h.reads("Signed in as " + name)
	}
	require.Empty(h.t, h.told(), one.address)
	h.t.Logf("%-60s %v", one.address, time.Since(began).Round(time.Millisecond))
}

// Every page and every view of the console stands in its address: F5 and a link that is passed on show the same, with the session that there is. With content on it
// none has a serious fault for people who don't see it.
func TestPages_stayWhereTheyAreOnReload(t *testing.T) {
	h := opens(t, newMailbox(t))
	h.consents(t)
	_, err := h.own.KMS.CreateAPIKey(t.Context(), kms.APIKeyCreate{Name: "lectern", Scopes: []string{"elements:read"}})
	require.NoError(t, err)
	_, err = h.admin.KMS.PutSecondFactorPolicy(t.Context(), "admin", kms.SecondFactorPolicyPut{Required: "always"}) // else every reload asks for a second factor
	require.NoError(t, err)
	h.presses("Sign out")
	h.reads("You are signed out.")
	for _, one := range h.strangersPages() {
		h.stays(one, "")
		h.isAccessible("#swagger-ui")
	}
	h.browser.goTo(h.tab, h.family.site+"/console")
	h.signsIn("grace", password)
	h.sees("Confirm that it is you")
	h.fills("Code of your authenticator app", h.code(t))
	h.key("Enter", "\r")
	h.sees("My account")
	for _, one := range h.pages() {
		h.stays(one, "grace")
		if !strings.HasPrefix(one.address, "/docs?") { // whose own part is that of /docs
			h.isAccessible("#swagger-ui") // which others have made
		}
	}
}
