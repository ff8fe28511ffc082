package chaos

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

// turning is what changes while a caller works: the API key that it exchanges for tokens, and the newest version of its
// secret that was announced.
type turning struct {
	client *fountain.Client
	name   string
	key    atomic.Pointer[kms.APIKeyWithSecret]
	newest atomic.Int64
	early  []byte // a ciphertext from before the first rotation
	tokens [2]string
}

const turnedKeyring = "turned"

// round exchanges the key now and then, reads the caller's secret and elements, and encrypts and decrypts. Every result
// must be right.
func (c *turning) round(n int, one func(func() error)) {
	ctx := context.Background()
	if n%20 == 0 {
		one(func() error { return c.trade(ctx) })
	}
	atKMS, atSequence := fountain.WithBearer(c.tokens[0]), fountain.WithBearer(c.tokens[1])
	one(func() error {
		known := c.newest.Load()
		got, err := c.client.KMS.GetSecret(ctx, c.name+".token", atKMS)
		if err == nil && (got.Version < known || got.Value == "") {
			err = fmt.Errorf("version %d after version %d", got.Version, known)
		}
		return err
	})
	one(func() error {
		_, err := c.client.Sequence.ListElements(ctx, "chaos", "line", nil, atSequence)
		return err
	})
	var made *kms.KeyringCiphertext
	one(func() (err error) {
		made, err = c.client.KMS.EncryptData(ctx, turnedKeyring, kms.KeyringPlaintext{Plaintext: []byte(c.name)}, atKMS)
		return err
	})
	if made == nil {
		return // the failure is already reported
	}
	for _, sealed := range [][]byte{made.Ciphertext, c.early} {
		one(func() error {
			opened, err := c.client.KMS.DecryptData(ctx, turnedKeyring, kms.KeyringCiphertextInContext{Ciphertext: sealed}, atKMS)
			if err == nil && !bytes.Equal(opened.Plaintext, []byte(c.name)) {
				err = errors.New("another text was decrypted")
			}
			return err
		})
	}
}

// trade gets tokens for the current key.
func (c *turning) trade(ctx context.Context) error {
	key := c.key.Load()
	for i, resource := range []string{"kms", "sequence"} {
		issued, err := c.client.KMS.IssueToken(ctx, kms.TokenRequest{GrantType: "client_credentials", ClientID: &key.APIKey.ID, ClientSecret: &key.Key, Resource: &[]string{resource}})
		if err != nil {
			return err
		}
		c.tokens[i] = issued.AccessToken
	}
	return nil
}

// callers creates n services with a key, a secret and a ciphertext each.
func (h *twoKMS) callers(n int) (all []*turning) {
	t, ctx := h.t, context.Background()
	t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("turn", i)
	}
	for _, name := range names {
		client, err := fountain.New(h.gateway, recorder.Option(t))
		require.NoError(t, err)
		c := &turning{client: client, name: name}
		scopes := []string{"secrets:read", "keyrings:use", "elements:read"}
		service, err := h.admin.KMS.RegisterService(ctx, kms.ServiceCreate{Name: name, Scopes: scopes})
		require.NoError(t, err)
		kind := kms.APIKeyCreateOwnerKind("service")
		key, err := h.admin.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: name, OwnerID: &service.Service.ID, OwnerKind: &kind, Scopes: scopes})
		require.NoError(t, err)
		c.key.Store(key)
		_, err = h.admin.KMS.PutSecret(ctx, name+".token", kms.SecretPut{Value: "the first one"})
		require.NoError(t, err)
		_, err = h.admin.KMS.PutSecretRotation(ctx, name+".token", kms.SecretRotationPut{Driver: "random"})
		require.NoError(t, err)
		all = append(all, c)
	}
	_, err := h.admin.KMS.CreateKeyring(ctx, kms.KeyringCreate{Name: turnedKeyring, Algorithm: "AES-256-GCM", Services: &names})
	require.NoError(t, err)
	_, err = h.admin.Sequence.CreateElement(ctx, "chaos", "line", sequence.ElementCreate{Data: json.RawMessage(`{"text":"x"}`)})
	require.NoError(t, err)
	for _, c := range all {
		require.NoError(t, c.trade(ctx))
		made, err := c.client.KMS.EncryptData(ctx, turnedKeyring, kms.KeyringPlaintext{Plaintext: []byte(c.name)}, fountain.WithBearer(c.tokens[0]))
		require.NoError(t, err)
		c.early = made.Ciphertext
	}
	return all
}

// While API keys, secrets, a keyring, the root key and signing keys are rotated, and one of two kms is killed in the
// middle of a rotation of each kind, no request of an SDK client at the gateway fails, and the other kms completes what
// the killed one has started. Signing keys follow each other as fast as the shortest setting permits: a minute apart.
func TestRotations_failNoRequestOnPostgreSQL(t *testing.T) {
	rotations, requests := map[string]int{"API key": 2, "secret": 2, "keyring": 1, "root key": 1, "signing key": 1}, int64(1_000)
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		rotations, requests = map[string]int{"API key": 30, "secret": 30, "keyring": 3, "root key": 1, "signing key": 30}, 100_000
	}
	h := newTwoKMS(t, "SIGNING_KEY_SET_AGE=30s")
	callers := h.callers(8)
	traffic := harness.StartCalls(t, len(callers), 20*time.Millisecond, func(worker, round int, one func(func() error)) { callers[worker].round(round, one) })
	share := requests / int64(rotations["API key"]+rotations["secret"]+rotations["keyring"]+rotations["root key"]+rotations["signing key"])
	victim := 0
	for _, kind := range []string{"API key", "secret", "keyring", "root key", "signing key"} {
		for i := range rotations[kind] {
			settled := h.rotates(kind, callers[i%len(callers)])
			if i == rotations[kind]/2 {
				h.kms[victim].kill()
			}
			settled()
			if i == rotations[kind]/2 {
				traffic.AwaitMore(share)
				h.kms[victim].start()
				victim = 1 - victim
			}
			traffic.AwaitMore(share)
		}
	}
	done, slowest := traffic.Stop()
	t.Logf("%d requests, the slowest took %s, over %v rotations", done, slowest, rotations)
}

// rotates starts a rotation and returns a function that waits until it has ended.
func (h *twoKMS) rotates(kind string, c *turning) (settled func()) {
	t, ctx := h.t, context.Background()
	t.Helper()
	admin := h.admin.KMS
	switch kind {
	case "API key":
		old := c.key.Load()
		overlap := int64(60)
		rotated, err := admin.RotateAPIKey(ctx, old.APIKey.ID, kms.APIKeyRotate{OverlapSeconds: &overlap})
		require.NoError(t, err)
		c.key.Store(&kms.APIKeyWithSecret{APIKey: rotated.APIKey, Key: rotated.Key})
		return func() {}
	case "secret":
		before := c.newest.Load()
		_, err := admin.RotateSecret(ctx, c.name+".token")
		require.NoError(t, err)
		return func() {
			require.Eventually(t, func() bool {
				r, err := admin.GetSecretRotation(ctx, c.name+".token")
				if err != nil || r.State != kms.SecretRotationStateIdle || r.LastVersion == nil || *r.LastVersion <= before {
					return false
				}
				c.newest.Store(*r.LastVersion)
				return true
			}, 3*time.Minute, 50*time.Millisecond, "the other kms ends it")
		}
	case "keyring":
		_, err := admin.RotateKeyring(ctx, turnedKeyring)
		require.NoError(t, err)
		return func() {}
	case "signing key":
		return h.rotatesSigning(c)
	}
	out, err := exec.Command(harness.Binary(t), "keygen", "--replace", filepath.Join(h.data, "root.key")).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Eventually(t, func() bool { _, err = admin.RotateRootKey(ctx); return err == nil }, time.Minute, 500*time.Millisecond, "both kms hold both keys")
	return func() {
		require.Eventually(t, func() bool {
			state, err := admin.GetRootKey(ctx)
			return err == nil && state.State == kms.RootKeyStateIdle
		}, 3*time.Minute, 100*time.Millisecond, "what the old key has sealed is sealed again")
	}
}

// rotatesSigning schedules the next signing key and returns a function that waits until a caller's token is signed with
// it.
func (h *twoKMS) rotatesSigning(c *turning) (settled func()) {
	t, ctx := h.t, context.Background()
	t.Helper()
	named, err := h.admin.KMS.RotateSigningKey(ctx, kms.SigningKeyRotate{})
	require.NoError(t, err)
	return func() {
		require.Eventually(t, func() bool {
			key := c.key.Load()
			issued, err := c.client.KMS.IssueToken(ctx, kms.TokenRequest{GrantType: "client_credentials", ClientID: &key.APIKey.ID, ClientSecret: &key.Key, Resource: &[]string{"sequence"}})
			if err != nil || signedBy(issued.AccessToken) != named.Kid {
				return false
			}
			_, err = c.client.Sequence.ListElements(ctx, "chaos", "line", nil, fountain.WithBearer(issued.AccessToken))
			require.NoError(t, err, "the first tokens of the new key")
			return true
		}, 5*time.Minute, time.Second, "the new key signs")
	}
}

// signedBy returns the kid of a token, or "".
func signedBy(token string) string {
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ""
	}
	var header struct{ Kid string }
	_ = json.Unmarshal(raw, &header) // text that is not a header has no kid
	return header.Kid
}
