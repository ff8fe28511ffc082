package services

import (
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/gateway/internal/docsui"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// Unknown serves a page to browsers that request an address where there is nothing. It returns false for other requests, which get the problem document:
// those that are not a GET that prefers HTML over JSON.
func Unknown(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Accept")
	if r.Method != http.MethodGet || contract.Preferred(r.Header, problem.MediaType, typeHTML) != typeHTML {
		return false
	}
	page, h := docsui.UnknownPage(), w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(page.Content)))
	h.Set("Content-Security-Policy", docsui.CSP)
	h.Set("Content-Type", page.MediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write(page.Content) // a write error means that the client has disconnected
	return true
}
