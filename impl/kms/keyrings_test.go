package kms_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	api "github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/internal/seal"
	"github.com/fountainai/fountain/internal/store"
)

func (h *house) createKeyring(name string, a api.KeyringAlgorithm, raised string, services ...string) *api.CreateKeyringResult {
	h.t.Helper()
	got, err := h.client.CreateKeyringWithResponse(h.t.Context(), api.KeyringCreate{Name: name, Algorithm: a, Services: new(append([]string{}, services...))}, bearer(raised))
	require.NoError(h.t, err)
	return got
}

func (h *house) rotateKeyring(name, raised string) *api.RotateKeyringResult {
	h.t.Helper()
	got, err := h.client.RotateKeyringWithResponse(h.t.Context(), name, bearer(raised))
	require.NoError(h.t, err)
	return got
}

func (h *house) encrypt(name, token, plain, bound string) *api.EncryptDataResult {
	h.t.Helper()
	got, err := h.client.EncryptDataWithResponse(h.t.Context(), name, api.KeyringPlaintext{Plaintext: []byte(plain), Context: new([]byte(bound))}, bearer(token))
	require.NoError(h.t, err)
	return got
}

func (h *house) decrypt(name, token string, sealed []byte, bound string) *api.DecryptDataResult {
	h.t.Helper()
	got, err := h.client.DecryptDataWithResponse(h.t.Context(), name, api.KeyringCiphertextInContext{Ciphertext: sealed, Context: new([]byte(bound))}, bearer(token))
	require.NoError(h.t, err)
	return got
}

// answers returns the status of every operation on a keyring, by name.
func (h *house) answers(name, token string, key int64) map[string]int {
	h.t.Helper()
	ctx, c, who, out := h.t.Context(), h.client, bearer(token), map[string]int{}
	note := func(operation string, response *http.Response, err error) {
		require.NoError(h.t, err, operation)
		out[operation] = response.StatusCode
		require.NoError(h.t, response.Body.Close())
	}
	data, sealed := []byte("data"), make([]byte, 40)
	sealed[0] = 1
	binary.BigEndian.PutUint32(sealed[1:], uint32(key)) //nolint:gosec // small
	get, err := c.GetKeyringWithResponse(ctx, name, nil, who)
	note("get", get.HTTPResponse, err)
	encrypt, err := c.EncryptDataWithResponse(ctx, name, api.KeyringPlaintext{Plaintext: data}, who)
	note("encrypt", encrypt.HTTPResponse, err)
	decrypt, err := c.DecryptDataWithResponse(ctx, name, api.KeyringCiphertextInContext{Ciphertext: sealed}, who)
	note("decrypt", decrypt.HTTPResponse, err)
	rewrap, err := c.RewrapDataWithResponse(ctx, name, api.KeyringCiphertextInContext{Ciphertext: sealed}, who)
	note("rewrap", rewrap.HTTPResponse, err)
	dataKey, err := c.CreateDataKeyWithResponse(ctx, name, who)
	note("data key", dataKey.HTTPResponse, err)
	unwrap, err := c.UnwrapDataKeyWithResponse(ctx, name, api.WrappedDataKey{Wrapped: sealed}, who)
	note("unwrap", unwrap.HTTPResponse, err)
	mac, err := c.ComputeMacWithResponse(ctx, name, api.KeyringData{Data: data}, who)
	note("mac", mac.HTTPResponse, err)
	checkMac, err := c.VerifyMacWithResponse(ctx, name, api.KeyringMacCheck{Data: data, Mac: make([]byte, 32), KeyVersion: key}, who)
	note("verify mac", checkMac.HTTPResponse, err)
	signed, err := c.SignDataWithResponse(ctx, name, api.KeyringData{Data: data}, who)
	note("sign", signed.HTTPResponse, err)
	check, err := c.VerifySignatureWithResponse(ctx, name, api.KeyringSignatureCheck{Data: data, Signature: make([]byte, 64), KeyVersion: key}, who)
	note("verify", check.HTTPResponse, err)
	return out
}

// administers returns the statuses of the operations for administrators.
func (h *house) administers(name, token string) map[string]int {
	h.t.Helper()
	ctx, c, who := h.t.Context(), h.client, bearer(token)
	list, err := c.ListKeyringsWithResponse(ctx, nil, who)
	require.NoError(h.t, err)
	update, err := c.UpdateKeyringWithResponse(ctx, name, &api.UpdateKeyringParams{IfMatch: `"1"`}, api.KeyringUpdate{}, who)
	require.NoError(h.t, err)
	remove, err := c.DeleteKeyringWithResponse(ctx, name, who)
	require.NoError(h.t, err)
	restore, err := c.RestoreKeyringWithResponse(ctx, name, who)
	require.NoError(h.t, err)
	return map[string]int{
		"create": h.createKeyring("another", api.KeyringAlgorithmES256, token).StatusCode(), "list": list.StatusCode(), "update": update.StatusCode(),
		"rotate": h.rotateKeyring(name, token).StatusCode(), "delete": remove.StatusCode(), "restore": restore.StatusCode(),
	}
}

func all(t *testing.T, want int, got map[string]int, but ...string) {
	t.Helper()
	for _, name := range but {
		delete(got, name)
	}
	for name, status := range got {
		require.Equal(t, want, status, name)
	}
}

// Unauthorized callers are refused everywhere: without a second factor, with another role, and as a service that the keyring does not list, for which it does not
// exist.
func TestKeyrings_areOpenToWhomTheyName(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		access := h.login(adminName, adminPassword).AccessToken
		raised := p.raise(access, "kms")
		h.user("grace", "editor", raised)
		grace := p.raise(h.login("grace", userPassword).AccessToken, "kms")
		search, sequence := h.token(h.enrol("search"), "kms"), h.token(h.enrol("sequence"), "kms")
		made := h.createKeyring("invoices", api.KeyringAlgorithmAES256GCM, raised, "search")
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		all(t, http.StatusUnauthorized, h.answers("invoices", access, 1))
		all(t, http.StatusUnauthorized, h.administers("invoices", access))
		all(t, http.StatusForbidden, h.answers("invoices", grace, 1))
		all(t, http.StatusForbidden, h.administers("invoices", grace))
		all(t, http.StatusForbidden, h.administers("invoices", search))
		all(t, http.StatusNotFound, h.answers("invoices", sequence, 1))
		all(t, http.StatusNotFound, h.answers("nothing", sequence, 1))
		all(t, http.StatusNotFound, h.answers("nothing", raised, 1))
		all(t, http.StatusNotFound, h.administers("nothing", raised), "create", "list")
		require.Equal(t, http.StatusOK, h.encrypt("invoices", search, "plain", "").StatusCode())
		dataKey, err := h.client.CreateDataKeyWithResponse(t.Context(), "sequence", bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusNotFound, dataKey.StatusCode(), "an administrator does not get what a service seals with")

		require.Equal(t, "already_exists", code(h.createKeyring("invoices", api.KeyringAlgorithmES256, raised).Body))
		require.Equal(t, "already_exists", code(h.createKeyring("sequence", api.KeyringAlgorithmAES256GCM, raised).Body), "a service seals with it")
		require.Equal(t, http.StatusUnprocessableEntity, h.createKeyring("In voices", api.KeyringAlgorithmES256, raised).StatusCode())
		update := func(tag string, body api.KeyringUpdate) *api.UpdateKeyringResult {
			got, err := h.client.UpdateKeyringWithResponse(t.Context(), "invoices", &api.UpdateKeyringParams{IfMatch: tag}, body, bearer(raised), func(_ context.Context, r *http.Request) error {
				if tag == "" {
					r.Header.Del("If-Match")
				}
				return nil
			})
			require.NoError(t, err)
			return got
		}
		require.Equal(t, http.StatusPreconditionRequired, update("", api.KeyringUpdate{}).StatusCode())
		require.Equal(t, http.StatusPreconditionFailed, update(`"9"`, api.KeyringUpdate{}).StatusCode())
		require.Equal(t, http.StatusUnprocessableEntity, update(`"1"`, api.KeyringUpdate{MinVersion: new(int64(2))}).StatusCode())
		require.Equal(t, http.StatusOK, update(`"1"`, api.KeyringUpdate{Services: &[]string{"sequence"}}).StatusCode())
		require.Equal(t, http.StatusNotFound, h.encrypt("invoices", search, "plain", "").StatusCode(), "at once")
		require.Equal(t, http.StatusOK, h.encrypt("invoices", sequence, "plain", "").StatusCode())

		for name, a := range map[string]api.KeyringAlgorithm{"sums": api.KeyringAlgorithmHMACSHA256, "signs": api.KeyringAlgorithmEdDSA} {
			require.Equal(t, http.StatusCreated, h.createKeyring(name, a, raised).StatusCode())
		}
		all(t, http.StatusConflict, h.answers("sums", raised, 1), "get", "mac", "verify mac")
		all(t, http.StatusConflict, h.answers("signs", raised, 1), "get", "sign", "verify")
		got := h.answers("invoices", raised, 1)
		for _, name := range []string{"decrypt", "rewrap", "unwrap"} {
			require.Equal(t, http.StatusUnprocessableEntity, got[name], name)
		}
		limit := int32(3)
		one, err := h.client.ListKeyringsWithResponse(t.Context(), &api.ListKeyringsParams{Limit: &limit}, bearer(raised))
		require.NoError(t, err)
		require.Len(t, one.JSON200.Items, 3)
		two, err := h.client.ListKeyringsWithResponse(t.Context(), &api.ListKeyringsParams{Cursor: one.JSON200.NextCursor}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, "sums", two.JSON200.Items[0].Name)
		require.Len(t, two.JSON200.Items, 1)
	})
}

// The keys that a service seals with are its own, even if a keyring had its name before it was registered.
func TestKeyrings_neverTakeThePlaceOfAServicesOwn(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		raised := h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
		require.Equal(t, http.StatusCreated, h.createKeyring("lectern", api.KeyringAlgorithmAES256GCM, raised, "lectern").StatusCode())
		_, key := h.resourceServer("lectern", raised, []string{"keyrings:use"})
		lectern := h.token(key, "kms")
		own, err := h.client.CreateDataKeyWithResponse(t.Context(), "lectern", bearer(lectern))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, own.StatusCode(), string(own.Body))
		opened, err := h.client.UnwrapDataKeyWithResponse(t.Context(), "lectern", api.WrappedDataKey{Wrapped: own.JSON201.Wrapped}, bearer(lectern))
		require.NoError(t, err)
		require.Equal(t, own.JSON201.Plaintext, opened.JSON200.Plaintext)
		foreign, err := h.client.UnwrapDataKeyWithResponse(t.Context(), "lectern", api.WrappedDataKey{Wrapped: own.JSON201.Wrapped}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, foreign.StatusCode(), "the administrator has the keyring, not the service's keys")
	})
}

// Neither the database nor the log has what was encrypted, opened or returned, even for requests with an Idempotency-Key.
func TestKeyrings_leaveNoPlaintextBehind(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	raised := h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
	require.Equal(t, http.StatusCreated, h.createKeyring("seals", api.KeyringAlgorithmAES256GCM, raised).StatusCode())
	repeatable := func(_ context.Context, r *http.Request) error {
		r.Header.Set("Idempotency-Key", "the-same-key-every-time")
		return nil
	}
	const plain, bound = "a plaintext to look for", "a context to look for"
	who, ctx := bearer(raised), t.Context()
	sealed, err := h.client.EncryptDataWithResponse(ctx, "seals", api.KeyringPlaintext{Plaintext: []byte(plain), Context: new([]byte(bound))}, who, repeatable)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, sealed.StatusCode(), string(sealed.Body))
	opened, err := h.client.DecryptDataWithResponse(ctx, "seals", api.KeyringCiphertextInContext{Ciphertext: sealed.JSON200.Ciphertext, Context: new([]byte(bound))}, who, repeatable)
	require.NoError(t, err)
	require.Equal(t, plain, string(opened.JSON200.Plaintext))
	refused, err := h.client.DecryptDataWithResponse(ctx, "seals", api.KeyringCiphertextInContext{Ciphertext: sealed.JSON200.Ciphertext}, who, repeatable)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, refused.StatusCode())
	first, err := h.client.CreateDataKeyWithResponse(ctx, "seals", who, repeatable)
	require.NoError(t, err)
	second, err := h.client.CreateDataKeyWithResponse(ctx, "seals", who, repeatable)
	require.NoError(t, err)
	require.NotEqual(t, first.JSON201.Plaintext, second.JSON201.Plaintext, "no answer was stored")

	looked := 0
	search := func(where, text string) {
		looked++
		for _, secret := range [][]byte{[]byte(plain), []byte(bound), first.JSON201.Plaintext, second.JSON201.Plaintext, sealed.JSON200.Ciphertext, first.JSON201.Wrapped} {
			require.NotContains(t, text, string(secret), where)
			require.NotContains(t, text, base64.StdEncoding.EncodeToString(secret), where)
		}
	}
	search("log", h.log.String())
	require.NoError(t, fs.WalkDir(os.DirFS(h.dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(filepath.Join(h.dir, path))
		search(path, string(raw))
		return err
	}))
	require.Greater(t, looked, 2, "the database is among the files")
	require.NoError(t, h.stop())
}

// A value that violates the contract is 422 before any authorization.
func TestKeyrings_refuseWhatIsTooLong(t *testing.T) {
	h := start(t, databaseOfSQLite(t))
	h.bootstrap()
	raised := h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
	for name, a := range map[string]api.KeyringAlgorithm{"seals": api.KeyringAlgorithmAES256GCM, "sums": api.KeyringAlgorithmHMACSHA256, "signs": api.KeyringAlgorithmES256} {
		require.Equal(t, http.StatusCreated, h.createKeyring(name, a, raised).StatusCode())
	}
	long := make([]byte, 33_000)
	ctx, c, who := t.Context(), h.client, bearer(raised)
	require.Equal(t, http.StatusUnprocessableEntity, h.encrypt("seals", raised, string(long), "").StatusCode())
	mac, err := c.ComputeMacWithResponse(ctx, "sums", api.KeyringData{Data: long}, who)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, mac.StatusCode())
	checkMac, err := c.VerifyMacWithResponse(ctx, "sums", api.KeyringMacCheck{Data: nil, Mac: long[:31], KeyVersion: 1}, who)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, checkMac.StatusCode())
	signed, err := c.SignDataWithResponse(ctx, "signs", api.KeyringData{Data: long}, who)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, signed.StatusCode())
	check, err := c.VerifySignatureWithResponse(ctx, "signs", api.KeyringSignatureCheck{Data: nil, Signature: long[:63], KeyVersion: 1}, who)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnprocessableEntity, check.StatusCode())
}

func TestKeyrings_sumSignAndGiveUpKeys(t *testing.T) {
	each(t, func(h *house) {
		t := h.t
		h.bootstrap()
		raised := h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
		ctx, c, who, data := t.Context(), h.client, bearer(raised), []byte("data")
		for name, a := range map[string]api.KeyringAlgorithm{"sums": api.KeyringAlgorithmHMACSHA256, "ed": api.KeyringAlgorithmEdDSA, "es": api.KeyringAlgorithmES256, "seals": api.KeyringAlgorithmAES256GCM} {
			require.Equal(t, http.StatusCreated, h.createKeyring(name, a, raised).StatusCode())
		}
		mac, err := c.ComputeMacWithResponse(ctx, "sums", api.KeyringData{Data: data}, who)
		require.NoError(t, err)
		validMac := func(data, mac []byte, key int64) bool {
			got, err := c.VerifyMacWithResponse(ctx, "sums", api.KeyringMacCheck{Data: data, Mac: mac, KeyVersion: key}, who)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, got.StatusCode(), string(got.Body))
			return got.JSON200.Valid
		}
		require.True(t, validMac(data, mac.JSON200.Mac, 1))
		require.False(t, validMac([]byte("other"), mac.JSON200.Mac, 1))
		require.False(t, validMac(data, mac.JSON200.Mac, 2), "there is no such key")
		require.Equal(t, http.StatusOK, h.rotateKeyring("sums", raised).StatusCode())
		require.True(t, validMac(data, mac.JSON200.Mac, 1))
		require.False(t, validMac(data, mac.JSON200.Mac, 2))
		given, err := c.UpdateKeyringWithResponse(ctx, "sums", &api.UpdateKeyringParams{IfMatch: `"2"`}, api.KeyringUpdate{MinVersion: new(int64(2))}, who)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, given.StatusCode(), string(given.Body))
		require.False(t, validMac(data, mac.JSON200.Mac, 1), "it was given up")

		for _, name := range []string{"ed", "es"} {
			signed, err := c.SignDataWithResponse(ctx, name, api.KeyringData{Data: data}, who)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, h.rotateKeyring(name, raised).StatusCode())
			for text, want := range map[string]bool{"data": true, "Data": false} {
				got, err := c.VerifySignatureWithResponse(ctx, name, api.KeyringSignatureCheck{Data: []byte(text), Signature: signed.JSON200.Signature, KeyVersion: 1}, who)
				require.NoError(t, err)
				require.Equal(t, want, got.JSON200.Valid)
			}
			shown, err := c.GetKeyringWithResponse(ctx, name, nil, who)
			require.NoError(t, err)
			keys := *shown.JSON200.Keys
			require.Len(t, keys, 2)
			if name == "ed" {
				require.True(t, ed25519.Verify(*keys[1].PublicKey, data, signed.JSON200.Signature))
			}
			same, err := c.GetKeyringWithResponse(ctx, name, &api.GetKeyringParams{IfNoneMatch: new(shown.HTTPResponse.Header.Get("ETag"))}, who)
			require.NoError(t, err)
			require.Equal(t, http.StatusNotModified, same.StatusCode())
		}

		// Data keys and data do not open as each other. Deleted keyrings can't be used, and are finally removed.
		dataKey, err := c.CreateDataKeyWithResponse(ctx, "seals", who)
		require.NoError(t, err)
		opened, err := c.UnwrapDataKeyWithResponse(ctx, "seals", api.WrappedDataKey{Wrapped: dataKey.JSON201.Wrapped}, who)
		require.NoError(t, err)
		require.Equal(t, dataKey.JSON201.Plaintext, opened.JSON200.Plaintext)
		require.Equal(t, http.StatusUnprocessableEntity, h.decrypt("seals", raised, dataKey.JSON201.Wrapped, "").StatusCode())
		sealed := h.encrypt("seals", raised, "plain", "row 7").JSON200.Ciphertext
		require.Equal(t, http.StatusUnprocessableEntity, h.decrypt("seals", raised, sealed, "row 8").StatusCode())
		gone, err := c.DeleteKeyringWithResponse(ctx, "seals", who)
		require.NoError(t, err)
		require.NotNil(t, gone.JSON200.DeleteAt)
		all(t, http.StatusConflict, h.answers("seals", raised, 1), "get")
		require.Equal(t, http.StatusConflict, h.rotateKeyring("seals", raised).StatusCode())
		kept, err := c.RestoreKeyringWithResponse(ctx, "seals", who)
		require.NoError(t, err)
		require.Nil(t, kept.JSON200.DeleteAt)
		require.Equal(t, "plain", string(h.decrypt("seals", raised, sealed, "row 7").JSON200.Plaintext))
		_, err = c.DeleteKeyringWithResponse(ctx, "seals", who)
		require.NoError(t, err)
		h.clock.Advance(7*24*time.Hour + time.Minute)
		raised = h.again()
		require.Eventually(t, func() bool {
			got, err := h.client.GetKeyringWithResponse(ctx, "seals", nil, bearer(raised))
			return err == nil && got.StatusCode() == http.StatusNotFound
		}, time.Minute, 100*time.Millisecond)
	})
}

// A key is replaced before it exceeds its allowed encryptions, however many replicas use it and whatever was reserved before.
func TestKeyrings_replaceAKeyBeforeItIsUsedTooOften(t *testing.T) {
	use := func(t *testing.T, houses ...*house) {
		h := houses[0]
		h.bootstrap()
		raised := h.prover().raise(h.login(adminName, adminPassword).AccessToken, "kms")
		made, err := h.client.CreateKeyringWithResponse(t.Context(), api.KeyringCreate{Name: "often", Algorithm: api.KeyringAlgorithmAES256GCM, MaxUses: new(int64(100))}, bearer(raised))
		require.NoError(t, err)
		require.Equal(t, http.StatusCreated, made.StatusCode(), string(made.Body))
		var mu sync.Mutex
		var running sync.WaitGroup
		used := map[int64]int{}
		for i := range 4 {
			running.Go(func() {
				for n := range 60 {
					got, err := houses[i%len(houses)].client.EncryptDataWithResponse(context.Background(), "often", api.KeyringPlaintext{Plaintext: []byte(fmt.Sprint(i, n))}, bearer(raised))
					if err != nil || got.StatusCode() != http.StatusOK {
						t.Errorf("encrypt: %v %s", err, got.Body)
						return
					}
					mu.Lock()
					used[got.JSON200.KeyVersion]++
					mu.Unlock()
				}
			})
		}
		running.Wait()
		require.GreaterOrEqual(t, len(used), 3, "240 uses")
		for key, n := range used {
			require.LessOrEqual(t, n, 100, "key %d", key)
		}
	}
	each(t, func(h *house) { use(h.t, h) })
	replicas(t, func(a, b *house) { use(a.t, a, b) })
}

// Old ciphertexts open after three rotations of the keyring and one of the root key, whose rewrapping was killed. Afterwards no key is wrapped by the old one.
func TestKeyrings_openWhatIsOldAfterRotationsAndKill(t *testing.T) {
	eachInTurn(t, func(h *house) {
		t := h.t
		h.bootstrap()
		p := h.prover()
		raised := p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		require.Equal(t, http.StatusCreated, h.createKeyring("invoices", api.KeyringAlgorithmAES256GCM, raised).StatusCode())
		var texts [][]byte
		for range 3 {
			texts = append(texts, h.encrypt("invoices", raised, "plain", "row").JSON200.Ciphertext)
			require.Equal(t, http.StatusOK, h.rotateKeyring("invoices", raised).StatusCode())
		}
		for range 21 { // more than one tending wraps again
			require.Equal(t, http.StatusOK, h.rotateKeyring("invoices", raised).StatusCode())
		}
		require.NoError(t, h.stop())
		require.NoError(t, seal.ReplaceRoot(h.rootFile()))
		kill := h.spawn()
		h.clock.Advance(time.Since(h.clock.Now())) // the child has the real one
		raised = p.raise(h.login(adminName, adminPassword).AccessToken, "kms")
		require.Equal(t, http.StatusOK, h.rotateRoot(raised).StatusCode())
		kill()
		h.run()
		raised = h.again()
		h.resealed(raised)
		for _, text := range texts {
			require.Equal(t, "plain", string(h.decrypt("invoices", raised, text, "row").JSON200.Plaintext))
		}
		again, err := h.client.RewrapDataWithResponse(t.Context(), "invoices", api.KeyringCiphertextInContext{Ciphertext: texts[0], Context: new([]byte("row"))}, bearer(raised))
		require.NoError(t, err)
		require.EqualValues(t, 25, again.JSON200.KeyVersion)
		wraps := 0
		for range 20 { // a start wraps up to 20, and others every few seconds
			h.offline(func(db *store.DB) {
				require.NoError(t, db.Read(t.Context()).Get(t.Context(), &wraps, "SELECT COUNT(DISTINCT wrapped_by) FROM keyring_keys"))
			})
			if wraps == 1 {
				break
			}
			require.Equal(t, "plain", string(h.decrypt("invoices", raised, texts[1], "row").JSON200.Plaintext))
		}
		require.Equal(t, 1, wraps, "nothing is wrapped by the old key")
	})
}
