package gateway

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
)

const batchPath = "/sequence/v1/scopes/s/line/element-batches"

// A place is freed however the request ends: by an answer, a later refusal, a fault of the service, or a client that disconnects.
func TestConcurrency_givesEachPlaceBack(t *testing.T) {
	h := newHouse(t)
	const places = 64 // of createElements in its contract
	bearer := "Bearer " + h.token(nil)
	body := fmt.Sprintf(`{"elements":[%s]}`, createBody)
	for name, upstream := range map[string]http.HandlerFunc{
		"a problem": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(500)
		},
		"a broken one":  func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an undeclared": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
	} {
		h.mu.Lock()
		h.upstream = upstream
		h.mu.Unlock()
		for range places + 6 {
			require.NotEqual(t, 503, h.do("POST", batchPath, body, "Authorization", bearer).StatusCode, name)
		}
	}
	for range places + 6 {
		require.Equal(t, 422, h.do("POST", batchPath, `{"elements":1}`, "Authorization", bearer).StatusCode)
	}

	leave := make(chan struct{})
	var inside sync.WaitGroup
	inside.Add(places)
	h.mu.Lock()
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		inside.Done()
		<-leave
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(404)
		_, _ = io.WriteString(w, `{}`)
	}
	h.mu.Unlock()
	var all sync.WaitGroup
	for range places {
		all.Go(func() { h.do("POST", batchPath, body, "Authorization", bearer) })
	}
	inside.Wait()
	a := h.do("POST", batchPath, body, "Authorization", bearer)
	require.Equal(t, 503, a.StatusCode)
	require.Equal(t, "overloaded", a.Code)
	require.Equal(t, "1", a.Header.Get("Retry-After"))
	require.Equal(t, 422, h.do("POST", createPath, `{}`, "Authorization", bearer).StatusCode, "another operation has places of its own")
	close(leave)
	all.Wait()
}

// A subject's limits at one service do not affect another: limits of the same name belong to their contracts.
func TestLimit_ofASubjectBelongsToOneService(t *testing.T) {
	h := newHouse(t)
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"items":[]}`)
	}
	bearer := "Bearer " + h.token(func(c *auth.Claims) {
		c.Scope = "factors:manage session:manage elements:read"
		c.Audience = append(c.Audience, "search")
	})
	for range 200 { // the burst of twofactor's contract
		require.Equal(t, 200, h.do("GET", "/twofactor/v1/factors", "", "Authorization", bearer).StatusCode)
	}
	require.Equal(t, 429, h.do("GET", "/twofactor/v1/factors", "", "Authorization", bearer).StatusCode)
	require.Equal(t, 200, h.do("GET", "/kms/v1/users/"+subject+"/sessions", "", "Authorization", bearer).StatusCode)
	other := "Bearer " + h.token(func(c *auth.Claims) { c.Scope, c.Subject = "factors:manage", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8Q" })
	require.Equal(t, 200, h.do("GET", "/twofactor/v1/factors", "", "Authorization", other).StatusCode)
}

// Every operation of the family has a limit for unauthenticated requests, and answers 429 as its contract says when an address has exhausted it.
func TestLimit_refusesAtEveryOperation(t *testing.T) {
	h := newHouse(t)
	for _, c := range family(t) {
		var limit *contract.Rate
		for _, op := range c.Operations {
			i := slices.IndexFunc(op.Policy.Rate, func(r contract.Rate) bool { return r.Name == "per-ip" && r.Key == "ip" && r.Preauth })
			require.GreaterOrEqual(t, i, 0, "%s has no limit for an address", op.ID)
			limit = &op.Policy.Rate[i]
		}
		var all sync.WaitGroup
		one := c.Operations[max(0, slices.IndexFunc(c.Operations, func(op *contract.Operation) bool { return !op.Public }))] // refused before it is forwarded
		path := strings.NewReplacer("{", "", "}", "")
		for range 8 {
			all.Go(func() {
				for range limit.Burst / 8 {
					h.do(one.Method, path.Replace(one.Path), "")
				}
			})
		}
		all.Wait()
		for _, op := range c.Operations {
			a := h.do(op.Method, path.Replace(op.Path), "")
			require.Equal(t, 429, a.StatusCode, op.ID)
			require.Equal(t, "rate_limited", a.Code, op.ID)
			require.NotEmpty(t, a.Header.Get("Retry-After"), op.ID)
			require.NoError(t, op.CheckResponse(a.StatusCode, a.Header, []byte(a.Text)), op.ID)
		}
	}
}

// The gateway verifies the kms's answer: the token for the code must be raised, fresh, and the caller's.
func TestStepUp_takesNoWeakTokenFromTheKMS(t *testing.T) {
	for name, change := range map[string]func(*auth.Claims){
		"of the password alone": func(c *auth.Claims) { c.ACR = "aal1" },
		"of another level":      func(c *auth.Claims) { c.ACR = "aal9" },
		"of an old factor":      func(c *auth.Claims) { c.AuthTime -= 301 },
		"for another service":   func(c *auth.Claims) { c.Audience = jwt.ClaimStrings{"kms"} },
		"that has expired":      func(c *auth.Claims) { c.ExpiresAt = jwt.NewNumericDate(c.IssuedAt.Add(-time.Hour)) },
		"of another user":       func(c *auth.Claims) { c.Subject = "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8Q" },
		"of another session":    func(c *auth.Claims) { c.SessionID = "ses_2" },
		"without the scope":     func(c *auth.Claims) { c.Scope = "elements:read" },
		"without the role":      func(c *auth.Claims) { c.Roles = []string{"reader"} },
		"of a service":          func(c *auth.Claims) { c.Principal, c.SessionID = auth.KindService, "" },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			services := h.stepUpServices()
			h.upstream = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/kms/v1/auth/step-up" {
					services(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				weak := h.token(func(c *auth.Claims) {
					c.ACR, c.Audience = "aal2", jwt.ClaimStrings{"sequence"}
					change(c)
				})
				_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":300,"scope":"elements:write"}`, weak)
			}
			a := h.do("POST", reorderPath, reorderBody, "Authorization", "Bearer "+h.token(nil), "X-OTP", "123456")
			require.GreaterOrEqual(t, a.StatusCode, 400, a.Text)
			require.Len(t, h.seen, 2, "twofactor and the kms, but not the service")
		})
	}
}

// A code belongs to a person: one that a service sends is neither redeemed nor forwarded.
func TestStepUp_redeemsNoCodeOfAService(t *testing.T) {
	h := newHouse(t)
	h.upstream = h.stepUpServices()
	service := h.token(func(c *auth.Claims) {
		c.Principal, c.Subject, c.SessionID, c.Roles, c.ACR, c.AMR, c.AuthTime = auth.KindService, "svc_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", "", nil, "", nil, 0
		c.Audience = jwt.ClaimStrings{"sequence"}
	})
	a := h.do("POST", reorderPath, reorderBody, "Authorization", "Bearer "+service, "X-OTP", "123456")
	require.Equal(t, 200, a.StatusCode, a.Text)
	require.Len(t, h.seen, 1, "the service alone was asked")
	require.Equal(t, reorderPath, h.seen[0].URL.Path)
	require.Empty(t, h.seen[0].Header.Values("X-Otp"))
}
