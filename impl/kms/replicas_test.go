package kms_test

import (
	"context"
	"errors"
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
	"github.com/fountainai/fountain/impl/kms"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/id"
	"github.com/fountainai/fountain/internal/ratelimit/redistest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// replicas runs two kms on one PostgreSQL, started at once on an empty database, and passes them to f. There are none on SQLite.
func replicas(t *testing.T, f func(a, b *house)) {
	t.Helper()
	replicasWith(t, func(*kms.Config) {}, f)
}

func replicasWith(t *testing.T, change func(*kms.Config), f func(a, b *house)) {
	t.Helper()
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			return // SQLite allows a single process
		}
		one := databaseOf(t, c)
		change(&one)
		two := one
		two.DataDir = t.TempDir()
		now := clock.NewFake(clock.System.Now())
		one.Clock, two.Clock = now, now
		var a, b *house
		var both sync.WaitGroup
		both.Go(func() { a = start(t, one) })
		both.Go(func() { b = start(t, two) })
		both.Wait()
		if t.Failed() {
			t.FailNow() // one has not started
		}
		f(a, b)
	})
}

// A limit of ten per hour is ten at all replicas together if they share a Redis.
func TestReplicas_shareTheLimitOfAKeyOverRedis(t *testing.T) {
	replicasWith(t, func(c *kms.Config) { c.Redis = config.Redis{URL: redistest.Start(t).URL} }, func(a, b *house) {
		t := a.t
		_, raised := a.administrator()
		a.user("grace", "editor", raised)
		made := a.createKey(api.APIKeyCreate{Name: "limited", Scopes: []string{"elements:read"}, RateLimit: &api.KeyRateLimit{Limit: 10, WindowSeconds: 36000}},
			a.login("grace", userPassword).AccessToken)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		good := 0
		for range 15 {
			for _, h := range []*house{a, b} {
				if h.verify(made.JSON201.Key, raised).Valid {
					good++
				}
			}
		}
		require.GreaterOrEqual(t, good, 10)
		require.LessOrEqual(t, good, 12, "alone each would take 10; the two are for an answer of Redis that a busy machine lets wait too long")
	})
}

func TestReplicas_areOneAuthority(t *testing.T) {
	replicas(t, func(a, b *house) {
		t := a.t
		kids := func(h *house) string {
			got, err := h.client.GetJwksWithResponse(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, got.JSON200.Keys, 2)
			return string(got.Body)
		}
		require.Equal(t, kids(a), kids(b), "signing keys are made once")

		// Either bootstrap token works; together they create one administrator.
		var made atomic.Int64
		var all sync.WaitGroup
		for _, h := range []*house{a, b} {
			token := h.bootstrapToken()
			for range 8 {
				all.Go(func() {
					got, err := h.client.BootstrapAdminWithResponse(t.Context(), api.AdminBootstrap{Token: token, Username: adminName, Password: adminPassword})
					if err == nil && got.StatusCode() == http.StatusCreated {
						made.Add(1)
					}
				})
			}
		}
		all.Wait()
		require.EqualValues(t, 1, made.Load())
		for _, h := range []*house{a, b} {
			require.Eventually(t, func() bool {
				_, err := os.Lstat(filepath.Join(h.dir, "bootstrap.token"))
				return errors.Is(err, os.ErrNotExist)
			}, 15*time.Second, 50*time.Millisecond, "neither replica's token is left lying")
		}

		// A token of one replica is accepted by the other, and a session is the same at both.
		tokens := a.login(adminName, adminPassword)
		listed, err := b.client.ListAPIKeysWithResponse(t.Context(), &api.ListAPIKeysParams{Owner: new(api.ListAPIKeysParamsOwner("me"))}, bearer(tokens.AccessToken))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, listed.StatusCode(), string(listed.Body))
		var mu sync.Mutex
		successors := map[string]int{}
		for i := range 64 {
			all.Go(func() {
				h := []*house{a, b}[i%2]
				got := h.refresh(*tokens.RefreshToken)
				mu.Lock()
				defer mu.Unlock()
				if got.StatusCode() != http.StatusOK {
					t.Errorf("%d %s", got.StatusCode(), got.Body)
					return
				}
				successors[*got.JSON200.RefreshToken]++
			})
		}
		all.Wait()
		require.Len(t, successors, 1)

		// Failures at both count together.
		for i := range 5 {
			[]*house{a, b}[i%2].attempt(adminName, "wrong password here")
		}
		require.Equal(t, http.StatusUnauthorized, a.attempt(adminName, adminPassword).StatusCode())
		require.Equal(t, http.StatusUnauthorized, b.attempt(adminName, adminPassword).StatusCode())
	})
}

func TestReplicas_enrolOnceAndShareTheSecrets(t *testing.T) {
	replicas(t, func(a, b *house) {
		t := a.t
		other := b.enrolToken("search")
		key := a.enrol("search")
		require.Equal(t, http.StatusUnauthorized, b.tryEnrol(other).StatusCode(), "what lay at the other replica is not good any more")
		token := b.token(key, "kms")
		require.Equal(t, http.StatusCreated, a.put("search.typesense", "xyz", token, nil).StatusCode())
		require.Equal(t, "xyz", b.get("search.typesense", token).JSON200.Value)
		made, err := a.client.CreateDataKeyWithResponse(t.Context(), "search", bearer(token))
		require.NoError(t, err)
		opened, err := b.client.UnwrapDataKeyWithResponse(t.Context(), "search", api.WrappedDataKey{Wrapped: made.JSON201.Wrapped}, bearer(token))
		require.NoError(t, err)
		require.Equal(t, made.JSON201.Plaintext, opened.JSON200.Plaintext)

		// One of them stops. The other continues, and removes the file that is no longer needed.
		require.NoError(t, a.stop())
		require.Equal(t, "xyz", b.get("search.typesense", token).JSON200.Value)
		require.NoError(t, b.stop())
		b.run()
		_, err = os.Stat(filepath.Join(b.dir, "enrol", "search", "token"))
		require.ErrorIs(t, err, os.ErrNotExist)
	})
}

// K1: after a revocation was answered, that replica no longer accepts the key, and the other one not for longer than a second.
func TestReplicas_revokedMeansRefusedHereAtOnceAndThereWithinASecond(t *testing.T) {
	replicas(t, func(a, b *house) {
		t := a.t
		admin, raised := a.administrator()
		key := a.ownKey(admin.ID, raised, "elements:read")
		var revoked atomic.Int64 // when it was answered, in nanoseconds; 0: not yet
		var before, after atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			h, grace := []*house{a, b}[i%2], []time.Duration{0, time.Second}[i%2]
			all.Go(func() {
				for own := 0; own < 25; {
					at := revoked.Load()
					began := at != 0 && time.Since(time.Unix(0, at)) > grace
					got, err := h.client.VerifyAPIKeyWithResponse(t.Context(), api.APIKeyVerify{Key: key.Key}, bearer(raised))
					if err != nil || got.StatusCode() != http.StatusOK {
						t.Errorf("%v %s", err, got.Body)
						return
					}
					switch {
					case began && got.JSON200.Valid:
						t.Error("a revoked key was taken for good")
						return
					case began:
						after.Add(1)
						own++
					default:
						before.Add(1)
					}
				}
			})
		}
		require.Eventually(t, func() bool { return before.Load() >= 100 }, time.Minute, time.Millisecond)
		require.Equal(t, http.StatusOK, a.revoke(key.APIKey.ID, raised))
		revoked.Store(time.Now().UnixNano())
		all.Wait()
		require.EqualValues(t, 16*25, after.Load())
	})
}

// Concurrent withdrawals of scopes, and changes of affected users, lock the users in one order. Otherwise they would deadlock, and the database would abort
// one. Here the roles name the users in the opposite order of their IDs.
func TestUpdateService_withdrawsInTheOrderOfUsers(t *testing.T) {
	replicas(t, func(a, b *house) {
		t := a.t
		a.bootstrap()
		p := a.prover()
		raise := func(name, password string) string { return p.raise(a.login(name, password).AccessToken, "kms") }
		raised := raise(adminName, adminPassword)
		orders, _ := a.resourceServer("orders", raised, []string{}, "orders:read", "orders:write")
		require.Equal(t, http.StatusCreated, a.putRole("archivist", raised, nil, "orders:write").StatusCode())
		require.Equal(t, http.StatusCreated, a.putRole("clerk", raised, nil, "orders:read").StatusCode())
		first, second := a.user("grace", "clerk", raised), a.user("ruth", "archivist", raised)
		db := a.database()
		defer func() { require.NoError(t, db.Close()) }()
		withdrawn := make(chan *api.UpdateServiceResult, 1)
		require.NoError(t, db.Write(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			var held int
			require.NoError(t, tx.Get(ctx, &held, "SELECT 1 FROM users WHERE id = ? FOR UPDATE", first.ID))
			go func() {
				got, err := b.client.UpdateServiceWithResponse(context.Background(), orders.ID, &api.UpdateServiceParams{IfMatch: "*"},
					api.ServiceUpdate{DeclaredScopes: &[]string{}}, bearer(raised))
				if err != nil {
					t.Error(err)
				}
				withdrawn <- got
			}()
			for waiting := 0; waiting == 0; {
				require.NoError(t, tx.Get(ctx, &waiting, "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"))
			}
			return tx.Get(ctx, &held, "SELECT 1 FROM users WHERE id = ? FOR UPDATE NOWAIT", second.ID)
		}), "the later user is held before the earlier one")
		got := <-withdrawn
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))

		a.user("edith", "admin", raise(adminName, adminPassword))
		for range raceRounds(t) / 2 {
			tokens := []string{raise(adminName, adminPassword), raise("edith", userPassword)}
			made, _ := a.resourceServer(strings.ToLower(strings.ReplaceAll(id.New("s"), "_", "")), tokens[0], []string{})
			scopes := []string{made.Name + ":read", made.Name + ":write"}
			got := a.updateService(made, tokens[0], api.ServiceUpdate{DeclaredScopes: &scopes})
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			require.Equal(t, http.StatusCreated, a.putRole("r"+made.Name, tokens[0], nil, scopes...).StatusCode())
			var done atomic.Int64
			var both sync.WaitGroup
			for i, h := range []*house{a, b} {
				both.Go(func() {
					kept := scopes[:1-i]
					got, err := h.client.UpdateServiceWithResponse(context.Background(), made.ID, &api.UpdateServiceParams{IfMatch: "*"}, api.ServiceUpdate{DeclaredScopes: &kept}, bearer(tokens[i]))
					switch {
					case err != nil:
						t.Error(err)
					case got.StatusCode() == http.StatusOK:
						done.Add(1)
					case got.StatusCode() != http.StatusUnauthorized: // withdrawing scopes ends administrators' tokens, including this one
						t.Errorf("%d %s", got.StatusCode(), got.Body)
					}
				})
			}
			both.Wait()
			require.Positive(t, done.Load())
		}
	})
}
