package kms_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/store"
)

func (h *house) register(name, raised string, scopes ...string) *api.ServiceRegistration {
	h.t.Helper()
	got, err := h.client.RegisterServiceWithResponse(h.t.Context(), nil, api.ServiceCreate{Name: name, Scopes: scopes}, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	return got.JSON201
}

func (h *house) tryEnrol(token string) *api.EnrolServiceResult {
	h.t.Helper()
	got, err := h.client.EnrolServiceWithResponse(h.t.Context(), api.Enrol{Token: token})
	require.NoError(h.t, err)
	return got
}

func (h *house) setService(serviceID, status, raised string) *api.Service {
	h.t.Helper()
	now, err := h.client.GetServiceWithResponse(h.t.Context(), serviceID, nil, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, now.StatusCode(), string(now.Body))
	got, err := h.client.UpdateServiceWithResponse(h.t.Context(), serviceID, &api.UpdateServiceParams{IfMatch: now.HTTPResponse.Header.Get("ETag")},
		api.ServiceUpdate{Status: ptr(api.ServiceUpdateStatus(status))}, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200
}

func TestEnrolService_oneOf32AndTheOthersAreAnEvent(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		token := h.enrolToken("search")
		var good, refused atomic.Int64
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				switch got := h.tryEnrol(token); got.StatusCode() {
				case http.StatusCreated:
					good.Add(1)
				case http.StatusUnauthorized:
					refused.Add(1)
				default:
					t.Errorf("%d %s", got.StatusCode(), got.Body)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, good.Load())
		require.EqualValues(t, 31, refused.Load())
		require.Len(t, h.events("enrolment token used twice"), 31)
	})
}

func TestEnrolmentFiles_lieForThoseWhoNeedThem(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	path := filepath.Join(h.dir, "enrol", "sequence", "token")
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	dir, err := os.Stat(filepath.Dir(path))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), dir.Mode().Perm())

	before := h.enrolToken("sequence")
	require.NoError(t, h.stop())
	h.run()
	require.Equal(t, before, h.enrolToken("sequence"), "one that still works stays")

	h.clock.Advance(time.Hour)
	require.Equal(t, http.StatusUnauthorized, h.tryEnrol(before).StatusCode(), "an hour is its life")
	require.NoError(t, h.stop())
	h.run()
	require.NotEqual(t, before, h.enrolToken("sequence"))

	key := h.enrol("sequence")
	require.NoFileExists(t, path, "used up")
	require.NoError(t, h.stop())
	h.run()
	require.FileExists(t, path, "nobody used the key before the start: its answer may be lost, and its service waits for another token")
	h.token(key, "kms") // it was not lost
	require.NoError(t, h.stop())
	h.run()
	require.NoFileExists(t, path)
	require.FileExists(t, filepath.Join(h.dir, "enrol", "gateway", "token"), "it has not enrolled")
}

func TestUpdateService_disablingEndsItsKeysAndTokens(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		key := h.enrol("search")
		h.token(key, "kms")
		reports := h.register("reports", raised, "elements:read")
		h.setService(key.APIKey.OwnerID, "disabled", raised)
		h.setService(reports.Service.ID, "disabled", raised)
		require.Equal(t, "invalid_client", code(h.ask(key.APIKey.ID, key.Key, "kms").Body))
		require.Equal(t, "invalid_enrolment_token", code(h.tryEnrol(reports.Enrolment.Token).Body))
		none, err := h.client.CreateEnrolmentTokenWithResponse(t.Context(), reports.Service.ID, nil, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "state_conflict", code(none.Body))
		require.NoError(t, h.stop())
		h.run()
		path := filepath.Join(h.dir, "enrol", "search", "token")
		require.NoFileExists(t, path, "a disabled service gets no token")

		h.setService(key.APIKey.OwnerID, "active", raised)
		require.Equal(t, "invalid_client", code(h.ask(key.APIKey.ID, key.Key, "kms").Body), "enabling brings no key back")
		require.NoError(t, h.stop())
		h.run()
		h.token(h.enrol("search"), "kms")
	})
}

func TestUpdateService_demandsTheVersionThatWasSeen(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	made := h.register("reports", raised, "elements:read")
	update := func(tag string, edit ...api.RequestEditorFn) int {
		got, err := h.client.UpdateServiceWithResponse(t.Context(), made.Service.ID, &api.UpdateServiceParams{IfMatch: tag},
			api.ServiceUpdate{Status: ptr(api.ServiceUpdateStatus("disabled"))}, append(edit, bearer(raised))...)
		require.NoError(t, err)
		return got.StatusCode()
	}
	require.Equal(t, http.StatusPreconditionFailed, update(`"2"`))
	require.Equal(t, http.StatusPreconditionRequired, update("", withoutIfMatch))
	require.Equal(t, http.StatusPreconditionFailed, update(`W/"1"`))
	require.Equal(t, http.StatusOK, update(`"5", "1"`))
	require.Equal(t, http.StatusPreconditionFailed, update(`"1"`))
}

func TestCreateEnrolmentToken_theNewOneAloneWorks(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		made := h.register("reports", raised, "elements:read")
		next, err := h.client.CreateEnrolmentTokenWithResponse(t.Context(), made.Service.ID, nil, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, next.StatusCode(), string(next.Body))
		require.Equal(t, http.StatusUnauthorized, h.tryEnrol(made.Enrolment.Token).StatusCode())
		key := h.tryEnrol(next.JSON201.Token)
		require.Equal(t, http.StatusCreated, key.StatusCode(), string(key.Body))
		got := h.ask(key.JSON201.APIKey.ID, key.JSON201.Key, "sequence")
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, "elements:read", got.JSON200.Scope)

		late, err := h.client.CreateEnrolmentTokenWithResponse(t.Context(), made.Service.ID, nil, bearer(raised))
		require.NoError(t, err)
		h.clock.Advance(10*time.Minute + time.Second)
		require.Equal(t, http.StatusUnauthorized, h.tryEnrol(late.JSON201.Token).StatusCode(), "ten minutes are its life")
	})
}

// K5: a lost answer can be had again for ten minutes, without registering a second service.
func TestRegisterService_lostAnswerIsHadAgain(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		key := "register-reports-1"
		register := func() *api.RegisterServiceResult {
			got, err := h.client.RegisterServiceWithResponse(t.Context(), &api.RegisterServiceParams{IdempotencyKey: &key},
				api.ServiceCreate{Name: "reports", Scopes: []string{"elements:read"}}, bearer(raised))
			require.NoError(t, err)
			return got
		}
		first, again := register(), register()
		require.Equal(t, http.StatusCreated, again.StatusCode(), string(again.Body))
		require.Equal(t, first.JSON201.Enrolment.Token, again.JSON201.Enrolment.Token)
		unknown, err := h.client.RegisterServiceWithResponse(t.Context(), nil, api.ServiceCreate{Name: "other", Scopes: []string{"no:such"}}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "validation_failed", code(unknown.Body))
	})
}

// Scopes that a release adds to a family service apply to its existing key.
func TestFamilyScopes_followTheRelease(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	key := h.enrol("search")
	h.offline(func(db *store.DB) {
		require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE services SET scopes = 'keyrings:use' WHERE name = 'search'")
			return err
		}))
	})
	got := h.ask(key.APIKey.ID, key.Key, "kms")
	require.Equal(t, "keyrings:use keys:rotate-own revocations:read secrets:read secrets:write", got.JSON200.Scope)
}

// A service that was killed between receiving and storing its key finds a new token after the next start of the kms, until it has used that.
func TestEnrolService_tokenForALostKeyStays(t *testing.T) {
	eachInTurn(t, func(h *house) {
		t := h.t
		h.enrol("twofactor") // the key is lost and never used
		require.NoError(t, h.stop())
		h.run()
		first := h.enrolToken("twofactor")
		require.Never(t, func() bool {
			raw, err := os.ReadFile(filepath.Join(h.dir, "enrol", "twofactor", "token"))
			return err != nil || strings.TrimSpace(string(raw)) != first
		}, 300*time.Millisecond, 10*time.Millisecond, "the files are tended at once after the start")
		h.enrol("twofactor")
		require.NoFileExists(t, filepath.Join(h.dir, "enrol", "twofactor", "token"))
	})
}
