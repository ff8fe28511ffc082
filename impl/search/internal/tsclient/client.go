// Package tsclient is a client for search engines with Typesense's HTTP API. It uses the official client (typesense-go) with a transport
// and keys of its own, so that the same code serves a real Typesense and the embedded engine.
//
// It works around these weaknesses of the official client: its multi-node option has data races (not used here), its key is fixed (here it
// is read for each request), its total timeout is 5 s (here each call has its own), it decodes documents and loses digits of large integers
// (here they stay bytes), and its import results have no codes (here they are decoded separately).
package tsclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/typesense/typesense-go/v3/typesense"
	"github.com/typesense/typesense-go/v3/typesense/api"

	"github.com/fountainai/fountain/internal/clock"
)

// Client calls one engine, at one or several addresses. It is safe for concurrent use.
type Client struct {
	raw api.ClientInterface
	// Typed is the official client over the same transport and key. It calls the first node only.
	Typed *typesense.Client
	times Deadlines
	nodes *Nodes
	keys  Keys
	// base and doer are for requests that the official client has no method for.
	base string
	doer Doer
}

// Keys are the engine's keys. They are read for each request, so that a new key needs no new client.
type Keys interface {
	// Key returns the current key.
	Key() string
	// Previous returns the previous key while some nodes may not accept the current one yet. Otherwise it returns "".
	Previous() string
}

// only implements Keys without a previous key.
type only func() string

func (o only) Key() string      { return o() }
func (o only) Previous() string { return "" }

// Deadlines limit each kind of call. Zero means the default.
type Deadlines struct {
	// Search is for searches and reads, Write for schemas and single documents, Import for bulk writes.
	Search, Write, Import time.Duration
}

// maxAnswer limits the size in bytes of a response. It is larger than any multi_search response of the embedded engine.
const maxAnswer = 66 << 20

// New returns a client for the engine at base, which may be any URL for an engine in this process. key is called for each request.
func New(base string, doer Doer, key func() string, times Deadlines) (*Client, error) {
	address, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil {
		return nil, fmt.Errorf("read address of the search engine: %w", err)
	}
	return Over(NewNodes([]*url.URL{address}, clock.System, nil), doer, only(key), times)
}

// Over returns a client for an engine with several nodes.
func Over(nodes *Nodes, doer Doer, keys Keys, times Deadlines) (*Client, error) {
	for into, d := range map[*time.Duration]time.Duration{&times.Search: 10 * time.Second, &times.Write: 15 * time.Second, &times.Import: time.Minute} {
		if *into == 0 {
			*into = d
		}
	}
	c := &Client{times: times, nodes: nodes, keys: keys, base: nodes.list[0].address, doer: doer}
	ac, err := api.NewClientWithResponses(c.base, api.WithHTTPClient(doer), api.WithRequestEditorFn(c.direct))
	if err != nil {
		return nil, fmt.Errorf("make typesense client: %w", err)
	}
	c.raw, c.Typed = ac, typesense.NewClient(typesense.WithAPIClient(ac))
	return c, nil
}

// Error is a refusal of the engine.
type Error struct {
	// Status is the HTTP status, Message the engine's text. It never contains a key.
	Status  int
	Message string
	// Embedded reports whether the embedded engine answered.
	Embedded bool
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("the search engine answered %d: %s", e.Status, e.Message)
}

// ErrUnavailable wraps errors of the connection to the engine. The outcome of the call is unknown.
var ErrUnavailable = errors.New("the search engine can't be reached")

// call sends a request and reads the response. A status other than 2xx is returned as an *Error. limit is the total time for all nodes.
func (c *Client) call(ctx context.Context, limit time.Duration, may repeat, send func(ctx context.Context) (*http.Response, error)) (body []byte, header http.Header, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.ask(ctx, may, &bytes.Buffer{}, send)
}

// ask is call with the deadline of ctx. The response may be stored in room.
func (c *Client) ask(ctx context.Context, may repeat, room *bytes.Buffer, send func(ctx context.Context) (*http.Response, error)) (body []byte, header http.Header, err error) {
	err = c.tries(ctx, may, func(ctx context.Context) (err error) {
		body, header, err = read(ctx, room, send)
		return err
	})
	return body, header, err
}

func read(ctx context.Context, room *bytes.Buffer, send func(ctx context.Context) (*http.Response, error)) (body []byte, header http.Header, err error) {
	resp, err := send(ctx)
	if err != nil {
		return nil, nil, unreachable(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = readAll(resp.Body, resp.ContentLength, maxAnswer, room)
	if err != nil {
		return nil, nil, unreachable(ctx, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, nil, refusal(resp, body)
	}
	return body, resp.Header, nil
}

func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("call search engine: %w", ctx.Err())
	}
	err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	if notSent(err) {
		err = fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	return err
}

func refusal(resp *http.Response, body []byte) error {
	e := &Error{Status: resp.StatusCode, Embedded: embedded(resp.Header)}
	var text struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &text) == nil {
		e.Message = text.Message
	}
	return e
}

func embedded(h http.Header) bool { return h.Get("X-Search-Engine") == "embedded" }

// CreateCollection creates a collection from a schema in Typesense's format.
func (c *Client) CreateCollection(ctx context.Context, schema []byte) ([]byte, error) {
	body, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		return c.raw.CreateCollectionWithBody(ctx, "application/json", bytes.NewReader(schema))
	})
	return body, err
}

// Collection reads a collection in Typesense's format.
func (c *Client) Collection(ctx context.Context, name string) ([]byte, error) {
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) { return c.raw.GetCollection(ctx, name) })
	return body, err
}

// Collections reads all collections in Typesense's format.
func (c *Client) Collections(ctx context.Context) ([]json.RawMessage, error) {
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) { return c.raw.GetCollections(ctx) })
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("read collections: %w", errBadAnswer)
	}
	return list, nil
}

// errBadAnswer reports a response that does not conform to the engine's API.
var errBadAnswer = &Error{Status: http.StatusBadGateway, Message: "The answer can't be read."}

// DeleteCollection drops a collection with its documents.
func (c *Client) DeleteCollection(ctx context.Context, name string) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) { return c.raw.DeleteCollection(ctx, name) })
	return err
}

// noDocument returns a refusal for IDs that can't be the last segment of a path: "." and ".." would be resolved to paths of the collection.
func noDocument(id string) error {
	if id == "" || id == "." || id == ".." {
		return &Error{Status: http.StatusNotFound, Message: "Could not find a document with that id."}
	}
	return nil
}

// Document reads a document in the engine's form.
func (c *Client) Document(ctx context.Context, collection, id string) (json.RawMessage, error) {
	if err := noDocument(id); err != nil {
		return nil, err
	}
	if id == "export" || id == "search" { // these names have another meaning below documents
		return c.exportOne(ctx, collection, id)
	}
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) { return c.raw.GetDocument(ctx, collection, id) })
	return body, err
}

// DeleteDocument deletes the document with an ID.
func (c *Client) DeleteDocument(ctx context.Context, collection, id string) error {
	if err := noDocument(id); err != nil {
		return err
	}
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) { return c.raw.DeleteDocument(ctx, collection, id) })
	return err
}

// EnsureDeleted deletes the document with an ID, if it exists.
func (c *Client) EnsureDeleted(ctx context.Context, collection, id string) error {
	if noDocument(id) != nil {
		return nil
	}
	_, _, err := c.call(ctx, c.times.Write, always, func(ctx context.Context) (*http.Response, error) { return c.raw.DeleteDocument(ctx, collection, id) })
	return err
}

// EnsureNone deletes the documents that match a filter, batch at a time. It returns no number, because that is unknown if another node was
// called after a failure.
func (c *Client) EnsureNone(ctx context.Context, collection, filter string, batch int) error {
	params := &api.DeleteDocumentsParams{FilterBy: &filter, BatchSize: &batch}
	_, _, err := c.call(ctx, c.times.Import, always, func(ctx context.Context) (*http.Response, error) {
		return c.raw.DeleteDocuments(ctx, collection, params)
	})
	return err
}

// DeleteDocuments deletes the documents that match a filter, batch at a time, and returns their number.
func (c *Client) DeleteDocuments(ctx context.Context, collection, filter string, batch int) (int64, error) {
	params := &api.DeleteDocumentsParams{FilterBy: &filter, BatchSize: &batch}
	body, _, err := c.call(ctx, c.times.Import, never, func(ctx context.Context) (*http.Response, error) {
		return c.raw.DeleteDocuments(ctx, collection, params)
	})
	if err != nil {
		return 0, err
	}
	var done struct {
		Deleted *int64 `json:"num_deleted"`
	}
	if json.Unmarshal(body, &done) != nil || done.Deleted == nil {
		return 0, fmt.Errorf("read result of deletion: %w", errBadAnswer)
	}
	return *done.Deleted, nil
}

// Export reads the documents that match a filter, or all without one, as one JSON text per line. The caller must close the body. It ends
// with ctx, and reading fails if the engine aborts.
func (c *Client) Export(ctx context.Context, collection string, params api.ExportDocumentsParams) (io.ReadCloser, error) {
	var out io.ReadCloser
	err := c.tries(ctx, stream, func(ctx context.Context) error {
		resp, err := c.raw.ExportDocuments(ctx, collection, &params)
		if err != nil {
			return unreachable(ctx, err)
		}
		if resp.StatusCode == http.StatusOK {
			out = resp.Body
			return nil
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := readAll(resp.Body, resp.ContentLength, maxAnswer, &bytes.Buffer{})
		if err != nil {
			return unreachable(ctx, err)
		}
		return refusal(resp, body)
	})
	return out, err
}

// exportOne reads a document whose path has another meaning for the engine. The ID must have no special characters of a filter.
func (c *Client) exportOne(ctx context.Context, collection, id string) (json.RawMessage, error) {
	filter := "id:=`" + id + "`"
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		return c.raw.ExportDocuments(ctx, collection, &api.ExportDocumentsParams{FilterBy: &filter})
	})
	if err != nil {
		return nil, err
	}
	body = bytes.TrimSpace(body)
	switch {
	case len(body) == 0:
		return nil, &Error{Status: http.StatusNotFound, Message: "Could not find a document with that id."}
	case !json.Valid(body):
		return nil, fmt.Errorf("read document: %w", errBadAnswer)
	}
	return body, nil
}

// ImportLine is the result of one document of an import.
type ImportLine struct {
	Success bool   `json:"success"`
	Code    int    `json:"code"`
	Error   string `json:"error"`
}

// Import writes documents, each a JSON object, and returns a line for each in the same order. action is create, upsert, update or emplace.
func (c *Client) Import(ctx context.Context, collection string, action api.IndexAction, docs [][]byte) ([]ImportLine, error) {
	return c.ImportLines(ctx, collection, action, bytes.Join(docs, []byte("\n")), len(docs))
}

// ImportLines is Import for n documents in one text, one per line.
func (c *Client) ImportLines(ctx context.Context, collection string, action api.IndexAction, text []byte, n int) ([]ImportLine, error) {
	batch := max(n, 1)
	params := &api.ImportDocumentsParams{Action: &action, BatchSize: &batch}
	may := always
	if action == api.Create { // a repeat would find its own documents
		may = never
	}
	body, _, err := c.call(ctx, c.times.Import, may, func(ctx context.Context) (*http.Response, error) {
		return c.raw.ImportDocumentsWithBody(ctx, collection, params, "text/plain", bytes.NewReader(text))
	})
	if err != nil {
		return nil, err
	}
	lines, err := importLines(body, n)
	if err != nil {
		return nil, err
	}
	if len(lines) != n {
		return nil, fmt.Errorf("count import results: %w", errBadAnswer)
	}
	return lines, nil
}

// written is the line with which engines report a written document.
var written = []byte(`{"success":true}`)

// importLines decodes the response to an import of n documents.
func importLines(body []byte, n int) ([]ImportLine, error) {
	lines := make([]ImportLine, 0, n)
	for text := range bytes.Lines(body) {
		var line ImportLine
		switch text = bytes.TrimSpace(text); {
		case len(text) == 0:
			continue
		case bytes.Equal(text, written):
			line.Success = true
		case json.Unmarshal(text, &line) != nil:
			return nil, fmt.Errorf("read import results: %w", errBadAnswer)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// SearchResult is the response to a search, with raw documents.
type SearchResult struct {
	Found  int64 `json:"found"`
	OutOf  int64 `json:"out_of"`
	Page   int   `json:"page"`
	TookMs int64 `json:"search_time_ms"`
	Hits   []Hit `json:"hits"`
	Facets []struct {
		Field  string `json:"field_name"`
		Counts []struct {
			Value string `json:"value"`
			Count int64  `json:"count"`
		} `json:"counts"`
	} `json:"facet_counts"`
	// Embedded reports whether the embedded engine answered.
	Embedded bool `json:"-"`

	Code  int    `json:"code"`
	Error string `json:"error"`
}

// Hit is a document that was found.
type Hit struct {
	Document   json.RawMessage `json:"document"`
	TextMatch  json.Number     `json:"text_match"`
	Highlights []struct {
		Field    string   `json:"field"`
		Snippet  string   `json:"snippet"`
		Snippets []string `json:"snippets"`
	} `json:"highlights"`
}

// Search searches one collection. The parameters have Typesense's names. They are sent in the body, so that they appear in no log of URLs.
func (c *Client) Search(ctx context.Context, collection string, params map[string]any) (*SearchResult, error) {
	one := map[string]any{"collection": collection}
	for k, v := range params {
		one[k] = v
	}
	ask, err := json.Marshal(map[string]any{"searches": []any{one}})
	if err != nil {
		return nil, fmt.Errorf("write search: %w", err)
	}
	body, header, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		return c.raw.MultiSearchWithBody(ctx, &api.MultiSearchParams{}, "application/json", bytes.NewReader(ask))
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Results []*SearchResult `json:"results"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Results) != 1 || answer.Results[0] == nil {
		return nil, fmt.Errorf("read search result: %w", errBadAnswer)
	}
	r := answer.Results[0]
	r.Embedded = embedded(header)
	if r.Code != 0 || r.Error != "" {
		return nil, &Error{Status: r.Code, Message: r.Error, Embedded: r.Embedded}
	}
	return r, nil
}

// Health returns nil if the engine can work.
func (c *Client) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.times.Search)
	defer cancel()
	return c.tries(ctx, always, c.health)
}

// health checks the node of the context.
func (c *Client) health(ctx context.Context) error {
	body, _, err := read(ctx, &bytes.Buffer{}, func(ctx context.Context) (*http.Response, error) { return c.raw.Health(ctx) })
	if err != nil {
		return err
	}
	var state struct {
		OK bool `json:"ok"`
	}
	if json.Unmarshal(body, &state) != nil || !state.OK {
		return &Error{Status: http.StatusServiceUnavailable, Message: "The engine is not healthy."}
	}
	return nil
}

// Version returns the engine's version and whether it is the embedded one. For the embedded engine it is the version of Typesense that it
// follows.
func (c *Client) Version(ctx context.Context) (version string, isEmbedded bool, err error) {
	body, header, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) { return c.raw.Debug(ctx) })
	if err != nil {
		return "", false, err
	}
	var told struct {
		Version string `json:"version"`
	}
	if json.Unmarshal(body, &told) != nil || told.Version == "" {
		return "", false, fmt.Errorf("read version: %w", errBadAnswer)
	}
	return told.Version, embedded(header), nil
}

// AlterCollection changes the schema of a collection. body is in Typesense's format. It has the timeout of an import, because documents are
// checked.
func (c *Client) AlterCollection(ctx context.Context, name string, body []byte) error {
	_, _, err := c.call(ctx, c.times.Import, never, func(ctx context.Context) (*http.Response, error) {
		return c.raw.UpdateCollectionWithBody(ctx, name, "application/json", bytes.NewReader(body))
	})
	return err
}
