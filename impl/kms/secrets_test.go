package kms_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/store"
)

func (h *house) put(name, value, token string, p *api.PutSecretParams) *api.PutSecretResult {
	h.t.Helper()
	if p == nil {
		p = &api.PutSecretParams{}
	}
	got, err := h.client.PutSecretWithResponse(h.t.Context(), name, p, api.SecretPut{Value: value}, bearer(token))
	require.NoError(h.t, err)
	return got
}

func (h *house) get(name, token string) *api.GetSecretResult {
	h.t.Helper()
	got, err := h.client.GetSecretWithResponse(h.t.Context(), name, nil, bearer(token))
	require.NoError(h.t, err)
	return got
}

func ptr[T any](v T) *T { return &v }

func TestSecrets_versionsAndPreconditions(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		none := h.put("app.db", "x", raised, &api.PutSecretParams{IfMatch: ptr(`"1"`)})
		require.Equal(t, http.StatusPreconditionFailed, none.StatusCode(), string(none.Body))
		first := h.put("app.db", "one", raised, &api.PutSecretParams{IfNoneMatch: ptr("*")})
		require.Equal(t, http.StatusCreated, first.StatusCode(), string(first.Body))
		require.Equal(t, `"1"`, first.HTTPResponse.Header.Get("ETag"))
		require.Equal(t, http.StatusPreconditionFailed, h.put("app.db", "x", raised, &api.PutSecretParams{IfNoneMatch: ptr("*")}).StatusCode())
		require.Equal(t, http.StatusPreconditionFailed, h.put("app.other", "x", raised, &api.PutSecretParams{IfMatch: ptr("*")}).StatusCode(), "there is none")
		second := h.put("app.db", "two", raised, &api.PutSecretParams{IfMatch: ptr(`"1"`)})
		require.Equal(t, http.StatusOK, second.StatusCode(), string(second.Body))
		for _, stale := range []string{`"1"`, `"0"`, `"3"`, `"9999999999999999999"`, `W/"2"`, `"1", "3"`, `"%"`} {
			require.Equal(t, http.StatusPreconditionFailed, h.put("app.db", "x", raised, &api.PutSecretParams{IfMatch: ptr(stale)}).StatusCode(), stale)
		}
		third := h.put("app.db", "three", raised, &api.PutSecretParams{IfMatch: ptr(`"7", "2"`)})
		require.Equal(t, http.StatusOK, third.StatusCode(), string(third.Body))
		require.EqualValues(t, 3, third.JSON200.Version)
		got := h.get("app.db", raised)
		require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
		require.Equal(t, "three", got.JSON200.Value)
		require.Equal(t, `"3"`, got.HTTPResponse.Header.Get("ETag"))
		same, err := h.client.GetSecretWithResponse(t.Context(), "app.db", &api.GetSecretParams{IfNoneMatch: ptr(`"3"`)}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNotModified, same.StatusCode())
		require.Empty(t, same.Body)
		require.Equal(t, "no-store", got.HTTPResponse.Header.Get("Cache-Control"))
		both := h.put("app.db", "x", raised, &api.PutSecretParams{IfMatch: ptr(`"3"`), IfNoneMatch: ptr("*")})
		require.Equal(t, http.StatusBadRequest, both.StatusCode())

		var won, lost atomic.Int64
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				switch got := h.put("app.db", fmt.Sprint(i), raised, &api.PutSecretParams{IfMatch: ptr(`"3"`)}); got.StatusCode() {
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
		require.EqualValues(t, 1, won.Load())
		require.EqualValues(t, 15, lost.Load())
		h.offline(func(db *store.DB) {
			var versions []int64
			require.NoError(t, db.Read(context.Background()).Select(context.Background(), &versions, "SELECT version FROM secret_versions ORDER BY version"))
			require.Equal(t, []int64{1, 2, 3, 4}, versions, "all are kept")
		})
	})
}

// K10: a sealed value opens only in its own row, and only unmodified.
func TestSecrets_movedOrTouchedRowsDoNotOpen(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		for _, name := range []string{"one", "two", "three"} {
			require.Equal(t, http.StatusCreated, h.put(name, "value of "+name, raised, nil).StatusCode())
		}
		h.put("three", "newer", raised, nil)
		h.offline(func(db *store.DB) {
			require.NoError(t, db.Write(context.Background(), func(ctx context.Context, tx *store.Tx) error {
				type row struct {
					Wrapped []byte `db:"wrapped_key"`
					Sealed  []byte `db:"sealed"`
				}
				var one, old row
				require.NoError(t, tx.Get(ctx, &one, "SELECT wrapped_key, sealed FROM secret_versions WHERE name = 'one'"))
				require.NoError(t, tx.Get(ctx, &old, "SELECT wrapped_key, sealed FROM secret_versions WHERE name = 'three' AND version = 1"))
				_, err := tx.Exec(ctx, "UPDATE secret_versions SET wrapped_key = ?, sealed = ? WHERE name = 'two'", one.Wrapped, one.Sealed)
				require.NoError(t, err)
				_, err = tx.Exec(ctx, "UPDATE secret_versions SET wrapped_key = ?, sealed = ? WHERE name = 'three' AND version = 2", old.Wrapped, old.Sealed)
				require.NoError(t, err)
				one.Sealed[len(one.Sealed)-1] ^= 1
				_, err = tx.Exec(ctx, "UPDATE secret_versions SET sealed = ? WHERE name = 'one'", one.Sealed)
				return err
			}))
			var stored []byte
			require.NoError(t, db.Read(context.Background()).Get(context.Background(), &stored, "SELECT sealed FROM secret_versions WHERE name = 'two'"))
			require.NotContains(t, string(stored), "value of")
		})
		for _, name := range []string{"one", "two", "three"} {
			got := h.get(name, raised)
			require.Equal(t, http.StatusInternalServerError, got.StatusCode(), name)
			require.NotContains(t, string(got.Body), "value of")
		}
	})
}

func TestSecrets_aServiceReachesItsOwnAlone(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		_, raised := h.administrator()
		service := h.token(h.enrol("search"), "kms")
		for name, own := range map[string]bool{
			"search": true, "search.typesense": true, "search.a.b": true, "searchx": false, "search-x": false, "sequence.key": false, "a.search": false,
		} {
			require.Equal(t, http.StatusCreated, h.put(name, "v", raised, nil).StatusCode())
			read, write := h.get(name, service), h.put(name, "w", service, nil)
			if own {
				require.Equal(t, http.StatusOK, read.StatusCode(), name)
				require.Equal(t, http.StatusOK, write.StatusCode(), name)
				continue
			}
			absent := h.get("nothing.here", service)
			require.Equal(t, http.StatusNotFound, read.StatusCode(), name)
			require.Equal(t, code(absent.Body), code(read.Body), "not allowed looks like absent")
			require.Equal(t, http.StatusForbidden, write.StatusCode(), name)
		}
		listed, err := h.client.ListSecretsWithResponse(t.Context(), nil, bearer(service))
		require.NoError(t, err)
		var names []string
		for _, s := range listed.JSON200.Items {
			names = append(names, s.Name)
		}
		require.Equal(t, []string{"search", "search.a.b", "search.typesense"}, names)
		require.NotContains(t, string(listed.Body), `"value"`)

		// The token of a disabled service is not accepted.
		h.setService(claims(t, service).Subject, "disabled", raised)
		none, err := h.client.ListSecretsWithResponse(t.Context(), nil, bearer(service))
		require.NoError(t, err)
		sealed, err := h.client.CreateDataKeyWithResponse(t.Context(), "search", bearer(service))
		require.NoError(t, err)
		for _, status := range []int{
			none.StatusCode(), h.get("search", service).StatusCode(), h.put("search", "x", service, nil).StatusCode(), sealed.StatusCode(),
		} {
			require.Equal(t, http.StatusUnauthorized, status)
		}
	})
}

// K12, K13: no variant of a path reaches another secret.
func TestSecrets_refusesTricksInNames(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	_, raised := h.administrator()
	require.Equal(t, http.StatusCreated, h.put("sequence.key", "canary", raised, nil).StatusCode())
	service := h.token(h.enrol("search"), "kms")
	for _, path := range []string{
		"search/../sequence.key", "search%2f..%2fsequence.key", "search.%2e%2e.sequence.key", "search..sequence.key", "%73equence.key", "sequence%2ekey",
		"SEQUENCE.KEY", "sequence.key%00", "search.*", "*", "search.+", "sequence.key,search", "sequence.key;x=1", "./sequence.key", "//sequence.key",
		"sequence%C0%AEkey", "ｓequence.key", "search.sequence.key/",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPut} {
			r := &http.Request{Method: method, Header: http.Header{"Authorization": {"Bearer " + service}}}
			r.URL = &url.URL{Scheme: "http", Host: strings.TrimPrefix(h.url, "http://"), Opaque: "/kms/v1/secrets/" + path}
			if method == http.MethodPut {
				r.Header.Set("Content-Type", "application/json")
				r.Body = io.NopCloser(strings.NewReader(`{"value":"x"}`))
			}
			answer, err := http.DefaultTransport.RoundTrip(r)
			require.NoError(t, err, path)
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			_ = answer.Body.Close()
			require.GreaterOrEqual(t, answer.StatusCode, 400, path)
			require.Less(t, answer.StatusCode, 500, path)
			require.NotContains(t, string(body), "canary", path)
		}
	}
	require.Equal(t, "canary", h.get("sequence.key", raised).JSON200.Value)
}

func TestDataKeys_onlyTheKeyringOfTheOwnName(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		admin, raised := h.administrator()
		_ = admin
		search, sequence := h.token(h.enrol("search"), "kms"), h.token(h.enrol("sequence"), "kms")
		create := func(keyring, token string) *api.CreateDataKeyResult {
			got, err := h.client.CreateDataKeyWithResponse(t.Context(), keyring, bearer(token))
			require.NoError(t, err)
			return got
		}
		unwrap := func(keyring, token string, wrapped []byte) *api.UnwrapDataKeyResult {
			got, err := h.client.UnwrapDataKeyWithResponse(t.Context(), keyring, api.WrappedDataKey{Wrapped: wrapped}, bearer(token))
			require.NoError(t, err)
			return got
		}
		one, two := create("search", search), create("search", search)
		require.Equal(t, http.StatusCreated, one.StatusCode(), string(one.Body))
		require.NotEqual(t, one.JSON201.Plaintext, two.JSON201.Plaintext)
		opened := unwrap("search", search, one.JSON201.Wrapped)
		require.Equal(t, one.JSON201.Plaintext, opened.JSON200.Plaintext)
		require.Equal(t, http.StatusNotFound, create("sequence", search).StatusCode(), "as if it were not there")
		require.Equal(t, http.StatusNotFound, unwrap("search", sequence, one.JSON201.Wrapped).StatusCode())
		own := create("sequence", sequence)
		require.Equal(t, http.StatusCreated, own.StatusCode(), string(own.Body))
		require.Equal(t, http.StatusUnprocessableEntity, unwrap("sequence", sequence, one.JSON201.Wrapped).StatusCode(), "another keyring's")
		touched := append([]byte{}, one.JSON201.Wrapped...)
		touched[len(touched)-1] ^= 1
		require.Equal(t, http.StatusUnprocessableEntity, unwrap("search", search, touched).StatusCode())
		require.Equal(t, http.StatusNotFound, create("search", raised).StatusCode(), "people have no data keys of services")
		require.NoError(t, h.stop())
		h.run()
		again := unwrap("search", search, one.JSON201.Wrapped)
		require.Equal(t, http.StatusOK, again.StatusCode(), string(again.Body))
		require.Equal(t, one.JSON201.Plaintext, again.JSON200.Plaintext, "after a restart")
	})
}
