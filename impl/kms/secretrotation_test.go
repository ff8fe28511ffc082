package kms_test

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/clock"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

func (d versionDoor) putRotation(name string, body api.SecretRotationPut) *api.PutSecretRotationResult {
	got, err := d.h.client.PutSecretRotationWithResponse(d.h.t.Context(), name, nil, body, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

func (d versionDoor) rotation(name string) *api.GetSecretRotationResult {
	got, err := d.h.client.GetSecretRotationWithResponse(d.h.t.Context(), name, nil, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

func (d versionDoor) stopRotation(name string) int {
	got, err := d.h.client.DeleteSecretRotationWithResponse(d.h.t.Context(), name, bearer(d.token))
	require.NoError(d.h.t, err)
	return got.StatusCode()
}

func (d versionDoor) rollback(name string) *api.RollbackSecretRotationResult {
	got, err := d.h.client.RollbackSecretRotationWithResponse(d.h.t.Context(), name, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

func (d versionDoor) rotate(name string) *api.RotateSecretResult {
	got, err := d.h.client.RotateSecretWithResponse(d.h.t.Context(), name, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

// rotated waits until a version is current and no rotation is running.
func (d versionDoor) rotated(name string, version int64) {
	d.h.t.Helper()
	require.Eventually(d.h.t, func() bool {
		r := d.rotation(name).JSON200
		return r.State == api.SecretRotationStateIdle && r.LastVersion != nil && *r.LastVersion == version
	}, time.Minute, 20*time.Millisecond)
	r := d.rotation(name).JSON200
	require.Equal(d.h.t, api.SecretRotationLastOutcomeDone, *r.LastOutcome)
	require.Equal(d.h.t, version, d.h.get(name, d.token).JSON200.Version)
}

var byRandom = api.SecretRotationPut{Driver: api.SecretRotationPutDriverRandom}

func TestRotateSecret_onDemandAndByItsSchedule(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		d := versionDoor{h, raised}
		require.Equal(t, http.StatusNotFound, d.putRotation("app.db", byRandom).StatusCode(), "there is no such secret")
		h.put("app.db", "first", raised, nil)
		require.Equal(t, http.StatusNotFound, d.rotation("app.db").StatusCode())
		require.Equal(t, http.StatusNotFound, d.rotate("app.db").StatusCode(), "it is not rotated")
		require.Equal(t, http.StatusNoContent, d.stopRotation("app.db"))
		put := d.putRotation("app.db", api.SecretRotationPut{Driver: api.SecretRotationPutDriverRandom, Length: ptr(int32(64)), IntervalSeconds: ptr(int64(3600))})
		require.Equal(t, http.StatusOK, put.StatusCode(), string(put.Body))
		tag := put.HTTPResponse.Header.Get("ETag")
		for over, want := range map[string]int{`"7"`: http.StatusPreconditionFailed, tag: http.StatusOK} {
			got, err := h.client.PutSecretRotationWithResponse(t.Context(), "app.db", &api.PutSecretRotationParams{IfMatch: &over},
				api.SecretRotationPut{Driver: api.SecretRotationPutDriverRandom, Length: ptr(int32(64)), IntervalSeconds: ptr(int64(3600))}, bearer(raised))
			require.NoError(t, err)
			require.Equal(t, want, got.StatusCode(), over)
		}
		now := d.rotation("app.db").HTTPResponse.Header.Get("ETag")
		require.NotEqual(t, tag, now)
		same, err := h.client.GetSecretRotationWithResponse(t.Context(), "app.db", &api.GetSecretRotationParams{IfNoneMatch: &now}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNotModified, same.StatusCode())
		require.Equal(t, http.StatusAccepted, d.rotate("app.db").StatusCode())
		d.rotated("app.db", 2)
		first := h.get("app.db", raised).JSON200.Value
		require.Regexp(t, `^[A-Za-z0-9_-]{64}$`, first)
		_, previous, _ := d.read("app.db", "previous")
		require.Equal(t, "first", previous.Value, "who still has it is not locked out")

		h.clock.Advance(time.Hour)
		d.token = p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		d.rotated("app.db", 3)
		require.NotEqual(t, first, h.get("app.db", d.token).JSON200.Value)

		require.Equal(t, http.StatusOK, d.propose("app.db", "by hand", api.PutSecretParams{}).StatusCode())
		require.Equal(t, "state_conflict", code(d.rotate("app.db").Body), "what somebody has proposed is not pushed aside")
		require.Equal(t, http.StatusNoContent, d.remove("app.db", "pending"))
		require.Equal(t, http.StatusNotFound, d.remove("app.db", "pending"), "it waits no more")
		require.Equal(t, http.StatusAccepted, d.rotate("app.db").StatusCode())
		d.rotated("app.db", 5)
		require.Equal(t, http.StatusNoContent, d.stopRotation("app.db"))
		require.Equal(t, http.StatusNotFound, d.rotation("app.db").StatusCode())
		for _, action := range []string{"putSecretRotation", "rotateSecret", "endSecretRotation", "deleteSecretRotation"} {
			require.NotEmpty(t, h.trail(d.token, api.ListAuditEventsParams{Action: &action, Target: ptr("app.db")}), action)
		}
	})
}

func TestSecretRotation_isForWhoMayHaveTheSecret(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		access := h.login(adminName, adminPassword).AccessToken
		raised := p.raise(access, "kms")
		h.user("grace", "editor", raised)
		h.put("app.db", "one", raised, nil)
		service := h.token(h.enrol("search"), "kms")
		for name, c := range map[string]struct {
			token string
			want  int
		}{
			"without a second factor": {access, http.StatusUnauthorized},
			"an editor":               {p.raise(h.login("grace", userPassword).AccessToken, "kms"), http.StatusForbidden},
			"another service":         {service, http.StatusNotFound},
		} {
			d := versionDoor{h, c.token}
			require.Equal(t, []int{c.want, c.want, c.want, c.want}, []int{
				d.putRotation("app.db", byRandom).StatusCode(), d.rotation("app.db").StatusCode(), d.stopRotation("app.db"), d.rotate("app.db").StatusCode(),
			}, name)
			require.Equal(t, c.want, d.rollback("app.db").StatusCode(), name)
		}
	})
}

// Two replicas create one version per rotation, however often both check for work.
func TestRotateSecret_isDoneOnceByTwoReplicas(t *testing.T) {
	replicas(t, func(a, b *house) {
		t := a.t
		a.bootstrap()
		p := a.prover()
		raised := p.raise(a.login(adminName, adminPassword).AccessToken, "kms")
		d := versionDoor{a, raised}
		names := []string{"app.a", "app.b", "app.c", "app.d"}
		for _, name := range names {
			a.put(name, "first", raised, nil)
			require.Equal(t, http.StatusOK, d.putRotation(name, api.SecretRotationPut{Driver: api.SecretRotationPutDriverRandom, IntervalSeconds: ptr(int64(3600))}).StatusCode())
		}
		for round := range int64(3) {
			a.clock.Advance(time.Hour)
			d.token = p.raise(a.login(adminName, adminPassword).AccessToken, "kms")
			for _, name := range names {
				d.rotated(name, round+2)
				require.Len(t, d.list(name, nil).JSON200.Items, int(round)+2)
			}
		}
	})
}

// A rotation that a killed replica has begun is completed by the other one when the lease is over; on SQLite by the next process.
func TestRotateSecret_isEndedByAnotherAfterAKill(t *testing.T) {
	rounds := 2
	if os.Getenv("FOUNTAIN_PROVE") != "" {
		rounds = 30
	}
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		one := databaseOf(t, c)
		began, moved := clock.System.Now(), time.Duration(0)
		now := clock.NewFake(began)
		one.Clock = now
		a := start(t, one)
		a.bootstrap()
		p := a.prover()
		raise := func() string {
			passed := clock.System.Now().Sub(began)
			now.Advance(max(passed-moved, 0))
			moved = max(passed, moved)
			return p.raise(a.login(adminName, adminPassword).AccessToken, "kms")
		}
		raised := raise()
		a.put("app.db", "first", raised, nil)
		require.Equal(t, http.StatusOK, versionDoor{a, raised}.putRotation("app.db", byRandom).StatusCode())
		for round := range rounds {
			raised := raise()
			b := &house{t: t, config: one, dir: one.DataDir}
			if c.URL == "" {
				require.NoError(t, a.stop())
			} else {
				b.dir = t.TempDir()
				b.config.DataDir = b.dir
				require.NoError(t, os.Chmod(b.dir, 0o700))
			}
			kill := b.spawnAt(now.Now()) // with the machine's clock it could refuse the token as issued in the future
			got, err := b.client.RotateSecretWithResponse(context.Background(), "app.db", bearer(raised))
			require.NoError(t, err)
			require.Equal(t, http.StatusAccepted, got.StatusCode(), string(got.Body))
			time.AfterFunc(time.Duration(700*round%2100)*time.Millisecond, kill) // it looks for work every 2 seconds
			if c.URL == "" {
				kill()
				a.run()
			}
			now.Advance(31 * time.Second)
			moved += 31 * time.Second
			versionDoor{a, p.raise(a.login(adminName, adminPassword).AccessToken, "kms")}.rotated("app.db", int64(round)+2)
			kill()
		}
		require.Len(t, versionDoor{a, p.raise(a.login(adminName, adminPassword).AccessToken, "kms")}.list("app.db", nil).JSON200.Items, rounds+1, "one version for each")
	})
}
