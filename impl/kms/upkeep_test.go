package kms_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/common"
	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/upkeep"
)

// Records of operators' commands are only for administrators with a second factor: they reveal where archives are and what is weak.
func TestUpkeep_isToldToAdministratorsWithASecondFactor(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	p := h.prover()
	access := h.login(adminName, adminPassword).AccessToken
	raised := p.raise(access, "kms")
	h.user("grace", "editor", raised)
	grace := p.raise(h.login("grace", userPassword).AccessToken, "kms")
	for token, status := range map[string]int{"": http.StatusUnauthorized, access: http.StatusUnauthorized, grace: http.StatusForbidden} {
		backups, err := h.client.ListBackupsWithResponse(t.Context(), nil, bearer(token))
		require.NoError(t, err)
		require.Equal(t, status, backups.StatusCode(), string(backups.Body))
		found, err := h.client.GetDiagnosisWithResponse(t.Context(), bearer(token))
		require.NoError(t, err)
		require.Equal(t, status, found.StatusCode(), string(found.Body))
	}

	none, err := h.client.ListBackupsWithResponse(t.Context(), nil, bearer(raised))
	require.NoError(t, err)
	require.JSONEq(t, `{"items":[]}`, string(none.Body))
	missing, err := h.client.GetDiagnosisWithResponse(t.Context(), bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, missing.StatusCode())
	require.Equal(t, "not_found", code(missing.Body))

	at := time.Date(2026, 11, 30, 3, 0, 0, 0, time.UTC)
	require.NoError(t, upkeep.AddBackup(h.dir, upkeep.Backup{ID: "bak_01", Version: "0.1.0", MadeAt: at, File: "/backups/one", Bytes: 7, Parts: []upkeep.Part{{Name: "kms", Database: "postgres", Instant: at, Rows: 2, Bytes: 3}}}))
	_, err = upkeep.MarkChecked(h.dir, "bak_01", upkeep.Drilled, at.Add(time.Hour))
	require.NoError(t, err)
	_, err = upkeep.MarkFailed(h.dir, "/backups/one", upkeep.Verified, at.Add(2*time.Hour))
	require.NoError(t, err)
	require.NoError(t, upkeep.KeepDiagnosis(h.dir, upkeep.Diagnosis{At: at, Version: "0.1.0", Worst: "warning", Findings: []upkeep.Finding{
		{Check: "clock", Level: "ok", What: "the clocks agree"}, {Service: "kms", Check: "disk", Level: "warning", What: "nearly full", Do: "free some room"},
	}}))
	listed, err := h.client.ListBackupsWithResponse(t.Context(), nil, bearer(raised))
	require.NoError(t, err)
	require.JSONEq(t, `{"items":[{"id":"bak_01","version":"0.1.0","madeAt":"2026-11-30T03:00:00Z","file":"/backups/one","bytes":7,"check":"drill","checkedAt":"2026-11-30T04:00:00Z",
		"failedCheck":"verify","failedAt":"2026-11-30T05:00:00Z",
		"parts":[{"name":"kms","database":"postgres","instant":"2026-11-30T03:00:00Z","rows":2,"bytes":3}]}]}`, string(listed.Body))
	told, err := h.client.GetDiagnosisWithResponse(t.Context(), bearer(raised))
	require.NoError(t, err)
	require.JSONEq(t, `{"at":"2026-11-30T03:00:00Z","version":"0.1.0","quick":false,"worst":"warning","findings":[{"check":"clock","level":"ok","what":"the clocks agree"},
		{"service":"kms","check":"disk","level":"warning","what":"nearly full","do":"free some room"}]}`, string(told.Body))

	// A damaged record of a backup is listed with its fault, and hides no other; nothing of its content is shown.
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "backups", "20261130T040000.000000000Z-bak_02.json"), []byte("{sneak"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(h.dir, "backups", "somebody.json"), 0o700))
	beside, err := h.client.ListBackupsWithResponse(t.Context(), nil, bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, beside.StatusCode(), string(beside.Body))
	require.Len(t, beside.JSON200.Items, 3)
	require.NotContains(t, string(beside.Body), "sneak")
	for i, id := range []string{"somebody", "bak_02", "bak_01"} {
		require.Equal(t, id, beside.JSON200.Items[i].ID)
		require.Equal(t, i < 2, beside.JSON200.Items[i].Fault != nil, id)
	}
	require.Equal(t, api.BackupFaultDamaged, *beside.JSON200.Items[1].Fault)
	require.Equal(t, at.Add(time.Hour), beside.JSON200.Items[1].MadeAt)
	first, err := h.client.ListBackupsWithResponse(t.Context(), &api.ListBackupsParams{Limit: ptr(common.Limit(2))}, bearer(raised))
	require.NoError(t, err)
	rest, err := h.client.ListBackupsWithResponse(t.Context(), &api.ListBackupsParams{Cursor: first.JSON200.NextCursor}, bearer(raised))
	require.NoError(t, err)
	require.Len(t, rest.JSON200.Items, 1, "a page goes on behind a damaged record")

	// A damaged file is logged by name, and the answer shows nothing of it.
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "doctor.json"), []byte("{sneak"), 0o600))
	damaged, err := h.client.GetDiagnosisWithResponse(t.Context(), bearer(raised))
	require.NoError(t, err)
	require.Equal(t, http.StatusInternalServerError, damaged.StatusCode())
	require.NotContains(t, string(damaged.Body), "doctor.json")
}
