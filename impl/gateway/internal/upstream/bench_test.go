package upstream

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/internal/httpclient"
)

// tinyUpstream answers every request with the same 200 bytes without allocating.
func tinyUpstream(tb testing.TB) *url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = l.Close() })
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"1\"\r\nX-Request-Id: req_1\r\n" +
		"Date: Sat, 28 Nov 2026 10:00:00 GMT\r\nContent-Length: 200\r\n\r\n" + strings.Repeat("x", 200))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				lines := bufio.NewReader(c)
				length := 0
				for {
					line, err := lines.ReadSlice('\n')
					switch {
					case err != nil:
						return
					case bytes.HasPrefix(line, []byte("Content-Length: ")):
						length = 0
						for _, digit := range bytes.TrimSpace(line[16:]) {
							length = 10*length + int(digit-'0')
						}
					case len(line) == 2:
						if _, err := lines.Discard(length); err != nil {
							return
						}
						length = 0
						if _, err := c.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	u, err := url.Parse("http://" + l.Addr().String())
	require.NoError(tb, err)
	return u
}

const benchTarget = "/sequence/v1/scopes/hamlet/spokenWord/elements?limit=5"

func benchHeader() http.Header {
	return http.Header{
		"Accept": {"application/json"}, "Accept-Encoding": {"identity"}, "Authorization": {"Bearer " + strings.Repeat("x", 600)}, "User-Agent": {"bench"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Host": {"127.0.0.1:8002"}, "X-Forwarded-Proto": {"http"}, "X-Request-Id": {"req_01M8HFNXY5GZ8DHECZV5VZH980"},
	}
}

// BenchmarkForward sends the same requests to the same upstream with http.Transport and with this package, a hundred at a time in turns, and for comparison
// sends the bare bytes over one socket, which is the minimum. It reports CPU time of the process, including the upstream's, and allocations per
// request.
func BenchmarkForward(b *testing.B) {
	for name, body := range map[string][]byte{"GET": nil, "POST300": bytes.Repeat([]byte("x"), 300)} {
		b.Run(name, func(b *testing.B) {
			at := tinyUpstream(b)
			transport, err := httpclient.NewTransport("")
			require.NoError(b, err)
			defer transport.CloseIdleConnections()
			set := New(Options{Targets: map[string][]*url.URL{"x": {at}}, Log: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry()})
			method := strings.TrimRight(name, "0123456789")
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			ways := map[string]func() error{
				"transport": func() error { return byTransport(ctx, transport, at, method, body) },
				"own":       func() error { return byUs(ctx, set.Service("x"), method, body) },
				"bare":      bare(b, at, method, body),
			}
			took, allocated := map[string]time.Duration{}, map[string]uint64{}
			const turn = 100
			for range (b.N + turn - 1) / turn {
				for way, send := range ways {
					var before, after runtime.MemStats
					runtime.ReadMemStats(&before)
					began := cpu(b)
					for range turn {
						if err := send(); err != nil {
							b.Fatal(err)
						}
					}
					took[way] += cpu(b) - began
					runtime.ReadMemStats(&after)
					allocated[way] += after.Mallocs - before.Mallocs
				}
			}
			n := float64((b.N + turn - 1) / turn * turn)
			for way := range ways {
				b.ReportMetric(float64(took[way].Nanoseconds())/n/1000, way+"-us")
				b.ReportMetric(float64(allocated[way])/n, way+"-allocs")
			}
			b.ReportMetric(0, "ns/op") // the average of both is meaningless
		})
	}
}

// bare returns a function that writes the bytes of a request to a socket and reads those of its answer.
func bare(b *testing.B, at *url.URL, method string, body []byte) func() error {
	c, err := net.Dial("tcp", at.Host)
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	sent := &Request{Method: method, Target: benchTarget, Fields: FieldsOf(benchHeader()), Body: body}
	request, err := sent.appendHead(nil, at.Host)
	require.NoError(b, err)
	request = append(request, body...)
	answer := make([]byte, 4096)
	return func() error {
		if _, err := c.Write(request); err != nil {
			return err
		}
		_, err := c.Read(answer) // the upstream writes it at once
		return err
	}
}

func byTransport(ctx context.Context, transport *http.Transport, at *url.URL, method string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req := &http.Request{
		Method: method, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: at.Host, Header: benchHeader(), Body: http.NoBody,
		URL: &url.URL{Scheme: at.Scheme, Host: at.Host, Path: "/sequence/v1/scopes/hamlet/spokenWord/elements", RawQuery: "limit=5"},
	}
	if body != nil {
		req.ContentLength, req.Body = int64(len(body)), io.NopCloser(bytes.NewReader(body))
	}
	res, err := transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer := make([]byte, res.ContentLength)
	_, err = io.ReadFull(res.Body, answer)
	return err
}

func byUs(ctx context.Context, service *Service, method string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	res, err := service.Do(ctx, &Request{Method: method, Target: benchTarget, Fields: FieldsOf(benchHeader()), Body: body})
	if err != nil {
		return err
	}
	_, err = res.ReadAll(1 << 20)
	return err
}

// cpu returns the CPU time that this process has used.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
