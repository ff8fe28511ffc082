package searchkeys

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/api"
	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/clock"
)

// The test vector is from Typesense's documentation. typesense-go uses it in its own tests.
func TestScoped_isTypesensesForm(t *testing.T) {
	require.Equal(t, "SC9sT0hncHFwTHNFc3U3d3psRDZBUGNXQUViQUdDNmRHSmJFQnNnczJ4VT1STjIzeyJmaWx0ZXJfYnkiOiJjb21wYW55X2lkOjEyNCJ9",
		scoped("RN23GFr1s6jQ9kgSNg2O7fYcAUXU7127", []byte(`{"filter_by":"company_id:124"}`)))
}

type noKeys struct{}

func (noKeys) Refresh(context.Context) error { return nil }

// secret is read at the first use, as from the kms.
type secret struct{ value, next string }

func (s *secret) Key() string                   { return s.value }
func (s *secret) Refresh(context.Context) error { s.value = s.next; return nil }

const admin = "admin-of-the-engine"

// rig is an engine and two instances that create keys for it.
type rig struct {
	door   http.Handler
	now    *clock.Fake
	minter [2]*Minter
	all    []*owner.Collection
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{now: clock.NewFake(time.Date(2026, 11, 29, 23, 59, 0, 0, time.UTC))}
	local, err := embedded.Open(embedded.Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler), Clock: r.now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, local.Close()) })
	require.NoError(t, local.WaitReady(t.Context()))
	r.door = api.New(local, api.Options{Key: func(given string) bool { return given == admin }})
	client, err := tsclient.New("http://engine", tsclient.InProcess(r.door), func() string { return admin }, tsclient.Deadlines{})
	require.NoError(t, err)
	for i := range r.minter {
		r.minter[i] = New(engine.New(client, noKeys{}), &secret{next: "of-the-kms"}, r.now)
	}
	r.all = []*owner.Collection{{Name: owner.Name{Tenant: "red", Local: "plays"}, Claimed: r.now.Now()}}
	for _, name := range []string{"red.plays", "red.plays__R1"} {
		status, text := r.ask(admin, "POST", "/collections", `{"name":"`+name+`","fields":[{"name":"text","type":"string"}]}`)
		require.Equal(t, 201, status, text)
		status, text = r.ask(admin, "POST", "/collections/"+name+"/documents", `{"text":"of `+name+`."}`)
		require.Equal(t, 201, status, text)
	}
	return r
}

func (r *rig) ask(key, method, path, body string) (int, string) {
	q := httptest.NewRequest(method, path, strings.NewReader(body))
	q.Header.Set("X-Typesense-Api-Key", key)
	done := httptest.NewRecorder()
	r.door.ServeHTTP(done, q)
	return done.Code, done.Body.String()
}

func (r *rig) search(k Key) (int, string) {
	return r.ask(k.Text, "GET", "/collections/"+url.PathEscape(k.Collection)+"/documents/search?q=*&query_by=text", "")
}

func (r *rig) tend(t *testing.T) {
	t.Helper()
	require.NoError(t, r.minter[0].Tend(t.Context(), func(context.Context) ([]*owner.Collection, error) { return r.all, nil }))
}

func (r *rig) mint(t *testing.T, i int, life time.Duration) Key {
	t.Helper()
	k, err := r.minter[i].Mint(t.Context(), r.all[0], Limits{Life: life, Overrides: true})
	require.NoError(t, err)
	return k
}

// A key is valid for exactly as long as it says, across the change of the day and a reindex.
func TestMint_makesKeysThatLiveAsLongAsTheySay(t *testing.T) {
	r := newRig(t)
	first, second := r.mint(t, 0, 48*time.Hour), r.mint(t, 1, time.Hour)
	require.Equal(t, r.now.Now().Add(MaxLife), first.ExpiresAt, "none lives longer than a day")
	for _, k := range []Key{first, second} {
		status, text := r.search(k)
		require.Equal(t, 200, status, text)
		require.Contains(t, text, "of red.plays.")
	}
	_, keys := r.ask(admin, "GET", "/keys", "")
	require.Equal(t, 1, strings.Count(keys, description), "two instances share a parent")
	require.NotContains(t, keys, `"*"`)

	r.all[0].Physical = "red.plays__R1"
	r.tend(t)
	_, text := r.search(second)
	require.Contains(t, text, "of red.plays__R1.", "after a reindex it finds the new collection")

	r.now.Advance(59 * time.Minute)
	status, _ := r.search(second)
	require.Equal(t, 200, status)
	r.now.Advance(2 * time.Minute)
	status, _ = r.search(second)
	require.Equal(t, 401, status)
	r.tend(t)
	r.mint(t, 0, time.Minute) // on the next day
	r.now.Advance(MaxLife - 62*time.Minute)
	r.tend(t)
	status, text = r.search(first)
	require.Equal(t, 200, status, text)
	r.now.Advance(2 * time.Minute)
	status, _ = r.search(first)
	require.Equal(t, 401, status)
	_, keys = r.ask(admin, "GET", "/keys", "")
	require.Equal(t, 2, strings.Count(keys, description))
	r.now.Advance(4 * 24 * time.Hour)
	r.tend(t)
	_, keys = r.ask(admin, "GET", "/keys", "")
	require.Zero(t, strings.Count(keys, description), "parents that nothing can come from are gone")
}

// What the engine has lost is restored, and keys of a deleted collection reach nothing.
func TestTend_keepsNamesOnWhatTheyAreOf(t *testing.T) {
	r := newRig(t)
	k := r.mint(t, 0, time.Hour)
	status, _ := r.ask(admin, "DELETE", "/aliases/"+k.Collection, "")
	require.Equal(t, 200, status)
	r.tend(t)
	r.mint(t, 0, time.Hour)
	status, _ = r.search(k)
	require.Equal(t, 200, status)

	status, _ = r.ask(admin, "PUT", "/aliases/operators", `{"collection_name":"red.plays"}`)
	require.Equal(t, 200, status)
	later := *r.all[0]
	later.Claimed = later.Claimed.Add(time.Second)
	r.all[0] = &later
	r.tend(t)
	status, _ = r.search(k)
	require.Equal(t, 401, status, "its parent is gone")
	_, aliases := r.ask(admin, "GET", "/aliases", "")
	require.NotContains(t, aliases, aliasPrefix)
	require.Contains(t, aliases, "operators")
}
