//go:build compose

package compose

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

const password = "a lamp for the whole stack"

// writer creates elements and records which of them were acknowledged. It is safe for concurrent use.
type writer struct {
	mu        sync.Mutex
	ids       map[string]bool // of acknowledged elements
	failed    int
	lastError string
}

func (w *writer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.ids)
}

func (w *writer) failures() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

func (w *writer) write(ctx context.Context, c *fountain.Client, id string) {
	_, err := c.Sequence.CreateElement(ctx, "stack", "line", sequence.ElementCreate{ID: &id, Data: json.RawMessage(`{"text":"a lamp in the window"}`)})
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.failed++
		w.lastError = err.Error()
		return
	}
	w.ids[id] = true
}

// startWriting creates about 20 elements a second, by four callers, until end is called.
func startWriting(t *testing.T, c *fountain.Client) (w *writer, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w = &writer{ids: map[string]bool{}}
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				w.write(context.Background(), c, fmt.Sprintf("w%d-%d", worker, n))
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
	}
	return w, func() { cancel(); all.Wait() }
}

// The unchanged compose file becomes healthy from nothing by one command. Through Caddy, whose certificate authority is verified, the operations of tour succeed,
// and their results survive down and up. Writes that were acknowledged while each container was killed are not lost. Only Caddy can be reached, and no log and no
// layer contains a secret.
func TestCompose_fromNothingThroughTheDeathOfEachContainer(t *testing.T) {
	s := newStack(t)
	t.Logf("built, and healthy after %s", s.up().Round(100*time.Millisecond))
	s.logImages()
	s.checkPublishedPorts()
	s.checkNetworkIsolation()
	s.checkRequestLimits()
	var unknown x509.UnknownAuthorityError
	require.True(t, errors.As(s.callUntrusting(), &unknown), "a client that does not trust Caddy's authority fails")
	c := s.administrator()
	kept := s.tour(c)
	s.collectSecrets("gateway", "twofactor", "search", "sequence")
	s.checkNoSecrets()

	s.run("down", "--timeout", "45")
	t.Logf("down, and healthy again after %s", s.up().Round(100*time.Millisecond))
	c = s.client()
	s.checkTour(c, kept)
	s.killDuringWrites(c, "sequence", "kms", "twofactor", "search", "gateway", "caddy")
	s.checkTour(c, kept)
	s.checkNoSecrets()
}

// With the settings of deploy/scale.env there are two instances of each service, on PostgreSQL, Redis and a search engine. Everything works as with one instance,
// the instances share the work, and nothing that was acknowledged is lost when one of each pair, Redis, the engine or the database is killed.
func TestCompose_twoOfEach(t *testing.T) {
	s := newStack(t, "COMPOSE_ENV_FILES=deploy/scale.env")
	t.Logf("healthy after %s", s.up().Round(100*time.Millisecond))
	s.logImages()
	s.checkPublishedPorts()
	s.checkNetworkIsolation()
	s.checkRequestLimits()
	c := s.administrator()
	s.awaitPairs(c)
	kept := s.tour(c)
	s.collectSecrets("gateway", "twofactor", "search", "sequence", "gateway-2", "twofactor-2", "search-2", "sequence-2")
	s.checkNoSecrets()

	s.run("up", "-d", "--wait", "--pull", "never", "--no-build", "prometheus")
	require.Eventually(t, func() bool {
		return strings.Contains(s.try("exec", "-T", "prometheus", "promtool", "query", "instant", "http://127.0.0.1:9090", `count by (service) (up{job="fountain"} == 1) == 2`), "sequence") &&
			strings.Contains(s.try("exec", "-T", "prometheus", "promtool", "query", "instant", "http://127.0.0.1:9090", `count(up{job="fountain"} == 1)`), "=> 10 ")
	}, 3*time.Minute, time.Second, "Prometheus sees both of each")
	s.run("rm", "-s", "-f", "prometheus")

	s.run("down", "--timeout", "45")
	t.Logf("down, and healthy again after %s", s.up().Round(100*time.Millisecond))
	c = s.client()
	s.awaitPairs(c)
	s.checkTour(c, kept)
	s.killDuringWrites(c, "sequence", "kms-2", "twofactor", "search-2", "gateway", "gateway-2", "kms", "redis", "typesense", "postgres")
	s.checkTour(c, kept)
	s.checkNoSecrets()
}

// Of three engines behind one name only the settings are checked here, since a stand-in is one process.
func TestCompose_threeEnginesAreValid(t *testing.T) {
	s := newStack(t, "COMPOSE_PROFILES=typesense-ha")
	require.Subset(t, strings.Fields(s.run("config", "--services")), []string{"typesense-1", "typesense-2", "typesense-3"})
}

// administrator creates the first administrator with an authenticator, and returns their client.
func (s *stack) administrator() *fountain.Client {
	s.t.Helper()
	token := s.run("exec", "-T", "kms", "/fountain", "bootstrap-token", "--show")
	s.known["bootstrap token"], s.known["password"] = token, password
	var step time.Time // of the last code used, since each code is accepted once
	c := s.client(fountain.WithStepUp(func(context.Context, fountain.Challenge) (string, error) {
		const life = 30 * time.Second
		if !time.Now().Truncate(life).After(step) {
			time.Sleep(time.Until(step.Add(life))) // the containers use the machine's clock
		}
		step = time.Now().Truncate(life)
		return totp.GenerateCode(s.known["seed of the authenticator"], time.Now())
	}))
	made, err := c.KMS.BootstrapAdmin(s.t.Context(), kms.AdminBootstrap{Token: token, Username: "ada", Password: password})
	require.NoError(s.t, err)
	s.known["invitation"] = made.Invitation.Token
	s.known["seed of the authenticator"] = harness.Enrol(s.t, c, &made.Invitation.Token)
	return c
}

// client returns a client that trusts Caddy's certificate authority and signs in as the administrator.
func (s *stack) client(more ...fountain.Option) *fountain.Client {
	s.t.Helper()
	c, err := fountain.New(s.url(), append(more, fountain.WithUser("ada", password), fountain.WithRootCAs(s.roots))...)
	require.NoError(s.t, err)
	return c
}

// awaitPairs waits until the gateway reports two ready instances of each service.
func (s *stack) awaitPairs(c *fountain.Client) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		list, err := c.Gateway.ListGatewayServices(s.t.Context())
		require.NoError(s.t, err)
		two := 0
		for _, one := range list.Items {
			if one.TargetsReady == 2 && one.Targets == 2 {
				two++
			}
		}
		return two == 4
	}, time.Minute, 200*time.Millisecond, "each service has two ready instances")
}

// tour imports documents and a scope, searches them, calls operations that require a second factor, and rotates a key and a secret. It returns the element that it
// has created.
func (s *stack) tour(c *fountain.Client) (kept *sequence.Element) {
	t, ctx := s.t, s.t.Context()
	t.Helper()
	_, err := c.Search.CreateCollection(ctx, search.CollectionCreate{Name: "plays", Fields: []search.Field{{Name: "text", Type: "string"}}})
	require.NoError(t, err)
	var items []search.SyncItem
	for n := range 100 {
		document := json.RawMessage(fmt.Sprintf(`{"text":"the ghost walks, %d"}`, n))
		items = append(items, search.SyncItem{Op: search.SyncItemOpUpsert, ID: fmt.Sprint(n), Document: &document})
	}
	_, err = c.Search.SyncDocuments(ctx, "plays", search.DocumentSync{Items: items})
	require.NoError(t, err)
	element, err := c.Sequence.CreateElement(ctx, "stack", "scene", sequence.ElementCreate{Data: json.RawMessage(`{"text":"a lamp in the window"}`)})
	require.NoError(t, err)
	file, err := c.Sequence.ExportScope(ctx, "stack")
	require.NoError(t, err)
	brought, err := c.Sequence.ImportScope(ctx, "stack-again", bytes.NewReader(file))
	require.NoError(t, err)
	require.True(t, brought.Imported)
	awaitFound(t, c, 100)
	require.Eventually(t, func() bool {
		answer, err := c.Sequence.SearchElements(ctx, "stack-again", sequence.ElementSearch{Q: "lamp"})
		return err == nil && len(answer.Hits) == 1
	}, time.Minute, 100*time.Millisecond, "the imported element is found")
	s.rotate(c)
	return element
}

// rotate rotates a secret, which requires a second factor, and a key.
func (s *stack) rotate(c *fountain.Client) {
	t, ctx := s.t, s.t.Context()
	t.Helper()
	s.known["secret"] = rand.Text()
	_, err := c.KMS.PutSecret(ctx, "app.lamp", kms.SecretPut{Value: s.known["secret"]})
	require.NoError(t, err)
	_, err = c.KMS.PutSecret(ctx, "app.other", kms.SecretPut{Value: "oil"}, fountain.WithoutStepUp(), fountain.WithBearer(bearer(t, c)))
	require.ErrorIs(t, err, fountain.ErrStepUpRequired, "it is refused without a second factor")
	_, err = c.KMS.PutSecretRotation(ctx, "app.lamp", kms.SecretRotationPut{Driver: kms.SecretRotationPutDriverRandom})
	require.NoError(t, err)
	_, err = c.KMS.RotateSecret(ctx, "app.lamp")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		r, err := c.KMS.GetSecretRotation(ctx, "app.lamp")
		return err == nil && r.State == kms.SecretRotationStateIdle && r.LastVersion != nil && *r.LastVersion == 2
	}, time.Minute, 100*time.Millisecond, "the secret is rotated")
	secret, err := c.KMS.GetSecret(ctx, "app.lamp")
	require.NoError(t, err)
	require.NotEqual(t, s.known["secret"], secret.Value)
	s.known["rotated secret"] = secret.Value

	users, err := c.KMS.ListUsers(ctx, nil)
	require.NoError(t, err)
	key, err := c.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: "lamp", OwnerKind: new(kms.APIKeyCreateOwnerKind("user")), OwnerID: new(users.Items[0].ID), Scopes: []string{"elements:read"}})
	require.NoError(t, err)
	rotated, err := c.KMS.RotateAPIKey(ctx, key.APIKey.ID, kms.APIKeyRotate{})
	require.NoError(t, err)
	require.NoError(t, c.KMS.RetireAPIKey(ctx, key.APIKey.ID))
	s.known["key"], s.known["rotated key"] = key.Key, rotated.Key
	holder, err := fountain.New(s.url(), fountain.WithRootCAs(s.roots), fountain.WithAPIKey(rotated.Key))
	require.NoError(t, err)
	_, err = holder.Sequence.ListElements(ctx, "stack", "scene", nil)
	require.NoError(t, err, "the new key works")
}

// checkTour checks that the results of tour are still there.
func (s *stack) checkTour(c *fountain.Client, kept *sequence.Element) {
	t := s.t
	t.Helper()
	for _, scope := range []string{"stack", "stack-again"} {
		got, err := c.Sequence.GetElement(t.Context(), scope, "scene", kept.ID)
		require.NoError(t, err)
		require.Equal(t, kept.Number, got.Number)
	}
	awaitFound(t, c, 100)
	holder, err := fountain.New(s.url(), fountain.WithRootCAs(s.roots), fountain.WithAPIKey(s.known["rotated key"]))
	require.NoError(t, err)
	_, err = holder.Sequence.ListElements(t.Context(), "stack", "scene", nil)
	require.NoError(t, err)
	former, err := fountain.New(s.url(), fountain.WithRootCAs(s.roots), fountain.WithAPIKey(s.known["key"]))
	require.NoError(t, err)
	_, err = former.Sequence.ListElements(t.Context(), "stack", "scene", nil)
	require.ErrorIs(t, err, fountain.ErrUnauthenticated, "the old key stays invalid")
}

// killDuringWrites kills the containers of the services in turn during writes, and checks that every acknowledged write is there.
func (s *stack) killDuringWrites(c *fountain.Client, services ...string) {
	t := s.t
	t.Helper()
	w, end := startWriting(t, c)
	awaitWrites := func(when string) {
		t.Helper()
		from := w.count()
		require.Eventually(t, func() bool { return w.count() >= from+10 }, 2*time.Minute, 50*time.Millisecond, "writes are acknowledged %s", when)
	}
	for _, service := range services {
		awaitWrites("before " + service + " dies")
		before := w.failures()
		took := s.kill(service)
		t.Logf("%s was killed and is healthy again after %s; %d writes were acknowledged, %d refused meanwhile", service, took.Round(100*time.Millisecond), w.count(), w.failures()-before)
	}
	awaitWrites("at the end")
	end()
	stored := map[string]bool{}
	numbers := map[int64]bool{}
	for e, err := range c.Sequence.Elements(t.Context(), "stack", "line") {
		require.NoError(t, err)
		stored[e.ID] = true
		require.False(t, numbers[e.Number], "number %d was assigned twice", e.Number)
		numbers[e.Number] = true
	}
	lost := 0
	for id := range w.ids {
		if !stored[id] {
			lost++
		}
	}
	t.Logf("%d writes acknowledged, %d refused or without an answer, %d lost", len(w.ids), w.failed, lost)
	require.Zero(t, lost)
}

// bearer returns a token of the signed-in user without a second factor.
func bearer(t *testing.T, c *fountain.Client) string {
	t.Helper()
	token, err := c.Token(t.Context(), "kms")
	require.NoError(t, err)
	return token
}

// awaitFound waits until a search finds n documents.
func awaitFound(t *testing.T, c *fountain.Client, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		answer, err := c.Search.SearchDocuments(t.Context(), "plays", search.DocumentSearch{Q: "ghost", QueryBy: []string{"text"}})
		return err == nil && int(answer.Found) == n
	}, time.Minute, 100*time.Millisecond, "the documents are found")
}
