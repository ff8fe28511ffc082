package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/kms"
	"github.com/fountainai/fountain/clients/sequence"
	"github.com/fountainai/fountain/tests/harness"
)

// things is the document of an adopted service. It sets no limits, because a single caller makes all the load here.
const things = `openapi: 3.0.3
info: {title: Things, version: 1.0.0}
x-fountain: {rate: [{name: per-ip, key: ip, phase: preauth, quota: 1000000, window: 1s, burst: 1000000}, {name: per-subject, key: sub, quota: 1000000, window: 1s, burst: 1000000}]}
paths:
  /things:
    get:
      operationId: listThings
      security: []
      responses: {'200': {description: All., content: {application/json: {schema: {type: array, items: {type: string}}}}}}
`

// adopt registers a service and puts its contract into the kms. Its operation is public.
func adopt(t *testing.T, admin *fountain.Client, name, upstream string) *kms.Service {
	t.Helper()
	made, err := admin.KMS.RegisterService(t.Context(), kms.ServiceCreate{Name: name, Scopes: []string{}, DeclaredScopes: &[]string{name + ":read", name + ":write"}})
	require.NoError(t, err)
	_, err = admin.KMS.PutContract(t.Context(), name, contractOf(things, upstream), fountain.WithIfNoneMatch())
	require.NoError(t, err)
	return &made.Service
}

func contractOf(text, upstream string) kms.ContractPut {
	return kms.ContractPut{
		File: "things.yaml", Files: []kms.ContractFile{{Name: "things.yaml", Text: text}}, Upstreams: &[]string{upstream}, Public: &[]string{"listThings"},
	}
}

// illness is an adopted service that misbehaves, and how it is called: by this number of callers, each with a pause.
type illness struct {
	answer  http.HandlerFunc // nil: nothing listens
	callers int
	pause   time.Duration
}

var illnesses = map[string]illness{
	"dead": {nil, 16, 10 * time.Millisecond},
	"hang": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 96, 200 * time.Millisecond},
	"drip": {func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[")
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond) // the slowness is the point
		}
	}, 48, 50 * time.Millisecond},
	"large": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(largeAnswer)
	}, 4, 200 * time.Millisecond},
}

// largeAnswer is a list of 4 MiB.
var largeAnswer = []byte("[" + strings.Repeat(`"`+strings.Repeat("x", 1021)+`",`, 4<<10-1) + `"x"]`)

// An adopted service that hangs, is dead, responds byte by byte, or sends large responses costs other callers only
// their share of the processor: none of their requests fails or waits for it. The test logs the latencies with and
// without its load, in turns; docs/proofs.md records them. Without it, the same callers call the upstream directly,
// past the gateway, so that the load on the machine is the same in both cases.
func TestOverload_ofAdoptedServicesIsNotFeltByOthers(t *testing.T) {
	turns, each := 2, 300*time.Millisecond
	if os.Getenv("FOUNTAIN_PROVE") == "1" {
		turns, each = 12, 2*time.Second
	}
	dir := filepath.Join(t.TempDir(), "data")
	p := harness.StartProcess(t, dir)
	admin := p.Bootstrap(dir, "ada", password, fountain.WithRetry(fountain.RetryPolicy{MaxAttempts: 1}))
	direct := map[string]string{}
	for name, ill := range illnesses {
		upstream := "http://" + harness.FreeAddress(t)
		if ill.answer != nil {
			server := httptest.NewServer(ill.answer)
			t.Cleanup(server.Close)
			upstream = server.URL
		}
		adopt(t, admin, name, upstream)
		direct[name] = upstream
	}
	_, err := admin.Sequence.CreateElement(t.Context(), "chaos", "line", sequence.ElementCreate{Data: json.RawMessage(`{"text":"x"}`)})
	require.NoError(t, err)
	ask := func() error {
		_, err := admin.Sequence.ListElements(t.Context(), "chaos", "line", nil)
		return err
	}
	require.Eventually(t, func() bool { return status(p.URL+"/large/things") == http.StatusOK }, time.Minute, 10*time.Millisecond)
	for name, ill := range illnesses {
		t.Run(name, func(t *testing.T) {
			var without, beside load
			for range turns {
				for at, into := range map[string]*load{direct[name]: &without, p.URL + "/" + name: &beside} {
					stop := trouble(t, at+"/things", ill)
					measure(t, ask, each, into)
					stop()
				}
			}
			t.Logf("p99 of the family %s without it (p50 %s), %s beside it (p50 %s): %.2f", without.quantile(0.99), without.quantile(0.5), beside.quantile(0.99),
				beside.quantile(0.5), float64(beside.quantile(0.99))/float64(without.quantile(0.99)))
			require.NotEmpty(t, beside.took)
		})
	}
	p.Stop()
}

// measure sends one request after the other for a while. Each must succeed.
func measure(t *testing.T, ask func() error, each time.Duration, into *load) {
	t.Helper()
	for end := time.Now().Add(each); time.Now().Before(end); time.Sleep(2 * time.Millisecond) { // below the limits
		began := time.Now()
		require.NoError(t, ask())
		into.took = append(into.took, time.Since(began))
	}
}

// trouble lets callers call an adopted service until stop is called. It returns when the responses or the waiting have
// begun.
func trouble(t *testing.T, url string, ill illness) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: ill.callers}}
	var all sync.WaitGroup
	begun := make(chan struct{}, ill.callers)
	for range ill.callers {
		all.Go(func() {
			begun <- struct{}{}
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
				if !assert.NoError(t, err) {
					return
				}
				if res, err := client.Do(req); err == nil { // an error occurs at the end
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(ill.pause):
				}
			}
		})
	}
	for range ill.callers {
		<-begun
	}
	return func() {
		cancel()
		all.Wait()
		client.CloseIdleConnections()
	}
}

// status returns the status of a GET without a token, or 0 if there is no response.
func status(url string) int {
	res, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// text returns the body of a GET without a token, after its status.
func text(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(body))
}
