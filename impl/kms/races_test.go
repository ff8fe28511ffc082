package kms_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/auth"
)

// raceRounds is the number of rounds of each combination: enough to find a missing lock in CI, and 5,000 in the long proofs (FOUNTAIN_PROVE, or
// FOUNTAIN_RACE_ROUNDS to choose).
func raceRounds(t *testing.T) int {
	t.Helper()
	if n, err := strconv.Atoi(os.Getenv("FOUNTAIN_RACE_ROUNDS")); err == nil {
		return n
	}
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		return 5000
	}
	return 6
}

// racer is a user in a race, who signs in again for each round.
type racer struct {
	a, b   *house // the replicas: ends happen at a, mints at both
	raised string // an administrator's token
	prover *prover
	user   *api.UserCreated
	tokens *api.TokenResponse
	key    *api.APIKeyWithSecret // of the user
	byKey  string                // token of that key for the kms
	app    *webapp               // where the user signs in
}

// round gives the user a session, a key and a token of the key.
func (r *racer) round() {
	r.tokens = r.a.login(r.user.Username, userPassword)
	r.key = r.a.ownKey(r.user.ID, r.tokens.AccessToken, "keys:read", "keys:write", "session:manage")
	r.byKey = r.a.token(r.key, "kms")
}

// minted is something that was created: the ID in the audit log, and a check whether it works.
type minted struct {
	id    string
	works func() bool
}

func (r *racer) keyMinted(key *api.APIKeyWithSecret) []minted {
	if key == nil {
		return nil
	}
	return []minted{{key.APIKey.ID, func() bool { return r.a.verify(key.Key, r.raised).Valid }}}
}

// mints are the ways to create something that outlives the caller's token. Each is tried at both replicas at once.
var mints = map[string]func(r *racer, h *house) []minted{
	"createApiKey by a session": func(r *racer, h *house) []minted { return r.keyMinted(h.tryKey(r.user.ID, r.tokens.AccessToken)) },
	"createApiKey by a key":     func(r *racer, h *house) []minted { return r.keyMinted(h.tryKey(r.user.ID, r.byKey)) },
	"rotateApiKey": func(r *racer, h *house) []minted {
		got := h.rotate(r.key.APIKey.ID, r.tokens.AccessToken, 3600)
		if got.JSON201 == nil {
			return nil
		}
		return []minted{{got.JSON201.APIKey.ID, func() bool { return r.a.verify(got.JSON201.Key, r.raised).Valid }}}
	},
	"refreshToken": func(r *racer, h *house) []minted {
		got := h.refresh(*r.tokens.RefreshToken)
		if got.JSON200 == nil {
			return nil
		}
		return []minted{{"", func() bool { return r.a.usable(got.JSON200.AccessToken, r.user.ID) }}}
	},
	"completeStepUp": func(r *racer, h *house) []minted {
		got, err := h.client.CompleteStepUpWithResponse(context.Background(),
			api.StepUp{Proof: r.prover.sign(r.prover.claimsFor(r.tokens.AccessToken)), Resource: "kms"}, bearer(r.tokens.AccessToken))
		if err != nil || got.JSON200 == nil {
			return nil
		}
		return []minted{{"", func() bool { return r.a.usable(got.JSON200.AccessToken, r.user.ID) }}}
	},
	"authorization_code": func(r *racer, h *house) []minted {
		body := api.AuthorizationAnswer{Request: r.app.request()}
		answer, err := h.client.AuthorizeClientWithResponse(context.Background(), body, bearer(r.tokens.AccessToken))
		if err != nil || answer.JSON200 == nil || answer.JSON200.Redirect == nil {
			return nil
		}
		back, err := url.Parse(*answer.JSON200.Redirect)
		if err != nil {
			return nil
		}
		form := r.app.form(back.Query().Get("code"), "client_id", r.app.app.Client.ID, "client_secret", *r.app.app.ClientSecret).Encode()
		got, err := h.client.IssueTokenWithBodyWithResponse(context.Background(), "application/x-www-form-urlencoded", strings.NewReader(form))
		if err != nil || got.JSON200 == nil {
			return nil
		}
		return []minted{{"", func() bool {
			info, err := r.a.client.GetUserInfoWithResponse(context.Background(), bearer(got.JSON200.AccessToken))
			return err == nil && info.StatusCode() == http.StatusOK
		}}}
	},
	"client_credentials": func(r *racer, h *house) []minted {
		got := h.ask(r.key.APIKey.ID, r.key.Key, "kms")
		if got.JSON200 == nil {
			return nil
		}
		return []minted{{"", func() bool { return r.a.usable(got.JSON200.AccessToken, r.user.ID) }}}
	},
}

// tryKey creates a key; nil when it is refused.
func (h *house) tryKey(userID, token string) *api.APIKeyWithSecret {
	got, err := h.client.CreateAPIKeyWithResponse(context.Background(), nil, api.APIKeyCreate{
		Name: "raced", OwnerKind: new(api.APIKeyCreateOwnerKind("user")), OwnerID: new(userID), Scopes: []string{"keys:read"},
	}, bearer(token))
	if err != nil {
		return nil
	}
	return got.JSON201
}

// What was ended at one replica is refused there from the answer on, and at the other one within a second.
func TestEnd_reachesTheOtherReplicaWithinASecond(t *testing.T) {
	races(t, func(t *testing.T, r *racer) {
		var longest time.Duration
		for name, end := range map[string]func(){
			"logoutUser": func() {
				got, err := r.a.client.LogoutUserWithResponse(t.Context(), nil, bearer(r.tokens.AccessToken))
				require.NoError(t, err)
				require.Equal(t, http.StatusNoContent, got.StatusCode())
			},
			"a change of roles": func() {
				r.a.change(r.user.ID, `{"roles":["reader"]}`, r.raised)
				r.a.change(r.user.ID, `{"roles":["editor"]}`, r.raised)
			},
			"disabling": func() {
				r.a.change(r.user.ID, `{"status":"disabled"}`, r.raised)
				r.a.change(r.user.ID, `{"status":"active"}`, r.raised)
			},
		} {
			r.round()
			token := r.tokens.AccessToken
			require.True(t, r.a.usable(token, r.user.ID) && r.b.usable(token, r.user.ID), "both have the token in their caches")
			end()
			ended := time.Now()
			require.False(t, r.a.usable(token, r.user.ID), "%s: the same replica", name)
			for r.b.usable(token, r.user.ID) {
				require.Less(t, time.Since(ended), time.Second, "%s: the other replica", name)
			}
			longest = max(longest, time.Since(ended))
		}
		r.round()
		require.Equal(t, http.StatusOK, r.a.revoke(r.key.APIKey.ID, r.raised))
		ended := time.Now()
		require.False(t, r.a.usable(r.byKey, r.user.ID), "the token of a revoked key")
		for r.b.usable(r.byKey, r.user.ID) {
			require.Less(t, time.Since(ended), time.Second)
		}
		t.Logf("refused at the other replica after %s at the longest", max(longest, time.Since(ended)))
	})
}

// usable reports whether a token still gives access to the user's own account.
func (h *house) usable(token, userID string) bool {
	got, err := h.client.GetUserWithResponse(context.Background(), userID, nil, bearer(token))
	return err == nil && got.StatusCode() == http.StatusOK
}

// race runs the mint eight times, half of them at each replica, concurrently with the end.
func (r *racer) race(mint func(*racer, *house) []minted, end func()) (made []minted) {
	var mu sync.Mutex
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range 8 {
		all.Go(func() {
			<-begin
			got := mint(r, []*house{r.a, r.b}[i%2])
			mu.Lock()
			defer mu.Unlock()
			made = append(made, got...)
		})
	}
	all.Go(func() { <-begin; end() })
	close(begin)
	all.Wait()
	return made
}

// races runs f on two replicas with PostgreSQL, and on SQLite, where both are the same process.
func races(t *testing.T, f func(t *testing.T, r *racer)) {
	t.Helper()
	run := func(a, b *house) {
		r := &racer{a: a, b: b}
		a.bootstrap()
		r.prover = a.prover()
		r.raised = r.prover.raise(a.login(adminName, adminPassword).AccessToken, "kms")
		r.user = a.user("grace", "editor", r.raised)
		r.app = &webapp{house: a, raised: r.raised}
		r.app.app = r.app.registered(reports())
		f(a.t, r)
	}
	replicas(t, run)
	h := start(t, databaseOfSQLite(t))
	run(h, h)
}

// Whatever is created concurrently with the end of its owner ends with it: after the user is enabled again, nothing from before works.
func TestMint_leavesNothingBesideItsOwnersEnd(t *testing.T) {
	races(t, func(t *testing.T, r *racer) {
		for _, name := range slices.Sorted(maps.Keys(mints)) {
			t.Run(name, func(t *testing.T) {
				rounds, survivors, made := 0, 0, 0
				defer func() { t.Logf("%d rounds, %d made beside an end, %d survived", rounds, made, survivors) }() // also of a run that fails
				for ; rounds < raceRounds(t); rounds++ {
					r.round()
					got := r.race(mints[name], func() { r.a.change(r.user.ID, `{"status":"disabled"}`, r.raised) })
					r.a.change(r.user.ID, `{"status":"active"}`, r.raised)
					made += len(got)
					for _, m := range got {
						if m.works() {
							survivors++
							t.Errorf("what was made beside the end works")
						}
					}
					r.refreshAdmin()
				}
			})
		}
	})
}

// What is created from a session or key concurrently with its end ends with it: a session's tokens at sign-out, a key's tokens and successors at its revocation.
func TestMint_leavesNothingBesideTheEndOfWhatItStandsOn(t *testing.T) {
	signOut := func(r *racer) {
		_, _ = r.a.client.LogoutUserWithResponse(context.Background(), nil, bearer(r.tokens.AccessToken)) // the checks afterwards tell the result
	}
	revoke := func(r *racer) { r.a.revoke(r.key.APIKey.ID, r.raised) }
	pairs := []struct {
		mint, end string
		do        func(r *racer)
	}{
		{"client_credentials", "revokeApiKey", revoke}, {"completeStepUp", "logoutUser", signOut},
		{"refreshToken", "logoutUser", signOut}, {"rotateApiKey", "revokeApiKey", revoke}, {"authorization_code", "logoutUser", signOut},
	}
	races(t, func(t *testing.T, r *racer) {
		for _, p := range pairs {
			t.Run(p.mint+" and "+p.end, func(t *testing.T) {
				rounds, survivors, made := 0, 0, 0
				defer func() { t.Logf("%d rounds, %d made beside an end, %d survived", rounds, made, survivors) }()
				for ; rounds < raceRounds(t); rounds++ {
					r.round()
					got := r.race(mints[p.mint], func() { p.do(r) })
					made += len(got)
					for _, m := range got {
						if m.works() {
							survivors++
							t.Errorf("what was made beside the end works")
						}
					}
					r.refreshAdmin()
					if rounds%20 == 19 {
						r.clearKeys()
					}
				}
			})
		}
	})
}

// refreshAdmin raises the administrator's token again before its five minutes are over.
func (r *racer) refreshAdmin() {
	r.a.clock.Advance(0)
	if r.a.clock.Now().Sub(claims(r.a.t, r.raised).IssuedAt.Time).Minutes() < 3 {
		return
	}
	r.raised = r.prover.raise(r.a.login(adminName, adminPassword).AccessToken, "kms")
}

// Nothing is created by a session or a key after its end: in the audit log, which is in commit order, every creation precedes the concurrent end.
func TestMint_comesBeforeTheEndOfWhatItStandsOn(t *testing.T) {
	type pair struct{ mint, end string }
	ends := map[string]struct {
		action string
		target func(r *racer) string
		do     func(r *racer)
	}{
		"logoutUser": {"logoutUser", func(r *racer) string { return claims(r.a.t, r.tokens.AccessToken).SessionID }, func(r *racer) {
			_, _ = r.a.client.LogoutUserWithResponse(context.Background(), nil, bearer(r.tokens.AccessToken)) // the log tells the result
		}},
		"revokeApiKey": {"revokeApiKey", func(r *racer) string { return r.key.APIKey.ID }, func(r *racer) {
			r.a.revoke(r.key.APIKey.ID, r.raised)
		}},
	}
	races(t, func(t *testing.T, r *racer) {
		type round struct {
			pair
			end  string // target
			made []minted
		}
		var rounds []round
		for _, p := range []pair{{"createApiKey by a session", "logoutUser"}, {"rotateApiKey", "logoutUser"}, {"createApiKey by a key", "revokeApiKey"}} {
			for range raceRounds(t) {
				r.round()
				made := r.race(mints[p.mint], func() { ends[p.end].do(r) })
				rounds = append(rounds, round{p, ends[p.end].target(r), made})
				r.refreshAdmin()
				r.clearKeys()
			}
		}
		if r.b != r.a {
			require.NoError(t, r.b.stop())
		}
		at := positions(r.a.records())
		late := 0
		for _, round := range rounds {
			end, found := at[ends[round.pair.end].action+" "+round.end]
			require.True(t, found, "the end of %s is in the log", round.end)
			for _, m := range round.made {
				made := max(at["createApiKey "+m.id], at["rotateApiKey "+m.id])
				require.Positive(t, made, "what was made by %s is in the log", round.mint)
				if made > end {
					late++
					t.Errorf("%s after %s", round.mint, round.pair.end)
				}
			}
		}
		t.Logf("%d rounds, %d mints after an end", len(rounds), late)
	})
}

// positions returns the number of the first event for each action and target; for a rotation the target is the new key.
func positions(records []audit.Record) map[string]int64 {
	at := map[string]int64{}
	for _, e := range records {
		name := e.Action + " " + cmp.Or(e.Detail["successor"], e.Target)
		if seq, known := at[name]; !known || e.Seq < seq {
			at[name] = e.Seq
		}
	}
	return at
}

// clearKeys revokes the keys left by the rounds, since an owner has at most a hundred.
func (r *racer) clearKeys() {
	for {
		limit := int32(200)
		token := r.a.login(r.user.Username, userPassword).AccessToken
		got, err := r.a.client.ListAPIKeysWithResponse(context.Background(), &api.ListAPIKeysParams{Limit: &limit}, bearer(token))
		require.NoError(r.a.t, err)
		open := 0
		for _, k := range got.JSON200.Items {
			if k.Status == "active" || k.Status == "expiring" {
				open++
				require.Equal(r.a.t, http.StatusOK, r.a.revoke(k.ID, token))
			}
		}
		if open == 0 {
			return
		}
	}
}

// The end of a service leaves no concurrently created key either, neither by enrolment nor by its own rotation.
func TestMint_leavesNothingBesideItsServicesEnd(t *testing.T) {
	races(t, func(t *testing.T, r *racer) {
		reports := r.a.register("reports", r.raised, "elements:read")
		made := 0
		for i := range raceRounds(t) {
			token := r.a.enrolmentFor(reports.Service.ID, r.raised)
			key, err := r.a.client.EnrolServiceWithResponse(t.Context(), api.Enrol{Token: token})
			require.NoError(t, err)
			require.Equal(t, http.StatusCreated, key.StatusCode(), string(key.Body))
			access, second := r.a.token(key.JSON201, "kms"), r.a.enrolmentFor(reports.Service.ID, r.raised)
			var texts []string
			var mu sync.Mutex
			keep := func(text string) {
				mu.Lock()
				defer mu.Unlock()
				texts = append(texts, text)
			}
			r.race(func(r *racer, h *house) []minted {
				if got, err := h.client.EnrolServiceWithResponse(context.Background(), api.Enrol{Token: second}); err == nil && got.JSON201 != nil {
					keep(got.JSON201.Key)
				}
				params := &api.RotateCurrentAPIKeyParams{IdempotencyKey: fmt.Sprintf("race-%d-%p", i, h)}
				if got, err := h.client.RotateCurrentAPIKeyWithResponse(context.Background(), params, api.APIKeyRotate{}, bearer(access)); err == nil && got.JSON201 != nil {
					keep(got.JSON201.Key)
				}
				return nil
			}, func() { r.a.setService(reports.Service.ID, "disabled", r.raised) })
			r.a.setService(reports.Service.ID, "active", r.raised)
			made += len(texts)
			for _, text := range texts {
				require.False(t, r.a.verify(text, r.raised).Valid, "a key that was made beside the service's end works")
			}
			r.refreshAdmin()
		}
		t.Logf("%d keys made beside an end, 0 survived", made)
	})
}

// enrolmentFor makes an enrolment token of a service.
func (h *house) enrolmentFor(serviceID, raised string) string {
	h.t.Helper()
	got, err := h.client.CreateEnrolmentTokenWithResponse(context.Background(), serviceID, nil, bearer(raised))
	require.NoError(h.t, err)
	require.Equal(h.t, http.StatusCreated, got.StatusCode(), string(got.Body))
	return got.JSON201.Token
}

// A sign-in that completes concurrently with the end of its user or its waiting session leaves nothing that works, neither by a second factor nor by a passkey.
func TestMint_leavesNothingOfASignInBesideAnEnd(t *testing.T) {
	disable := func(r *racer, _ string) { r.a.change(r.user.ID, `{"status":"disabled"}`, r.raised) }
	giveUp := func(r *racer, token string) {
		_, _ = r.a.client.LogoutUserWithResponse(context.Background(), nil, bearer(token)) // the checks afterwards tell the result
	}
	revoke := func(r *racer, token string) {
		_, _ = r.a.client.RevokeSessionWithResponse(context.Background(), r.user.ID, claims(r.a.t, token).SessionID, bearer(r.raised))
	}
	complete := func(r *racer, h *house, token string) *api.TokenResponse {
		return h.complete(token, r.prover.proofOf(token, auth.FactorTOTP)).JSON200
	}
	passkey := func(r *racer, h *house, _ string) *api.TokenResponse {
		return h.passkey(r.prover.signIn(r.user.ID, nil)).JSON200
	}
	races(t, func(t *testing.T, r *racer) {
		r.a.asks("editor", r.raised, policy(always))
		for _, p := range []struct {
			name string
			mint func(r *racer, h *house, token string) *api.TokenResponse
			end  func(r *racer, token string)
		}{
			{"completeSignIn and disabling", complete, disable}, {"completeSignIn and logoutUser", complete, giveUp},
			{"completeSignIn and revokeSession", complete, revoke}, {"signInWithPasskey and disabling", passkey, disable},
		} {
			t.Run(p.name, func(t *testing.T) {
				rounds, survivors, made := 0, 0, 0
				defer func() { t.Logf("%d rounds, %d signed in beside an end, %d survived", rounds, made, survivors) }()
				for ; rounds < raceRounds(t); rounds++ {
					token := r.a.waits().MfaToken
					got := r.race(func(r *racer, h *house) []minted {
						tokens := p.mint(r, h, token)
						if tokens == nil {
							return nil
						}
						return []minted{{"", func() bool {
							return r.a.usable(tokens.AccessToken, r.user.ID) || r.b.refresh(*tokens.RefreshToken).StatusCode() == http.StatusOK
						}}}
					}, func() { p.end(r, token) })
					r.a.change(r.user.ID, `{"status":"active"}`, r.raised)
					made += len(got)
					if strings.HasPrefix(p.name, "completeSignIn") {
						require.LessOrEqual(t, len(got), 1, "one winner of eight")
					}
					for _, m := range got {
						if m.works() {
							survivors++
							t.Errorf("what was made beside the end works")
						}
					}
					r.refreshAdmin()
				}
			})
		}
	})
}
