package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// adoptions is how many services are adopted and retired in the test of two gateways.
func adoptions() int {
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		return 30
	}
	return 2
}

// pair is two gateways of a household.
type pair struct {
	t       *testing.T
	urls    [2]string
	admins  [2]string // URLs of their admin ports
	slowest time.Duration
}

// agree waits until both gateways give the same response for a path, and it is the wanted one.
func (p *pair) agree(what, path string, wanted func(answer string) bool) {
	p.t.Helper()
	p.both(what, func(i int) bool { return wanted(text(p.urls[i] + path)) })
}

// both waits until something holds for both gateways, and records the longest time that took.
func (p *pair) both(what string, holds func(i int) bool) {
	p.t.Helper()
	began := time.Now()
	require.Eventually(p.t, func() bool { return holds(0) && holds(1) }, time.Minute, time.Millisecond, what)
	p.slowest = max(p.slowest, time.Since(began))
}

// Two gateways with one kms serve the same shortly after each change of an adopted service: adopted, changed, shadowed,
// disabled, enabled, retired. No other request fails meanwhile. Both gateways have the service again after a restart of
// themselves and of the kms, and keep it while the kms is unavailable.
func TestRestart_ofGatewaysAndKMSKeepsAdoptedServices(t *testing.T) {
	h := newHousehold(t)
	admin := [2]string{harness.FreeAddress(t), harness.FreeAddress(t)}
	first := h.parts["gateway"]
	first.stop()
	first.env = append(first.env, "FOUNTAIN_GATEWAY_ADMIN_ADDR="+admin[0], "FOUNTAIN_GATEWAY_UPSTREAM_ALLOW=127.0.0.0/8")
	first.start()
	at := harness.FreeAddress(t)
	second := serve(t, "gateway", h.parts["kms"].url, h.gateway, harness.EnrolmentToken(t, h.admin, "gateway"), "ADDR="+at, "DRAIN_DELAY=1ms", "ADMIN_ADDR="+admin[1],
		"TWOFACTOR_URL="+h.parts["twofactor"].url, "SEARCH_URL="+h.parts["search"].url, "SEQUENCE_URL="+h.parts["sequence"].url, "UPSTREAM_ALLOW=127.0.0.0/8")
	p := &pair{t: t, urls: [2]string{h.gateway, second.url}, admins: [2]string{"http://" + admin[0], "http://" + admin[1]}}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`["a"]`))
	}))
	t.Cleanup(service.Close)

	others := h.editors(2) // one client at each gateway
	others[1] = h.client(fountain.WithTokenSource(fountain.TokenSourceFunc(others[1].Token)), fountain.WithServiceURL("sequence", second.url))
	load := harness.StartCalls(t, 2, 20*time.Millisecond, func(worker, round int, one func(func() error)) {
		id := fmt.Sprintf("w%d-%d", worker, round)
		one(func() error {
			_, err := others[worker].Sequence.CreateElement(context.Background(), "chaos", "line", sequence.ElementCreate{ID: &id, Data: json.RawMessage(`{"text":"x"}`)})
			return err
		})
		one(func() error {
			_, err := others[worker].Sequence.GetElement(context.Background(), "chaos", "line", id)
			return err
		})
	})
	for i := range adoptions() {
		p.lifeOf(h, fmt.Sprint("guest-", i), service.URL)
	}
	done, slowest := load.Stop()
	t.Logf("%d adoptions and retirements, %d requests of others, none failed, the slowest took %s; after each change both gateways agreed within %s", adoptions(), done, slowest, p.slowest)

	adopt(t, h.admin, "keeper", service.URL)
	there := func(answer string) bool { return answer == `200 ["a"]` }
	p.agree("adopted", "/keeper/things", there)
	for _, r := range []*replica{first, second} {
		r.stop()
		r.start()
		p.agree("after a restart", "/keeper/things", there)
	}
	h.parts["kms"].stop()
	for range 20 {
		p.agree("while the kms is away", "/keeper/things", there)
	}
	h.parts["kms"].start()
	p.agree("after a restart of the kms", "/keeper/things", there)
	require.NoError(t, h.admin.KMS.RetireContract(t.Context(), "keeper"))
	p.agree("retired", "/keeper/things", func(answer string) bool { return strings.HasPrefix(answer, "404") })
	second.stop()
	h.stop()
}

// lifeOf adopts a service, changes everything that can be changed about it, and retires it. Both gateways follow.
func (p *pair) lifeOf(h *household, name, upstream string) {
	t, k := p.t, h.admin.KMS
	t.Helper()
	same := func(part string) {
		t.Helper()
		p.both(part, func(int) bool {
			one, other := text(p.urls[0]+"/openapi/"+name+".yaml"), text(p.urls[1]+"/openapi/"+name+".yaml")
			return one == other && strings.HasPrefix(one, "200") && strings.Contains(one, part)
		})
	}
	made := adopt(t, h.admin, name, upstream)
	p.agree("adopted", "/"+name+"/things", func(answer string) bool { return answer == `200 ["a"]` })
	same("All.")

	_, err := k.PutContract(t.Context(), name, contractOf(strings.ReplaceAll(things, "All.", "All of them."), upstream))
	require.NoError(t, err)
	same("All of them.")

	shadow := true
	next := contractOf(strings.ReplaceAll(things, "type: string", "type: integer"), upstream)
	next.Shadow, next.Upstreams = &shadow, nil
	_, err = k.PutContract(t.Context(), name, next)
	require.NoError(t, err)
	p.both("shadowed", func(i int) bool {
		return text(p.urls[i]+"/"+name+"/things") == `200 ["a"]` && strings.Contains(text(p.admins[i]+"/metrics"), `fountain_gateway_shadow_rejections_total{code="bad_upstream",member="`+name+`"`)
	})
	same("All of them.")

	for _, state := range []kms.ServiceUpdateStatus{kms.ServiceUpdateStatusDisabled, kms.ServiceUpdateStatusActive} {
		now, err := k.GetService(t.Context(), made.ID)
		require.NoError(t, err)
		_, err = k.UpdateService(t.Context(), made.ID, fountain.IfMatch(now.Version), kms.ServiceUpdate{Status: &state})
		require.NoError(t, err)
		p.agree(string(state), "/"+name+"/things", func(answer string) bool {
			return strings.HasPrefix(answer, "404") == (state == kms.ServiceUpdateStatusDisabled)
		})
	}
	require.NoError(t, k.RetireContract(t.Context(), name))
	p.agree("retired", "/"+name+"/things", func(answer string) bool { return strings.HasPrefix(answer, "404") })
}
