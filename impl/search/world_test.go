package search

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/etag"
	"github.com/fountainai/fountain/internal/servicetest"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// fakeKMS stores secrets.
type fakeKMS struct {
	*servicetest.KMS
	mu       sync.Mutex
	secrets  map[string]string
	versions map[string]int64
	puts     int
	changed  chan struct{} // closed at the next change of a secret
}

func newKMS(t testing.TB) *fakeKMS {
	t.Helper()
	k := &fakeKMS{KMS: servicetest.NewKMS(t, "search"), secrets: map[string]string{}, versions: map[string]int64{}, changed: make(chan struct{})}
	k.Handle("GET /kms/v1/secrets/{name}", k.getSecret)
	k.Handle("GET /kms/v1/secrets/{name}/watch", k.watchSecret)
	k.Handle("PUT /kms/v1/secrets/{name}", k.putSecret)
	return k
}

func (k *fakeKMS) getSecret(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	value, ok := k.secrets[r.PathValue("name")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	servicetest.Send(w, 200, map[string]any{"name": r.PathValue("name"), "value": value, "version": k.versions[r.PathValue("name")]})
}

// watchSecret holds a request until the secret has a version other than the known one.
func (k *fakeKMS) watchSecret(w http.ResponseWriter, r *http.Request) {
	for name := r.PathValue("name"); ; {
		k.mu.Lock()
		version, changed := k.versions[name], k.changed
		k.mu.Unlock()
		switch {
		case version == 0:
			w.WriteHeader(http.StatusNotFound)
			return
		case r.Header.Get("If-None-Match") != etag.Of(version):
			servicetest.Send(w, 200, map[string]any{"name": name, "version": version})
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// set writes a new version of a secret. The caller holds the lock.
func (k *fakeKMS) set(name, value string) {
	k.secrets[name] = value
	k.versions[name]++
	close(k.changed)
	k.changed = make(chan struct{})
}

// rotate writes a new version of a secret.
func (k *fakeKMS) rotate(name, value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.set(name, value)
}

func (k *fakeKMS) putSecret(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var body struct{ Value string }
	_, exists := k.secrets[r.PathValue("name")]
	if exists || r.Header.Get("If-None-Match") != "*" || json.NewDecoder(r.Body).Decode(&body) != nil {
		w.WriteHeader(http.StatusPreconditionFailed)
		return
	}
	k.set(r.PathValue("name"), body.Value)
	k.puts++
	servicetest.Send(w, 201, map[string]any{"name": r.PathValue("name"), "version": 1})
}

func (k *fakeKMS) secret(name string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.secrets[name]
}

// world is the running service with its surroundings.
type world struct {
	*servicetest.Running
	kms      *fakeKMS
	logs     *servicetest.Log
	client   *http.Client
	settings Config
}

// each runs f against a ready service on every database.
func each(t *testing.T, f func(t *testing.T, w *world)) {
	t.Helper()
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		w := newWorld(t, c)
		w.start(t)
		w.WaitReady(t)
		f(t, w)
	})
}

func newWorld(t testing.TB, c store.Config) *world {
	t.Helper()
	w := &world{kms: newKMS(t), logs: &servicetest.Log{}, client: servicetest.Client(t, "search")}
	w.settings.Service = servicetest.Settings(t, w.kms.KMS, c, w.logs)
	return w
}

// start runs the service until the test ends or Stop is called. The service may then be started again.
func (w *world) start(t testing.TB) {
	t.Helper()
	settings := w.settings
	w.Running = servicetest.Start(t, &settings.Service, func(ctx context.Context) error { return Run(ctx, settings) })
}

// someone returns a token of an administrator.
func (w *world) someone(t testing.TB, change ...func(*auth.Claims)) string {
	t.Helper()
	c := servicetest.User("search", time.Now())
	c.Scope, c.Roles = "collections:read collections:write documents:write documents:search", []string{"admin"}
	for _, f := range change {
		f(c)
	}
	return w.kms.Token(t, c)
}

// call sends a request and checks the answer against the contract.
func (w *world) call(t testing.TB, token, method, path, body string, headers ...string) servicetest.Answer {
	t.Helper()
	return servicetest.Call(t, w.client, token, method, w.URL+"/search/v1"+path, body, headers...)
}

func (w *world) must(t testing.TB, status int, token, method, path, body string, headers ...string) servicetest.Answer {
	t.Helper()
	a := w.call(t, token, method, path, body, headers...)
	require.Equal(t, status, a.Status, "%s %s: %s", method, path, a.Body)
	return a
}

// mustInTime is must, but retries if a busy machine answers with 503 and Retry-After.
func (w *world) mustInTime(t testing.TB, status int, token, method, path, body string) servicetest.Answer {
	t.Helper()
	for end := time.Now().Add(testWait); ; time.Sleep(100 * time.Millisecond) {
		a := w.call(t, token, method, path, body)
		if a.Status == http.StatusServiceUnavailable && a.Header.Get("Retry-After") != "" && time.Now().Before(end) {
			continue
		}
		require.Equal(t, status, a.Status, "%s %s: %s", method, path, a.Body)
		return a
	}
}

var refused = servicetest.Refused

func upserts(docs ...string) string {
	items := make([]string, len(docs))
	for i, d := range docs {
		items[i] = fmt.Sprintf(`{"op":"upsert","id":"%d","document":%s}`, i+1, d)
	}
	return `{"items":[` + strings.Join(items, ",") + `]}`
}

func TestMain(m *testing.M) { os.Exit(servicetest.Main(m, "search")) }
