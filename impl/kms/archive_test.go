package kms_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/audit"
)

// exported returns an export of the kms's trail and its end.
func (h *house) exported(token string, p api.ExportAuditParams) (string, audit.Archived) {
	h.t.Helper()
	got, err := h.client.ExportAudit(h.t.Context(), &p, bearer(token))
	require.NoError(h.t, err)
	defer got.Body.Close()
	require.Equal(h.t, http.StatusOK, got.StatusCode)
	text, err := io.ReadAll(got.Body)
	require.NoError(h.t, err)
	signed, err := h.client.GetAuditCheckpointWithResponse(h.t.Context(), bearer(token))
	require.NoError(h.t, err)
	part, err := audit.VerifyPart(strings.NewReader(string(text)), "kms", signed.JSON200.PublicKey)
	require.NoError(h.t, err)
	return string(text), part
}

// keepTrail restarts the kms with a minimum age of events that may be removed from its trail.
func (h *house) keepTrail(least time.Duration) {
	h.t.Helper()
	require.NoError(h.t, h.stop())
	h.config.AuditKeep = least
	h.run()
}

// ofService returns the checkpoint as if it were another service's.
func ofService(t *testing.T, c audit.Checkpoint, service string) audit.Checkpoint {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	c.Service, c.PublicKey, c.KeyID = service, public, audit.KeyName(public)
	c.Sign(private)
	return c
}

func apiCheckpoint(c audit.Checkpoint) api.AuditCheckpoint {
	return api.AuditCheckpoint{Service: c.Service, Seq: c.Seq, Hash: c.Hash, At: c.At, KeyID: c.KeyID, PublicKey: c.PublicKey, Signature: c.Signature}
}

func apiWitness(c api.AuditCheckpoint, kept int64) api.AuditWitness {
	return api.AuditWitness{
		Service: c.Service, Seq: c.Seq, Hash: c.Hash, At: c.At, KeyID: c.KeyID, PublicKey: c.PublicKey, Signature: c.Signature, KeptSeconds: &kept,
	}
}

// Only an administrator can order the removal of archived events. Events that are too young, or in no archive, stay.
func TestArchive_removesWhatIsInAnArchive(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.keepTrail(time.Millisecond)
		_, raised := h.administrator()
		h.clock.Advance(time.Second)
		long := int64(5)
		_, early := h.exported(raised, api.ExportAuditParams{Limit: ptr(int64(2))})
		text, part := h.exported(raised, api.ExportAuditParams{Limit: &long})
		order := func(body api.AuditArchive, token string) *api.ArchiveAuditResult {
			got, err := h.client.ArchiveAuditWithResponse(t.Context(), body, bearer(token))
			require.NoError(t, err)
			return got
		}
		body := api.AuditArchive{Checkpoint: apiCheckpoint(part.End)}
		h.user("grace", "reader", raised)
		require.Equal(t, http.StatusForbidden, order(body, h.login("grace", userPassword).AccessToken).StatusCode())
		forged := body
		forged.Checkpoint.Seq++
		require.Equal(t, http.StatusUnprocessableEntity, order(forged, raised).StatusCode())
		elsewhere := body
		elsewhere.After = 2
		require.Equal(t, http.StatusConflict, order(elsewhere, raised).StatusCode())
		unknown := body
		unknown.Checkpoint.Service = "gateway"
		require.Equal(t, http.StatusUnprocessableEntity, order(unknown, raised).StatusCode())

		got := order(body, raised)
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, part.Seq, got.JSON200.Ordered)
		require.Eventually(t, func() bool { return *order(body, raised).JSON200.Removed == part.Seq }, 30*time.Second, 20*time.Millisecond)
		told := h.trail(raised, api.ListAuditEventsParams{Action: ptr(audit.ArchiveAudit)})
		require.Len(t, told, 1, "the same order again is no other")
		require.Equal(t, "user", string(told[0].ActorKind))
		page, err := h.client.ListAuditEventsWithResponse(t.Context(), &api.ListAuditEventsParams{}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, part.Seq+1, *page.JSON200.ArchivedBefore)
		verified, err := h.client.VerifyAuditWithResponse(t.Context(), api.AuditVerify{}, bearer(raised))
		require.NoError(t, err)
		require.True(t, verified.JSON200.Intact, string(verified.Body))
		require.Equal(t, part.Seq, verified.JSON200.After)
		gone, err := h.client.ExportAuditWithResponse(t.Context(), &api.ExportAuditParams{After: ptr(int64(3))}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusGone, gone.StatusCode())
		require.Contains(t, string(gone.Body), "begins with number 6")
		old, err := h.client.VerifyAuditWithResponse(t.Context(), api.AuditVerify{Checkpoint: ptr(apiCheckpoint(early.End))}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusGone, old.StatusCode())
		live, rest := h.exported(raised, api.ExportAuditParams{})
		whole, err := audit.VerifyArchives([]audit.Text{{Name: "archive", Read: strings.NewReader(text)}, {Name: "live", Read: strings.NewReader(live)}}, "kms", rest.End.PublicKey)
		require.NoError(t, err)
		require.Equal(t, rest.Seq, whole.Seq)

		h.keepTrail(24 * time.Hour)
		_, young := h.exported(raised, api.ExportAuditParams{Limit: &long})
		refused := order(api.AuditArchive{After: part.Seq, Checkpoint: apiCheckpoint(young.End)}, raised)
		require.Equal(t, http.StatusConflict, refused.StatusCode())
		require.Contains(t, string(refused.Body), "younger than 1 day,")
		page, err = h.client.ListAuditEventsWithResponse(t.Context(), &api.ListAuditEventsParams{}, bearer(raised))
		require.NoError(t, err)
		require.EqualValues(t, 24*60*60, *page.JSON200.KeptSeconds)
		require.Equal(t, h.clock.Now().UTC().Truncate(time.Microsecond), page.JSON200.At.UTC())
	})
}

// The kms passes an order only to the service whose trail it concerns.
func TestArchive_isOrderedFromOtherServices(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		search, sequence := h.token(h.enrol("search"), "kms"), h.token(h.enrol("sequence"), "kms")
		pending := func(token string) *api.GetAuditOrderResult {
			got, err := h.client.GetAuditOrderWithResponse(t.Context(), bearer(token))
			require.NoError(t, err)
			return got
		}
		require.Nil(t, pending(search).JSON200.Order)
		require.Equal(t, http.StatusForbidden, pending(raised).StatusCode())
		_, part := h.exported(raised, api.ExportAuditParams{Limit: ptr(int64(2))})
		end := ofService(t, part.End, "search")
		got, err := h.client.ArchiveAuditWithResponse(t.Context(), api.AuditArchive{Checkpoint: apiCheckpoint(end)}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Nil(t, got.JSON200.Removed, "it is for the service to say")
		told := pending(search).JSON200.Order
		require.Equal(t, apiCheckpoint(end).Signature, told.Checkpoint.Signature)
		require.NotEmpty(t, told.OrderedBy)
		event := h.trail(raised, api.ListAuditEventsParams{Action: ptr(audit.ArchiveAudit), Target: ptr("search")})[0]
		require.Equal(t, base64.StdEncoding.EncodeToString(end.Hash), (*event.Detail)["hash"], "by which the archive is known")
		require.Nil(t, pending(sequence).JSON200.Order)
	})
}
