package rotator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
	"github.com/fountainai/fountain/impl/kms/internal/rotator"
	"github.com/fountainai/fountain/impl/kms/internal/secret"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/webhook"
)

const (
	theValue = "value-that-is-in-no-log"
	theKey   = "key-that-is-in-no-log"
)

// place is a target on loopback with drivers that may call it.
type place struct {
	*httptest.Server
	drivers map[string]secret.Driver
	log     bytes.Buffer
	clock   *clock.Fake
}

func newPlace(t *testing.T, allow []string, answer http.HandlerFunc) *place {
	t.Helper()
	return newDeniedPlace(t, allow, func(*place) []string { return nil }, answer)
}

// newDeniedPlace is a place with addresses that are denied, whatever is allowed.
func newDeniedPlace(t *testing.T, allow []string, deny func(p *place) []string, answer http.HandlerFunc) *place {
	t.Helper()
	p := &place{Server: httptest.NewTLSServer(answer), clock: clock.NewFake(time.Unix(1800000000, 0))}
	t.Cleanup(p.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}), 0o600))
	if allow == nil {
		allow = []string{p.Listener.Addr().String()}
	}
	r, err := rotator.New(rotator.Options{
		Allow: allow, Deny: deny(p), CAFile: file, Clock: p.clock, Log: slog.New(slog.NewJSONHandler(&p.log, nil)), Registerer: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	p.drivers = r.Drivers("https://kms.example")
	return p
}

func (p *place) call(driver string, step secret.Step) error {
	return p.drivers[driver].Do(context.Background(), secret.Call{
		Rotation: secret.Rotation{Name: "app.db", Driver: driver, URL: p.URL, Collections: []string{"a", "b"}, Actions: []string{"documents:search"}},
		Step:     step, Version: 3, Value: map[bool]string{false: theValue}[step == secret.End], Current: 4, CurrentValue: "current-" + theValue,
		Credentials: []string{theKey, "older"}, Since: time.UnixMicro(7),
	})
}

func TestWebhook_isSignedAndHasWhatTheStepNeeds(t *testing.T) {
	var bodies []string
	var headers []http.Header
	p := newPlace(t, nil, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies, headers = append(bodies, string(body)), append(headers, r.Header)
	})
	for _, step := range []secret.Step{secret.Set, secret.Test, secret.End} {
		require.NoError(t, p.call(secret.Webhook, step))
	}
	require.JSONEq(t, `{"id":"app.db:3:set:7","step":"set","secret":"app.db","version":3,"value":"`+theValue+`"}`, bodies[0])
	require.JSONEq(t, `{"id":"app.db:3:test:7","step":"test","secret":"app.db","version":3,"value":"`+theValue+`"}`, bodies[1])
	require.JSONEq(t, `{"id":"app.db:3:end:7","step":"end","secret":"app.db","version":3,"current":{"version":4,"value":"current-`+theValue+`"}}`, bodies[2])
	for i, h := range headers {
		require.Equal(t, webhook.Sign(p.clock.Now(), []byte(bodies[i]), theKey, "older"), h.Get(webhook.Header))
		require.Contains(t, bodies[i], h.Get("Idempotency-Key"))
	}
}

// Whatever a target does, a step fails with one of the words, and neither the error nor the log has a secret.
func TestDrivers_endBadAnswersWithAWord(t *testing.T) {
	reached := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   secret.Failure
	}{
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, secret.Rejected},
		"no":                {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, theValue, http.StatusTeapot) }, secret.Rejected},
		"a broken answer":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, secret.NoAnswer},
		"an endless answer": {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, secret.AnswerTooLarge},
		"half of a body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = w.Write([]byte("half"))
		}, secret.NoAnswer},
	} {
		p := newPlace(t, nil, c.answer)
		for _, driver := range []string{secret.Webhook, secret.Typesense} {
			for _, step := range []secret.Step{secret.Set, secret.Test, secret.End} {
				err := p.call(driver, step)
				require.ErrorIs(t, err, c.want, "%s, %s, %s", name, driver, step)
				require.Equal(t, string(c.want), err.Error())
			}
		}
		require.NotContains(t, p.log.String(), "in-no-log")
	}
	require.False(t, reached, "a redirect is not followed")
}

func endless(w http.ResponseWriter) {
	for range 1 << 12 {
		if _, err := w.Write(make([]byte, 1<<10)); err != nil {
			return
		}
	}
}

// A target that the operator does not allow is refused when it is configured, and again at each connection.
func TestDrivers_connectToWhatTheOperatorAllowsAlone(t *testing.T) {
	reached := false
	p := newPlace(t, []string{"rotator.example.org:443"}, func(http.ResponseWriter, *http.Request) { reached = true })
	for _, driver := range []string{secret.Webhook, secret.Typesense} {
		for _, step := range []secret.Step{secret.Set, secret.Test, secret.End} {
			require.ErrorIs(t, p.call(driver, step), secret.RefusedTarget)
		}
		for _, url := range []string{
			p.URL, "https://127.0.0.1:1", "https://localhost:443", "https://169.254.169.254:443", "https://[::ffff:127.0.0.1]:443", "https://rotator.example.org.evil.example:443",
			"https://rotator.example.org:8443", "https://0x7f000001:443", "ftp://rotator.example.org", "https://", "https:///path",
		} {
			r := secret.Rotation{Driver: driver, URL: url, Collections: []string{"a"}, Actions: []string{"documents:search"}}
			require.ErrorIs(t, p.drivers[driver].Check(t.Context(), r), domain.ValidationFailed, url)
		}
	}
	require.False(t, reached)
	require.NoError(t, p.drivers[secret.Webhook].Check(t.Context(), secret.Rotation{URL: "https://rotator.example.org/a/path"}))
	require.ErrorIs(t, p.drivers[secret.Webhook].Check(t.Context(), secret.Rotation{URL: "http://rotator.example.org:443/"}), domain.ValidationFailed, "a value goes by TLS alone")
	of := secret.Rotation{URL: "https://rotator.example.org", Collections: []string{"a"}, Actions: []string{"documents:search"}}
	require.NoError(t, p.drivers[secret.Typesense].Check(t.Context(), of))
	for _, broken := range []secret.Rotation{{URL: of.URL, Actions: of.Actions}, {URL: of.URL, Collections: of.Collections, Actions: []string{"documents:get"}}, {URL: of.URL + "/path", Collections: of.Collections, Actions: of.Actions}} {
		require.ErrorIs(t, p.drivers[secret.Typesense].Check(t.Context(), broken), domain.ValidationFailed)
	}
}

// engine answers the driver's requests like Typesense.
type engine struct {
	mu   sync.Mutex
	last int64
	keys map[int64]map[string]any
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	given := r.Header.Get("X-TYPESENSE-API-KEY")
	if strings.HasPrefix(r.URL.Path, "/collections/") {
		for _, k := range e.keys {
			if k["value"] == given {
				return
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if given != "older" { // the admin key was replaced in the kms, and not yet here
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.Method {
	case http.MethodGet:
		list := []map[string]any{}
		for id, k := range e.keys {
			list = append(list, map[string]any{"id": id, "description": k["description"]})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": list})
	case http.MethodDelete:
		id, _ := strconv.ParseInt(r.URL.Path[len("/keys/"):], 10, 64)
		delete(e.keys, id)
	case http.MethodPost:
		var made map[string]any
		_ = json.NewDecoder(r.Body).Decode(&made)
		for _, k := range e.keys {
			if k["value"] == made["value"] {
				w.WriteHeader(http.StatusConflict)
				return
			}
		}
		e.last++
		e.keys[e.last] = made
		w.WriteHeader(http.StatusCreated)
	}
}

func TestTypesense_makesOneKeyHoweverOftenItIsTold(t *testing.T) {
	e := &engine{keys: map[int64]map[string]any{}}
	p := newPlace(t, nil, e.ServeHTTP)
	e.keys[0] = map[string]any{"value": "of others", "description": "https://kms.example secret app.db version 33"}
	require.ErrorIs(t, p.call(secret.Typesense, secret.Test), secret.Rejected, "there is no key yet")
	for range 3 {
		require.NoError(t, p.call(secret.Typesense, secret.Set))
		require.NoError(t, p.call(secret.Typesense, secret.Test))
	}
	require.Len(t, e.keys, 2)
	require.Equal(t, []any{theValue, []any{"documents:search"}, []any{"a", "b"}}, []any{e.keys[1]["value"], e.keys[1]["actions"], e.keys[1]["collections"]})
	for range 2 {
		require.NoError(t, p.call(secret.Typesense, secret.End))
	}
	require.Len(t, e.keys, 1, "the key of another version stays")
	require.ErrorIs(t, p.call(secret.Typesense, secret.Test), secret.Rejected)
}

// A key that can't be sent in a header is reported as such, and nothing is sent.
func TestTypesense_sendsNoKeyThatNoHeaderTakes(t *testing.T) {
	reached := false
	p := newPlace(t, nil, func(http.ResponseWriter, *http.Request) { reached = true })
	c := secret.Call{Rotation: secret.Rotation{URL: p.URL, Collections: []string{"a"}}, Step: secret.Set, Value: theValue + "\n", Credentials: []string{theKey + "\n"}}
	require.ErrorIs(t, p.drivers[secret.Typesense].Do(t.Context(), c), secret.NoCredential)
	c.Step = secret.Test
	require.ErrorIs(t, p.drivers[secret.Typesense].Do(t.Context(), c), secret.Rejected)
	require.False(t, reached)
}

// A target that accepts a connection and does not answer costs a bounded time.
func TestDrivers_waitForNobodyForEver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	p := newPlace(t, []string{l.Addr().String()}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for driver, d := range p.drivers {
		err := d.Do(ctx, secret.Call{Rotation: secret.Rotation{URL: "https://" + l.Addr().String()}, Step: secret.Set, Credentials: []string{theKey}})
		require.ErrorIs(t, err, secret.NoAnswer, driver)
	}
}

// A host name is not resolved when a target is configured. If it resolves to an address of the family, the connection is refused at every step, and the failure
// says so.
func TestDrivers_reachNoAddressOfTheFamilyByAName(t *testing.T) {
	for _, deny := range []func(port string) string{
		func(port string) string { return "127.0.0.1:" + port }, func(port string) string { return ":" + port },
	} {
		reached := false
		p := newDeniedPlace(t, []string{"127.0.0.0/8"}, func(p *place) []string {
			_, port, err := net.SplitHostPort(p.Listener.Addr().String())
			require.NoError(t, err)
			return []string{deny(port)}
		}, func(http.ResponseWriter, *http.Request) { reached = true })
		byAddress := p.URL
		p.URL = strings.Replace(p.URL, "127.0.0.1", "localhost", 1)
		require.NotEqual(t, byAddress, p.URL)
		for _, driver := range []string{secret.Webhook, secret.Typesense} {
			r := secret.Rotation{Driver: driver, URL: byAddress, Collections: []string{"a"}, Actions: []string{"documents:search"}}
			require.ErrorIs(t, p.drivers[driver].Check(t.Context(), r), domain.ValidationFailed)
			r.URL = p.URL
			require.NoError(t, p.drivers[driver].Check(t.Context(), r), "what the name stands for is known when it is connected to")
			for _, step := range []secret.Step{secret.Set, secret.Test, secret.End} {
				require.ErrorIs(t, p.call(driver, step), secret.RefusedTarget, "%s, %s", driver, step)
			}
		}
		require.False(t, reached)
		require.Contains(t, p.log.String(), `"reason":"denied"`)
	}
}
