package httpserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHosts_takeTheirOwnNamesAlone(t *testing.T) {
	gateway := NewHosts(false, "https://Fountain.example:8443", "gateway", "alias.example:80", "192.0.2.7", "")
	service := NewHosts(true, "kms")
	for host, want := range map[string][2]calling{
		"fountain.example": {byName, byOther}, "FOUNTAIN.example:1": {byName, byOther}, "fountain.example.": {byName, byOther}, "alias.example": {byName, byOther},
		"gateway:8002": {byName, byOther}, "kms:8003": {byOther, byName}, "192.0.2.7:8002": {byName, byName},
		"localhost": {byName, byName}, "localhost:8002": {byName, byName}, "app.localhost:1": {byName, byName}, "127.0.0.1:8002": {byName, byName}, "[::1]:8002": {byName, byName}, "[::1]": {byName, byName},
		"::ffff:127.0.0.1": {byName, byName}, "192.0.2.8": {byAddress, byName}, "[2001:db8::1]:8002": {byAddress, byName}, "": {byAddress, byAddress},
		"evil.example": {byOther, byOther}, "evilfountain.example": {byOther, byOther}, "fountain.example.evil.example": {byOther, byOther}, "localhost.evil.example": {byOther, byOther},
		"127.0.0.1.evil.example": {byOther, byOther}, "fountain.example:80:80": {byOther, byOther}, "fountain.example,evil.example": {byOther, byOther},
	} {
		require.Equal(t, want[0], gateway.calling(host), "gateway by %q", host)
		require.Equal(t, want[1], service.calling(host), "service by %q", host)
	}
	require.Equal(t, byName, (*Hosts)(nil).calling("evil.example"))
}

func TestDoor_refusesWhatWasSentToAnotherHost(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Hosts = NewHosts(false, "https://fountain.example")
	w.Handler = New(o)
	for _, c := range []struct {
		host, method, path string
		status             int
	}{
		{"fountain.example", "GET", "/sample/v1/things/a", 204},
		{"evil.example", "GET", "/sample/v1/things/a", 421},
		{"evil.example", "GET", "/sample/v1/health", 421},
		{"evil.example", "OPTIONS", "/sample/v1/things", 421},
		{"evil.example", "GET", "/nowhere", 421},
		{"192.0.2.8", "GET", "/sample/v1/things/a", 421},
		{"192.0.2.8", "GET", "/nowhere", 421},
		{"192.0.2.8:8002", "GET", "/sample/v1/health", 204},
		{"", "GET", "/sample/v1/health", 204},
	} {
		r := httptest.NewRequest(c.method, c.path, http.NoBody)
		r.Host = c.host
		r.Header.Set("Authorization", w.token())
		rec := w.do(r)
		require.Equal(t, c.status, rec.Code, "%v", c)
		if c.status == 421 {
			require.Equal(t, "misdirected_request", code(t, rec))
		}
	}
	require.Equal(t, "host", w.lines()[1]["refusedBy"])
}

// A target in absolute form with a host of this server is handled as its path (RFC 9112, section 3.2.2); one with another host is refused.
func TestDoor_takesTargetsInAbsoluteForm(t *testing.T) {
	w := newWorld(t)
	o := w.options()
	o.Hosts = NewHosts(false, "https://fountain.example")
	w.Handler = New(o)
	var seen []string
	w.handlers["getThing"] = func(rw http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.RequestURI+" "+r.URL.String()+" "+r.Host)
		rw.WriteHeader(http.StatusNoContent)
	}
	s := serve(t, w, ServeOptions{})
	for _, c := range []struct {
		target, host string
		status       int
		code         string
	}{
		{"http://fountain.example/sample/v1/things/a", "fountain.example", 204, ""},
		{"HTTP://Fountain.example/sample/v1/things/a", "fountain.example", 204, ""},
		{"https://fountain.example:8443/sample/v1/things/a", "fountain.example:8443", 204, ""},
		{"http://fountain.example", "fountain.example", 404, "not_found"},
		{"http://fountain.example?x=1", "fountain.example", 404, "not_found"},
		{"http://evil.example/sample/v1/things/a", "evil.example", 421, "misdirected_request"},
		{"http://evil.example/sample/v1/things/a", "fountain.example", 400, "malformed_request"},
		{"http://fountain.example/sample/v1/things/a", "evil.example", 400, "malformed_request"},
		{"http://fountain.example:80/sample/v1/things/a", "fountain.example", 400, "malformed_request"},
		{"http://u@fountain.example/sample/v1/things/a", "fountain.example", 400, "malformed_request"},
		{"ftp://fountain.example/sample/v1/things/a", "fountain.example", 400, "malformed_target"},
		{"http:/sample/v1/things/a", "fountain.example", 400, "malformed_target"},
		{"http:///sample/v1/things/a", "fountain.example", 400, "malformed_request"},
		{"http://fountain.example/sample/v1/%74hings/a", "fountain.example", 404, "not_found"},
		{"http://fountain.example//sample/v1/things/a", "fountain.example", 404, "not_found"},
		{"//fountain.example/sample/v1/things/a", "fountain.example", 404, "not_found"},
	} {
		conn, r := s.dial(t)
		_, err := io.WriteString(conn, "GET "+c.target+" HTTP/1.1\r\nHost: "+c.host+"\r\nAuthorization: "+w.token()+"\r\n\r\n")
		require.NoError(t, err)
		res, body := answer(t, r)
		require.Equal(t, c.status, res.StatusCode, "%s %s", c.target, body)
		if c.code != "" {
			require.Contains(t, body, `"code":"`+c.code+`"`, c.target)
		}
		require.NoError(t, conn.Close())
	}
	const path = "/sample/v1/things/a"
	require.Equal(t, []string{path + " " + path + " fountain.example", path + " " + path + " Fountain.example", path + " " + path + " fountain.example:8443"}, seen)
}

// Only a trusted proxy can report how the client is connected.
func TestExchange_knowsTheClientsScheme(t *testing.T) {
	w := newWorld(t)
	var got string
	w.handlers["getHealth"] = func(rw http.ResponseWriter, r *http.Request) {
		got = exchangeOf(r.Context()).Scheme
		rw.WriteHeader(http.StatusNoContent)
	}
	for _, c := range []struct {
		peer, want string
		said       []string
	}{
		{"192.0.2.1:1", "https", []string{"https"}}, {"192.0.2.1:1", "http", []string{"http"}}, {"192.0.2.1:1", "http", nil}, {"192.0.2.1:1", "http", []string{"https", "https"}},
		{"192.0.2.1:1", "http", []string{"javascript"}}, {"203.0.113.1:1", "http", []string{"https"}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/sample/v1/health", nil)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-Proto"] = c.said
		w.do(r)
		require.Equal(t, c.want, got, "%v", c)
	}
}
