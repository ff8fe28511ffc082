package gateway

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/admit"
	"github.com/fountainai/fountain/impl/gateway/internal/member"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/config"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
	"github.com/fountainai/fountain/internal/telemetry"
)

// These benchmarks run the whole gateway over loopback TCP in one process: HTTP/1.1 with keep-alive, a signed token, limits, log, metrics, and checks of
// the request and its answer. Client and service use net.Conn and allocate nothing, so that allocs/op is the gateway's own.
// cpu-us/op is user and system time of the whole process: subtract that of BenchmarkGate_nothing, which has the same client and service with
// nothing in between.

func BenchmarkGate_get(b *testing.B)  { newBenchHouse(b).run(b, true, benchGet) }
func BenchmarkGate_post(b *testing.B) { newBenchHouse(b).run(b, true, benchPost) }

func BenchmarkGate_nothing(b *testing.B) {
	b.Run("get", func(b *testing.B) { newBenchHouse(b).run(b, false, benchGet) })
	b.Run("post", func(b *testing.B) { newBenchHouse(b).run(b, false, benchPost) })
}

// The cost of a refusal by admission: of all checks before it, for an authorized caller, and of the answer.
func BenchmarkGate_refused(b *testing.B) {
	b.Run("get", func(b *testing.B) { newBenchHouse(b).runRefused(b, "listElements", benchGet) })
	b.Run("post", func(b *testing.B) { newBenchHouse(b).runRefused(b, "createElement", benchPost) })
}

const (
	benchElement = `{"id":"act1-line1","scope":"hamlet","elementType":"spokenWord","number":1,"status":"active","version":1,` +
		`"data":{"character":"BERNARDO","text":"Who's there?"},"createdAt":"2026-11-23T10:00:00.000000Z","updatedAt":"2026-11-23T10:00:00.000000Z"}`
	benchPath = "/sequence/v1/scopes/hamlet/spokenWord/elements"
)

// benchBody is a body of 300 bytes.
var benchBody = func() string {
	head, tail := `{"data":{"character":"BERNARDO","act":1,"scene":1,"tags":["night","guard"],"text":"`, `"}}`
	return head + strings.Repeat("x", 300-len(head)-len(tail)) + tail
}()

func benchGet(authority, token string) string {
	return "GET " + benchPath + "?limit=20&status=active HTTP/1.1\r\nHost: " + authority + "\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer " + token + "\r\n\r\n"
}

func benchPost(authority, token string) string {
	return "POST " + benchPath + " HTTP/1.1\r\nHost: " + authority + "\r\nUser-Agent: bench\r\nAccept: application/json\r\nAuthorization: Bearer " + token +
		"\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(benchBody)) + "\r\n\r\n" + benchBody
}

// benchClock advances a little with each request, so that the contract's limits never refuse one.
type benchClock struct{ nanoseconds atomic.Int64 }

func (c *benchClock) Now() time.Time { return time.Unix(0, c.nanoseconds.Load()) }

// Elapsed is the time of the limits.
func (c *benchClock) Elapsed() time.Duration { return time.Duration(c.nanoseconds.Load()) }

type benchHouse struct {
	gate, behind string // host:port
	token        string
	asMember     string // the token for the member
	clock        benchClock
	admit        *admit.Station // of the gateway
	members      *member.Registry
	status       string // the first bytes of every answer
}

func newBenchHouse(b testing.TB) *benchHouse {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(b, err)
	h := &benchHouse{status: "HTTP/1.1 20"}
	h.clock.nanoseconds.Store(time.Now().UnixNano())
	h.behind = benchService(b, fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"k1","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public)))
	h.token = h.sign(b, private, func(*auth.Claims) {})
	h.asMember = h.sign(b, private, func(c *auth.Claims) {
		c.Audience, c.Scope = jwt.ClaimStrings{benchMember}, benchMember+":read "+benchMember+":write"
	})
	h.gate = h.serve(b)
	return h
}

func (h *benchHouse) sign(b testing.TB, key ed25519.PrivateKey, change func(*auth.Claims)) string {
	now := h.clock.Now()
	claims := &auth.Claims{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: issuer, Subject: subject, Audience: jwt.ClaimStrings{"sequence", "kms", "twofactor"}, ID: "j1",
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(1000 * time.Hour))},
		ClientID: "fountain", Scope: "elements:read elements:write", Roles: []string{"editor"}, Principal: auth.KindUser, SessionID: "ses_1",
		ACR: "aal1", AMR: []string{"pwd"}, AuthTime: now.Unix(),
	}
	change(claims)
	token, err := auth.Sign(auth.TypeAccess, "k1", "EdDSA", key, claims)
	require.NoError(b, err)
	return token
}

// serve runs the gateway as Run does, with the production logger, and returns its address.
func (h *benchHouse) serve(b testing.TB) string {
	upstream := "http://" + h.behind
	c := Config{TwofactorURL: upstream, SearchURL: upstream, SequenceURL: upstream, Version: "bench", Adopted: Adopted{UpstreamAllow: []string{"127.0.0.0/8"}}}
	log := telemetry.NewLogger(io.Discard, slog.LevelInfo)
	c.Service = config.Service{
		Addr: "127.0.0.1:0", DataDir: b.TempDir(), EnrolTokenFile: "none", Issuer: issuer, JWKSURL: upstream + "/kms/v1/.well-known/jwks.json", KMSURL: upstream,
		Clock: &h.clock, Log: log, Registerer: prometheus.NewRegistry(),
	}
	require.NoError(b, c.Validate())
	g, err := build(c, family(b), &http.Client{Timeout: callTimeout}, auth.NoRevocations{})
	require.NoError(b, err)
	h.admit, h.members = g.admit, g.members
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- httpserver.Serve(ctx, listener, g.handler(), httpserver.ServeOptions{Log: log, Grace: time.Minute})
	}()
	b.Cleanup(func() {
		stop()
		require.NoError(b, <-ended)
	})
	return listener.Addr().String()
}

// run sends requests one after the other on one connection.
func (h *benchHouse) run(b *testing.B, through bool, request func(authority, token string) string) {
	roundTrip := h.client(b, through, request)
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		roundTrip()
	}
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// refillAfter is how often the places are filled again: waiting requests give up after two seconds.
const refillAfter = time.Second

// runRefused sends requests one after the other to an operation with as many running and waiting requests as a new one may have; none of these
// ever ends.
func (h *benchHouse) runRefused(b *testing.B, operation string, request func(authority, token string) string) {
	contracts, err := contract.LoadAll()
	require.NoError(b, err)
	var op *contract.Operation
	for _, c := range contracts {
		if op == nil {
			op = c.Operation(operation)
		}
	}
	for range 64 {
		require.NoError(b, h.admit.Admit(&httpserver.Exchange{Operation: op, Request: &http.Request{}}))
	}
	h.status = "HTTP/1.1 503"
	leave := h.fill(b, op)
	roundTrip := h.client(b, true, request)
	b.ReportAllocs()
	var used time.Duration
	before, filled := cpuTime(b), time.Now()
	for b.Loop() {
		if time.Since(filled) > refillAfter {
			b.StopTimer()
			used += cpuTime(b) - before
			leave()
			leave = h.fill(b, op)
			before, filled = cpuTime(b), time.Now()
			b.StartTimer()
		}
		roundTrip()
	}
	used += cpuTime(b) - before
	leave()
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/op")
}

// fill makes requests wait until there is no room for another one; leave releases them.
func (h *benchHouse) fill(b *testing.B, op *contract.Operation) (leave func()) {
	ctx, cancel := context.WithCancel(b.Context())
	exchange := func() *httpserver.Exchange {
		return &httpserver.Exchange{Operation: op, Request: (&http.Request{}).WithContext(ctx)}
	}
	var all sync.WaitGroup
	var refused atomic.Int64
	for range 8*64 + 1 {
		all.Go(func() {
			if err := h.admit.Admit(exchange()); errors.As(err, new(*problem.Error)) && ctx.Err() == nil {
				refused.Add(1)
			}
		})
	}
	require.Eventually(b, func() bool { return refused.Load() > 0 }, 5*time.Second, time.Millisecond, "more than there is room for")
	return func() {
		cancel()
		all.Wait()
	}
}

// client returns a function that sends one request and reads its answer, over a connection that has been used before.
func (h *benchHouse) client(b testing.TB, through bool, request func(authority, token string) string) (roundTrip func()) {
	address := h.behind
	if through {
		address = h.gate
	}
	return h.caller(b, address, request(address, h.token))
}

// caller is client for the text of any request.
func (h *benchHouse) caller(b testing.TB, address, request string) (roundTrip func()) {
	conn, err := net.Dial("tcp", address)
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close() }) // its error does not matter
	text, buffer := []byte(request), make([]byte, 64<<10)
	roundTrip = func() {
		h.clock.nanoseconds.Add(int64(2 * time.Millisecond))
		if _, err := conn.Write(text); err != nil {
			b.Fatal(err)
		}
		n, err := readMessage(conn, buffer)
		if err != nil || !bytes.HasPrefix(buffer[:n], []byte(h.status)) {
			b.Fatalf("%v: %s", err, buffer[:n])
		}
	}
	for range 100 { // connections, pools and the token's place in the cache
		roundTrip()
	}
	return roundTrip
}

// Nothing in the path of a request begins to allocate unnoticed; docs/performance.md has the figures. The margin is for pools that a garbage
// collection empties, and for the runtime's own work.
func TestGate_allocatesLittleForARequest(t *testing.T) {
	if raceEnabled {
		t.Skip("pools forget at random under the race detector")
	}
	h := newBenchHouse(t)
	for name, c := range map[string]struct {
		request func(authority, token string) string
		most    float64
	}{"get": {benchGet, 49}, "post": {benchPost, 57}} {
		require.LessOrEqual(t, testing.AllocsPerRun(2000, h.client(t, true, c.request)), c.most, name)
	}
}

// cpuTime returns the user and system time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// benchService serves as every service on raw connections and returns its address. It allocates nothing per request.
func benchService(b testing.TB, jwks string) string {
	answer := func(head, body string) []byte {
		return []byte("HTTP/1.1 " + head + "\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body)
	}
	keys, list, created := answer("200 OK", jwks), answer("200 OK", `{"items":[`+benchElement+`]}`), answer("201 Created\r\nETag: \"1\"", benchElement)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	b.Cleanup(func() { _ = listener.Close() }) // its error does not matter
	serve := func(conn net.Conn) {
		defer conn.Close()
		buffer := make([]byte, 64<<10)
		for {
			n, err := readMessage(conn, buffer)
			if err != nil {
				return
			}
			reply := list
			switch {
			case buffer[0] == 'P':
				reply = created
			case bytes.HasPrefix(buffer[:n], []byte("GET /kms/")):
				reply = keys
			}
			if _, err := conn.Write(reply); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

var contentLength = []byte("\r\nContent-Length: ")

// readMessage reads one HTTP message, delimited by Content-Length, into the buffer and returns its length.
func readMessage(conn net.Conn, buffer []byte) (int, error) {
	n := 0
	for {
		got, err := conn.Read(buffer[n:])
		if err != nil {
			return n, err
		}
		n += got
		head := bytes.Index(buffer[:n], []byte("\r\n\r\n"))
		if head < 0 {
			continue
		}
		length := 0
		if at := bytes.Index(buffer[:head+2], contentLength); at >= 0 {
			for _, digit := range buffer[at+len(contentLength) : head+2] {
				if digit < '0' || digit > '9' {
					break
				}
				length = length*10 + int(digit-'0')
			}
		}
		if n >= head+4+length {
			return n, nil
		}
	}
}
