// Package tsclient talks to a search engine that serves Typesense's HTTP API, with the official client (typesense-go) over a
// transport and a key of our own, so that one code path serves a real Typesense and the embedded engine.
//
// It goes round what the official client does badly: its multi-node option races (never used), its key is fixed (ours is
// read for each request), its total timeout is 5 s (ours is per call), documents lose digits of large whole numbers (ours
// stay bytes) and import results have no codes (ours are read here).
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

// Client speaks to one engine, at one or several addresses. It is safe for concurrent use.
type Client struct {
	raw api.ClientInterface
	// Typed is the official client over the same transport and key. It asks the first node alone.
	Typed *typesense.Client
	times Deadlines
	nodes *Nodes
	keys  Keys
	// What the official client has no method for is sent by the same means.
	base string
	doer Doer
}

// Keys are the engine's keys. They are read for each request: a new key needs no new client.
type Keys interface {
	// Key is the current one.
	Key() string
	// Previous is the one before, as long as the engine may not have taken the current one yet; otherwise "".
	Previous() string
}

// only are Keys without one before.
type only func() string

func (o only) Key() string      { return o() }
func (o only) Previous() string { return "" }

// Deadlines bound each kind of call. A zero field takes its default.
type Deadlines struct {
	// Search is for searches and reads, Write for schemas and single documents, Import for bulk writes.
	Search, Write, Import time.Duration
}

// maxAnswer bounds what is read of one answer: more than the embedded engine makes of a multi_search.
const maxAnswer = 66 << 20

// New returns a client for the engine at base (any URL for an engine in the process). key is called for each request.
func New(base string, doer Doer, key func() string, times Deadlines) (*Client, error) {
	address, err := url.Parse(strings.TrimSuffix(base, "/"))
	if err != nil {
		return nil, fmt.Errorf("read address of the search engine: %w", err)
	}
	return Over(NewNodes([]*url.URL{address}, clock.System, nil), doer, only(key), times)
}

// Over returns a client for an engine with nodes.
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

// Error is an engine's refusal.
type Error struct {
	// Status is the engine's HTTP status, Message its text (never with a key in it).
	Status  int
	Message string
	// Embedded says that the embedded engine answered.
	Embedded bool
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("the search engine answered %d: %s", e.Status, e.Message)
}

// ErrUnavailable wraps errors of the connection to the engine: nothing is known about the call's outcome.
var ErrUnavailable = errors.New("the search engine can't be reached")

// call sends one request and reads the answer; any status but 2xx is an *Error. limit bounds all of it, at whatever node.
func (c *Client) call(ctx context.Context, limit time.Duration, may repeat, send func(ctx context.Context) (*http.Response, error)) (body []byte, header http.Header, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.ask(ctx, may, &bytes.Buffer{}, send)
}

// ask is call within the time of its context. The answer may be in room.
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

// CreateCollection makes a collection from a schema in Typesense's form.
func (c *Client) CreateCollection(ctx context.Context, schema []byte) ([]byte, error) {
	body, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		return c.raw.CreateCollectionWithBody(ctx, "application/json", bytes.NewReader(schema))
	})
	return body, err
}

// Collection reads a collection in Typesense's form.
func (c *Client) Collection(ctx context.Context, name string) ([]byte, error) {
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) { return c.raw.GetCollection(ctx, name) })
	return body, err
}

// Collections reads all collections in Typesense's form.
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

// errBadAnswer says that an engine's answer is not what its API says.
var errBadAnswer = &Error{Status: http.StatusBadGateway, Message: "The answer can't be read."}

// DeleteCollection drops a collection with its documents.
func (c *Client) DeleteCollection(ctx context.Context, name string) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) { return c.raw.DeleteCollection(ctx, name) })
	return err
}

// noDocument is the refusal of an id that no path carries: as the last segment of one, "." and ".." are read as the collection's own paths.
func noDocument(id string) error {
	if id == "" || id == "." || id == ".." {
		return &Error{Status: http.StatusNotFound, Message: "Could not find a document with that id."}
	}
	return nil
}

// Document reads a document, as the engine has it.
func (c *Client) Document(ctx context.Context, collection, id string) (json.RawMessage, error) {
	if err := noDocument(id); err != nil {
		return nil, err
	}
	if id == "export" || id == "search" { // what is below documents under these names is no document
		return c.exportOne(ctx, collection, id)
	}
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) { return c.raw.GetDocument(ctx, collection, id) })
	return body, err
}

// DeleteDocument removes the document with an id.
func (c *Client) DeleteDocument(ctx context.Context, collection, id string) error {
	if err := noDocument(id); err != nil {
		return err
	}
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) { return c.raw.DeleteDocument(ctx, collection, id) })
	return err
}

// EnsureDeleted removes the document with an id, if there is one.
func (c *Client) EnsureDeleted(ctx context.Context, collection, id string) error {
	if noDocument(id) != nil {
		return nil
	}
	_, _, err := c.call(ctx, c.times.Write, always, func(ctx context.Context) (*http.Response, error) { return c.raw.DeleteDocument(ctx, collection, id) })
	return err
}

// EnsureNone removes the documents that a filter lets through, batch at a time. How many they were nobody knows where another node was asked after one that had failed.
func (c *Client) EnsureNone(ctx context.Context, collection, filter string, batch int) error {
	params := &api.DeleteDocumentsParams{FilterBy: &filter, BatchSize: &batch}
	_, _, err := c.call(ctx, c.times.Import, always, func(ctx context.Context) (*http.Response, error) {
		return c.raw.DeleteDocuments(ctx, collection, params)
	})
	return err
}

// DeleteDocuments removes the documents that a filter lets through, batch at a time, and returns how many they were.
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

// Export reads the documents of a collection that a filter lets through, all with an empty one: a JSON text on each line. The body is to be closed; it ends
// with ctx, and reading fails where the engine breaks off.
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

// exportOne reads a document that the engine has no path for. The id is one that means nothing else in a filter.
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

// ImportLine is what became of one document of an import.
type ImportLine struct {
	Success bool   `json:"success"`
	Code    int    `json:"code"`
	Error   string `json:"error"`
}

// Import writes documents, each a JSON object, and returns a line for each in their order. action is create, upsert, update
// or emplace.
func (c *Client) Import(ctx context.Context, collection string, action api.IndexAction, docs [][]byte) ([]ImportLine, error) {
	return c.ImportLines(ctx, collection, action, bytes.Join(docs, []byte("\n")), len(docs))
}

// ImportLines is Import of n documents, each of which is a line.
func (c *Client) ImportLines(ctx context.Context, collection string, action api.IndexAction, text []byte, n int) ([]ImportLine, error) {
	batch := max(n, 1)
	params := &api.ImportDocumentsParams{Action: &action, BatchSize: &batch}
	may := always
	if action == api.Create { // its repeat finds its own documents
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

// written is the line of a document that was written, as engines write it.
var written = []byte(`{"success":true}`)

// importLines reads the answer to an import of n documents.
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

// SearchResult is the answer to a search, with raw documents.
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
	// Embedded says that the embedded engine answered.
	Embedded bool `json:"-"`

	Code  int    `json:"code"`
	Error string `json:"error"`
}

// Hit is one document found.
type Hit struct {
	Document   json.RawMessage `json:"document"`
	TextMatch  json.Number     `json:"text_match"`
	Highlights []struct {
		Field    string   `json:"field"`
		Snippet  string   `json:"snippet"`
		Snippets []string `json:"snippets"`
	} `json:"highlights"`
}

// Search searches one collection. The parameters have Typesense's names; they travel in the body, so that no log of URLs
// holds them.
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

// Health asks whether the engine can work.
func (c *Client) Health(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.times.Search)
	defer cancel()
	return c.tries(ctx, always, c.health)
}

// health asks the node of the context.
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

// Version asks which version the engine is, of Typesense or that the embedded engine follows, and whether it is the embedded one.
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

// AlterCollection changes the schema of a collection as a body in Typesense's form says. It has the time of an import, since documents are looked at.
func (c *Client) AlterCollection(ctx context.Context, name string, body []byte) error {
	_, _, err := c.call(ctx, c.times.Import, never, func(ctx context.Context) (*http.Response, error) {
		return c.raw.UpdateCollectionWithBody(ctx, name, "application/json", bytes.NewReader(body))
	})
	return err
}
