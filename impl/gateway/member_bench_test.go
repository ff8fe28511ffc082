package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/member"
	"github.com/fountainai/fountain/openapi"
)

// benchMember is a member with sequence's document, so that a difference in cost comes from the adoption alone.
const benchMember = "plays"

// The cost of a request of an adopted contract compared with the family's own: the same request, answer and schemas, in turns in one run. A turn is short, so that
// other load on the machine affects all three equally. nothing-us/op is client and service alone, which both figures include; own is the ratio of the
// remainders.
func BenchmarkGate_adopted(b *testing.B) {
	for name, request := range map[string]func(authority, token string) string{"get": benchGet, "post": benchPost} {
		b.Run(name, func(b *testing.B) {
			h := newBenchHouse(b)
			h.adopt(b)
			const turn = 50
			ways := []func(){h.client(b, false, request), h.client(b, true, request), h.caller(b, h.gate, adoptedRequest(request(h.gate, h.asMember)))}
			used := make([]time.Duration, len(ways))
			for b.Loop() {
				for i, roundTrip := range ways {
					before := cpuTime(b)
					for range turn {
						roundTrip()
					}
					used[i] += cpuTime(b) - before
				}
			}
			each := func(i int) float64 { return float64(used[i].Nanoseconds()) / 1000 / float64(b.N*turn) }
			nothing, family, adopted := each(0), each(1), each(2)
			b.ReportMetric(0, "ns/op") // the average of all three is meaningless
			b.ReportMetric(nothing, "nothing-us")
			b.ReportMetric(family, "family-us")
			b.ReportMetric(adopted, "adopted-us")
			b.ReportMetric((adopted-nothing)/(family-nothing), "own")
		})
	}
}

// The cost of a 4 MiB answer of an adopted service without a declared length: the garbage that it leaves, including client and service, and how often the
// collector runs for it.
func BenchmarkGate_large(b *testing.B) {
	h := newBenchHouse(b)
	large := []byte("[" + strings.Repeat(`"`+strings.Repeat("x", 1021)+`",`, 4<<10-1) + `"x"]`)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(large)
	}))
	b.Cleanup(service.Close)
	document := `openapi: 3.0.3
info: {title: Things, version: 1.0.0}
x-fountain: {rate: [{name: per-ip, key: ip, phase: preauth, quota: 1000000, window: 1s, burst: 1000000}]}
paths:
  /things:
    get:
      operationId: listThings
      security: []
      responses: {'200': {description: All., content: {application/json: {schema: {type: array, items: {type: string}}}}}}
`
	require.NoError(b, h.members.Replace("bench", []member.Definition{{
		Name: "things", File: "things.yaml", Files: map[string][]byte{"things.yaml": []byte(document)}, Upstreams: []string{service.URL}, Public: []string{"listThings"},
	}}))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ReportAllocs()
	for b.Loop() {
		res, err := http.Get("http://" + h.gate + "/things/things")
		require.NoError(b, err)
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(b, err)
		require.NoError(b, res.Body.Close())
		require.EqualValues(b, len(large), n)
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.NumGC-before.NumGC)/float64(b.N), "collections/op")
}

// A request of an adopted contract allocates little more than one of the family's own.
func TestGate_allocatesLittleMoreForAMember(t *testing.T) {
	if raceEnabled {
		t.Skip("pools forget at random under the race detector")
	}
	h := newBenchHouse(t)
	h.adopt(t)
	for name, c := range map[string]struct {
		request func(authority, token string) string
		most    float64
	}{"get": {benchGet, 52}, "post": {benchPost, 60}} {
		require.LessOrEqual(t, testing.AllocsPerRun(2000, h.caller(t, h.gate, adoptedRequest(c.request(h.gate, h.asMember)))), c.most, name)
	}
}

// adoptedRequest converts a request for sequence to one for the member.
func adoptedRequest(text string) string {
	return strings.Replace(text, "/sequence/v1/", "/"+benchMember+"/sequence/v1/", 1)
}

// adopt makes the gateway serve the member, with a service like the family's.
func (h *benchHouse) adopt(t testing.TB) {
	files := map[string][]byte{}
	for _, name := range []string{"sequence.yaml", "common.yaml"} {
		text, err := openapi.Files.ReadFile(name)
		require.NoError(t, err)
		files[name] = bytes.ReplaceAll(text, []byte("{max: 4GiB}"), []byte("{max: 16MiB}")) // the maximum for an adopted document
	}
	require.NoError(t, h.members.Replace("bench", []member.Definition{{
		Name: benchMember, File: "sequence.yaml", Files: files, Upstreams: []string{"http://" + benchService(t, "")},
	}}))
}
