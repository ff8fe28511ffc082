// Package recorder checks every response that a test sees against the contracts. It uses only kin-openapi, so that it
// is independent of our own validator.
package recorder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/openapi"
)

// gateStatuses are the statuses that the entry point of a service or the gateway may send for any request. `default` in
// the contracts stands for them. Any other status must be declared by the operation itself.
var gateStatuses = []int{400, 404, 405, 406, 408, 413, 414, 415, 422, 429, 431, 500, 501, 502, 503, 504}

// Recorder is a RoundTripper that fails the test if a response does not match its contract.
type Recorder struct {
	tb   testing.TB
	base http.RoundTripper

	// Gateway is the gateway's host and port. Its successful responses must contain the caller's rate limit, because
	// every FountainAI operation has one. Responses of services that are called directly do not contain it.
	Gateway string
}

// New returns a recorder around base; nil means http.DefaultTransport.
func New(tb testing.TB, base http.RoundTripper) *Recorder {
	if base == nil {
		base = http.DefaultTransport
	}
	return &Recorder{tb: tb, base: base}
}

// Option puts a recorder around the transport of an SDK client.
func Option(tb testing.TB) fountain.Option {
	return fountain.WithMiddleware(func(base http.RoundTripper) http.RoundTripper { return New(tb, base) })
}

// Client returns an HTTP client that records and follows no redirects.
func (r *Recorder) Client() *http.Client {
	return &http.Client{Transport: r, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip implements http.RoundTripper.
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := r.base.RoundTrip(req)
	if err != nil {
		return res, err
	}
	body, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	if err := Check(req, res.StatusCode, res.Header, body); err != nil {
		r.tb.Errorf("%s %s answered %d outside its contract: %v", req.Method, req.URL.Path, res.StatusCode, err)
	}
	if req.URL.Host == r.Gateway && res.StatusCode < http.StatusBadRequest && req.Method != http.MethodOptions {
		for _, name := range []string{"RateLimit", "RateLimit-Policy"} {
			if res.Header.Get(name) == "" {
				r.tb.Errorf("%s %s answered %d without %s", req.Method, req.URL.Path, res.StatusCode, name)
			}
		}
	}
	return res, nil
}

// Check checks one response against the contracts and records it in the ledger.
func Check(req *http.Request, status int, header http.Header, body []byte) error {
	m, err := model()
	if err != nil {
		return err
	}
	if req.Method == http.MethodOptions && status == http.StatusNoContent {
		if header.Get("Allow") == "" {
			return fmt.Errorf("an answer to OPTIONS has no Allow")
		}
		return nil
	}
	route, params := m.find(req)
	if route == nil {
		return m.checkProblem(status, header, body)
	}
	op := route.Operation
	note(op.OperationID, status)
	if op.Responses.Value(fmt.Sprint(status)) == nil && !(op.Responses.Value("default") != nil && slices.Contains(gateStatuses, status)) {
		return fmt.Errorf("%s does not declare it", op.OperationID)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 status, Header: header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true, ExcludeResponseBody: req.Method == http.MethodHead},
	}
	if status == http.StatusNoContent && len(body) > 0 {
		return fmt.Errorf("204 with a body")
	}
	input.SetBodyBytes(body)
	return openapi3filter.ValidateResponse(context.Background(), input)
}

type contracts struct {
	routers []routers.Router
	problem *openapi3.Schema
}

var model = sync.OnceValues(load)

// decodeLines checks each line of NDJSON against the schema, which is that of one line, and returns the last line.
func decodeLines(body io.Reader, _ http.Header, schema *openapi3.SchemaRef, _ openapi3filter.EncodingFn) (last any, err error) {
	lines := json.NewDecoder(body)
	for {
		var line any
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return last, nil
		case err != nil:
			return nil, err
		}
		if err := schema.Value.VisitJSON(line); err != nil {
			return nil, err
		}
		last = line
	}
}

func load() (*contracts, error) {
	openapi3filter.RegisterBodyDecoder("image/svg+xml", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/event-stream", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/css", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/javascript", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/yaml", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("image/png", openapi3filter.FileBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/x-ndjson", decodeLines)
	m := &contracts{}
	for _, word := range openapi.Words() {
		loader := openapi3.NewLoader()
		loader.IsExternalRefsAllowed = true
		loader.ReadFromURIFunc = func(_ *openapi3.Loader, u *url.URL) ([]byte, error) { return fs.ReadFile(openapi.Files, u.Path) }
		text, err := openapi.Read(word)
		if err != nil {
			return nil, err
		}
		doc, err := loader.LoadFromDataWithPath(text, &url.URL{Path: word + ".yaml"})
		if err != nil {
			return nil, fmt.Errorf("load %s: %w", word, err)
		}
		router, err := gorillamux.NewRouter(doc)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", word, err)
		}
		m.routers = append(m.routers, router)
		if ready := doc.Paths.Find("/ready"); ready != nil {
			m.problem = ready.Get.Responses.Value("default").Value.Content["application/problem+json"].Schema.Value
		}
	}
	return m, nil
}

// find returns the route of a request by its path alone, because the servers in the contracts have no host.
func (m *contracts) find(req *http.Request) (*routers.Route, map[string]string) {
	bare := req.Clone(req.Context())
	bare.URL.Host, bare.URL.Scheme, bare.Host = "", "", ""
	if bare.Method == http.MethodHead {
		bare.Method = http.MethodGet
	}
	for _, router := range m.routers {
		if route, params, err := router.FindRoute(bare); err == nil {
			return route, params
		}
	}
	return nil, nil
}

// checkProblem checks responses outside every operation: for unknown paths and methods.
func (m *contracts) checkProblem(status int, header http.Header, body []byte) error {
	if status < 400 {
		return fmt.Errorf("no contract names this operation, and it succeeded")
	}
	if ct := header.Get("Content-Type"); ct != "application/problem+json" {
		if strings.HasPrefix(ct, "text/plain") && (status == 400 || status == 431) {
			return nil // net/http's own response to what is not an HTTP request
		}
		return fmt.Errorf("the answer is %q and no problem", ct)
	}
	if len(body) == 0 {
		return nil // HEAD
	}
	value, err := decode(body)
	if err != nil {
		return err
	}
	return m.problem.VisitJSON(value)
}

var ledger = struct {
	sync.Mutex
	seen map[string]int
}{seen: map[string]int{}}

func note(operation string, status int) {
	ledger.Lock()
	defer ledger.Unlock()
	ledger.seen[fmt.Sprintf("%s %d", operation, status)]++
}

// Ledger returns the recorded responses, "operationId status" with a count, sorted.
func Ledger() []string {
	ledger.Lock()
	defer ledger.Unlock()
	var out []string
	for k, n := range ledger.seen {
		out = append(out, fmt.Sprintf("%s x%d", k, n))
	}
	sort.Strings(out)
	return out
}
