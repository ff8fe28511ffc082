package engine

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/typesense/typesense-go/v3/typesense/api"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/impl/search/internal/rawjson"
	"github.com/fountainai/fountain/internal/problem"
)

// exportLine is the maximum size in bytes of a document in an export. Documents of the embedded engine have at most 1 MiB.
const exportLine = 4 << 20

// Export is a stream of documents from the engine.
type Export struct {
	body  io.ReadCloser
	lines *bufio.Scanner
}

// Export starts to read the documents that match a filter, or all if it is empty. fields are the fields to return, nil for all. The ID is
// always returned, and the tenant field never. Problems: not_found, validation_failed (the filter does not fit the collection, or is too
// long for a URL), engine_unavailable.
func (e *Engine) Export(ctx context.Context, collection, filter string, fields []string) (*Export, error) {
	if len(url.QueryEscape(filter)) > deletionBytes {
		return nil, problem.New(problem.ValidationFailed, "The filter is too long to export by.").WithField("body", "/filter", "maxLength", "is too long as a whole")
	}
	hidden := owner.TenantField
	params := api.ExportDocumentsParams{ExcludeFields: &hidden}
	if filter != "" {
		params.FilterBy = &filter
	}
	if fields != nil {
		shown := strings.Join(append([]string{"id"}, fields...), ",")
		params.IncludeFields = &shown
	}
	return e.export(ctx, collection, params)
}

func (e *Engine) export(ctx context.Context, collection string, params api.ExportDocumentsParams) (*Export, error) {
	out := &Export{}
	err := e.again(ctx, func() (err error) {
		out.body, err = e.client.Export(ctx, collection, params)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.lines = bufio.NewScanner(out.body)
	out.lines.Buffer(nil, exportLine)
	return out, nil
}

// Next returns the next document, which is valid until the next call, or io.EOF after the last. Any other error means that not all
// documents were read.
func (x *Export) Next() ([]byte, error) {
	for x.lines.Scan() {
		line := bytes.TrimSpace(x.lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if !hasID(line) { // Typesense 30 reports in the middle of a response that it can't read a document, and continues
			return nil, problem.New(problem.BadUpstream, "The search engine could not export all documents.")
		}
		return line, nil
	}
	if err := x.lines.Err(); err != nil {
		return nil, fmt.Errorf("read export: %w", err)
	}
	return nil, io.EOF
}

// Close ends the export.
func (x *Export) Close() error { return x.body.Close() }

// hasID reports whether a line is a document.
func hasID(line []byte) (found bool) {
	err := rawjson.Members(line, func(name, _ []byte) error {
		found = found || string(name) == "id"
		return nil
	})
	return found && err == nil
}
