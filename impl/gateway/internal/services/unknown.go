package services

import (
	"net/http"
	"strconv"

	"github.com/fountainai/fountain/impl/gateway/internal/docsui"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/problem"
)

// Unknown answers a person's browser at an address where there is nothing with a page that leads on. It reports false for programs, which get the problem:
// those that do not ask by GET for HTML before JSON.
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
	_, _ = w.Write(page.Content) // a client that has left needs no answer
	return true
}
