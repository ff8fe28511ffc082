package kms_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
)

func (h *house) createKey(body api.APIKeyCreate, token string) *api.CreateAPIKeyResult {
	h.t.Helper()
	got, err := h.client.CreateAPIKeyWithResponse(h.t.Context(), nil, body, bearer(token))
	require.NoError(h.t, err)
	return got
}

func (h *house) updateKey(keyID, tag, token string, change api.APIKeyUpdate) *api.UpdateAPIKeyResult {
	h.t.Helper()
	got, err := h.client.UpdateAPIKeyWithResponse(h.t.Context(), keyID, &api.UpdateAPIKeyParams{IfMatch: tag}, change, bearer(token))
	require.NoError(h.t, err)
	return got
}

func (h *house) keyOf(keyID, token string) *api.APIKey {
	h.t.Helper()
	got, err := h.client.GetAPIKeyWithResponse(h.t.Context(), keyID, nil, bearer(token))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	require.Regexp(h.t, fmt.Sprintf(`^"%d-[0-9a-z]+"$`, got.JSON200.Version), got.HTTPResponse.Header.Get("ETag"))
	return got.JSON200
}

func TestAPIKey_carriesWhatItsOwnerSaysOfIt(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		grace := h.user("grace", "editor", raised)
		session := h.login("grace", userPassword).AccessToken
		test := api.APIKeyCreateEnvironment("test")
		made := h.createKey(api.APIKeyCreate{Name: "import", Scopes: []string{"elements:read", "keys:write", "keys:read"}, Environment: &test,
			Metadata: &map[string]string{"team": "data", "ticket": "FOUNT-1"}}, session)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		require.Regexp(t, `^fk_test_`, made.JSON201.Key)
		v := h.verify(made.JSON201.Key, raised)
		require.True(t, v.Valid)
		require.Equal(t, "test", string(*v.Environment))
		require.Equal(t, "data", (*v.Metadata)["team"])
		who, err := h.client.WhoamiAPIKeyWithResponse(t.Context(), api.APIKeyText{Key: made.JSON201.Key})
		require.NoError(t, err)
		require.Equal(t, "grace", who.JSON200.OwnerName)
		require.Equal(t, []string{"elements:read", "keys:read", "keys:write"}, who.JSON200.Scopes)
		for _, wrong := range []string{"nothing", made.JSON201.Key[:len(made.JSON201.Key)-1] + "!"} {
			refused, err := h.client.WhoamiAPIKeyWithResponse(t.Context(), api.APIKeyText{Key: wrong})
			require.NoError(t, err)
			require.Equal(t, "invalid_credentials", code(refused.Body))
		}

		id := made.JSON201.APIKey.ID
		changed := h.updateKey(id, `"1"`, session, api.APIKeyUpdate{Name: ptr("nightly"), Metadata: &map[string]string{}})
		require.Equal(t, http.StatusOK, changed.StatusCode(), string(changed.Body))
		require.Equal(t, "nightly", changed.JSON200.Name)
		require.Nil(t, changed.JSON200.Metadata)
		require.Nil(t, h.verify(made.JSON201.Key, raised).Metadata, "the next check knows it")
		require.Equal(t, http.StatusPreconditionFailed, h.updateKey(id, `"1"`, session, api.APIKeyUpdate{Name: ptr("late")}).StatusCode())
		own := h.token(made.JSON201, "kms")
		require.Equal(t, http.StatusForbidden, h.updateKey(id, `"2"`, own, api.APIKeyUpdate{RateLimit: &api.KeyRateLimit{Limit: 5, WindowSeconds: 60}}).StatusCode())
		eve := h.user("eve", "editor", raised)
		_ = eve
		require.Equal(t, http.StatusNotFound, h.updateKey(id, `"2"`, h.login("eve", userPassword).AccessToken, api.APIKeyUpdate{Name: ptr("hers")}).StatusCode())

		rotated := h.rotate(id, session, 60)
		require.Regexp(t, `^fk_test_`, rotated.JSON201.Key, "a successor is of the same environment")
		h.revoke(id, session)
		require.Equal(t, "state_conflict", code(h.updateKey(id, `"2"`, session, api.APIKeyUpdate{Name: ptr("late")}).Body))
		require.NotEmpty(t, grace.ID)
	})
}

// A limit of ten per minute is ten at once and then one every six seconds. Beyond it the answer says when the next use is allowed.
func TestAPIKey_rateLimitHolds(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		h.user("grace", "editor", raised)
		session := h.login("grace", userPassword).AccessToken
		made := h.createKey(api.APIKeyCreate{Name: "limited", Scopes: []string{"elements:read", "keys:write"}, RateLimit: &api.KeyRateLimit{Limit: 10, WindowSeconds: 60}}, session)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		key := made.JSON201
		token := h.token(key, "kms") // the first use
		require.Equal(t, http.StatusForbidden, h.createKey(api.APIKeyCreate{Name: "sibling", Scopes: []string{"keys:write"}}, token).StatusCode(),
			"a limited key makes none without a limit")
		var good, over int
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 30 {
			all.Go(func() {
				v := h.verify(key.Key, raised)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case v.Valid:
					good++
				case v.Code == "RATE_LIMITED":
					over++
				}
			})
		}
		all.Wait()
		require.Equal(t, 9, good)
		require.Equal(t, 21, over)
		v := h.verify(key.Key, raised)
		require.Zero(t, v.RateLimit.Remaining)
		require.EqualValues(t, 10, v.RateLimit.Limit)
		require.WithinDuration(t, h.clock.Now().Add(time.Minute), v.RateLimit.ResetAt, time.Second)
		successor := h.rotate(key.APIKey.ID, session, 604800).JSON201.Key
		require.EqualValues(t, "RATE_LIMITED", h.verify(successor, raised).Code, "to rotate is no way around the limit")
		refused := h.ask(key.APIKey.ID, key.Key, "sequence")
		require.Equal(t, http.StatusTooManyRequests, refused.StatusCode(), string(refused.Body))
		require.Equal(t, "6", refused.HTTPResponse.Header.Get("Retry-After"))
		h.clock.Advance(-time.Hour) // setting the clock back neither makes callers wait for the hour nor resets the limit
		refused = h.ask(key.APIKey.ID, key.Key, "sequence")
		require.Equal(t, "6", refused.HTTPResponse.Header.Get("Retry-After"))
		h.clock.Advance(6 * time.Second)
		require.Equal(t, http.StatusOK, h.ask(key.APIKey.ID, key.Key, "sequence").StatusCode())
		h.clock.Advance(time.Hour + time.Minute)
		session = h.login("grace", userPassword).AccessToken
		lifted := h.updateKey(key.APIKey.ID, `"1"`, session, api.APIKeyUpdate{RateLimit: &api.KeyRateLimit{Limit: 0, WindowSeconds: 1}})
		require.Equal(t, http.StatusOK, lifted.StatusCode(), string(lifted.Body))
		require.Nil(t, lifted.JSON200.RateLimit)
		require.Equal(t, http.StatusOK, h.ask(key.APIKey.ID, key.Key, "sequence").StatusCode())
	})
}

// A cached result is not used when the key has ended since: the next check at the same replica detects every way of ending a key.
func TestVerifyAPIKey_seesEveryEndAtOnce(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		prover := h.prover()
		raise := func() string { return prover.raise(h.login(adminName, adminPassword).AccessToken, "kms") }
		raised := raise()
		verifier := h.register("verifier", raised, "keys:verify")
		asks := h.token(h.tryEnrol(verifier.Enrolment.Token).JSON201, "kms")
		for name, end := range map[string]func(owner *api.UserCreated, key *api.APIKeyWithSecret, session string){
			"revoked": func(_ *api.UserCreated, k *api.APIKeyWithSecret, session string) { h.revoke(k.APIKey.ID, session) },
			"owner disabled": func(u *api.UserCreated, _ *api.APIKeyWithSecret, _ string) {
				h.change(u.ID, `{"status":"disabled"}`, raised)
			},
			"owner demoted": func(u *api.UserCreated, _ *api.APIKeyWithSecret, _ string) {
				h.change(u.ID, `{"roles":["reader"]}`, raised)
			},
			"rotated away": func(_ *api.UserCreated, k *api.APIKeyWithSecret, session string) { h.rotate(k.APIKey.ID, session, 0) },
			"clock past the end": func(_ *api.UserCreated, _ *api.APIKeyWithSecret, _ string) {
				h.clock.Advance(100 * 24 * time.Hour)
				raised = raise()
				asks = raised
			},
		} {
			owner := h.user(strings.ReplaceAll(name, " ", "-"), "editor", raised)
			session := h.login(owner.Username, userPassword).AccessToken
			key := h.ownKey(owner.ID, session, "elements:write")
			for range 3 { // the first use is written, the second one reads the row, the third one uses the cache
				require.True(t, h.verify(key.Key, asks, "elements:write").Valid, name)
			}
			end(owner, key, session)
			require.False(t, h.verify(key.Key, asks, "elements:write").Valid, name)
		}
	})
}

func TestAPIKey_countsItsUses(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	key := h.ownKey(admin.ID, raised, "elements:read")
	for range 7 {
		require.True(t, h.verify(key.Key, raised).Valid)
	}
	require.Eventually(t, func() bool { return h.keyOf(key.APIKey.ID, raised).Uses == 7 }, 10*time.Second, 50*time.Millisecond)
}

// A conditional read of a key or service also reports uses and expiry, although these do not change the version.
func TestReads_tellWhoHasTheVersionOfUsesAndEnds(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	made := h.ownKey(admin.ID, raised, "elements:read")
	registered := h.register("reports", raised, "elements:read")
	key := func(tag string) (int, string) {
		got, err := h.client.GetAPIKeyWithResponse(t.Context(), made.APIKey.ID, &api.GetAPIKeyParams{IfNoneMatch: &tag}, bearer(raised))
		require.NoError(t, err)
		return got.StatusCode(), got.HTTPResponse.Header.Get("ETag")
	}
	service := func(tag string) (int, string) {
		got, err := h.client.GetServiceWithResponse(t.Context(), registered.Service.ID, &api.GetServiceParams{IfNoneMatch: &tag}, bearer(raised))
		require.NoError(t, err)
		return got.StatusCode(), got.HTTPResponse.Header.Get("ETag")
	}
	role := func(tag string) (int, string) {
		got, err := h.client.GetRoleWithResponse(t.Context(), "admin", &api.GetRoleParams{IfNoneMatch: &tag}, bearer(raised))
		require.NoError(t, err)
		return got.StatusCode(), got.HTTPResponse.Header.Get("ETag")
	}
	for name, read := range map[string]func(string) (int, string){"key": key, "service": service, "role": role} {
		_, seen := read(`"0"`)
		status, _ := read(seen)
		require.Equal(t, http.StatusNotModified, status, name)
		switch name {
		case "key":
			require.True(t, h.verify(made.Key, raised).Valid)
		case "role":
			h.resourceServer("invoices", raised, []string{}, "invoices:read") // the administrator has the new scope from then on
		default:
			enrolled := h.tryEnrol(registered.Enrolment.Token)
			require.Equal(t, http.StatusCreated, enrolled.StatusCode())
			h.token(enrolled.JSON201, "sequence")
		}
		require.Eventually(t, func() bool { status, _ := read(seen); return status == http.StatusOK }, 10*time.Second, 20*time.Millisecond, name)
	}
}
