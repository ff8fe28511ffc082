package revocation

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/clock"
)

// feed is the revocation feed of a kms.
type feed struct {
	mu    sync.Mutex
	name  string
	items []Entry
	asked []int64
	down  bool
}

func (f *feed) end(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items = append(f.items, Entry{Position: int64(len(f.items) + 1), Kind: Session, ID: id, Until: time.Now().Add(time.Hour)})
}

func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down || r.Header.Get("Authorization") != "Bearer token" {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	f.asked = append(f.asked, after)
	if name := r.URL.Query().Get("feed"); name != f.name || after > int64(len(f.items)) {
		after = 0
	}
	_ = json.NewEncoder(w).Encode(page{Feed: f.name, Position: int64(len(f.items)), Items: f.items[after:]})
}

type credential struct{}

func (credential) Token(context.Context, string) (string, error) { return "token", nil }
func (credential) Forget(string)                                 {}

func follow(t *testing.T, f *feed, apply func(context.Context, Entry) error) *Follower {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return NewFollower(Config{
		KMSURL: server.URL, Client: server.Client(), Credential: credential{}, Clock: clock.System, Log: slog.New(slog.DiscardHandler),
		Registerer: prometheus.NewRegistry(), Apply: apply,
	})
}

func session(id string) *auth.Principal { return &auth.Principal{Subject: "usr_1", SessionID: id} }

func TestFollower_acceptsNoTokenBeforeItKnowsTheFeed(t *testing.T) {
	f := &feed{name: "one"}
	f.end("ses_1")
	follower := follow(t, f, nil)
	_, err := follower.Revoked(session("ses_2"))
	require.ErrorIs(t, err, auth.ErrUnknownRevocations)
	require.Error(t, follower.Ready())

	require.NoError(t, follower.read(t.Context()))
	require.NoError(t, follower.Ready())
	<-follower.Heard()
	ended, err := follower.Revoked(session("ses_1"))
	require.NoError(t, err)
	require.True(t, ended)

	follower.heard = time.Now().Add(-MaxAge - time.Second) // silence
	_, err = follower.Revoked(session("ses_2"))
	require.ErrorIs(t, err, auth.ErrUnknownRevocations)
	require.ErrorContains(t, follower.Ready(), "30s")
	require.NoError(t, follower.read(t.Context()))
	require.NoError(t, follower.Ready(), "and is ready again when it hears the feed")
}

func TestFollower_goesOnWhereItWas(t *testing.T) {
	f := &feed{name: "one"}
	f.end("ses_1")
	follower := follow(t, f, nil)
	require.NoError(t, follower.read(t.Context()))
	f.end("ses_2")
	require.NoError(t, follower.read(t.Context()))
	require.Equal(t, []int64{0, 1}, f.asked)
	require.EqualValues(t, 2, follower.at())
	for _, id := range []string{"ses_1", "ses_2"} {
		require.True(t, follower.set.Ended(session(id)), id)
	}
	again := follow(t, f, nil) // a restart begins at the beginning, and misses nothing
	require.NoError(t, again.read(t.Context()))
	require.True(t, again.set.Ended(session("ses_1")) && again.set.Ended(session("ses_2")))
}

func TestFollower_forgetsTheFeedOfAnotherDatabase(t *testing.T) {
	f := &feed{name: "one"}
	f.end("ses_1")
	f.end("ses_2")
	follower := follow(t, f, nil)
	require.NoError(t, follower.read(t.Context()))
	f.items = f.items[:1] // a backup was restored
	require.NoError(t, follower.read(t.Context()))
	require.True(t, follower.set.Ended(session("ses_1")))
	require.False(t, follower.set.Ended(session("ses_2")))
	f.name, f.items = "two", nil
	require.NoError(t, follower.read(t.Context()))
	require.False(t, follower.set.Ended(session("ses_1")))
	require.EqualValues(t, 0, follower.at())
}

// An entry that could not be applied is tried again; until it succeeds, the feed does not count as read.
func TestFollower_appliesEachEntryUntilItSucceeds(t *testing.T) {
	f := &feed{name: "one"}
	f.end("ses_1")
	tries := 0
	follower := follow(t, f, func(_ context.Context, e Entry) error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	for range 2 {
		require.Error(t, follower.read(t.Context()))
		require.Error(t, follower.Ready())
		require.True(t, follower.set.Ended(session("ses_1")), "what it ends is ended all the same")
	}
	require.NoError(t, follower.read(t.Context()))
	require.Equal(t, 3, tries)
}

func TestFollower_stopsWhenItIsTold(t *testing.T) {
	f := &feed{name: "one", down: true}
	follower := follow(t, f, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- follower.Run(ctx) }()
	stop()
	require.NoError(t, <-ended)
}

// The revocations of a previous feed are forgotten only when the keys of that time no longer verify.
func TestFollower_forgetsEndingsTogetherWithTheKeysOfBefore(t *testing.T) {
	f := &feed{name: "one"}
	f.end("ses_1")
	follower := follow(t, f, nil)
	renewed, away := 0, errors.New("the kms is away")
	follower.RenewKeys = func(context.Context) error { renewed++; return away }
	require.ErrorIs(t, follower.read(t.Context()), away)
	_, err := follower.Revoked(session("ses_1"))
	require.ErrorIs(t, err, auth.ErrUnknownRevocations)
	away = nil
	require.NoError(t, follower.read(t.Context()))
	f.mu.Lock()
	f.name, f.items = "two", nil
	f.mu.Unlock()
	away = errors.New("the kms is away")
	require.ErrorIs(t, follower.read(t.Context()), away)
	revoked, err := follower.Revoked(session("ses_1"))
	require.NoError(t, err)
	require.True(t, revoked)
	away = nil
	require.NoError(t, follower.read(t.Context()))
	revoked, err = follower.Revoked(session("ses_1"))
	require.NoError(t, err)
	require.False(t, revoked)
	require.Equal(t, 4, renewed)
}

// A signature of a revoked key is not accepted on other records than access tokens either, even if the cached key set still has the key.
func TestUnended_leavesOutRevokedKeys(t *testing.T) {
	f := &feed{name: "one"}
	follower := follow(t, f, nil)
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	record, err := auth.Sign(auth.TypeVoid, "k1", "EdDSA", private, &auth.VoidClaims{RegisteredClaims: jwt.RegisteredClaims{
		Issuer: "https://fountain.example.org", Audience: jwt.ClaimStrings{auth.ProofIssuer}, Subject: "usr_1", ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Minute)),
		IssuedAt: jwt.NewNumericDate(time.Now()),
	}, Before: 1})
	require.NoError(t, err)
	believed := func() error {
		keys := follower.Unended(auth.StaticKeys{"k1": {Algorithm: "EdDSA", Key: public}})
		_, _, err := auth.VerifyVoid(t.Context(), record, "https://fountain.example.org", keys, clock.System)
		return err
	}
	require.NoError(t, believed())
	f.items = append(f.items, Entry{Position: 1, Kind: SigningKey, ID: "k1", Until: time.Now().Add(time.Hour)})
	require.NoError(t, follower.read(t.Context()))
	require.ErrorIs(t, believed(), auth.ErrUnknownKey)
}
