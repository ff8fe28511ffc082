package kms_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/impl/kms"
)

// held is a target that performs a step and delays its answer for as long as the test wants.
type held struct {
	http.Handler
	stepOf func(r *http.Request, body []byte) string

	mu      sync.Mutex
	armed   string
	reached chan struct{}
	release chan struct{}
}

// arm delays the next answer to a step.
func (h *held) arm(step string) (reached <-chan struct{}, release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.armed, h.reached, h.release = step, make(chan struct{}), make(chan struct{})
	return h.reached, sync.OnceFunc(func() { close(h.release) })
}

func (h *held) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	done := httptest.NewRecorder()
	h.Handler.ServeHTTP(done, r)
	h.mu.Lock()
	first, reached, release := h.armed != "" && h.stepOf(r, body) == h.armed, h.reached, h.release
	if first {
		h.armed = ""
	}
	h.mu.Unlock()
	if first {
		close(reached)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}
	maps.Copy(w.Header(), done.Header())
	w.WriteHeader(done.Code)
	_, _ = w.Write(done.Body.Bytes())
}

// target is where a driver puts versions in these tests.
type target interface {
	http.Handler
	// placed returns how many times each version is valid there.
	placed() map[int64]int
}

func (r *team) placed() map[int64]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[int64]int{}
	for version := range r.works {
		out[version] = 1
	}
	return out
}

// engine stores keys like Typesense.
type engine struct {
	mu   sync.Mutex
	last int64
	keys map[int64]engineKey
}

type engineKey struct{ Description, Value string }

func (e *engine) placed() map[int64]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[int64]int{}
	for _, k := range e.keys {
		version, _ := strconv.ParseInt(k.Description[strings.LastIndex(k.Description, " ")+1:], 10, 64)
		out[version]++
	}
	return out
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	given := r.Header.Get("X-TYPESENSE-API-KEY")
	if strings.HasPrefix(r.URL.Path, "/collections/") {
		for _, k := range e.keys {
			if k.Value == given {
				return
			}
		}
	}
	if given != rotatorSecret || strings.HasPrefix(r.URL.Path, "/collections/") {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch r.Method {
	case http.MethodGet:
		list := []map[string]any{}
		for id, k := range e.keys {
			list = append(list, map[string]any{"id": id, "description": k.Description})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": list})
	case http.MethodDelete:
		id, _ := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/keys/"), 10, 64)
		delete(e.keys, id)
	case http.MethodPost:
		var made engineKey
		_ = json.NewDecoder(r.Body).Decode(&made)
		for _, k := range e.keys {
			if k.Value == made.Value {
				w.WriteHeader(http.StatusConflict)
				return
			}
		}
		e.last++
		e.keys[e.last] = made
		w.WriteHeader(http.StatusCreated)
	}
}

// stepOfWebhook and stepOfEngine return the step of a request.
func stepOfWebhook(_ *http.Request, body []byte) string {
	var told struct{ Step string }
	_ = json.Unmarshal(body, &told)
	return told.Step
}

func stepOfEngine(r *http.Request, _ []byte) string {
	switch {
	case r.Method == http.MethodPost:
		return "set"
	case r.Method == http.MethodDelete:
		return "end"
	case strings.HasPrefix(r.URL.Path, "/collections/"):
		return "test"
	}
	return ""
}

// A replica that loses its lease while its call is unanswered is replaced by the other one; its late answer changes nothing. Each version is valid outside once,
// and finally only the current one.
func TestRotation_outsideIsEndedByTheOtherReplica(t *testing.T) {
	for driver, c := range map[string]struct {
		at     target
		stepOf func(*http.Request, []byte) string
	}{
		"webhook": {&team{works: map[int64]string{}}, stepOfWebhook}, "typesense": {&engine{keys: map[int64]engineKey{}}, stepOfEngine},
	} {
		t.Run(driver, func(t *testing.T) {
			h := &held{Handler: c.at, stepOf: c.stepOf}
			server := newTeamOf(t, h)
			replicasWith(t, func(config *kms.Config) { config.Rotators = server.Rotators }, func(a, b *house) { followed(a, b, h, c.at, rotationBy(driver, server.URL)) })
		})
	}
}

func rotationBy(driver, url string) api.SecretRotationPut {
	body := api.SecretRotationPut{Driver: api.SecretRotationPutDriver(driver), URL: ptr(url + "/rotate"), Credential: ptr("app.rotator"), OverlapSeconds: ptr(int64(0))}
	if driver == "typesense" {
		body.URL, body.Collections = ptr(url), &[]string{"products"}
	}
	return body
}

// followed delays the answer to each step in turn.
func followed(a, b *house, h *held, at target, rotation api.SecretRotationPut) {
	t := a.t
	a.bootstrap()
	p := a.prover()
	raise := func() versionDoor {
		return versionDoor{b, p.raise(a.login(adminName, adminPassword).AccessToken, "kms")}
	}
	d := raise()
	a.put("app.db", "first", d.token, nil)
	a.put("app.rotator", rotatorSecret, d.token, nil)
	require.Equal(t, http.StatusOK, d.putRotation("app.db", rotation).StatusCode())
	version := int64(1)
	for _, step := range []string{"set", "test", "end"} {
		for range 2 { // from the second one on, a version has to be ended outside at the end
			d, version = raise(), version+1
			reached, release := h.arm(step)
			require.Equal(t, http.StatusAccepted, d.rotate("app.db").StatusCode(), "%s %d", step, version)
			select {
			case <-reached:
			case <-time.After(time.Minute):
				require.FailNow(t, "no replica came to the step "+step)
			}
			a.clock.Advance(31 * time.Second)
			ended := func() bool {
				a.clock.Advance(100 * time.Millisecond) // so that delayed steps continue
				r := d.rotation("app.db").JSON200
				for _, times := range at.placed() {
					require.Equal(t, 1, times)
				}
				return r.State == api.SecretRotationStateIdle && r.LastVersion != nil && *r.LastVersion == version && r.Ending == nil
			}
			require.Eventually(t, ended, 2*time.Minute, 100*time.Millisecond, "%s %d", step, version)
			release()
			require.Equal(t, map[int64]int{version: 1}, at.placed(), "%s %d", step, version)
		}
	}
	d = raise()
	require.Len(t, d.list("app.db", nil).JSON200.Items, int(version), "one version for each rotation")
	for action, want := range map[string]int{"endSecretRotation": int(version) - 1, "endSecretVersion": int(version) - 1} {
		told := a.trail(d.token, api.ListAuditEventsParams{Action: &action, Target: ptr("app.db"), Outcome: ptr(api.AuditOutcome("ok"))})
		require.Len(t, told, want, action)
		once := map[string]bool{}
		for _, e := range told {
			once[(*e.Detail)["version"]] = true
			require.Equal(t, "done", (*e.Detail)["outcome"])
		}
		require.Len(t, once, want, "%s: each version once", action)
	}
	require.Equal(t, fmt.Sprint(version), fmt.Sprint(b.get("app.db", d.token).JSON200.Version))
}
