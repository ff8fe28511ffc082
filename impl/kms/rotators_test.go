package kms_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
	"github.com/fountainai/fountain/internal/webhook"
)

const rotatorSecret = "what requests to the rotator are signed by"

// team is a rotator operated by a team: it executes repeated calls, and refuses unsigned ones.
type team struct {
	*httptest.Server
	kms.Rotators
	mu      sync.Mutex
	works   map[int64]string
	told    []string
	refuses bool
	forged  int
	acted   func(step string) // after a step, before the answer
}

func newTeam(t *testing.T) *team {
	r := &team{works: map[int64]string{}}
	r.serve(t, r)
	return r
}

// newTeamOf is a team's address that another handler answers.
func newTeamOf(t *testing.T, by http.Handler) *team {
	r := &team{}
	r.serve(t, by)
	return r
}

func (r *team) serve(t *testing.T, by http.Handler) {
	r.Server = httptest.NewTLSServer(by)
	t.Cleanup(r.Close)
	r.RotationCAFile = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(r.RotationCAFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}), 0o600))
	r.RotationAllow = []string{r.Listener.Addr().String()}
}

func (r *team) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	raw, _ := io.ReadAll(q.Body)
	var body struct {
		Step    string
		Version int64
		Value   string
		Current struct {
			Version int64
			Value   string
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var seconds int64
	if _, err := fmt.Sscanf(q.Header.Get(webhook.Header), "t=%d,", &seconds); err != nil || json.Unmarshal(raw, &body) != nil ||
		q.Header.Get(webhook.Header) != webhook.Sign(time.Unix(seconds, 0), raw, rotatorSecret) {
		r.forged++
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.refuses {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.told = append(r.told, body.Step)
	switch body.Step {
	case "set":
		r.works[body.Version] = body.Value
	case "test":
		if r.works[body.Version] != body.Value {
			w.WriteHeader(http.StatusConflict)
		}
	case "end":
		delete(r.works, body.Version)
		r.works[body.Current.Version] = body.Current.Value
	}
	if r.acted != nil {
		r.acted(body.Step)
	}
}

// working returns the value of a version outside; "" for none.
func (r *team) working(version int64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.works[version]
}

func (r *team) rotation() api.SecretRotationPut {
	return api.SecretRotationPut{
		Driver: api.SecretRotationPutDriverWebhook, URL: ptr(r.URL + "/rotate"), Credential: ptr("app.rotator"), OverlapSeconds: ptr(int64(3600)),
	}
}

func TestRotation_byAWebhook(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		r, config := newTeam(t), databaseOf(t, c)
		config.Rotators = r.Rotators
		h := start(t, config)
		h.bootstrap()
		p := h.prover()
		raise := func() string { return p.raise(h.login(adminName, adminPassword).AccessToken, "kms") }
		d := versionDoor{h, raise()}
		h.put("app.db", "first", d.token, nil)
		require.Equal(t, http.StatusNotFound, d.putRotation("app.db", r.rotation()).StatusCode(), "the credential is not there")
		h.put("app.rotator", rotatorSecret, d.token, nil)
		wrong := r.rotation()
		for _, url := range []string{"https://127.0.0.1:1/", "http://" + r.Listener.Addr().String(), h.url + "/", "https://169.254.169.254/latest"} {
			wrong.URL = &url
			got := d.putRotation("app.db", wrong)
			require.Equal(t, http.StatusUnprocessableEntity, got.StatusCode(), url)
			require.Equal(t, "validation_failed", code(got.Body))
		}
		got := d.putRotation("app.db", r.rotation())
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, http.StatusNotFound, d.rollback("app.db").StatusCode(), "there is no previous version")
		require.Equal(t, http.StatusAccepted, d.rotate("app.db").StatusCode())
		d.rotated("app.db", 2)
		require.Equal(t, h.get("app.db", d.token).JSON200.Value, r.working(2))
		require.EqualValues(t, 1, (*d.rotation("app.db").JSON200.Ending)[0].Version)

		require.Equal(t, http.StatusOK, d.propose("app.db", "by hand", api.PutSecretParams{}).StatusCode())
		require.Equal(t, "state_conflict", code(d.rollback("app.db").Body))
		require.Equal(t, http.StatusNoContent, d.remove("app.db", "pending"))
		require.Equal(t, http.StatusNoContent, d.remove("app.db", "previous"))
		require.Equal(t, http.StatusGone, d.rollback("app.db").StatusCode())
		_, err := h.client.UndeleteSecretVersionWithResponse(t.Context(), "app.db", "1", bearer(d.token))
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, d.rollback("app.db").StatusCode())
		d.rotated("app.db", 1)
		require.Equal(t, "first", r.working(1))

		h.clock.Advance(time.Hour + time.Minute)
		d.token = raise()
		require.Eventually(t, func() bool { return r.working(2) == "" }, time.Minute, 20*time.Millisecond, "after the overlap")
		r.mu.Lock()
		r.refuses = true
		r.mu.Unlock()
		require.Equal(t, http.StatusAccepted, d.rotate("app.db").StatusCode())
		require.Eventually(t, func() bool { return d.rotation("app.db").JSON200.LastError != nil }, time.Minute, 20*time.Millisecond)
		require.Equal(t, api.SecretRotationLastErrorRejected, *d.rotation("app.db").JSON200.LastError)
		require.Equal(t, "first", h.get("app.db", d.token).JSON200.Value)
		require.Zero(t, r.forged)
		require.Contains(t, h.log.String(), "rejected")
		for _, value := range []string{r.working(1), rotatorSecret, r.working(2)} {
			if value != "" {
				require.NotContains(t, h.log.String(), value)
			}
		}
		action := "sendSecretVersion"
		sent := h.trail(d.token, api.ListAuditEventsParams{Action: &action, Target: ptr("app.db")})
		require.NotEmpty(t, sent, "that a value left is recorded")
		require.Equal(t, r.URL+"/rotate", (*sent[0].Detail)["url"], "and where to")
	})
}

// An operator who allows all addresses of this machine has not allowed the family: a rotation reaches no listener of its process, by address or by name.
func TestPutSecretRotation_namesNoListenerOfThisProcess(t *testing.T) {
	r, config := newTeam(t), databaseOfSQLite(t)
	var reached atomic.Bool
	other := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Store(true) }))
	t.Cleanup(other.Close)
	config.Rotators = r.Rotators
	config.RotationAllow, config.RotationDeny = []string{"127.0.0.0/8"}, []string{other.Listener.Addr().String()}
	h := start(t, config)
	h.bootstrap()
	d := versionDoor{h, h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")}
	h.put("app.db", "first", d.token, nil)
	h.put("app.rotator", rotatorSecret, d.token, nil)
	own := "https" + strings.TrimPrefix(h.url, "http")
	for url, want := range map[string]int{own: http.StatusUnprocessableEntity, other.URL: http.StatusUnprocessableEntity, r.URL: http.StatusOK} {
		wanted := r.rotation()
		wanted.URL = ptr(url + "/rotate")
		require.Equal(t, want, d.putRotation("app.db", wanted).StatusCode(), url)
	}
	for name, url := range map[string]string{"app.own": own, "app.other": other.URL} { // names are resolved and refused at the connection
		h.put(name, "first", d.token, nil)
		wanted := r.rotation()
		wanted.URL = ptr(strings.Replace(url, "127.0.0.1", "localhost", 1) + "/rotate")
		require.Equal(t, http.StatusOK, d.putRotation(name, wanted).StatusCode(), *wanted.URL)
		require.Equal(t, http.StatusAccepted, d.rotate(name).StatusCode())
		require.Eventually(t, func() bool {
			got := d.rotation(name).JSON200
			return got.LastError != nil && *got.LastError == api.SecretRotationLastErrorRefusedTarget
		}, time.Minute, 20*time.Millisecond)
	}
	require.False(t, reached.Load(), "nothing was sent")
	require.Empty(t, r.told)
}

// A kms that is killed right after its rotator has acted is followed by another one, which repeats the call: the version that works outside is the current one.
func TestRotation_byAWebhookIsEndedByAnotherAfterAKill(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		r, config := newTeam(t), databaseOf(t, c)
		began, moved := clock.System.Now(), time.Duration(0)
		now := clock.NewFake(began)
		config.Clock, config.Rotators = now, r.Rotators
		a := start(t, config)
		a.bootstrap()
		p := a.prover()
		catchUp := func() {
			passed := clock.System.Now().Sub(began)
			now.Advance(max(passed-moved, 0))
			moved = max(passed, moved)
		}
		raise := func() string {
			catchUp()
			return p.raise(a.login(adminName, adminPassword).AccessToken, "kms")
		}
		d := versionDoor{a, raise()}
		a.put("app.db", "first", d.token, nil)
		a.put("app.rotator", rotatorSecret, d.token, nil)
		require.Equal(t, http.StatusOK, d.putRotation("app.db", r.rotation()).StatusCode())
		require.NoError(t, a.stop()) // also on PostgreSQL: otherwise this one could act first
		for round, step := range []string{"set", "test"} {
			b := &house{t: t, config: config, dir: config.DataDir}
			b.config.Rotators = r.Rotators
			kill := b.spawnAt(now.Now()) // with a clock of its own it could refuse the token as issued in the future
			killed := make(chan struct{})
			r.mu.Lock()
			r.acted = func(done string) {
				if done == step {
					kill()
					close(killed)
					r.acted = nil
				}
			}
			r.mu.Unlock()
			got, err := b.client.RotateSecretWithResponse(context.Background(), "app.db", bearer(d.token))
			require.NoError(t, err)
			require.Equal(t, http.StatusAccepted, got.StatusCode(), string(got.Body))
			<-killed
			a.run()
			catchUp() // to beyond the kill, and then beyond the lease
			now.Advance(31 * time.Second)
			moved += 31 * time.Second
			d.token = raise()
			d.rotated("app.db", int64(round)+2)
			require.Equal(t, a.get("app.db", d.token).JSON200.Value, r.working(int64(round)+2))
			require.NoError(t, a.stop())
		}
		require.Zero(t, r.forged)
	})
}
