package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// twoKMS is a household with two kms on one PostgreSQL database. All other services have the addresses of both.
type twoKMS struct {
	household
	kms  []*replica
	data string
	urls []string // of the kms
}

// newTwoKMS starts the household, its kms with further settings.
func newTwoKMS(t *testing.T, further ...string) *twoKMS {
	t.Helper()
	harness.Own(t, "it is about services that the test starts itself")
	database := write(t, harness.Postgres(t))
	h := &twoKMS{household: household{t: t, parts: map[string]*replica{}}, data: t.TempDir()}
	rootKey := filepath.Join(h.data, "root.key")
	out, err := exec.Command(harness.Binary(t), "keygen", rootKey).CombinedOutput()
	require.NoError(t, err, string(out))
	h.gateway = "http://" + harness.FreeAddress(t)
	h.urls = []string{"http://" + harness.FreeAddress(t), "http://" + harness.FreeAddress(t)}
	for i, url := range h.urls {
		h.kms = append(h.kms, h.serve("kms", append([]string{
			"ADDR=" + strings.TrimPrefix(url, "http://"), "DATA_DIR=" + filepath.Join(h.data, fmt.Sprint("kms", i)),
			"ROOT_KEY_FILE=" + rootKey, "DATABASE_URL_FILE=" + database, "ENROL_DIR=" + filepath.Join(h.data, "enrol"),
		}, further...)...))
	}
	for _, word := range []string{"twofactor", "search"} {
		h.parts[word] = h.serve(word)
	}
	h.parts["sequence"] = h.serve("sequence", "SEARCH_URL="+h.parts["search"].url)
	h.parts["gateway"] = h.serve("gateway", "ADDR="+strings.TrimPrefix(h.gateway, "http://"), "TWOFACTOR_URL="+h.parts["twofactor"].url,
		"SEARCH_URL="+h.parts["search"].url, "SEQUENCE_URL="+h.parts["sequence"].url)
	h.admin = harness.Bootstrap(t, h.gateway, filepath.Join(h.data, "kms0", "bootstrap.token"), "ada", password, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	return h
}

// stop stops all services, both kms last.
func (h *twoKMS) stop() {
	h.t.Helper()
	h.household.stop()
	for _, one := range h.kms {
		one.stop()
	}
}

// serve starts a service that knows both kms.
func (h *twoKMS) serve(word string, settings ...string) *replica {
	h.t.Helper()
	keys := h.urls[0] + "/kms/v1/.well-known/jwks.json," + h.urls[1] + "/kms/v1/.well-known/jwks.json"
	return serve(h.t, word, strings.Join(h.urls, ","), h.gateway, "", append([]string{
		"ADDR=127.0.0.1:0", "DRAIN_DELAY=1ms", "TRUSTED_PROXIES=127.0.0.0/8", "ENROL_TOKEN_FILE=" + filepath.Join(h.data, "enrol", word, "token"), "JWKS_URL=" + keys,
	}, settings...)...)
}

// One of two kms is killed, then the other one. Without it, everything that needs the kms continues immediately, at the
// gateway and at every service. No client retries.
func TestKill_ofOneKMSStopsNobodyOnPostgreSQL(t *testing.T) {
	var h *twoKMS
	if harness.IsGiven() {
		given, replicas := givenHousehold(t, "kms", "kms-2")
		h = &twoKMS{household: *given, kms: replicas}
		h.parts = map[string]*replica{"sequence": {t: t, url: h.gateway}}
		defer func() { replicas[1].start() }() // it is killed last
	} else {
		h = newTwoKMS(t)
	}
	_, err := h.admin.Sequence.CreateElement(t.Context(), "chaos", "line", sequence.ElementCreate{Data: json.RawMessage(`{"text":"x"}`)})
	require.NoError(t, err)
	users := h.editors(len(h.kms))
	for i, victim := range h.kms {
		if i > 0 {
			h.kms[i-1].start()
		}
		victim.kill()
		h.welcome(i, func(call func() error) {
			require.NoError(t, call(), "a user is made, and enrols an authenticator (introspection)")
		})
		h.ends(users[i])
		if !harness.IsGiven() {
			h.joins(i)
		}
	}
}

// ends creates a key, uses it at sequence, and revokes it: the key is exchanged at the kms, and sequence learns of the
// revocation from the feed.
func (h *twoKMS) ends(user *fountain.Client) {
	ctx, t := context.Background(), h.t
	t.Helper()
	key, err := user.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "short", Scopes: []string{"elements:read"}})
	require.NoError(t, err)
	issued, err := user.KMS.IssueToken(ctx, kms.TokenRequest{GrantType: "client_credentials", ClientID: &key.APIKey.ID, ClientSecret: &key.Key, Resource: &[]string{"sequence"}})
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, h.asks(h.parts["sequence"].url+"/sequence/v1/scopes/chaos/line/elements", issued.AccessToken))
	_, err = user.KMS.RevokeAPIKey(ctx, key.APIKey.ID)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return h.asks(h.parts["sequence"].url+"/sequence/v1/scopes/chaos/line/elements", issued.AccessToken) == http.StatusUnauthorized
	}, 20*time.Second, 20*time.Millisecond, "the feed goes on")
}

// joins starts one more search service, which enrols, reads the feed before it is ready, and needs the keys for the
// first token.
func (h *twoKMS) joins(i int) {
	t := h.t
	t.Helper()
	token := harness.EnrolmentToken(t, h.admin, "search")
	another := h.serve("search", "DATA_DIR="+filepath.Join(h.data, fmt.Sprint("search", i)), "ENROL_TOKEN_FILE="+write(t, token))
	bearer, err := h.admin.Token(context.Background(), "search")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, h.asks(another.url+"/search/v1/collections", bearer))
	another.stop()
}

// asks returns the status of a GET at a service directly.
func (h *twoKMS) asks(url, bearer string) int {
	h.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	require.NoError(h.t, err)
	r.Header.Set("Authorization", "Bearer "+bearer)
	res, err := http.DefaultClient.Do(r)
	require.NoError(h.t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(h.t, err)
	require.NoError(h.t, res.Body.Close())
	return res.StatusCode
}
