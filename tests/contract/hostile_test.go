// Package contract tests a running family against its contracts, at the gateway and at each service.
package contract

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/tests/harness"
	"github.com/fountainai/fountain/tests/recorder"
)

const elements = "/sequence/v1/scopes/hostile/line/elements"

// hostile is one request that some parsers would accept and others not, or that the contract refuses.
type hostile struct {
	name, method, path, body string
	header                   map[string]string
	chunked                  bool
	status                   int
	in, pointer              string // of the problem's first error; "" if no place is named
}

var hostiles = []hostile{
	{name: "second JSON value", method: "POST", path: elements, body: `{"data":{}} {"data":{}}`, status: 400},
	{name: "text after the JSON", method: "POST", path: elements, body: `{"data":{}} garbage`, status: 400},
	{name: "duplicate key", method: "POST", path: elements, body: `{"id":"a","id":"b","data":{}}`, status: 400, in: "body", pointer: "/id"},
	{name: "duplicate key in free-form data", method: "POST", path: elements, body: `{"data":{"n":999,"n":1}}`, status: 400, in: "body", pointer: "/data/n"},
	{name: "key in another case", method: "POST", path: elements, body: `{"data":{},"DATA":{}}`, status: 422, in: "body"},
	{name: "undeclared property", method: "POST", path: elements, body: `{"data":{},"extra":1}`, status: 422, in: "body", pointer: "/extra"},
	{name: "missing property", method: "POST", path: elements, body: `{}`, status: 422, in: "body", pointer: "/data"},
	{name: "wrong type", method: "POST", path: elements, body: `{"data":[]}`, status: 422, in: "body", pointer: "/data"},
	{name: "pattern", method: "POST", path: elements, body: `{"data":{},"id":"../etc"}`, status: 422, in: "body", pointer: "/id"},
	{name: "too long", method: "POST", path: elements, body: `{"data":{},"comment":"` + strings.Repeat("x", 1025) + `"}`, status: 422, in: "body", pointer: "/comment"},
	{name: "broken JSON", method: "POST", path: elements, body: `{"data":`, status: 400},
	{name: "not JSON", method: "POST", path: elements, body: `data=1`, status: 400},
	{name: "invalid UTF-8", method: "POST", path: elements, body: "{\"data\":{\"t\":\"\xff\xfe\"}}", status: 400},
	{name: "9,000 nested arrays", method: "POST", path: elements, body: `{"data":{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}}`, status: 400},
	{name: "lone surrogate", method: "POST", path: elements, body: `{"data":{"t":"\ud800"}}`, status: 400},
	{name: "integer over int32", method: "POST", path: "/sequence/v1/scopes/hostile/search", body: `{"q":"*","page":9223372036854775808}`, status: 422, in: "body", pointer: "/page"},
	{name: "1e30 for an integer", method: "POST", path: "/sequence/v1/scopes/hostile/search", body: `{"q":"*","page":1e30}`, status: 422, in: "body", pointer: "/page"},
	{name: "repeated array items", method: "POST", path: "/sequence/v1/scopes/hostile/search", body: `{"q":"*","facets":["a","a"]}`, status: 422, in: "body", pointer: "/facets"},
	{name: "no body", method: "POST", path: elements, status: 400},
	{name: "media type not declared", method: "POST", path: elements, body: `<data/>`, header: map[string]string{"Content-Type": "application/xml"}, status: 415},
	{name: "no media type", method: "POST", path: elements, body: `{"data":{}}`, header: map[string]string{"Content-Type": ""}, status: 415},
	{name: "charset utf-16", method: "POST", path: elements, body: `{"data":{}}`, header: map[string]string{"Content-Type": "application/json; charset=utf-16"}, status: 415},
	{name: "gzip label", method: "POST", path: elements, body: `{"data":{}}`, header: map[string]string{"Content-Encoding": "gzip"}, status: 415},
	{name: "body over the limit", method: "POST", path: elements, body: `{"data":{"t":"` + strings.Repeat("x", 100<<10) + `"}}`, status: 413},
	{name: "chunked body over the limit", method: "POST", path: elements, body: `{"data":{"t":"` + strings.Repeat("x", 100<<10) + `"}}`, chunked: true, status: 413},
	{name: "body where none is declared", method: "GET", path: elements, body: `{}`, status: 400},
	{name: "chunked body where none is declared", method: "GET", path: elements, body: `{}`, chunked: true, status: 400},
	{name: "undeclared query parameter", method: "GET", path: elements + "?debug=true", status: 400, in: "query", pointer: "debug"},
	{name: "repeated query parameter", method: "GET", path: elements + "?limit=5&limit=199", status: 400, in: "query", pointer: "limit"},
	{name: "undecodable query", method: "GET", path: elements + "?limit=%zz", status: 400},
	{name: "undecodable undeclared query", method: "GET", path: elements + "?bad=%zz", status: 400},
	{name: "semicolon in the query", method: "GET", path: elements + "?limit=5;limit=199", status: 400},
	{name: "plus before a number", method: "GET", path: elements + "?limit=%2B5", status: 400, in: "query", pointer: "limit"},
	{name: "number out of range", method: "GET", path: elements + "?limit=201", status: 400, in: "query", pointer: "limit"},
	{name: "not a number", method: "GET", path: elements + "?limit=many", status: 400, in: "query", pointer: "limit"},
	{name: "not of the enum", method: "GET", path: elements + "?status=lost", status: 400, in: "query", pointer: "status"},
	{name: "cursor that is not ours", method: "GET", path: elements + "?cursor=AAAA", status: 400},
	{name: "escaped slash in a parameter", method: "GET", path: "/sequence/v1/scopes/a%2Fb/line/elements", status: 404},
	{name: "dot segment", method: "GET", path: "/sequence/v1/scopes/%2e%2e/line/elements", status: 404},
	{name: "NUL in a parameter", method: "GET", path: "/sequence/v1/scopes/%00/line/elements", status: 400},
	{name: "encoded static segment", method: "GET", path: "/sequence/v1/sc%6fpes/hostile/line/elements", status: 404},
	{name: "trailing slash", method: "GET", path: elements + "/", status: 404},
	{name: "double slash", method: "GET", path: "/sequence/v1//scopes/hostile/line/elements", status: 404},
	{name: "parameter against its pattern", method: "GET", path: "/sequence/v1/scopes/hostile/Line/elements", status: 400, in: "path", pointer: "elementType"},
	{name: "wrong method", method: "DELETE", path: elements, status: 405},
	{name: "method in lower case", method: "post", path: elements, body: `{"data":{}}`, status: 501},
	{name: "method nobody knows", method: "BREW", path: elements, status: 501},
	{name: "nothing acceptable", method: "GET", path: elements, header: map[string]string{"Accept": "image/png"}, status: 406},
	{name: "target over 8 KiB", method: "GET", path: elements + "?limit=" + strings.Repeat("1", 9<<10), status: 414},
	{name: "header over 16 KiB", method: "GET", path: elements, header: map[string]string{"X-Long": strings.Repeat("x", 15<<10) + strings.Repeat("y", 2<<10)}, status: 431},
	{name: "Idempotency-Key against its pattern", method: "POST", path: elements, body: `{"data":{}}`, header: map[string]string{"Idempotency-Key": "short"}, status: 400, in: "header", pointer: "Idempotency-Key"},
	{name: "version zero", method: "GET", path: elements + "/a/versions/0", status: 400, in: "path", pointer: "version"},
	{name: "version 2^63", method: "GET", path: elements + "/a/versions/9223372036854775808", status: 400, in: "path", pointer: "version"},
	{name: "missing If-Match", method: "POST", path: elements + "/a/versions", body: `{"data":{}}`, status: 428},
	{name: "If-Match without quotes", method: "POST", path: elements + "/a/versions", body: `{"data":{}}`, header: map[string]string{"If-Match": "1"}, status: 400, in: "header", pointer: "If-Match"},
}

func TestHostileRequests_areRefusedAtTheGatewayAndAtTheService(t *testing.T) {
	f := harness.Start(t)
	f.Bootstrap()
	admin := f.Admin()
	token, err := admin.Token(context.Background(), "sequence")
	require.NoError(t, err)
	for place, base := range map[string]string{"gateway": f.Info.GatewayURL, "service": f.Info.Services["sequence"]} {
		for _, h := range hostiles {
			t.Run(place+"/"+h.name, func(t *testing.T) { h.send(t, base, token) })
		}
	}
	_, err = admin.Sequence.ListElements(context.Background(), "hostile", "line", nil)
	require.ErrorIs(t, err, fountain.ErrNotFound, "nothing of it may have reached a handler: the scope has no element")
}

func (h hostile) send(t *testing.T, base, token string) {
	var body io.Reader = strings.NewReader(h.body)
	if h.chunked {
		body = io.MultiReader(body) // hides the length
	}
	if h.body == "" {
		body = http.NoBody
	}
	req, err := http.NewRequest(h.method, base+h.path, body)
	require.NoError(t, err)
	req.Method = h.method
	req.Header.Set("Authorization", "Bearer "+token)
	if h.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range h.header {
		if v == "" {
			req.Header.Del(k)
		} else {
			req.Header.Set(k, v)
		}
	}
	res, err := recorder.New(t, nil).Client().Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, h.status, res.StatusCode, string(raw))
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	require.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	var p struct {
		Code   string
		Errors []struct{ In, Pointer, Keyword, Message string }
	}
	require.NoError(t, json.Unmarshal(raw, &p))
	if h.in != "" {
		require.NotEmpty(t, p.Errors, "the problem points at nothing: %s", raw)
		require.Equal(t, h.in, p.Errors[0].In)
		if h.pointer != "" {
			require.Equal(t, h.pointer, p.Errors[0].Pointer, string(raw))
		}
	}
	if h.status == http.StatusMethodNotAllowed {
		require.Equal(t, "GET, HEAD, OPTIONS, POST", res.Header.Get("Allow"))
	}
}
