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

// The service's side and the kms's side of enrolment, rotation and loss, together.
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
	require.Eventually(t, func() bool { return keyOf() != first }, 20*time.Second, 20*time.Millisecond)
	second := keyOf()

	// Disabled and enabled again, it has lost its key: it is not ready, finds the new token, and is ready without a restart.
	raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
	found, err := h.client.GetAPIKeyWithResponse(t.Context(), second, nil, bearer(raised))
	require.NoError(t, err)
	h.setService(found.JSON200.OwnerID, "disabled", raised)
	source.Forget("kms")
	require.Eventually(t, func() bool { return !ready() }, 20*time.Second, 10*time.Millisecond)
	_, err = source.Token(t.Context(), "search")
	require.ErrorIs(t, err, credential.ErrNotEnrolled)
	h.setService(found.JSON200.OwnerID, "active", raised)
	require.Eventually(t, ready, 20*time.Second, 10*time.Millisecond)
	require.NotEqual(t, second, keyOf())
}
