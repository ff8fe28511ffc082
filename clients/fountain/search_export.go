package fountain

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"

	"github.com/fountainai/fountain/clients/internal/transport"
	"github.com/fountainai/fountain/clients/search"
)

// ofDocument escapes a document id that is also the name of an operation below the documents, so that the request is
// for the document.
func ofDocument(req *http.Request, id string, err error) (*http.Request, error) {
	if err != nil || id != "sync" && id != "delete-by-query" && id != "export" {
		return req, err
	}
	path := req.URL.EscapedPath()
	req.URL.RawPath = fmt.Sprintf("%s%%%02x%s", path[:len(path)-len(id)], id[0], id[1:])
	return req, nil
}

// ExportDocuments reads a whole export: NDJSON whose last line has the number of documents. Documents reads an export
// of any size.
func (s *Search) ExportDocuments(ctx context.Context, collection string, body search.DocumentExport, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, s.client, opExportDocuments, opts, func(server string) (*http.Request, error) {
		return search.NewExportDocumentsRequest(server, collection, body)
	}, "application/x-ndjson")
}

// ErrCutExport says that an export broke off. The documents before it are not all of them.
var ErrCutExport = errors.New("the export has no last line: the connection or the search engine broke off")

// exportLine is the largest line of an export in bytes, as the contract defines it.
const exportLine = 4 << 20

// Documents yields the documents of an export as they arrive. Numbers keep every digit. The documents are complete only
// if the iteration ends without an error.
func (s *Search) Documents(ctx context.Context, collection string, body search.DocumentExport) iter.Seq2[search.ExportLine, error] {
	return func(yield func(search.ExportLine, error) bool) {
		if err := s.documents(ctx, collection, body, func(line search.ExportLine) bool { return yield(line, nil) }); err != nil {
			yield(search.ExportLine{}, err)
		}
	}
}

func (s *Search) documents(ctx context.Context, collection string, body search.DocumentExport, each func(search.ExportLine) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := s.client.Raw().Search.ExportDocuments(ctx, collection, body)
	if err != nil {
		return fmt.Errorf("%s: %w", opExportDocuments.id, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err != nil {
			return fmt.Errorf("%s: read refusal: %w", opExportDocuments.id, err)
		}
		return decodeError(opExportDocuments, &transport.Response{Status: resp.StatusCode, Header: resp.Header, Body: text}, s.client.now())
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, exportLine)
	for read := int64(0); lines.Scan(); read++ {
		var line search.ExportLine
		switch err := json.Unmarshal(lines.Bytes(), &line); {
		case err != nil:
			return fmt.Errorf("%s: read line: %w", opExportDocuments.id, err)
		case line.Documents != nil && *line.Documents == read:
			return nil
		case line.Document == nil:
			return ErrCutExport
		case !each(line):
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrCutExport, err)
	}
	return ErrCutExport
}
