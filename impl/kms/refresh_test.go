package kms_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

func (h *house) refresh(token string) *api.RefreshTokenResult {
	h.t.Helper()
	got, err := h.client.RefreshTokenWithResponse(h.t.Context(), api.Refresh{RefreshToken: token})
	require.NoError(h.t, err)
	return got
}

// J10: however many clients or tabs present the same token at once, there is one successor, and no session is ended.
func TestRefresh_64AtOnceHaveOneSuccessor(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		token := *h.login(adminName, adminPassword).RefreshToken
		var mu sync.Mutex
		successors := map[string]bool{}
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				got := h.refresh(token)
				if got.StatusCode() != http.StatusOK {
					t.Errorf("%d %s", got.StatusCode(), got.Body)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				successors[*got.JSON200.RefreshToken] = true
			})
		}
		all.Wait()
		require.Len(t, successors, 1)
		for successor := range successors {
			require.NotEqual(t, token, successor)
			require.Equal(t, http.StatusOK, h.refresh(successor).StatusCode())
		}
	})
}

func TestRefresh_lostAnswerMayBeAskedForAgainForTenSeconds(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		token := *h.login(adminName, adminPassword).RefreshToken
		first := h.refresh(token)
		require.Equal(t, http.StatusOK, first.StatusCode(), string(first.Body))
		h.clock.Advance(10 * time.Second)
		second := h.refresh(token)
		require.Equal(t, http.StatusOK, second.StatusCode(), string(second.Body))
		require.Equal(t, *first.JSON200.RefreshToken, *second.JSON200.RefreshToken)
	})
}

func TestRefresh_reuseAfterTheGraceEndsTheWholeFamily(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		other := h.login(adminName, adminPassword)
		token := *h.login(adminName, adminPassword).RefreshToken
		successor := *h.refresh(token).JSON200.RefreshToken
		h.clock.Advance(10*time.Second + time.Microsecond)
		stolen := h.refresh(token)
		require.Equal(t, http.StatusUnauthorized, stolen.StatusCode())
		require.Equal(t, "session_ended", code(stolen.Body))
		require.NotEmpty(t, stolen.HTTPResponse.Header.Get("WWW-Authenticate"))
		require.Equal(t, "session_ended", code(h.refresh(successor).Body), "the successor dies with it")
		require.Equal(t, http.StatusOK, h.refresh(*other.RefreshToken).StatusCode(), "another session of the same user does not")
		require.Len(t, h.events(`refresh token used twice`), 1)
	})
}

func TestRefresh_endsByIdlenessAndAge(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	idle := *h.login(adminName, adminPassword).RefreshToken
	busy := *h.login(adminName, adminPassword).RefreshToken
	for h.clock.Now().Before(time.Now().Add(7*24*time.Hour - 12*time.Hour)) {
		h.clock.Advance(11 * time.Hour)
		got := h.refresh(busy)
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		busy = *got.JSON200.RefreshToken
	}
	require.Equal(t, "session_ended", code(h.refresh(idle).Body), "nobody used it for 12 hours")
	h.clock.Advance(11 * time.Hour)
	last := h.refresh(busy)
	if last.StatusCode() == http.StatusOK { // still within the seven days
		busy = *last.JSON200.RefreshToken
	}
	h.clock.Advance(11 * time.Hour)
	require.Equal(t, "session_ended", code(h.refresh(busy).Body), "seven days are the end of the busiest session")
}

func TestRefresh_refusesEveryOtherText(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	tokens := h.login(adminName, adminPassword)
	token := *tokens.RefreshToken
	for _, wrong := range []string{
		token + "A", token[:len(token)-1], strings.ToUpper(token), "rt_", "rt_" + base64.RawURLEncoding.EncodeToString(make([]byte, 32)), strings.Repeat("A", 256),
	} {
		got := h.refresh(wrong)
		require.Equal(t, http.StatusUnauthorized, got.StatusCode(), string(got.Body))
		require.NotContains(t, string(got.Body), wrong)
	}
	require.Equal(t, http.StatusOK, h.refresh(token).StatusCode())
}

func TestLogout_endsThisSessionAlone(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		one, two := h.login(adminName, adminPassword), h.login(adminName, adminPassword)
		for _, want := range []int{http.StatusNoContent, http.StatusUnauthorized} { // from then on the access token is refused too
			got, err := h.client.LogoutUserWithResponse(t.Context(), nil, bearer(one.AccessToken))
			require.NoError(t, err)
			require.Equal(t, want, got.StatusCode())
		}
		require.Equal(t, "session_ended", code(h.refresh(*one.RefreshToken).Body))
		require.Equal(t, http.StatusOK, h.refresh(*two.RefreshToken).StatusCode())
	})
}
