package kms_test

import (
	"bytes"
	"context"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/store"
	"github.com/fountainai/fountain/internal/store/storetest"
)

// versionDoor calls the operations on versions of a secret with one token, and records the answers.
type versionDoor struct {
	h     *house
	token string
}

func (d versionDoor) read(name, version string) (int, *api.SecretVersionValue, string) {
	got, err := d.h.client.GetSecretVersionWithResponse(d.h.t.Context(), name, version, bearer(d.token))
	require.NoError(d.h.t, err)
	return got.StatusCode(), got.JSON200, code(got.Body)
}

func (d versionDoor) list(name string, p *api.ListSecretVersionsParams) *api.ListSecretVersionsResult {
	got, err := d.h.client.ListSecretVersionsWithResponse(d.h.t.Context(), name, p, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

func (d versionDoor) remove(name, version string) int {
	got, err := d.h.client.DeleteSecretVersionWithResponse(d.h.t.Context(), name, version, bearer(d.token))
	require.NoError(d.h.t, err)
	return got.StatusCode()
}

func (d versionDoor) undelete(name, version string) int {
	got, err := d.h.client.UndeleteSecretVersionWithResponse(d.h.t.Context(), name, version, bearer(d.token))
	require.NoError(d.h.t, err)
	return got.StatusCode()
}

func (d versionDoor) destroy(name, version string) (int, *api.SecretDestruction) {
	got, err := d.h.client.DestroySecretVersionWithResponse(d.h.t.Context(), name, version, bearer(d.token))
	require.NoError(d.h.t, err)
	return got.StatusCode(), got.JSON200
}

func (d versionDoor) promote(name, version string, over string) *api.PromoteSecretVersionResult {
	var p *api.PromoteSecretVersionParams
	if over != "" {
		p = &api.PromoteSecretVersionParams{IfMatch: &over}
	}
	got, err := d.h.client.PromoteSecretVersionWithResponse(d.h.t.Context(), name, version, p, bearer(d.token))
	require.NoError(d.h.t, err)
	return got
}

func (d versionDoor) watch(name, known, wait string) (int, *api.SecretMetadata) {
	p := &api.WatchSecretParams{}
	if known != "" {
		p.IfNoneMatch = &known
	}
	if wait != "" {
		p.Prefer = &wait
	}
	got, err := d.h.client.WatchSecretWithResponse(d.h.t.Context(), name, p, bearer(d.token))
	require.NoError(d.h.t, err)
	return got.StatusCode(), got.JSON200
}

func (d versionDoor) propose(name, value string, p api.PutSecretParams) *api.PutSecretResult {
	pending := api.PutSecretParamsStagePending
	p.Stage = &pending
	return d.h.put(name, value, d.token, &p)
}

func TestSecretVersions_haveStages(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		d := versionDoor{h, raised}
		require.Equal(t, http.StatusNotFound, d.propose("app.db", "x", api.PutSecretParams{}).StatusCode(), "the first one is current")
		h.put("app.db", "one", raised, nil)
		h.put("app.db", "two", raised, nil)
		require.Equal(t, http.StatusPreconditionFailed, d.propose("app.db", "x", api.PutSecretParams{IfMatch: ptr(`"1"`)}).StatusCode())
		require.Equal(t, http.StatusBadRequest, d.propose("app.db", "x", api.PutSecretParams{IfNoneMatch: ptr("*")}).StatusCode())
		proposed := d.propose("app.db", "three", api.PutSecretParams{IfMatch: ptr(`"2"`)})
		require.Equal(t, http.StatusOK, proposed.StatusCode(), string(proposed.Body))
		require.EqualValues(t, []int64{2, 1, 3}, []int64{proposed.JSON200.Version, *proposed.JSON200.PreviousVersion, *proposed.JSON200.PendingVersion})
		require.Equal(t, `"2"`, proposed.HTTPResponse.Header.Get("ETag"))
		require.Equal(t, "two", h.get("app.db", raised).JSON200.Value, "who reads it gets the current one")
		for which, want := range map[string]string{"current": "two", "previous": "one", "pending": "three", "1": "one", "2": "two", "3": "three"} {
			status, got, _ := d.read("app.db", which)
			require.Equal(t, http.StatusOK, status, which)
			require.Equal(t, want, got.Value, which)
		}

		require.Equal(t, http.StatusPreconditionFailed, d.promote("app.db", "pending", `"1"`).StatusCode())
		done := d.promote("app.db", "pending", `"2"`)
		require.Equal(t, http.StatusOK, done.StatusCode(), string(done.Body))
		require.Equal(t, `"3"`, done.HTTPResponse.Header.Get("ETag"))
		require.EqualValues(t, []int64{3, 2}, []int64{done.JSON200.Version, *done.JSON200.PreviousVersion})
		require.Nil(t, done.JSON200.PendingVersion)
		require.Equal(t, "three", h.get("app.db", raised).JSON200.Value)
		require.Equal(t, http.StatusNotFound, d.promote("app.db", "pending", "").StatusCode(), "nothing waits any more")

		back := d.promote("app.db", "previous", "")
		require.EqualValues(t, []int64{2, 3}, []int64{back.JSON200.Version, *back.JSON200.PreviousVersion}, "back again")
		require.Equal(t, http.StatusOK, d.promote("app.db", "2", "").StatusCode(), "again changes nothing")
		require.Equal(t, "two", h.get("app.db", raised).JSON200.Value)
		require.EqualValues(t, 4, h.put("app.db", "four", raised, &api.PutSecretParams{IfMatch: ptr(`"2"`)}).JSON200.Version, "a number is given once")
		for _, action := range []string{"putSecret", "promoteSecretVersion", "getSecretVersion"} {
			require.NotEmpty(t, h.trail(raised, api.ListAuditEventsParams{Action: &action, Target: ptr("app.db")}), action)
		}
	})
}

func TestSecretVersions_areDeletedUndeletedAndDestroyed(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		d := versionDoor{h, raised}
		for n := range 3 {
			h.put("app.db", strconv.Itoa(n), raised, nil)
		}
		d.propose("app.db", "pending", api.PutSecretParams{})
		for _, which := range []string{"current", "3"} {
			require.Equal(t, http.StatusConflict, d.remove("app.db", which), which)
			status, _ := d.destroy("app.db", which)
			require.Equal(t, http.StatusConflict, status, which)
		}
		for range 2 { // again changes nothing
			require.Equal(t, http.StatusNoContent, d.remove("app.db", "2"))
			status, _, why := d.read("app.db", "2")
			require.Equal(t, http.StatusGone, status)
			require.Equal(t, "gone", why)
			require.Equal(t, http.StatusGone, d.promote("app.db", "2", "").StatusCode())
		}
		for range 2 {
			require.Equal(t, http.StatusOK, d.undelete("app.db", "2"))
			status, got, _ := d.read("app.db", "2")
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "1", got.Value)
		}
		require.Equal(t, http.StatusNoContent, d.remove("app.db", "1"))
		first := time.Time{}
		for range 2 {
			status, gone := d.destroy("app.db", "1")
			require.Equal(t, http.StatusOK, status)
			require.Contains(t, gone.Remains, api.SecretDestructionRemainsOlderBackups)
			if first.IsZero() {
				first = gone.DestroyedAt
			}
			require.Equal(t, first, gone.DestroyedAt)
		}
		require.Equal(t, http.StatusGone, d.undelete("app.db", "1"))
		require.Equal(t, http.StatusNoContent, d.remove("app.db", "1"))
		status, _, _ := d.read("app.db", "1")
		require.Equal(t, http.StatusGone, status)

		limit := int32(3)
		pageOne := d.list("app.db", &api.ListSecretVersionsParams{Limit: &limit})
		require.Equal(t, http.StatusOK, pageOne.StatusCode(), string(pageOne.Body))
		require.NotContains(t, string(pageOne.Body), "value")
		pageTwo := d.list("app.db", &api.ListSecretVersionsParams{Limit: &limit, Cursor: pageOne.JSON200.NextCursor})
		all := append(pageOne.JSON200.Items, pageTwo.JSON200.Items...)
		require.Len(t, all, 4)
		require.Nil(t, pageTwo.JSON200.NextCursor)
		require.Equal(t, api.SecretVersionStagePending, *all[0].Stage)
		require.Equal(t, api.SecretVersionStageCurrent, *all[1].Stage)
		require.Equal(t, api.SecretVersionStagePrevious, *all[2].Stage)
		require.Nil(t, all[3].Stage)
		require.NotNil(t, all[3].DestroyedAt)
		for _, action := range []string{"deleteSecretVersion", "undeleteSecretVersion", "destroySecretVersion"} {
			require.Len(t, h.trail(raised, api.ListAuditEventsParams{Action: &action}), map[bool]int{true: 2, false: 1}[action == "deleteSecretVersion"], action)
		}
	})
}

func TestSecretVersions_areForWhoMayHaveTheSecret(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		access := h.login(adminName, adminPassword).AccessToken
		raised := p.raise(access, "kms")
		h.user("grace", "editor", raised)
		h.put("app.db", "one", raised, nil)
		h.put("app.db", "two", raised, nil)
		h.put("search.key", "one", raised, nil)
		service := h.token(h.enrol("search"), "kms")
		for name, c := range map[string]struct {
			token, secret string
			want          int
			watch         int
		}{
			"a person without a second factor": {access, "app.db", http.StatusUnauthorized, http.StatusOK},
			"nobody":                           {"", "app.db", http.StatusUnauthorized, http.StatusUnauthorized},
			"an editor":                        {p.raise(h.login("grace", userPassword).AccessToken, "kms"), "app.db", http.StatusForbidden, http.StatusForbidden},
			"another service":                  {service, "app.db", http.StatusNotFound, http.StatusNotFound},
			"a secret that there is not":       {raised, "app.other", http.StatusNotFound, http.StatusNotFound},
		} {
			d := versionDoor{h, c.token}
			read, _, _ := d.read(c.secret, "1")
			destroyed, _ := d.destroy(c.secret, "1")
			watched, _ := d.watch(c.secret, "", "")
			require.Equal(t, []int{c.want, c.want, c.want, c.want, c.want, c.want}, []int{
				read, destroyed, d.list(c.secret, nil).StatusCode(), d.remove(c.secret, "1"), d.undelete(c.secret, "1"), d.promote(c.secret, "1", "").StatusCode(),
			}, name)
			require.Equal(t, c.watch, watched, name)
		}
		own := versionDoor{h, service}
		status, got, _ := own.read("search.key", "current")
		require.Equal(t, http.StatusOK, status, "its own")
		require.Equal(t, "one", got.Value)
		status, _, _ = own.read("search.key", "7")
		require.Equal(t, http.StatusNotFound, status)
	})
}

// While the kms runs, neither the database nor its log has the key or the value of a destroyed version.
func TestDestroySecretVersion_leavesNothingInTheFiles(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL != "" {
			return // the files are PostgreSQL's, which the answer says
		}
		h := start(t, databaseOf(t, c))
		h.bootstrap()
		p := h.prover()
		raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		var parts [][]byte
		for n := range 2 {
			h.put("app.db", "a value of some length, so that it is worth looking for: "+strconv.Itoa(n), raised, nil)
		}
		h.offline(func(db *store.DB) {
			var row struct {
				Wrapped []byte `db:"wrapped_key"`
				Sealed  []byte `db:"sealed"`
			}
			require.NoError(t, db.Read(t.Context()).Get(t.Context(), &row, "SELECT wrapped_key, sealed FROM secret_versions WHERE version = 1"))
			parts = [][]byte{row.Wrapped[len(row.Wrapped)-24:], row.Sealed[len(row.Sealed)-24:]}
		})
		lie := func() (found bool) {
			require.NoError(t, filepath.WalkDir(h.dir, func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				raw, err := os.ReadFile(path)
				for _, part := range parts {
					found = found || bytes.Contains(raw, part)
				}
				return err
			}))
			return found
		}
		require.True(t, lie())
		door := versionDoor{h, raised}
		for n := range 30 { // versions of different sizes before it and behind it, so that pages are split
			h.put("app.aa", strings.Repeat("x", 1+n*n*7), raised, nil)
			h.put("app.zz", strings.Repeat("z", 1+n*41), raised, nil)
		}
		require.Equal(t, http.StatusNoContent, door.remove("app.db", "1"), "the record grows and moves")
		status, gone := door.destroy("app.db", "1")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, []api.SecretDestructionRemains{api.SecretDestructionRemainsOlderBackups}, gone.Remains)
		require.False(t, lie())
	})
}

func TestPutSecret_keepsTheNewestVersions(t *testing.T) {
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		config := databaseOf(t, c)
		config.SecretVersions = 3
		h := start(t, config)
		_, raised := h.administrator()
		d := versionDoor{h, raised}
		h.put("app.db", "1", raised, nil)
		d.propose("app.db", "2", api.PutSecretParams{})
		for n := 3; n <= 8; n++ {
			h.put("app.db", strconv.Itoa(n), raised, nil)
		}
		var kept []int64
		for _, v := range d.list("app.db", nil).JSON200.Items {
			kept = append(kept, v.Version)
		}
		require.Equal(t, []int64{8, 7, 6, 2}, kept, "and what is in a stage")
		status, _, _ := d.read("app.db", "5")
		require.Equal(t, http.StatusNotFound, status)
	})
}

// A waiting request returns when any replica has stored a new version; a conditional read without waiting gets 304.
func TestWatchSecret_endsWithTheNextVersion(t *testing.T) {
	watched := func(a, b *house) {
		t := a.t
		_, raised := a.administrator()
		a.put("app.db", "one", raised, nil)
		d := versionDoor{b, raised}
		status, now := d.watch("app.db", "", "wait=25")
		require.Equal(t, http.StatusOK, status, "who knows none waits for none")
		require.EqualValues(t, 1, now.Version)
		status, _ = d.watch("app.db", `"1"`, "")
		require.Equal(t, http.StatusNotModified, status)
		status, _ = d.watch("app.db", `"1"`, "wait=1")
		require.Equal(t, http.StatusNotModified, status)

		var told atomic.Int64
		var all sync.WaitGroup
		for _, h := range []*house{a, b} {
			all.Go(func() {
				tag, wait := `"1"`, "wait=25"
				got, err := h.client.WatchSecretWithResponse(context.Background(), "app.db", &api.WatchSecretParams{IfNoneMatch: &tag, Prefer: &wait}, bearer(raised))
				if err != nil || got.StatusCode() != http.StatusOK || got.JSON200.Version != 2 {
					t.Errorf("%v %s", err, got.Body)
					return
				}
				told.Add(1)
			})
		}
		a.put("app.db", "two", raised, nil)
		all.Wait()
		require.EqualValues(t, 2, told.Load())
		status, _ = d.watch("app.db", `"1"`, "wait=25")
		require.Equal(t, http.StatusOK, status, "at once where it is known already")
	}
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			h := start(t, databaseOf(t, c))
			watched(h, h)
		}
	})
	replicas(t, watched)
}

// Of concurrent promotions over the same version one succeeds, also at two replicas.
func TestPromoteSecretVersion_hasOneWinner(t *testing.T) {
	contest := func(a, b *house) {
		t := a.t
		_, raised := a.administrator()
		for n := range 8 {
			a.put("app.db", strconv.Itoa(n), raised, nil)
		}
		var won, lost atomic.Int64
		var all sync.WaitGroup
		for n := range 7 {
			d := versionDoor{[]*house{a, b}[n%2], raised}
			all.Go(func() {
				switch got := d.promote("app.db", strconv.Itoa(n+1), `"8"`); got.StatusCode() {
				case http.StatusOK:
					won.Add(1)
				case http.StatusPreconditionFailed:
					lost.Add(1)
				default:
					t.Errorf("%d %s", got.StatusCode(), got.Body)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, []int64{1, 6}, []int64{won.Load(), lost.Load()})
		got := a.get("app.db", raised).JSON200
		require.Equal(t, strconv.FormatInt(got.Version-1, 10), b.get("app.db", raised).JSON200.Value)
	}
	storetest.EachConfig(t, nil, func(t *testing.T, c store.Config) {
		if c.URL == "" {
			h := start(t, databaseOf(t, c))
			contest(h, h)
		}
	})
	replicas(t, contest)
}
