package kms_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/credential"
)

// The service's and the kms's sides of enrolment, rotation and loss work together.
func TestCredential_livesWithTheRealKms(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	p := h.prover()
	source, err := credential.Open(credential.Config{
		Word: "sequence", Dir: t.TempDir(), EnrolTokenFile: filepath.Join(h.dir, "enrol", "sequence", "token"), KMSURL: h.url,
		Clock: h.clock, Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- source.Run(ctx) }()
	defer func() { cancel(); require.NoError(t, <-done) }()
	ready := func() bool { return source.Ready() == nil }
	require.Eventually(t, ready, 20*time.Second, 10*time.Millisecond)

	keyOf := func() string {
		text, err := source.Token(t.Context(), "search")
		require.NoError(t, err)
		return claims(t, text).ClientID
	}
	first := keyOf()
	h.clock.Advance(46 * 24 * time.Hour) // half of the key's life
	// The clock advances: a rotation that failed at the moment of the jump is tried again after a pause.
	soon := func(condition func() bool) {
		t.Helper()
		require.Eventually(t, func() bool { h.clock.Advance(50 * time.Millisecond); return condition() }, 20*time.Second, 10*time.Millisecond)
	}
	soon(func() bool { return keyOf() != first })
	second := keyOf()

	// After it was disabled and enabled again, its key is lost: it is not ready, finds the new token, and becomes ready without a restart.
	raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
	found, err := h.client.GetAPIKeyWithResponse(t.Context(), second, nil, bearer(raised))
	require.NoError(t, err)
	h.setService(found.JSON200.OwnerID, "disabled", raised)
	source.Forget("kms")
	soon(func() bool { return !ready() })
	_, err = source.Token(t.Context(), "search")
	require.ErrorIs(t, err, credential.ErrNotEnrolled)
	h.setService(found.JSON200.OwnerID, "active", raised)
	soon(ready)
	require.NotEqual(t, second, keyOf())
}
