package fountain

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/fountainai/fountain/clients/internal/transport"
	"github.com/fountainai/fountain/clients/sequence"
)

// scopeLine is the largest line of a scope's export in bytes, as the contract defines it.
const scopeLine = 256 << 10

// ExportScope reads a whole export of a scope: NDJSON whose last line has the checksum of the other lines. WriteScope
// takes an export of any size.
func (s *Sequence) ExportScope(ctx context.Context, scope string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, s.client, opExportScope, opts, func(server string) (*http.Request, error) {
		return sequence.NewExportScopeRequest(server, scope)
	}, "application/x-ndjson")
}

// WriteScope writes the export of a scope to w line by line and verifies its checksum. The export in w is complete and
// verified only if WriteScope returns no error; it then returns the last line. Error: ErrCutExport if the export broke
// off.
func (s *Sequence) WriteScope(ctx context.Context, scope string, w io.Writer) (*sequence.ScopeLineChecksum, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := s.client.Raw().Sequence.ExportScope(ctx, scope)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", opExportScope.id, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
		if err != nil {
			return nil, fmt.Errorf("%s: read refusal: %w", opExportScope.id, err)
		}
		return nil, decodeError(opExportScope, &transport.Response{Status: resp.StatusCode, Header: resp.Header, Body: text}, s.client.now())
	}
	last, err := copyScope(w, resp.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", opExportScope.id, err)
	}
	return last, nil
}

// copyScope copies lines up to the checksum line, which verifies those before it.
func copyScope(w io.Writer, r io.Reader) (*sequence.ScopeLineChecksum, error) {
	in, sum := bufio.NewReaderSize(r, scopeLine), sha256.New()
	for {
		text, err := in.ReadSlice('\n')
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCutExport, err)
		}
		if _, err := w.Write(text); err != nil {
			return nil, fmt.Errorf("write line: %w", err)
		}
		if !bytes.HasPrefix(text, []byte(`{"checksum"`)) {
			sum.Write(text)
			continue
		}
		var line sequence.ScopeLine
		if err := json.Unmarshal(text, &line); err != nil || line.Checksum == nil || line.Checksum.Sha256 != hex.EncodeToString(sum.Sum(nil)) {
			return nil, errors.New("the last line does not prove the lines before")
		}
		return line.Checksum, nil
	}
}

// ImportScope imports an export of ExportScope or WriteScope into a scope that has never had an element, all or
// nothing. It reads file from its current position, and again from there after a second-factor challenge. Only ctx
// limits the time of the call. Users need a second factor. Repeating is safe: Imported is then false. Errors:
// CodeAlreadyExists if the scope has had elements that are not from this file, CodeStateConflict while another import
// into the scope is running, ErrInvalid if the file is damaged.
func (s *Sequence) ImportScope(ctx context.Context, scope string, file io.ReadSeeker, opts ...CallOption) (*sequence.ScopeImport, error) {
	begin, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", opImportScope.id, err)
	}
	return send[sequence.ScopeImport](ctx, s.client, opImportScope, append(opts, withoutTimeout), func(server string) (*http.Request, error) {
		req, err := sequence.NewImportScopeRequestWithBody(server, scope, "application/x-ndjson", http.NoBody)
		if err != nil {
			return nil, err
		}
		req.ContentLength, req.GetBody = -1, again(file, begin)
		return req, nil
	})
}

// again gives each attempt of a request the file from its original position.
func again(file io.ReadSeeker, begin int64) func() (io.ReadCloser, error) {
	var sent *fileBody // body of the attempt before: its connection may still read it when the response has arrived
	return func() (io.ReadCloser, error) {
		if sent != nil {
			<-sent.closed
		}
		if _, err := file.Seek(begin, io.SeekStart); err != nil {
			return nil, fmt.Errorf("read file again: %w", err)
		}
		sent = &fileBody{Reader: file, closed: make(chan struct{})}
		return sent, nil
	}
}

// fileBody is a file as the body of one attempt. The connection closes it when it no longer reads it.
type fileBody struct {
	io.Reader
	once   sync.Once
	closed chan struct{}
}

// Close implements io.Closer. The file stays open.
func (b *fileBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// ReindexScope sends every element of a scope to the search service again, in the background. Repeating is safe.
func (s *Sequence) ReindexScope(ctx context.Context, scope string, opts ...CallOption) (*sequence.ScopeReindex, error) {
	return send[sequence.ScopeReindex](ctx, s.client, opReindexScope, opts, func(server string) (*http.Request, error) {
		return sequence.NewReindexScopeRequest(server, scope)
	})
}
