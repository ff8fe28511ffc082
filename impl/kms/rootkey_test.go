package kms_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func (h *house) rootKey(raised string) api.RootKey {
	h.t.Helper()
	got, err := h.client.GetRootKeyWithResponse(h.t.Context(), bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return *got.JSON200
}

func (h *house) rotateRoot(raised string) *api.RotateRootKeyResult {
	h.t.Helper()
	got, err := h.client.RotateRootKeyWithResponse(h.t.Context(), bearer(raised))
	require.NoError(h.t, err)
	return got
}

func (h *house) rootFile() string {
	if h.config.RootKeyFile != "" {
		return h.config.RootKeyFile
	}
	return filepath.Join(h.dir, "root.key")
}

// resealed waits until nothing is sealed by the previous key.
func (h *house) resealed(raised string) api.RootKey {
	h.t.Helper()
	var k api.RootKey
	require.Eventually(h.t, func() bool {
		k = h.rootKey(raised)
		return k.State == api.RootKeyStateIdle
	}, time.Minute, 100*time.Millisecond)
	require.Zero(h.t, k.Remaining)
	require.NotNil(h.t, k.FinishedAt)
	return k
}

func TestRotateRootKey_sealsEverythingAgainAndNeedsTheOldKeyNoMore(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		access := h.login(adminName, adminPassword).AccessToken
		raised := p.raise(access, "kms")
		require.Equal(t, http.StatusUnauthorized, h.rotateRoot(access).StatusCode(), "without a second factor")
		h.user("grace", "editor", raised)
		grace := p.raise(h.login("grace", userPassword).AccessToken, "kms")
		require.Equal(t, http.StatusForbidden, h.rotateRoot(grace).StatusCode())
		refused, err := h.client.GetRootKeyWithResponse(t.Context(), bearer(grace))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, refused.StatusCode())
		refused, err = h.client.GetRootKeyWithResponse(t.Context(), bearer(access))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, refused.StatusCode())

		require.Equal(t, http.StatusCreated, h.put("app.db", "kept", raised, nil).StatusCode())
		before := h.rootKey(raised)
		require.Equal(t, api.RootKeyStateIdle, before.State)
		require.NotZero(t, before.Sealed)
		require.Equal(t, "state_conflict", code(h.rotateRoot(raised).Body), "the file holds the same key")

		require.NoError(t, seal.ReplaceRoot(h.rootFile()))
		begun := h.rotateRoot(raised)
		require.Equal(t, http.StatusOK, begun.StatusCode(), string(begun.Body))
		require.Equal(t, before.Active, *begun.JSON200.Previous)
		require.NotEqual(t, before.Active, begun.JSON200.Active)
		done := h.resealed(raised)
		require.Equal(t, before.Sealed, done.Sealed)
		require.Equal(t, "kept", h.get("app.db", raised).JSON200.Value)
		action := "finishRootKeyRotation"
		require.Len(t, h.trail(raised, api.ListAuditEventsParams{Action: &action}), 1)
		action = "rotateRootKey"
		require.Len(t, h.trail(raised, api.ListAuditEventsParams{Action: &action}), 1)

		require.NoError(t, h.stop())
		require.NoError(t, os.Remove(seal.PreviousFile(h.rootFile())))
		h.run()
		raised = h.again()
		require.Equal(t, "kept", h.get("app.db", raised).JSON200.Value, "with the new key alone")
		require.NotEmpty(t, h.token(h.enrol("search"), "kms"))
	})
}

// A rotation that could leave sealed text which the kms can't open is refused, and changes nothing.
func TestRotateRootKey_refusesFilesThatAreNotSafe(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	raised := h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
	before := h.rootKey(raised)
	file := h.rootFile()
	right, err := os.ReadFile(file)
	require.NoError(t, err)
	put := func(current []byte, mode os.FileMode) {
		require.NoError(t, os.Remove(file))
		require.NoError(t, os.WriteFile(file, current, mode))
		require.NoError(t, os.Chmod(file, mode))
	}
	other := make([]byte, 32)
	_, _ = rand.Read(other)
	refused := func(why string) {
		t.Helper()
		got := h.rotateRoot(raised)
		require.Equal(t, http.StatusConflict, got.StatusCode(), why)
		require.Equal(t, "state_conflict", code(got.Body), why)
		require.Equal(t, before.Active, h.rootKey(raised).Active, why)
	}
	put(make([]byte, 32), 0o600)
	refused("a key of zeros")
	put(other[:31], 0o600)
	refused("a short key")
	require.NoError(t, os.Chmod(h.dir, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(h.dir), 0o777))
	put(other, 0o644)
	refused("others read it")
	put(other, 0o600)
	refused("the key that seals is not beside it")
	require.NoError(t, os.WriteFile(seal.PreviousFile(file), make([]byte, 32), 0o600))
	refused("the previous one is no key")
	require.NoError(t, os.WriteFile(seal.PreviousFile(file), right, 0o600))
	require.Equal(t, http.StatusOK, h.rotateRoot(raised).StatusCode(), "both are there")
	h.resealed(raised)
	// As before, a start with neither of the sealing keys is refused.
	require.NoError(t, h.stop())
	put(right, 0o600)
	require.NoError(t, os.Remove(seal.PreviousFile(file)))
	require.ErrorContains(t, fails(t, h.config), "not the root key")
}

// A replica that lacks a key, running or starting, prevents a rotation. With both keys at both, either can rotate, and both keep serving.
func TestRotateRootKey_waitsForEveryReplica(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // SQLite allows a single process
		}
		one := databaseOf(t, c)
		a := start(t, one)
		two := one
		two.DataDir, two.Clock = t.TempDir(), a.clock
		two.RootKeyFile = filepath.Join(two.DataDir, "root.key")
		raw, err := os.ReadFile(one.RootKeyFile)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(two.RootKeyFile, raw, 0o600))
		b := start(t, two)
		a.bootstrap()
		p := a.prover()
		raised := p.raise(a.login(adminName, adminPassword).AccessToken, "kms")
		require.NoError(t, seal.ReplaceRoot(one.RootKeyFile))
		require.Equal(t, "state_conflict", code(a.rotateRoot(raised).Body))
		require.Len(t, a.rootKey(raised).Replicas, 2)
		next, err := os.ReadFile(one.RootKeyFile)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(seal.PreviousFile(two.RootKeyFile), raw, 0o600))
		require.NoError(t, os.WriteFile(two.RootKeyFile+".new", next, 0o600))
		require.NoError(t, os.Rename(two.RootKeyFile+".new", two.RootKeyFile))
		require.Eventually(t, func() bool {
			got, err := a.client.RotateRootKeyWithResponse(t.Context(), bearer(raised))
			return err == nil && got.StatusCode() == http.StatusOK
		}, time.Minute, 100*time.Millisecond)
		require.Equal(t, http.StatusCreated, b.put("app.db", "kept", raised, nil).StatusCode())
		b.resealed(raised)
		for _, h := range []*house{a, b} {
			require.Equal(t, "kept", h.get("app.db", raised).JSON200.Value)
		}
	})
}

// A rotation whose kms is killed continues at the next start, and no concurrent request fails. (The vault's tests kill it before each of its writes.)
func TestRotateRootKey_goesOnAfterKill(t *testing.T) {
	rounds := 2
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		rounds = 30
	}
	eachInTurn(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		require.Equal(t, http.StatusCreated, h.put("app.db", "kept", raised, nil).StatusCode())
		require.NoError(t, h.stop())
		for round := range rounds {
			if round > 0 { // a killed child still counts for a while
				db := h.database()
				require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
					_, err := tx.Exec(ctx, "DELETE FROM root_key_holders")
					return err
				}))
				require.NoError(t, db.Close())
				require.NoError(t, os.Remove(seal.PreviousFile(h.rootFile())))
			}
			require.NoError(t, seal.ReplaceRoot(h.rootFile()))
			kill := h.spawn()
			h.clock.Advance(time.Since(h.clock.Now())) // the child has the real one
			raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
			require.Equal(t, http.StatusOK, h.rotateRoot(raised).StatusCode())
			for range 10 * round { // the kill comes after a number of answers, however slow the machine is
				require.Equal(t, "kept", h.get("app.db", raised).JSON200.Value)
			}
			kill()
			kill = h.spawn()
			h.resealed(raised)
			require.Equal(t, "kept", h.get("app.db", raised).JSON200.Value)
			kill()
		}
		require.NoError(t, os.Remove(seal.PreviousFile(h.rootFile())))
		h.run()
		require.NotEmpty(t, h.records(), "the chain holds")
	})
}
