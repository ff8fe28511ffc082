package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// dsn stands for internal details in the answer of a failing service.
const dsn = "postgres://root:hunter2@db"

// raw makes an upstream that answers with exactly these header lines and body, bypassing net/http's checks.
func raw(t *testing.T, head, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		require.NoError(t, err)
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 %s\r\nConnection: close\r\n\r\n%s", strings.ReplaceAll(head, "\n", "\r\n"), body)
	}
}

// For an invalid answer of a service the client gets a problem that says so, and nothing of the answer. The log and the metric have the
// details.
func TestGate_keepsFaultsOfServicesFromTheClient(t *testing.T) {
	const element = `{"id":"a","scope":"s","elementType":"line","number":1,"status":"active","version":1,"data":{},"createdAt":"2026-11-23T10:00:00Z","updatedAt":"2026-11-23T10:00:00Z"`
	const js = "\nContent-Type: application/json\nETag: \"1\""
	for name, fault := range map[string]struct{ head, body, pointer, keyword string }{
		"500 as HTML":         {"500 x\nContent-Type: text/html", dsn, "Content-Type", "responseError"},
		"500 as JSON":         {"500 x\nContent-Type: application/json", `{"dsn":"` + dsn + `"}`, "Content-Type", "responseError"},
		"500 of no type":      {"500 x", dsn, "Content-Type", "responseError"},
		"a redirect":          {"302 x\nLocation: http://evil.example/" + dsn, "", "", "responseStatus"},
		"undeclared status":   {"203 x" + js, element + "}", "", "responseStatus"},
		"HTML and a cookie":   {"201 x\nContent-Type: text/html\nSet-Cookie: s=hunter2", dsn, "Set-Cookie", "undeclared"},
		"a cookie":            {"201 x" + js + "\nSet-Cookie: s=hunter2", element + "}", "Set-Cookie", "undeclared"},
		"gzip":                {"201 x" + js + "\nContent-Encoding: gzip", "hunter2", "Content-Encoding", "contentEncoding"},
		"a property more":     {"201 x" + js, element + `,"password":"hunter2"}`, "/password", "undeclared"},
		"a property wrong":    {"201 x" + js, strings.Replace(element, `"number":1`, `"number":"hunter2"`, 1) + "}", "/number", "type"},
		"no ETag":             {"201 x\nContent-Type: application/json", element + "}", "ETag", "responseHeader"},
		"text after JSON":     {"201 x" + js, element + "}hunter2", "", "jsonTrailing"},
		"switching protocols": {"101 x\nUpgrade: hunter2", "hunter2", "", "responseStatus"},
		"no HTTP":             {"", "hunter2", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.upstream = raw(t, fault.head, fault.body)
			began := time.Now()
			a := h.do("POST", createPath, createBody, "Authorization", "Bearer "+h.token(nil), "Connection", "Upgrade", "Upgrade", "websocket")
			require.Equal(t, 502, a.StatusCode, a.Text)
			require.Equal(t, "bad_upstream", a.Code)
			require.Less(t, time.Since(began), 5*time.Second)
			require.NotContains(t, a.Text+fmt.Sprint(a.Header), "hunter2")
			require.NotContains(t, fmt.Sprint(a.Header), "evil.example")
			require.NotContains(t, h.log.String(), "hunter2")
			if fault.keyword == "" {
				return
			}
			require.Contains(t, h.log.String(), fmt.Sprintf(`"requestId":%q,"operationId":"createElement"`, a.Header.Get("X-Request-Id")))
			require.Contains(t, h.log.String(), fmt.Sprintf(`"pointer":%q,"keyword":%q`, fault.pointer, fault.keyword))
			require.InDelta(t, 1, h.violations()["createElement "+fault.keyword+" "+fault.pointer], 0)
		})
	}
}

// violations returns the metric of violations by operation, keyword and pointer.
func (h *house) violations() map[string]float64 {
	families, err := h.registry.Gather()
	require.NoError(h.t, err)
	out := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "fountain_contract_violations_total" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := map[string]string{}
			for _, pair := range m.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			out[labels["operation"]+" "+labels["keyword"]+" "+labels["pointer"]] = m.GetCounter().GetValue()
		}
	}
	return out
}

// A problem of a service is passed on, and so is what the contract declares; other headers are not.
func TestGate_passesDeclaredAnswersWithoutOtherHeaders(t *testing.T) {
	h := newHouse(t)
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"X-Internal-Node", "X-Powered-By", "Server", "Via", "Location", "Refresh", "Access-Control-Allow-Origin", "Trailer", "RateLimit", "RateLimit-Policy"} {
			w.Header().Set(name, "hunter2")
		}
		w.Header().Set("Cache-Control", "public, max-age=1000")
		element(w)
	}
	bearer := "Bearer " + h.token(nil)
	a := h.do("POST", createPath, createBody, "Authorization", bearer)
	require.Equal(t, 201, a.StatusCode, a.Text)
	require.Equal(t, `"1"`, a.Header.Get("ETag"))
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.NotContains(t, fmt.Sprint(a.Header), "hunter2")

	h.mu.Lock()
	h.upstream = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(503)
		_, _ = io.WriteString(w, `{"type":"https://example/p","title":"x","status":503,"code":"unavailable","requestId":"r","instance":"i"}`)
	}
	h.mu.Unlock()
	a = h.do("POST", createPath, createBody, "Authorization", bearer)
	require.Equal(t, 503, a.StatusCode, a.Text)
	require.Equal(t, "unavailable", a.Code)
	require.Equal(t, "7", a.Header.Get("Retry-After"))
}

// The checked request is the forwarded one: a client can't have a checked field dropped on the way with Connection.
func TestGate_connectionNamesNoFieldOfTheMessage(t *testing.T) {
	h := newHouse(t)
	bearer := "Bearer " + h.token(nil)
	for _, value := range []string{"Idempotency-Key", "close, Idempotency-Key", "Authorization", "X-Request-Id", "keep-alive,If-Match", "content-length"} {
		a := h.do("POST", createPath, createBody, "Authorization", bearer, "Idempotency-Key", "0123456789abcdef", "Connection", value)
		require.Equal(t, 400, a.StatusCode, value)
		require.Equal(t, "invalid_request", a.Code, value)
	}
	require.Empty(t, h.seen)
	for _, value := range []string{"close", "keep-alive", "TE", "Upgrade, HTTP2-Settings", "Keep-Alive, Upgrade"} {
		a := h.do("POST", createPath, createBody, "Authorization", bearer, "Idempotency-Key", "0123456789abcdef", "Connection", value, "Upgrade", "h2c", "HTTP2-Settings", "AAMAAABkAAQAAP__", "Te", "trailers")
		require.Equal(t, 201, a.StatusCode, "%s: %s", value, a.Text)
	}
	for _, r := range h.seen {
		require.Equal(t, "0123456789abcdef", r.Header.Get("Idempotency-Key"))
		for _, name := range []string{"Connection", "Upgrade", "Http2-Settings", "Te"} {
			require.Empty(t, r.Header.Values(name), name)
		}
	}
}

// accessLog returns the lines of the access log.
func (h *house) accessLog() (lines []map[string]any) {
	for text := range strings.Lines(h.log.String()) {
		var line map[string]any
		require.NoError(h.t, json.Unmarshal([]byte(text), &line))
		if line["msg"] == "request" {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestGate_writesOneLineForEveryRequest(t *testing.T) {
	h := newHouse(t)
	bearer := "Bearer " + h.token(nil)
	created := h.do("POST", createPath, createBody, "Authorization", bearer)
	h.do("POST", createPath+"?x=hunter2", createBody)
	h.do("POST", createPath, createBody, "Authorization", "Bearer hunter2")
	h.do("GET", "/sequence/v1/hunter2/hunter2", "")
	h.do("POST", createPath, `{"hunter2":1}`, "Authorization", bearer)
	h.do("GET", "/gateway/v1/health", "")
	lines := h.accessLog()
	require.Len(t, lines, 6)
	first := lines[0]
	require.Equal(t, "INFO", first["level"])
	require.Equal(t, created.Header.Get("X-Request-Id"), first["requestId"])
	require.Equal(t, "POST", first["method"])
	require.Equal(t, "/sequence/v1/scopes/{scope}/{elementType}/elements", first["route"])
	require.Equal(t, "createElement", first["operationId"])
	require.EqualValues(t, 201, first["status"])
	require.Equal(t, subject, first["subject"])
	require.Equal(t, "127.0.0.1", first["client"])
	require.EqualValues(t, len(created.Text), first["bytes"])
	require.InDelta(t, first["tookMs"], first["ownMs"].(float64)+first["upstreamMs"].(float64), 0.01)
	for i, want := range []struct {
		status                 int
		level, route, by, code string
	}{
		{201, "INFO", "/sequence/v1/scopes/{scope}/{elementType}/elements", "", ""},
		{401, "INFO", "/sequence/v1/scopes/{scope}/{elementType}/elements", "authenticate", "authentication_required"},
		{401, "INFO", "/sequence/v1/scopes/{scope}/{elementType}/elements", "authenticate", "invalid_token"},
		{404, "INFO", "unmatched", "route", "not_found"},
		{422, "INFO", "/sequence/v1/scopes/{scope}/{elementType}/elements", "body", "invalid_body"},
		{200, "DEBUG", "/gateway/v1/health", "", ""},
	} {
		line := lines[i]
		require.EqualValues(t, want.status, line["status"], "%v", line)
		require.Equal(t, want.level, line["level"])
		require.Equal(t, want.route, line["route"])
		by, _ := line["refusedBy"].(string)
		require.Equal(t, want.by, by)
		code, _ := line["code"].(string)
		require.Equal(t, want.code, code)
	}
	require.NotContains(t, h.log.String(), "hunter2")
}

// A client that disconnects is counted as 499, here and in the service, and not as a failure.
func TestGate_countsAClientThatLeavesAs499(t *testing.T) {
	h := newHouse(t)
	arrived := make(chan struct{})
	h.upstream = func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(h.gate.URL, "http://"))
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		createPath, conn.RemoteAddr(), h.token(nil), len(createBody), createBody)
	require.NoError(t, err)
	<-arrived
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return len(h.accessLog()) == 1 }, 5*time.Second, 5*time.Millisecond)
	line := h.accessLog()[0]
	require.EqualValues(t, 499, line["status"])
	require.Equal(t, "INFO", line["level"])
}

// A body that breaks off is the client's fault, also if it is streamed.
func TestGate_aBodyThatBreaksOffIsNotTheServicesFault(t *testing.T) {
	h := newHouse(t)
	for _, body := range []string{"zz\r\n", "5\r\n{\"id\"XX", "5;x\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.gate.URL, "http://"))
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n%s",
			createPath, conn.RemoteAddr(), h.token(nil), body)
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, 400, res.StatusCode, body)
		_ = res.Body.Close()
		_ = conn.Close()
	}
	require.Empty(t, h.seen)
}

// HEAD is GET without the body, whether or not the service reports the length of the omitted body.
func TestGate_answersHead(t *testing.T) {
	for _, length := range []string{"", "300"} {
		h := newHouse(t)
		h.upstream = func(w http.ResponseWriter, r *http.Request) {
			require.Equal(t, http.MethodHead, r.Method)
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("ETag", `"1"`)
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
		}
		a := h.do("HEAD", createPath+"/a", "", "Authorization", "Bearer "+h.token(nil))
		require.Equal(t, 200, a.StatusCode, h.log.String())
		require.Equal(t, `"1"`, a.Header.Get("ETag"))
		require.Empty(t, a.Text)
	}
}
