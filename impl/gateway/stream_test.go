package gateway

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/contract"
)

// streams is a contract with streams, in place of sequence's: the family has none yet.
const streams = `openapi: 3.0.3
info: {title: Streams, version: 1.0.0}
servers: [{url: /sequence/v1}]
security: []
x-fountain: {principals: [user], timeout: 2s}
paths:
  /events:
    get:
      operationId: followEvents
      x-fountain: {stream: {kind: sse, idle: IDLE}}
      responses:
        '200': {description: Events., content: {text/event-stream: {schema: {type: string}}}}
  /mine:
    get:
      operationId: followMine
      security: [{oauth: []}]
      x-fountain: {stream: {kind: sse, idle: IDLE}, concurrency: 3, concurrencyPerSubject: 2}
      responses:
        '200': {description: Events., content: {text/event-stream: {schema: {type: string}}}}
  /lines:
    get:
      operationId: followLines
      x-fountain: {stream: {kind: ndjson, idle: IDLE}}
      responses:
        '200': {description: Lines., content: {application/x-ndjson: {schema: {type: object}}}}
    post:
      operationId: sendLines
      x-fountain: {stream: {kind: ndjson, idle: IDLE, lineMax: 1KiB}, body: {max: 1MiB}}
      requestBody:
        required: true
        content: {application/x-ndjson: {schema: {type: object, required: [n], properties: {n: {type: integer}}}}}
      responses:
        '200': {description: Taken., content: {application/x-ndjson: {schema: {type: object}}}}
  /either:
    post:
      operationId: sendEither
      x-fountain: {stream: {kind: ndjson, idle: IDLE, lineMax: 1KiB}, body: {max: 1MiB}, validate: {response: enforce}}
      requestBody:
        required: true
        content: {application/json: {schema: {type: object}}, application/x-ndjson: {schema: {type: object}}}
      responses:
        '200': {description: Taken., content: {application/json: {schema: {type: object, required: [n], properties: {n: {type: integer}}}}}}
components:
  securitySchemes:
    oauth: {type: oauth2, flows: {clientCredentials: {tokenUrl: /kms/v1/oauth2/token, scopes: {}}}}
`

// streaming is a gateway with that contract. upstream sends what it receives from pieces, and ends when that is closed.
func streaming(t *testing.T, idle, mediaType string, pieces <-chan string) (*house, string) {
	h := newHouse(t)
	c, err := contract.LoadFS(fstest.MapFS{"sequence.yaml": {Data: []byte(strings.ReplaceAll(streams, "IDLE", idle))}}, "sequence")
	require.NoError(t, err)
	config := h.config(h.behind)
	config.Registerer = prometheus.NewRegistry()
	g, err := build(config, []*contract.Contract{c}, http.DefaultClient, auth.NoRevocations{})
	require.NoError(t, err)
	gate := httptest.NewServer(g.handler())
	t.Cleanup(gate.Close)
	h.upstream = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case piece, more := <-pieces:
				if !more {
					return
				}
				_, _ = io.WriteString(w, piece)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}
	return h, gate.URL
}

// Each piece of a stream reaches the client before the next one is sent.
func TestStream_passesEachPieceAsItComes(t *testing.T) {
	for path, stream := range map[string]struct{ mediaType, piece string }{
		"/events": {"text/event-stream", "data: 1\n"},
		"/lines":  {"application/x-ndjson", `{"n":1}` + "\n"},
	} {
		pieces := make(chan string)
		_, url := streaming(t, "30s", stream.mediaType, pieces)
		res, err := http.Get(url + "/sequence/v1" + path)
		require.NoError(t, err)
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, stream.mediaType, res.Header.Get("Content-Type"))
		lines := bufio.NewReader(res.Body)
		for range 100 {
			pieces <- stream.piece
			line, err := lines.ReadString('\n')
			require.NoError(t, err)
			require.Equal(t, stream.piece, line)
		}
		close(pieces)
		_, err = lines.ReadByte()
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, res.Body.Close())
	}
}

// An answer that is no stream is checked completely, also if the request body was one.
func TestStream_ofTheRequestHasItsAnswerChecked(t *testing.T) {
	for _, kind := range []string{"application/json", "application/x-ndjson"} {
		for answer, want := range map[string]int{`{"n":1}`: http.StatusOK, `{"n":"one"}`: http.StatusBadGateway, `{"n":`: http.StatusBadGateway} {
			h, url := streaming(t, "30s", "application/json", nil)
			h.upstream = func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				_ = http.NewResponseController(w).Flush() // its length is not told
				_, _ = io.WriteString(w, answer)
			}
			res, err := http.Post(url+"/sequence/v1/either", kind, strings.NewReader("{}\n"))
			require.NoError(t, err)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, want, res.StatusCode, "%s %s: %s", kind, answer, text)
			if want == http.StatusOK {
				require.Equal(t, answer, string(text))
			}
		}
	}
}

// waiting is a client that gives up on a stream that never ends.
var waiting = http.Client{Timeout: 20 * time.Second}

// An idle stream is aborted, so that the client does not take it for complete; if nothing came at all, the answer is 504.
func TestStream_endsWhenNothingComes(t *testing.T) {
	pieces := make(chan string)
	h, url := streaming(t, "300ms", "text/event-stream", pieces)
	res, err := waiting.Get(url + "/sequence/v1/events")
	require.NoError(t, err)
	for range 4 {
		pieces <- "data: 1\n"
	}
	_, err = io.ReadAll(res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, res.Body.Close())

	h.mu.Lock()
	h.upstream = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	h.mu.Unlock()
	res, err = waiting.Get(url + "/sequence/v1/events")
	require.NoError(t, err)
	require.Equal(t, http.StatusGatewayTimeout, res.StatusCode)
	require.NoError(t, res.Body.Close())
}

// A stream that is never idle is aborted at its maxDuration.
func TestStream_endsAtItsLongestDuration(t *testing.T) {
	pieces, done := make(chan string), make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case pieces <- "data: 1\n":
			case <-done:
				return
			}
		}
	}()
	_, url := streaming(t, "1m, maxDuration: 300ms", "text/event-stream", pieces)
	res, err := waiting.Get(url + "/sequence/v1/events")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NoError(t, res.Body.Close())
}

// receive takes the next value, with a time-out.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}

// Each line of a body reaches the service before the next one is sent. An invalid one does not, and the client gets the reason.
func TestStream_checksEachLineOfABodyAsItComes(t *testing.T) {
	for last, want := range map[string]struct {
		status int
		code   string
	}{
		`{"n":5}`: {200, ""}, `{"n":"x"}`: {422, "invalid_body"}, `{"n":1,"n":2}`: {400, "malformed_body"}, `{"n":1` + strings.Repeat(" ", 1<<10) + `}`: {413, "body_too_large"},
	} {
		h, url := streaming(t, "30s", "application/x-ndjson", nil)
		lines, broke := make(chan string), make(chan error, 1)
		h.upstream = func(w http.ResponseWriter, r *http.Request) {
			from := bufio.NewReader(r.Body)
			for {
				line, err := from.ReadString('\n')
				if err != nil {
					broke <- err
					break
				}
				lines <- line
			}
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		body, to := io.Pipe()
		defer to.Close()
		answered := make(chan *http.Response, 1)
		go func() {
			res, err := http.Post(url+"/sequence/v1/lines", "application/x-ndjson", body)
			if err != nil {
				t.Error(err)
			}
			answered <- res
		}()
		for range 4 {
			_, err := io.WriteString(to, `{"n":1}`+"\n")
			require.NoError(t, err)
			require.Equal(t, `{"n":1}`+"\n", receive(t, lines))
		}
		_, _ = io.WriteString(to, last+"\n") // the gateway may have hung up
		_ = to.Close()
		if want.status == 200 {
			require.Equal(t, last+"\n", receive(t, lines))
			require.ErrorIs(t, receive(t, broke), io.EOF)
		} else {
			require.ErrorIs(t, receive(t, broke), io.ErrUnexpectedEOF, "the service learns that the body is not whole")
		}
		res := receive(t, answered)
		require.NotNil(t, res)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want.status, res.StatusCode, string(text))
		require.Contains(t, string(text), want.code)
	}
}

// TestStream_leavesPlacesToOtherSubjects has one subject hold all places that it may have. It gets no more with any of its tokens, while others get theirs. A
// stream that ends, or whose client disconnects, frees its place.
func TestStream_leavesPlacesToOtherSubjects(t *testing.T) {
	pieces := make(chan string)
	h, url := streaming(t, "30s", "text/event-stream", pieces)
	as := func(who string) string {
		return "Bearer " + h.token(func(c *auth.Claims) { c.Subject = who })
	}
	open := func(who string) *http.Response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/sequence/v1/mine", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", as(who))
		res, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		t.Cleanup(func() { _ = res.Body.Close() })
		return res
	}
	const greedy, other, third = "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8A", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8B", "usr_01KBB6Q3Y5W1V9T2ZD0G7M4N8C"
	first := open(greedy)
	require.Equal(t, 200, first.StatusCode)
	require.Equal(t, 200, open(greedy).StatusCode)
	refused := open(greedy)
	require.Equal(t, 429, refused.StatusCode)
	require.Equal(t, "1", refused.Header.Get("Retry-After"))
	text, err := io.ReadAll(refused.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), `"concurrency_limited"`)
	require.Equal(t, 200, open(other).StatusCode, "another subject has places of its own")
	full := open(third)
	require.Equal(t, 503, full.StatusCode, "the operation's places are all taken")
	require.Equal(t, 503, open(third).StatusCode, "what was refused holds none of the subject's")
	require.NoError(t, first.Body.Close())
	require.Eventually(t, func() bool { return open(third).StatusCode == 200 }, 20*time.Second, 10*time.Millisecond, "the client has left")
	require.Equal(t, 503, open(greedy).StatusCode, "the subject has its place back, the operation has none")
	close(pieces)
	require.Eventually(t, func() bool { return open(greedy).StatusCode == 200 }, 20*time.Second, 10*time.Millisecond, "all have ended")
}
