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

// things is the document of a service of others. Its limits are none, for one caller is all the load here.
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

// adopt registers a service of others and gives its contract to the kms. Its operation is open.
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

// illness is an adopted service that is no good, and how it is asked: by so many callers, each with a pause.
type illness struct {
	answer  http.HandlerFunc // nil: nobody listens
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
			time.Sleep(50 * time.Millisecond) // that it is slow is what it is for
		}
	}, 48, 50 * time.Millisecond},
	"large": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(largeAnswer)
	}, 4, 200 * time.Millisecond},
}

// largeAnswer is a list of 4 MiB.
var largeAnswer = []byte("[" + strings.Repeat(`"`+strings.Repeat("x", 1021)+`",`, 4<<10-1) + `"x"]`)

// An adopted service that hangs, is dead, answers byte by byte, or answers much costs the callers of the family nothing but their share of the processor:
// none of their requests fails or waits for it. The latencies beside it and without it, in turns, are told; docs/proofs.md keeps them. Without it the same
// callers ask the service itself, past the gateway: what they and it take of this machine is on both sides.
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

// measure asks one request after the other for a while. Each must be answered.
func measure(t *testing.T, ask func() error, each time.Duration, into *load) {
	t.Helper()
	for end := time.Now().Add(each); time.Now().Before(end); time.Sleep(2 * time.Millisecond) { // below the limits
		began := time.Now()
		require.NoError(t, ask())
		into.took = append(into.took, time.Since(began))
	}
}

// trouble lets callers ask an adopted service until stop is called, and returns when its answers or their waiting have begun.
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
				if res, err := client.Do(req); err == nil { // else it is the end
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

// status is that of the answer to a GET without a token; 0 when there is none.
func status(url string) int {
	res, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}

// text is the body of the answer to a GET without a token, with its status before it.
func text(url string) string {
	res, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return fmt.Sprint(res.StatusCode, " ", string(body))
}
