package kms_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/store"
)

func (h *house) ownKey(userID, token string, scopes ...string) *api.APIKeyWithSecret {
	h.t.Helper()
	got, err := h.client.CreateAPIKeyWithResponse(h.t.Context(), nil, api.APIKeyCreate{
		Name: "own", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(userID), Scopes: scopes,
	}, bearer(token))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	return got.JSON201
}

func (h *house) verify(key, token string, scopes ...string) *api.APIKeyVerdict {
	h.t.Helper()
	body := api.APIKeyVerify{Key: key}
	if scopes != nil {
		body.Scopes = &scopes
	}
	got, err := h.client.VerifyAPIKeyWithResponse(h.t.Context(), body, bearer(token))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200
}

func (h *house) rotate(keyID, token string, overlap int64) *api.RotateAPIKeyResult {
	h.t.Helper()
	got, err := h.client.RotateAPIKeyWithResponse(h.t.Context(), keyID, nil, api.APIKeyRotate{OverlapSeconds: &overlap}, bearer(token))
	require.NoError(h.t, err)
	return got
}

func (h *house) revoke(keyID, token string) int {
	h.t.Helper()
	got, err := h.client.RevokeAPIKeyWithResponse(h.t.Context(), keyID, bearer(token))
	require.NoError(h.t, err)
	return got.StatusCode()
}

func TestVerifyAPIKey_saysWhatAKeyIs(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		key := h.ownKey(admin.ID, raised, "elements:read", "elements:write")
		require.True(t, strings.HasPrefix(key.Key, key.APIKey.Start))
		require.Len(t, key.Key, 84)
		require.EqualValues(t, "active", key.APIKey.Status)
		require.Equal(t, 90*24*time.Hour, key.APIKey.ExpiresAt.Sub(key.APIKey.CreatedAt))

		v := h.verify(key.Key, raised, "elements:read")
		require.True(t, v.Valid)
		require.Equal(t, []string{"VALID", key.APIKey.ID, admin.ID}, []string{string(v.Code), *v.KeyID, *v.OwnerID})
		require.Equal(t, []string{"elements:read", "elements:write"}, *v.Scopes)
		v = h.verify(key.Key, raised, "users:write")
		require.False(t, v.Valid)
		require.EqualValues(t, "INSUFFICIENT_SCOPE", v.Code)

		last := key.Key[len(key.Key)-1]
		mistyped := key.Key[:len(key.Key)-1] + string(last^1)
		for text, want := range map[string]string{
			mistyped: "MALFORMED", " " + key.Key: "MALFORMED", strings.ToLower(key.Key): "MALFORMED", "x": "MALFORMED", strings.Repeat("k", 512): "MALFORMED",
		} {
			v := h.verify(text, raised)
			require.EqualValues(t, want, v.Code)
			require.False(t, v.Valid)
			require.Nil(t, v.KeyID)
			require.Nil(t, v.OwnerID)
		}
		// K2: a missing key is not cached as missing, and nothing about an unknown key is revealed.
		h.offline(func(db *store.DB) {
			require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE api_keys SET hash = ? WHERE id = ?", []byte("another"), key.APIKey.ID)
				return err
			}))
		})
		v = h.verify(key.Key, raised)
		require.EqualValues(t, "NOT_FOUND", v.Code)
		require.Nil(t, v.KeyID)

		other := h.ownKey(admin.ID, raised, "elements:read")
		require.Equal(t, http.StatusOK, h.revoke(other.APIKey.ID, raised))
		require.Equal(t, http.StatusOK, h.revoke(other.APIKey.ID, raised), "repeating is safe")
		require.EqualValues(t, "REVOKED", h.verify(other.Key, raised).Code)
		require.Equal(t, http.StatusNotFound, h.revoke("key_01KBB6Q3Y5W1V9T2ZD0G7M4N8P", raised))
	})
}

func TestAPIKey_isNowhereInTheDatabase(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		key := h.ownKey(admin.ID, raised, "elements:read")
		h.verify(key.Key, raised)
		h.offline(func(db *store.DB) {
			var hashes [][]byte
			require.NoError(t, db.Read(context.Background()).Select(context.Background(), &hashes, "SELECT hash FROM api_keys"))
			for _, hash := range hashes {
				require.NotContains(t, string(hash), key.Key[len(key.APIKey.Start):])
				require.NotContains(t, hex.EncodeToString(hash), hex.EncodeToString([]byte(key.Key[40:])))
			}
		})
	})
}

func TestAPIKey_statusFollowsTheClock(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	end := h.clock.Now().Add(2 * time.Minute)
	made, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
		Name: "short", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(admin.ID), Scopes: []string{"elements:read"}, ExpiresAt: &end,
	}, bearer(raised))
	require.NoError(t, err)
	require.EqualValues(t, "VALID", h.verify(made.JSON201.Key, raised).Code)
	h.clock.Advance(2 * time.Minute)
	require.EqualValues(t, "EXPIRED", h.verify(made.JSON201.Key, raised).Code)
	got, err := h.client.GetAPIKeyWithResponse(t.Context(), made.JSON201.APIKey.ID, nil, bearer(raised))
	require.NoError(t, err)
	require.EqualValues(t, "expired", got.JSON200.Status)
	require.NotNil(t, got.JSON200.LastUsedAt)
	require.Equal(t, "state_conflict", code(h.rotate(made.JSON201.APIKey.ID, raised, 60).Body), "K4: rotating revives nothing")
	for _, wrong := range []time.Time{h.clock.Now(), h.clock.Now().Add(-time.Hour), h.clock.Now().Add(366 * 24 * time.Hour)} {
		bad, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
			Name: "bad", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(admin.ID), Scopes: []string{"elements:read"}, ExpiresAt: &wrong,
		}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, bad.StatusCode())
	}
}

func TestRotateAPIKey_bothWorkForTheOverlap(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		old := h.ownKey(admin.ID, raised, "elements:read")
		got := h.rotate(old.APIKey.ID, raised, 60)
		require.Equal(t, http.StatusCreated, got.StatusCode(), string(got.Body))
		next := got.JSON201
		require.Equal(t, old.APIKey.ID, next.Replaces)
		require.Equal(t, time.Minute, next.ReplacedExpiresAt.Sub(next.APIKey.CreatedAt))
		require.Equal(t, old.APIKey.Scopes, next.APIKey.Scopes)
		for _, key := range []string{old.Key, next.Key} {
			require.EqualValues(t, "VALID", h.verify(key, raised).Code)
		}
		was, err := h.client.GetAPIKeyWithResponse(t.Context(), old.APIKey.ID, nil, bearer(raised))
		require.NoError(t, err)
		require.EqualValues(t, "expiring", was.JSON200.Status)
		require.Equal(t, next.APIKey.ID, *was.JSON200.ReplacedBy)
		require.Equal(t, "state_conflict", code(h.rotate(old.APIKey.ID, raised, 60).Body))
		h.clock.Advance(time.Minute)
		require.EqualValues(t, "EXPIRED", h.verify(old.Key, raised).Code)
		require.EqualValues(t, "VALID", h.verify(next.Key, raised).Code)
	})
}

// K4: of many concurrent rotations one succeeds.
func TestRotateAPIKey_32AtOnceHaveOneSuccessor(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		old := h.ownKey(admin.ID, raised, "elements:read")
		var good, refused atomic.Int64
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				switch got := h.rotate(old.APIKey.ID, raised, 60); got.StatusCode() {
				case http.StatusCreated:
					good.Add(1)
				case http.StatusConflict:
					refused.Add(1)
				default:
					t.Errorf("%d %s", got.StatusCode(), got.Body)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, good.Load())
		require.EqualValues(t, 31, refused.Load())
	})
}

func TestRotateAPIKey_againWhenNobodyUsedTheSuccessor(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		old := h.ownKey(admin.ID, raised, "elements:read")
		lost := h.rotate(old.APIKey.ID, raised, 3600).JSON201
		h.clock.Advance(61 * time.Second)
		again := h.rotate(old.APIKey.ID, raised, 3600)
		require.Equal(t, http.StatusCreated, again.StatusCode(), string(again.Body))
		require.EqualValues(t, "REVOKED", h.verify(lost.Key, raised).Code, "one successor, never two")
		require.EqualValues(t, "VALID", h.verify(again.JSON201.Key, raised).Code)
		h.clock.Advance(61 * time.Second)
		require.Equal(t, "state_conflict", code(h.rotate(old.APIKey.ID, raised, 3600).Body), "the successor is in use now")
		require.EqualValues(t, "VALID", h.verify(again.JSON201.Key, raised).Code)
	})
}

func TestRotateCurrentAPIKey_byTheServiceItself(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		key := h.enrol("sequence")
		rotate := func(token, idempotency string) *api.RotateCurrentAPIKeyResult {
			overlap := int64(3600)
			got, err := h.client.RotateCurrentAPIKeyWithResponse(t.Context(), &api.RotateCurrentAPIKeyParams{IdempotencyKey: idempotency},
				api.APIKeyRotate{OverlapSeconds: &overlap}, bearer(token))
			require.NoError(t, err)
			return got
		}
		token := h.token(key, "kms")
		first, again := rotate(token, "rotation-1"), rotate(token, "rotation-1")
		require.Equal(t, http.StatusCreated, first.StatusCode(), string(first.Body))
		require.Equal(t, first.JSON201.Key, again.JSON201.Key, "a lost answer is had again")
		require.Equal(t, key.APIKey.ID, first.JSON201.Replaces)
		require.Equal(t, "state_conflict", code(rotate(token, "rotation-2").Body))
		next := &api.APIKeyWithSecret{APIKey: first.JSON201.APIKey, Key: first.JSON201.Key}
		require.Equal(t, claims(t, h.token(key, "kms")).Scope, claims(t, h.token(next, "kms")).Scope)
		h.clock.Advance(10*time.Minute + time.Second)
		require.Equal(t, "replay_expired", code(rotate(h.token(next, "kms"), "rotation-1").Body), "a secret is not given again for ever")
		none, err := h.client.RotateCurrentAPIKeyWithBodyWithResponse(t.Context(), &api.RotateCurrentAPIKeyParams{}, "application/json",
			strings.NewReader(`{}`), bearer(h.token(next, "kms")), func(_ context.Context, r *http.Request) error {
				r.Header.Del("Idempotency-Key")
				return nil
			})
		require.NoError(t, err)
		require.Equal(t, "idempotency_missing", code(none.Body))
	})
}

// A holder of a service's key could do without a second factor what an administrator can't, so creating such a key requires one.
func TestCreateAPIKey_forOthersAsksForASecondFactor(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	weak := h.login(adminName, adminPassword).AccessToken
	grace := h.user("grace", "editor", raised)
	reports := h.register("reports", raised, "elements:read")
	create := func(kind, owner, token string) *api.CreateAPIKeyResult {
		got, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
			Name: "for another", OwnerKind: new(api.APIKeyCreateOwnerKind(kind)), OwnerID: new(owner), Scopes: []string{"elements:read"},
		}, bearer(token))
		require.NoError(t, err)
		return got
	}
	for owner, kind := range map[string]string{grace.ID: "user", reports.Service.ID: "service"} {
		require.Equal(t, "insufficient_user_authentication", code(create(kind, owner, weak).Body))
		made := create(kind, owner, raised)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		require.Equal(t, "insufficient_user_authentication", code(h.rotate(made.JSON201.APIKey.ID, weak, 60).Body))
		require.Equal(t, http.StatusCreated, h.rotate(made.JSON201.APIKey.ID, raised, 60).StatusCode())
		require.Equal(t, http.StatusUnauthorized, h.revoke(made.JSON201.APIKey.ID, weak), "somebody else's key")
		require.Equal(t, http.StatusOK, h.revoke(made.JSON201.APIKey.ID, raised))
	}
	// Other users create keys only for themselves, with scopes they have, and see no others.
	token := h.login("grace", userPassword).AccessToken
	require.Equal(t, http.StatusForbidden, create("service", reports.Service.ID, token).StatusCode())
	mine := create("user", grace.ID, token)
	require.Equal(t, http.StatusCreated, mine.StatusCode(), string(mine.Body))
	require.Equal(t, http.StatusOK, h.revoke(mine.JSON201.APIKey.ID, token), "revoking an own key must not be hard")
	more, err := h.client.CreateAPIKeyWithResponse(t.Context(), nil, api.APIKeyCreate{
		Name: "more", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(grace.ID), Scopes: []string{"users:write"},
	}, bearer(token))
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, more.StatusCode())
	listed, err := h.client.ListAPIKeysWithResponse(t.Context(), nil, bearer(token))
	require.NoError(t, err)
	for _, k := range listed.JSON200.Items {
		require.Equal(t, grace.ID, k.OwnerID)
	}
	everybody, err := h.client.ListAPIKeysWithResponse(t.Context(), nil, bearer(raised))
	require.NoError(t, err)
	require.Greater(t, len(everybody.JSON200.Items), len(listed.JSON200.Items))
	for _, k := range everybody.JSON200.Items {
		if k.OwnerID != grace.ID {
			require.Equal(t, http.StatusNotFound, h.revoke(k.ID, token))
		}
	}
}

func TestListAPIKeys_newestFirstPageByPage(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	for range 5 {
		h.ownKey(admin.ID, raised, "elements:read")
	}
	var ids []string
	limit, cursor := int32(2), (*string)(nil)
	for {
		got, err := h.client.ListAPIKeysWithResponse(t.Context(), &api.ListAPIKeysParams{Limit: &limit, Cursor: cursor}, bearer(raised))
		require.NoError(t, err)
		for _, k := range got.JSON200.Items {
			ids = append(ids, k.ID)
		}
		if cursor = got.JSON200.NextCursor; cursor == nil {
			break
		}
	}
	require.Len(t, ids, 6) // and that of twofactor
	for i := 1; i < len(ids); i++ {
		require.Greater(t, ids[i-1], ids[i])
	}
}

func TestAPIKey_lastUseIsKept(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	admin, raised := h.administrator()
	key := h.ownKey(admin.ID, raised, "elements:read")
	lastUse := func() string {
		got, err := h.client.GetAPIKeyWithResponse(t.Context(), key.APIKey.ID, nil, bearer(raised))
		require.NoError(t, err)
		return fmt.Sprint(got.JSON200.LastUsedAt)
	}
	require.Equal(t, "<nil>", lastUse())
	h.verify(key.Key, raised)
	require.Equal(t, h.clock.Now().Truncate(time.Microsecond).String(), lastUse())
	h.clock.Advance(time.Minute)
	h.verify(key.Key, raised)
	used := h.clock.Now().Truncate(time.Microsecond).String()
	require.NoError(t, h.stop()) // flushes
	h.run()
	require.Equal(t, used, lastUse())
}
