package kms_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func (h *house) signingKeys(raised string) []api.SigningKey {
	h.t.Helper()
	got, err := h.client.ListSigningKeysWithResponse(h.t.Context(), nil, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusOK, got.StatusCode(), string(got.Body))
	return got.JSON200.Items
}

func (h *house) rotateSigning(raised string, algorithm api.SigningAlgorithm) *api.RotateSigningKeyResult {
	h.t.Helper()
	body := api.SigningKeyRotate{}
	if algorithm != "" {
		body.Algorithm = &algorithm
	}
	got, err := h.client.RotateSigningKeyWithResponse(h.t.Context(), body, bearer(raised))
	require.NoError(h.t, err)
	return got
}

func (h *house) revokeSigning(kid, raised string) *api.RevokeSigningKeyResult {
	h.t.Helper()
	got, err := h.client.RevokeSigningKeyWithResponse(h.t.Context(), kid, bearer(raised))
	require.NoError(h.t, err)
	return got
}

// inState returns the single key in a state; named selects among keys in the state next.
func inState(t *testing.T, keys []api.SigningKey, state api.SigningKeyState, named bool) api.SigningKey {
	t.Helper()
	var found []api.SigningKey
	for _, k := range keys {
		if k.State == state && (state != api.SigningKeyStateNext || named == (k.ActiveAt != nil)) {
			found = append(found, k)
		}
	}
	require.Len(t, found, 1, "%s, named %v, of %+v", state, named, keys)
	return found[0]
}

func (h *house) jwks() (algorithms map[string]string) {
	h.t.Helper()
	got, err := h.client.GetJwksWithResponse(h.t.Context(), nil)
	require.NoError(h.t, err)
	algorithms = map[string]string{}
	for _, k := range got.JSON200.Keys {
		algorithms[k.Kid] = k.Alg
	}
	return algorithms
}

func TestRotateSigningKey_listsRotatesAndRevokes(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		access := h.login(adminName, adminPassword).AccessToken
		raised := p.raise(access, "kms")
		require.Equal(t, http.StatusUnauthorized, h.rotateSigning(access, "").StatusCode(), "without a second factor")
		require.Equal(t, http.StatusUnauthorized, h.revokeSigning(strings.Repeat("a", 43), access).StatusCode())
		h.user("grace", "editor", raised)
		grace := p.raise(h.login("grace", userPassword).AccessToken, "kms")
		require.Equal(t, http.StatusForbidden, h.rotateSigning(grace, "").StatusCode())
		require.Equal(t, http.StatusForbidden, h.revokeSigning(strings.Repeat("a", 43), grace).StatusCode())
		refused, err := h.client.ListSigningKeysWithResponse(t.Context(), nil, bearer(grace))
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, refused.StatusCode())
		require.Equal(t, http.StatusNotFound, h.revokeSigning(strings.Repeat("a", 43), raised).StatusCode())

		first := inState(t, h.signingKeys(raised), api.SigningKeyStateActive, false)
		named := h.rotateSigning(raised, api.SigningAlgorithmES256)
		require.Equal(t, http.StatusOK, named.StatusCode(), string(named.Body))
		require.Equal(t, api.SigningAlgorithmES256, named.JSON200.Algorithm)
		require.Equal(t, "state_conflict", code(h.rotateSigning(raised, "").Body))
		require.Equal(t, "ES256", h.jwks()[named.JSON200.Kid], "published before it signs")
		limit := int32(1)
		pageOne, err := h.client.ListSigningKeysWithResponse(t.Context(), &api.ListSigningKeysParams{Limit: &limit}, bearer(raised))
		require.NoError(t, err)
		require.Len(t, pageOne.JSON200.Items, 1)
		pageTwo, err := h.client.ListSigningKeysWithResponse(t.Context(), &api.ListSigningKeysParams{Limit: &limit, Cursor: pageOne.JSON200.NextCursor}, bearer(raised))
		require.NoError(t, err)
		require.NotEqual(t, pageOne.JSON200.Items[0].Kid, pageTwo.JSON200.Items[0].Kid)

		h.clock.Advance(10 * time.Minute)
		access = h.login(adminName, adminPassword).AccessToken
		raised = p.raise(access, "kms")
		require.Equal(t, named.JSON200.Kid, inState(t, h.signingKeys(raised), api.SigningKeyStateActive, false).Kid)
		require.Equal(t, first.Kid, inState(t, h.signingKeys(raised), api.SigningKeyStateRetiring, false).Kid)

		gone := h.revokeSigning(named.JSON200.Kid, raised)
		require.Equal(t, http.StatusOK, gone.StatusCode(), string(gone.Body))
		require.Equal(t, api.SigningKeyStateGone, gone.JSON200.State)
		require.NotNil(t, gone.JSON200.RevokedAt)
		require.Equal(t, "invalid_token", code(h.rotateSigning(raised, "").Body), "the token that revoked it was signed by it")
		require.NotContains(t, h.jwks(), named.JSON200.Kid)
		raised = p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		require.Equal(t, http.StatusOK, h.revokeSigning(named.JSON200.Kid, raised).StatusCode(), "again changes nothing")
		for _, action := range []string{"rotateSigningKey", "revokeSigningKey", "createSigningKey", "listSigningKeys"} {
			require.NotEmpty(t, h.trail(raised, api.ListAuditEventsParams{Action: &action}), action)
		}
	})
}

// All verifiers refuse within seconds what a revoked key has signed: both replicas, and a service of another team, even for tokens
// that they have verified before.
func TestRevokeSigningKey_isRefusedEverywhere(t *testing.T) {
	seen := func(t *testing.T, a, b *house) {
		a.bootstrap()
		p := a.prover()
		raised := p.raise(a.login(adminName, adminPassword).AccessToken, "kms")
		_, key := a.resourceServer("notes", raised, []string{"revocations:read"}, "notes:read")
		v := b.consumer("notes", key)
		require.Eventually(t, func() bool { return v.Ready(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, http.StatusCreated, a.putRole("author", raised, nil, "notes:read").StatusCode())
		a.user("grace", "author", raised)
		login := a.login("grace", userPassword)
		notes := a.post(refreshFor(*login.RefreshToken, "notes"), nil).AccessToken
		_, err := v.Verify(t.Context(), notes)
		require.NoError(t, err)
		for _, h := range []*house{a, b} {
			require.Equal(t, http.StatusOK, h.me(login.AccessToken))
		}

		active := inState(t, a.signingKeys(raised), api.SigningKeyStateActive, false)
		require.Equal(t, http.StatusOK, a.revokeSigning(active.Kid, raised).StatusCode())
		begun := time.Now()
		require.Equal(t, http.StatusUnauthorized, a.me(login.AccessToken), "at once where it was revoked")
		require.Eventually(t, func() bool { return b.me(login.AccessToken) == http.StatusUnauthorized }, 5*time.Second, 5*time.Millisecond)
		require.Eventually(t, func() bool { _, err := v.Verify(t.Context(), notes); return err != nil }, 5*time.Second, 5*time.Millisecond)
		t.Logf("refused by all after %s", time.Since(begun))
		// And everything else continues.
		require.Eventually(t, func() bool { return b.refresh(*login.RefreshToken).StatusCode() == http.StatusOK }, 5*time.Second, 10*time.Millisecond)
		for _, h := range []*house{a, b} {
			require.Equal(t, http.StatusOK, h.me(h.login("grace", userPassword).AccessToken))
			require.NotContains(t, h.jwks(), active.Kid)
		}
	}
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			h := start(t, databaseOf(t, c))
			seen(t, h, h)
		}
	})
	replicas(t, func(a, b *house) { seen(a.t, a, b) })
}

// me returns the status of reading the caller's own sessions.
func (h *house) me(token string) int {
	got, err := h.client.ListSessionsWithResponse(context.Background(), h.subject(token), nil, bearer(token))
	if err != nil {
		return 0
	}
	return got.StatusCode()
}

func (h *house) subject(token string) string { return claims(h.t, token).Subject }

// traffic issues tokens at one replica and has them verified by both and by a verifier with only the key set, until it is stopped.
type traffic struct {
	good, bad atomic.Int64
	stop      func()
}

func (h *house) traffic(key *api.APIKeyWithSecret, others ...*house) *traffic {
	out, done := &traffic{}, make(chan struct{})
	set := auth.NewJWKS(h.url+"/kms/v1/.well-known/jwks.json", h.http, h.clock)
	offline := auth.NewVerifier(auth.VerifierConfig{Issuer: func() string { return issuer }, Keys: set, Revocations: auth.NoRevocations{}, Clock: h.clock})
	all := append([]*house{h}, others...)
	var running sync.WaitGroup
	for i := range 2 * len(all) {
		running.Go(func() {
			for n := i; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				made := all[n%len(all)].ask(key.APIKey.ID, key.Key, "kms")
				if made.StatusCode() != http.StatusOK {
					out.bad.Add(1)
					h.t.Errorf("issue: %d %s", made.StatusCode(), made.Body)
					return
				}
				if _, err := offline.Verify(context.Background(), made.JSON200.AccessToken, "kms"); err != nil {
					out.bad.Add(1)
					h.t.Errorf("verify by the key set: %v", err)
					return
				}
				out.good.Add(1)
				for _, at := range all {
					got, err := at.client.ListSecretsWithResponse(context.Background(), nil, bearer(made.JSON200.AccessToken))
					if err != nil || got.StatusCode() != http.StatusOK {
						out.bad.Add(1)
						h.t.Errorf("use: %v %s", err, got.Body)
						return
					}
					out.good.Add(1)
				}
			}
		})
	}
	out.stop = sync.OnceFunc(func() { close(done); running.Wait() })
	h.t.Cleanup(out.stop)
	return out
}

// Rotations under load, alternating between both algorithms, cause no failed verification, at either replica or with the published set alone.
func TestRotateSigningKey_failsNoRequest(t *testing.T) {
	rotations := 2
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		rotations = 30
	}
	turn := func(t *testing.T, all ...*house) {
		h := all[0]
		h.bootstrap()
		p := h.prover()
		load := h.traffic(h.enrol("search"), all[1:]...)
		for n := range rotations {
			raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
			named := all[n%len(all)].rotateSigning(raised, []api.SigningAlgorithm{api.SigningAlgorithmES256, api.SigningAlgorithmEdDSA}[n%2])
			require.Equal(t, http.StatusOK, named.StatusCode(), string(named.Body))
			for _, one := range all { // which takes seconds, where 10 minutes are given
				require.Eventually(t, func() bool { return one.jwks()[named.JSON200.Kid] != "" }, 30*time.Second, 50*time.Millisecond)
			}
			for h.clock.Now().Before(*named.JSON200.ActiveAt) {
				h.clock.Advance(time.Minute)
				before := load.good.Load()
				require.Eventually(t, func() bool { return load.good.Load() > before+6 || load.bad.Load() > 0 }, time.Minute, time.Millisecond)
			}
			raised = p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
			require.Equal(t, named.JSON200.Kid, inState(t, h.signingKeys(raised), api.SigningKeyStateActive, false).Kid)
		}
		load.stop()
		require.Zero(t, load.bad.Load())
		t.Logf("%d rotations, %d verified requests, none failed", rotations, load.good.Load())
	}
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			turn(t, start(t, databaseOf(t, c)))
		}
	})
	replicas(t, func(a, b *house) { turn(a.t, a, b) })
}

// A rotation whose replica is killed has happened completely or not at all: one key signs, one is next, and the other replica can rotate.
func TestRotateSigningKey_isWholeThroughKill(t *testing.T) {
	rounds := 3
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		rounds = 30
	}
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // SQLite allows a single process
		}
		one := databaseOf(t, c)
		began, moved := clock.System.Now(), time.Duration(0)
		now := clock.NewFake(began)
		one.Clock = now
		a := start(t, one)
		a.bootstrap()
		p := a.prover()
		raise := func() string {
			passed := clock.System.Now().Sub(began)
			now.Advance(passed - moved) // the other process has the machine's clock
			moved = passed
			return p.raise(a.login(adminName, adminPassword).AccessToken, "kms")
		}
		load := a.traffic(a.enrol("search"))
		b := &house{t: t, config: one, dir: t.TempDir()}
		b.config.DataDir = b.dir
		require.NoError(t, os.Chmod(b.dir, 0o700))
		done := 0
		for round := range rounds {
			kill := b.spawn()
			raised := raise()
			ended := make(chan struct{})
			go func() { // its answer may be lost
				defer close(ended)
				got, err := b.client.RotateSigningKeyWithResponse(context.Background(), api.SigningKeyRotate{}, bearer(raised))
				if err == nil && got.StatusCode() == http.StatusOK {
					done++
				}
			}()
			delay := time.Duration(60*round%600) * time.Millisecond
			if round == rounds-1 { // killed right after the answer, however slow the machine is
				delay = time.Minute
			}
			timer := time.AfterFunc(delay, kill)
			<-ended
			timer.Stop()
			kill()
			raised = raise()
			keys := a.signingKeys(raised)
			inState(t, keys, api.SigningKeyStateActive, false)
			inState(t, keys, api.SigningKeyStateNext, false)
			named := ""
			for _, k := range keys {
				if k.State == api.SigningKeyStateNext && k.ActiveAt != nil {
					named = k.Kid
				}
			}
			if named == "" { // it was killed before: the other replica begins
				got := a.rotateSigning(raised, "")
				require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
				named = got.JSON200.Kid
			}
			require.Equal(t, http.StatusOK, a.revokeSigning(named, raised).StatusCode(), "for the next round")
		}
		load.stop()
		require.Zero(t, load.bad.Load())
		require.Positive(t, done, "some were killed after the answer")
		t.Logf("%d rounds, %d rotations answered before the kill, %d verified requests, none failed", rounds, done, load.good.Load())
	})
}
