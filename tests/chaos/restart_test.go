package chaos

import (
	"context"
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

	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/clients/twofactor"
	"github.com/fountainai/fountain/impl/search/searchtest"
	"github.com/fountainai/fountain/tests/harness"
)

// restarts is how often a service is restarted: a few times in CI, 30 for a proof (`make prove`).
func restarts() int {
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		return 30
	}
	return 3
}

// Two replicas are restarted in turn under load, and no request fails. Writes have an Idempotency-Key, so that they can
// be repeated.
func TestRestart_ofReplicasInTurnFailsNoRequest(t *testing.T) {
	if harness.IsGiven() {
		h, replicas := givenHousehold(t, "sequence", "sequence-2")
		restartInTurn(t, harness.StartTraffic(t, clientOf(t, h.gateway, fountain.WithTokenSource(fountain.TokenSourceFunc(h.admin.Token))), 4), replicas, 0)
		return
	}
	restartUnderLoad(t, harness.Postgres(t), 2, 16, 0, "100ms")
}

// The only instance is restarted under moderate load. It drains for longer than the gateway takes to notice it, and
// every other time it stays down for a while. Requests wait for it, and none fails.
func TestRestart_ofTheOnlyInstanceFailsNoRequest(t *testing.T) {
	restartUnderLoad(t, "", 1, 4, 3*time.Second, "2500ms")
}

func restartUnderLoad(t *testing.T, database string, instances, workers int, away time.Duration, drainDelay string) {
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, "ada", password)
	services := p.Services()
	metadata, err := admin.KMS.GetServerMetadata(context.Background())
	require.NoError(t, err)
	var replicas []*replica
	var addresses []string
	for range instances {
		at := harness.FreeAddress(t)
		token := harness.EnrolmentToken(t, admin, "sequence")
		replicas = append(replicas, newReplica(t, services, metadata.Issuer, database, token, "ADDR="+at, "DRAIN_DELAY="+drainDelay))
		addresses = append(addresses, "http://"+at)
	}
	gateway := serve(t, "gateway", services["kms"], metadata.Issuer, harness.EnrolmentToken(t, admin, "gateway"), "ADDR=127.0.0.1:0", "DRAIN_DELAY=1ms",
		"TWOFACTOR_URL="+services["twofactor"], "SEARCH_URL="+services["search"], "SEQUENCE_URL="+strings.Join(addresses, ","))
	load := harness.StartTraffic(t, client(t, p, fountain.WithTokenSource(fountain.TokenSourceFunc(admin.Token)), fountain.WithServiceURL("sequence", gateway.url)), workers)
	restartInTurn(t, load, replicas, away)
	gateway.stop()
	for _, r := range replicas {
		r.stop()
	}
}

// awayAlone is how long the only instance of a service stays down every other time, in addition to its start. Requests
// wait for 5 s in all.
const awayAlone = 2 * time.Second

// restartInTurn restarts the replicas one after the other under load. Every other time they stay down for a while.
func restartInTurn(t *testing.T, load *harness.Traffic, replicas []*replica, away time.Duration) {
	t.Helper()
	var longest time.Duration
	defer func() { t.Logf("the longest of the restarts took %s", longest) }() // also if a request has failed: a restart that takes too long explains it
	for round := range restarts() {
		load.AwaitMore(50)
		began := time.Now()
		r := replicas[round%len(replicas)]
		r.stop()
		if round%2 == 1 {
			time.Sleep(away) // the time of an upgrade or a slow start
		}
		r.start()
		longest = max(longest, time.Since(began))
	}
	load.AwaitMore(50)
	done, slowest := load.Stop()
	t.Logf("%d restarts; %d requests, the slowest took %s", restarts(), done, slowest)
}

// Two gateways are restarted in turn behind the front. Only a given family has such a front.
func TestRestart_ofTwoGatewaysInTurnFailsNoRequest(t *testing.T) {
	if !harness.IsGiven() {
		t.Skip("it needs a front that knows both gateways: a given family; tests/edge does it with a Caddy of its own")
	}
	h, replicas := givenHousehold(t, "gateway", "gateway-2")
	restartInTurn(t, harness.StartTraffic(t, clientOf(t, h.gateway, fountain.WithTokenSource(fountain.TokenSourceFunc(h.admin.Token))), 4), replicas, 0)
}

// The only kms is restarted while users create keys, use each immediately as the bearer token of another service,
// exchange it for a token, revoke it and sign in, and while new users enrol an authenticator. Whatever needs the kms
// waits for it, whether the client called it, or the gateway or a service did for a client.
func TestRestart_ofTheKMSFailsNoRequest(t *testing.T) {
	h := newHousehold(t)
	restartInTurn(t, h.keyTraffic(), []*replica{h.parts["kms"]}, awayAlone)
	h.stop()
}

// Two kms on one database are restarted in turn under the same traffic. The other one takes over the requests that one
// no longer answers.
func TestRestart_ofTwoKMSInTurnFailsNoRequest(t *testing.T) {
	if harness.IsGiven() {
		h, replicas := givenHousehold(t, "kms", "kms-2")
		restartInTurn(t, h.keyTraffic(), replicas, 0)
		return
	}
	h := newTwoKMS(t, "DRAIN_DELAY=100ms")
	restartInTurn(t, h.keyTraffic(), h.kms, 0)
	h.stop()
}

// keyTraffic is traffic of users who create, use and revoke keys, and of new users who enrol an authenticator.
func (h *household) keyTraffic() *harness.Traffic {
	h.t.Helper()
	users := h.editors(4)
	_, err := h.admin.Sequence.CreateElement(h.t.Context(), "chaos", "line", sequence.ElementCreate{Data: json.RawMessage(`{"text":"x"}`)})
	require.NoError(h.t, err)
	return harness.StartCalls(h.t, len(users)+1, 50*time.Millisecond, func(worker, round int, one func(func() error)) {
		if worker == len(users) {
			h.welcome(round, one)
			return
		}
		h.useKey(users[worker], fmt.Sprint("round ", round), one)
		if round%40 == 20 { // sign-ins are limited by address
			one(func() error {
				_, err := users[worker].KMS.LoginUser(context.Background(), kms.Login{Username: h.person(worker), Password: password})
				return err
			})
		}
	})
}

// useKey creates a key, uses it immediately as the bearer token of another service, exchanges it for a token, and
// revokes it.
func (h *household) useKey(user *fountain.Client, name string, one func(func() error)) {
	ctx := context.Background()
	var key *kms.APIKeyWithSecret
	one(func() (err error) {
		key, err = user.KMS.CreateAPIKey(ctx, kms.APIKeyCreate{Name: name, Scopes: []string{"elements:read"}})
		return err
	})
	one(func() error { _, err := user.KMS.GetJwks(ctx); return err })
	if key == nil {
		return // the failed call fails the test
	}
	one(func() error {
		bearer := h.client(fountain.WithTokenSource(fountain.TokenSourceFunc(func(context.Context, string) (string, error) { return key.Key, nil })))
		defer bearer.CloseIdle()
		_, err := bearer.Sequence.ListElements(ctx, "chaos", "line", nil)
		return err
	})
	one(func() error {
		_, err := user.KMS.IssueToken(ctx, kms.TokenRequest{GrantType: "client_credentials", ClientID: &key.APIKey.ID, ClientSecret: &key.Key, Resource: &[]string{"sequence"}})
		return err
	})
	one(func() error { _, err := user.KMS.RevokeAPIKey(ctx, key.APIKey.ID); return err })
}

// The only search service, with the embedded engine, is restarted while documents are written and found.
func TestRestart_ofTheSearchServiceFailsNoRequest(t *testing.T) {
	h := newHousehold(t)
	restartInTurn(t, h.documentTraffic(), []*replica{h.parts["search"]}, awayAlone)
	h.stop()
}

// Two search services on one database and one Typesense are restarted in turn under the same traffic. Sequence knows
// both, as the gateway does.
func TestRestart_ofTwoSearchServicesInTurnFailsNoRequest(t *testing.T) {
	if harness.IsGiven() {
		h, replicas := givenHousehold(t, "search", "search-2")
		restartInTurn(t, h.documentTraffic(), replicas, 0)
		return
	}
	const key = "the key of the engine"
	shared := []string{
		"DATABASE_URL_FILE=" + write(t, harness.Postgres(t)), "ENGINE_URL=" + searchtest.Typesense(t, key), "ENGINE_KEY_FILE=" + write(t, key),
		"DRAIN_DELAY=100ms", "TRUSTED_PROXIES=127.0.0.0/8",
	}
	first, second := harness.FreeAddress(t), harness.FreeAddress(t)
	h := newHouseholdWith(t, func(word string) []string {
		switch word {
		case "search":
			return append([]string{"ADDR=" + first}, shared...)
		case "sequence", "gateway":
			return []string{"SEARCH_URL=http://" + first + ",http://" + second}
		}
		return nil
	})
	both := []*replica{h.parts["search"], serve(t, "search", h.parts["kms"].url, h.gateway, harness.EnrolmentToken(t, h.admin, "search"),
		append([]string{"ADDR=" + second}, shared...)...)}
	restartInTurn(t, h.documentTraffic(), both, 0)
	h.stop()
	both[1].stop()
}

// documentTraffic writes documents and finds them, at search and through sequence.
func (h *household) documentTraffic() *harness.Traffic {
	h.t.Helper()
	_, err := h.admin.Search.CreateCollection(h.t.Context(), search.CollectionCreate{Name: "chaos", Fields: []search.Field{{Name: "text", Type: "string"}}})
	require.NoError(h.t, err)
	c := h.client(fountain.WithTokenSource(fountain.TokenSourceFunc(h.admin.Token)))
	_, err = c.Sequence.CreateElement(h.t.Context(), "chaos", "line", sequence.ElementCreate{Data: json.RawMessage(`{"text":"who is there"}`)})
	require.NoError(h.t, err)
	return harness.StartCalls(h.t, 4, 50*time.Millisecond, func(worker, round int, one func(func() error)) {
		ctx := context.Background()
		id := fmt.Sprintf("w%d-%d", worker, round)
		document := json.RawMessage(fmt.Sprintf(`{"id":%q,"text":"who is there"}`, id))
		one(func() error {
			done, err := c.Search.SyncDocuments(ctx, "chaos", search.DocumentSync{Items: []search.SyncItem{{Op: search.SyncItemOpUpsert, ID: id, Document: &document}}})
			if err == nil && done.Failed > 0 {
				err = errors.New("the document was not taken")
			}
			return err
		})
		one(func() error {
			_, err := c.Search.SearchDocuments(ctx, "chaos", search.DocumentSearch{Q: "there", QueryBy: []string{"text"}})
			return err
		})
		one(func() error { _, err := c.Search.GetCollection(ctx, "chaos"); return err })
		one(func() error {
			_, err := c.Sequence.SearchElements(ctx, "chaos", sequence.ElementSearch{Q: "there"})
			return err
		})
	})
}

// The only twofactor service is restarted while users list their factors and give codes, each of which works once.
func TestRestart_ofTheTwofactorServiceFailsNoRequest(t *testing.T) {
	h := newHousehold(t)
	restartInTurn(t, h.codeTraffic(), []*replica{h.parts["twofactor"]}, awayAlone)
	h.stop()
}

// Two twofactor services on one database are restarted in turn under the same traffic.
func TestRestart_ofTwoTwofactorServicesInTurnFailsNoRequest(t *testing.T) {
	if harness.IsGiven() {
		h, replicas := givenHousehold(t, "twofactor", "twofactor-2")
		restartInTurn(t, h.codeTraffic(), replicas, 0)
		return
	}
	database := "DATABASE_URL_FILE=" + write(t, harness.Postgres(t))
	first, second := harness.FreeAddress(t), harness.FreeAddress(t)
	h := newHouseholdWith(t, func(word string) []string {
		switch word {
		case "twofactor":
			return []string{"ADDR=" + first, database, "DRAIN_DELAY=100ms"}
		case "gateway":
			return []string{"TWOFACTOR_URL=http://" + first + ",http://" + second}
		}
		return nil
	})
	both := []*replica{h.parts["twofactor"], serve(t, "twofactor", h.parts["kms"].url, h.gateway, h.recoverEnrolmentToken("twofactor"),
		"ADDR="+second, database, "DRAIN_DELAY=100ms", "TRUSTED_PROXIES=127.0.0.0/8")}
	restartInTurn(t, h.codeTraffic(), both, 0)
	h.stop()
	both[1].stop()
}

// recoverEnrolmentToken creates a token for another instance of a service, on the machine of the kms, which must not be
// running.
func (h *household) recoverEnrolmentToken(word string) string {
	h.t.Helper()
	h.parts["kms"].stop()
	defer h.parts["kms"].start()
	cmd := exec.Command(harness.Binary(h.t), "recover", "enrolment-token", word)
	cmd.Env = append(os.Environ(), h.parts["kms"].env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	token, err := cmd.Output()
	require.NoError(h.t, err, stderr.String())
	return string(token)
}

// codeTraffic is traffic of users who list their factors and give codes.
func (h *household) codeTraffic() *harness.Traffic {
	h.t.Helper()
	users := h.editors(8)
	var seeds []string
	for _, user := range users {
		seeds = append(seeds, harness.Enrol(h.t, user, nil))
	}
	last := make([]int64, len(users)) // time step of each user's last code
	var codes atomic.Int64
	h.t.Cleanup(func() { h.t.Logf("%d codes", codes.Load()) })
	return harness.StartCalls(h.t, len(users), 200*time.Millisecond, func(worker, _ int, one func(func() error)) {
		ctx, user := context.Background(), users[worker]
		one(func() error { _, err := user.Twofactor.ListFactors(ctx, nil); return err })
		now := time.Now()
		if step := now.Unix() / 30; step > last[worker] {
			last[worker] = step
			one(func() error {
				code, err := totp.GenerateCode(seeds[worker], now)
				if err == nil {
					_, err = user.Twofactor.VerifyOtp(ctx, twofactor.OtpVerify{Code: code})
				}
				return err
			})
			codes.Add(1)
		}
	})
}
