package api

import (
	"net/http"
	"slices"
)

// cors allows requests from pages of other origins, as configured.
type cors struct {
	origins []string
	all     bool
}

func newCORS(origins []string) *cors {
	if len(origins) == 0 {
		return nil
	}
	return &cors{origins: origins, all: slices.Contains(origins, "*")}
}

// answered sets the response headers for the origin. It returns true if the request was a preflight, which is then answered. Keys are sent
// in a header or the URL, never in cookies, so that credentials need not be allowed.
func (c *cors) answered(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if !c.all {
		w.Header().Add("Vary", "Origin")
	}
	allowed := origin != "" && (c.all || slices.Contains(c.origins, origin))
	if allowed {
		if c.all {
			origin = "*"
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
	}
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if allowed {
		w.Header().Set("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type, X-Typesense-Api-Key, X-Typesense-User-Id")
		w.Header().Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}
