package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/keytext"
)

// keyDesk is a house whose kms answers exchanges of API keys with answer.
type keyDesk struct {
	*house
	asked  atomic.Int64
	answer func(w http.ResponseWriter, form map[string][]string)
}

func newKeyDesk(t *testing.T) *keyDesk { return newKeyDeskWith(t, func(*Config) {}) }

func newKeyDeskWith(t *testing.T, change func(*Config)) *keyDesk {
	d := &keyDesk{house: newHouseWith(t, change)}
	d.upstream = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/kms/v1/oauth2/token" {
			element(w)
			return
		}
		d.asked.Add(1)
		d.mu.Lock()
		answer := d.answer
		d.mu.Unlock()
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		answer(w, r.PostForm)
	}
	return d
}

// says makes the kms answer with a status and a JSON body.
func (d *keyDesk) says(status int, body string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = func(w http.ResponseWriter, _ map[string][]string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
}

// issues makes the kms issue a token for any key; more is added to the answer.
func (d *keyDesk) issues(more string, change func(*auth.Claims)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = func(w http.ResponseWriter, form map[string][]string) {
		token := d.token(func(c *auth.Claims) {
			c.ClientID, c.SessionID, c.Audience = form["client_id"][0], "", []string{form["resource"][0]}
			if change != nil {
				change(c)
			}
		})
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":600,"scope":"elements:write"%s}`, token, more)
	}
}

func (d *keyDesk) create(bearer string) answer {
	return d.do("POST", createPath, createBody, "Authorization", "Bearer "+bearer)
}

func TestAPIKey_isTradedOnceForATokenThatTheServiceSees(t *testing.T) {
	d := newKeyDesk(t)
	id, key := keytext.New(keytext.Live)
	d.issues("", nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if a := d.create(key); a.StatusCode != 201 {
				t.Errorf("%d %s", a.StatusCode, a.Text)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, d.asked.Load())
	for i, r := range d.seen {
		if r.URL.Path == "/kms/v1/oauth2/token" {
			form, err := url.ParseQuery(d.body[i])
			require.NoError(t, err)
			require.Equal(t, url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {key}, "resource": {"sequence"}}, form)
			continue
		}
		require.NotContains(t, fmt.Sprint(r.Header), key)
		require.True(t, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey"))
	}
	d.clock.Advance(9 * time.Minute)
	require.Equal(t, 201, d.create(key).StatusCode)
	require.EqualValues(t, 2, d.asked.Load(), "a token is renewed before it ends")
	require.NotContains(t, d.log.String(), key)
	require.Equal(t, 2.0, d.trades("issued"))
}

// trades returns the metric of exchanges with an outcome.
func (d *keyDesk) trades(outcome string) float64 {
	families, err := d.registry.Gather()
	require.NoError(d.t, err)
	for _, f := range families {
		if f.GetName() != "fountain_gateway_key_trades_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestAPIKey_refusals(t *testing.T) {
	_, good := keytext.New(keytext.Live)
	wrong := "0"
	if good[20] == '0' {
		wrong = "1"
	}
	for name, c := range map[string]struct {
		key, code     string
		kms           int
		says          string
		status, asked int
	}{
		"mistyped":       {good[:20] + wrong + good[21:], "invalid_token", 200, "{}", 401, 0},
		"too long":       {good + "a", "invalid_token", 200, "{}", 401, 0},
		"revoked":        {good, "invalid_token", 401, `{"error":"invalid_client"}`, 401, 1},
		"no scope":       {good, "insufficient_scope", 400, `{"error":"invalid_target"}`, 403, 1},
		"limited":        {good, "rate_limited", 429, `{"code":"rate_limited"}`, 429, 1},
		"kms broken":     {good, "unavailable", 500, `{"code":"internal_error"}`, 503, 1},
		"kms talks HTML": {good, "bad_upstream", 200, `<html>`, 502, 1},
		"no token":       {good, "bad_upstream", 200, `{}`, 502, 1},
	} {
		t.Run(name, func(t *testing.T) {
			d := newKeyDesk(t)
			d.says(c.kms, c.says)
			a := d.create(c.key)
			require.Equal(t, c.status, a.StatusCode, a.Text)
			require.Equal(t, c.code, a.Code)
			require.EqualValues(t, c.asked, d.asked.Load())
			require.NotContains(t, a.Text+d.log.String(), c.key)
			if c.status == 401 {
				require.Contains(t, a.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
			}
			for _, r := range d.seen {
				require.Equal(t, "/kms/v1/oauth2/token", r.URL.Path, "nothing reaches the service")
			}
		})
	}
}

func TestAPIKey_isTakenOnlyWhereTheContractSaysSo(t *testing.T) {
	d := newKeyDesk(t)
	d.issues("", nil)
	_, key := keytext.New(keytext.Test)
	a := d.do("GET", "/kms/v1/users/me/sessions", "", "Authorization", "Bearer "+key)
	require.NotEqual(t, 200, a.StatusCode)
	a = d.do("GET", "/kms/v1/keys", "", "Authorization", "Bearer "+key)
	require.Equal(t, 401, a.StatusCode)
	require.Contains(t, a.Text, "trade it for one")
	require.Zero(t, d.asked.Load())
}

// The kms is asked about a refused key at most once a second, and the key works as soon as the kms accepts it.
func TestAPIKey_aRefusedKeyCostsTheKmsLittle(t *testing.T) {
	d := newKeyDesk(t)
	d.says(401, `{"error":"invalid_client"}`)
	_, key := keytext.New(keytext.Live)
	for range 20 {
		require.Equal(t, 401, d.create(key).StatusCode)
	}
	require.EqualValues(t, 1, d.asked.Load())
	d.issues("", nil)
	d.clock.Advance(time.Second)
	require.Equal(t, 201, d.create(key).StatusCode)
}

// A client with many unknown keys, which the kms checks slowly, leaves room for the keys of others.
func TestAPIKey_aFloodOfUnknownKeysLeavesRoomForOthers(t *testing.T) {
	d := newKeyDeskWith(t, func(c *Config) { c.TrustedProxies = []string{"127.0.0.0/8"} })
	_, good := keytext.New(keytext.Live)
	d.issues("", nil)
	issue, judged := d.answer, make(chan struct{})
	judge := sync.OnceFunc(func() { close(judged) })
	defer judge()
	d.answer = func(w http.ResponseWriter, form map[string][]string) {
		if form["client_secret"][0] == good {
			issue(w, form)
			return
		}
		<-judged
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"error":"invalid_client"}`)
	}
	var all sync.WaitGroup
	var refused atomic.Int64
	for range 300 {
		_, unknown := keytext.New(keytext.Live)
		all.Go(func() {
			if a := d.create(unknown); a.Code == "overloaded" {
				refused.Add(1)
			}
		})
	}
	require.Eventually(t, func() bool { return refused.Load() == 300-64 }, 10*time.Second, time.Millisecond)
	require.Equal(t, "overloaded", d.create(good).Code, "it comes from the same address")
	require.Equal(t, 201, d.do("POST", createPath, createBody, "Authorization", "Bearer "+good, "X-Forwarded-For", "192.0.2.9").StatusCode)
	judge()
	all.Wait()
}

// A key with a rate limit of its own counts for every request: its tokens are not cached.
func TestAPIKey_withALimitCountsEveryRequest(t *testing.T) {
	d := newKeyDesk(t)
	d.issues(`,"rateLimit":{"limit":5,"windowSeconds":60}`, nil)
	_, key := keytext.New(keytext.Live)
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() { d.create(key) })
	}
	all.Wait()
	for range 6 {
		d.create(key)
	}
	require.EqualValues(t, 12, d.asked.Load())
}

// If a key's token was invalidated, for example by a change of its owner's roles, a valid key is still accepted.
func TestAPIKey_isTradedAgainWhenItsTokenWasEnded(t *testing.T) {
	d := newKeyDesk(t)
	_, key := keytext.New(keytext.Live)
	d.issues("", nil)
	require.Equal(t, 201, d.create(key).StatusCode)
	d.clock.Advance(2 * time.Second)
	d.mu.Lock()
	d.over = d.clock.Now()
	d.mu.Unlock()
	require.Equal(t, 201, d.create(key).StatusCode)
	require.EqualValues(t, 2, d.asked.Load())

	d.clock.Advance(2 * time.Second)
	d.mu.Lock()
	d.over = d.clock.Now().Add(time.Hour) // every issued token has already been invalidated
	d.mu.Unlock()
	require.Equal(t, 401, d.create(key).StatusCode)
	require.EqualValues(t, 3, d.asked.Load(), "the kms is asked once more, not for ever")
}

func TestAPIKey_aTokenOfAnotherKeyIsNotTaken(t *testing.T) {
	d := newKeyDesk(t)
	_, key := keytext.New(keytext.Live)
	d.issues("", func(c *auth.Claims) { c.ClientID = "key_other" })
	require.Equal(t, 502, d.create(key).StatusCode)
}
