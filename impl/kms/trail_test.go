package kms_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/store"
)

// trail returns the events that a filter selects.
func (h *house) trail(token string, p api.ListAuditEventsParams) []api.AuditEvent {
	h.t.Helper()
	got, err := h.client.ListAuditEventsWithResponse(h.t.Context(), &p, bearer(token))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200.Items
}

// The trail has every reading of a secret and every grant, with the actor, the address and the details.
func TestTrail_tellsReadingsAndGrants(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		require.Equal(t, http.StatusCreated, h.put("search.engine", "canary-value-1", raised, nil).StatusCode())
		key := h.enrol("search")
		require.Equal(t, http.StatusOK, h.get("search.engine", h.token(key, "kms")).StatusCode())
		require.Equal(t, http.StatusOK, h.get("search.engine", raised).StatusCode())
		readings := h.trail(raised, api.ListAuditEventsParams{Action: ptr("getSecret"), Target: ptr("search.engine")})
		require.Len(t, readings, 2)
		byService := readings[1]
		require.Equal(t, api.AuditEventActorKind("service"), byService.ActorKind)
		require.Equal(t, "127.0.0.1", *byService.Address)
		require.Equal(t, "1", (*byService.Detail)["version"])
		require.Contains(t, (*byService.Detail)["scopes"], "secrets:read")
		require.Equal(t, key.APIKey.ID, (*byService.Detail)["credential"])
		granted := h.trail(raised, api.ListAuditEventsParams{Action: ptr("issueToken"), Actor: ptr(byService.Actor)})
		require.NotEmpty(t, granted)
		require.Contains(t, (*granted[0].Detail)["scopes"], "secrets:read")
		login := h.trail(raised, api.ListAuditEventsParams{Action: ptr("loginUser"), Outcome: ptr(api.AuditOutcome("ok"))})
		require.NotEmpty(t, login)
		require.Equal(t, "admin", (*login[0].Detail)["roles"])
		require.NotEmpty(t, (*login[0].Detail)["scopes"])
		none := h.trail(raised, api.ListAuditEventsParams{From: ptr(time.Now().Add(24 * time.Hour * 365))})
		require.Empty(t, none)
	})
}

// Only callers with the scope can read the trail. A role for auditors can have it without being an administrator.
func TestTrail_isForAuditors(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		h.user("grace", "reader", raised)
		reader := h.login("grace", userPassword).AccessToken
		refused, err := h.client.GetAuditCheckpointWithResponse(t.Context(), bearer(reader))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, refused.StatusCode())
		made := h.putRole("auditor", raised, nil, "audit:read")
		require.Less(t, made.StatusCode(), 300, string(made.Body))
		h.user("frances", "auditor", raised)
		auditor := h.login("frances", userPassword)
		require.Contains(t, auditor.Scope, "audit:read")
		asked, err := h.client.GetAuditCheckpointWithResponse(t.Context(), bearer(auditor.AccessToken))
		require.NoError(t, err)
		require.Equal(t, "insufficient_user_authentication", code(asked.Body), "with a second factor, as administrators")
	})
}

func TestTrail_isVerifiedExportedAndWitnessed(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		kept, err := h.client.GetAuditCheckpointWithResponse(t.Context(), bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, kept.StatusCode(), string(kept.Body))
		verify := func(c *api.AuditCheckpoint) *api.VerifyAuditResult {
			got, err := h.client.VerifyAuditWithResponse(t.Context(), api.AuditVerify{Checkpoint: c}, bearer(raised))
			require.NoError(t, err)
			return got
		}
		good := verify(kept.JSON200)
		require.Equal(t, http.StatusOK, good.StatusCode(), string(good.Body))
		require.True(t, good.JSON200.Intact)
		forged := *kept.JSON200
		forged.Seq--
		require.Equal(t, http.StatusUnprocessableEntity, verify(&forged).StatusCode())

		export := func() string {
			got, err := h.client.ExportAudit(t.Context(), &api.ExportAuditParams{}, bearer(raised))
			if err != nil {
				return "" // it was aborted before any byte was sent
			}
			defer got.Body.Close()
			require.Equal(t, http.StatusOK, got.StatusCode)
			text, _ := io.ReadAll(got.Body) // it may be aborted
			return string(text)
		}
		whole := export()
		report, err := audit.VerifyExport(strings.NewReader(whole), "kms", kept.JSON200.PublicKey)
		require.NoError(t, err)
		require.Greater(t, report.Checked, kept.JSON200.Seq, "the export is in it")
		require.Contains(t, whole, `"action":"exportAudit"`)
		require.NotContains(t, whole, adminPassword)

		service := h.token(h.enrol("search"), "kms")
		foreign, err := h.client.WitnessAuditWithResponse(t.Context(), apiWitness(*kept.JSON200, 0), bearer(service))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, foreign.StatusCode(), "a service tells of its own trail alone")

		h.offline(func(db *store.DB) {
			require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.Exec(ctx, "UPDATE audit_events SET actor = 'usr_2' WHERE seq = 2")
				return err
			}))
		})
		broken := verify(nil)
		require.Equal(t, http.StatusOK, broken.StatusCode(), string(broken.Body))
		require.False(t, broken.JSON200.Intact)
		require.EqualValues(t, 2, *broken.JSON200.FirstBreak)
		_, err = audit.VerifyExport(strings.NewReader(export()), "kms", kept.JSON200.PublicKey)
		require.ErrorIs(t, err, audit.ErrExport)
	})
}
