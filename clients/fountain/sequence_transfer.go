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

// scopeLine is the most bytes of a line of a scope's export, as the contract has it.
const scopeLine = 256 << 10

// ExportScope reads the export of a scope whole: NDJSON, whose last line has the checksum of the others. WriteScope takes one of any size.
func (s *Sequence) ExportScope(ctx context.Context, scope string, opts ...CallOption) ([]byte, error) {
	return fetch(ctx, s.client, opExportScope, opts, func(server string) (*http.Request, error) {
		return sequence.NewExportScopeRequest(server, scope)
	}, "application/x-ndjson")
}

// WriteScope writes the export of a scope line by line, and checks it: only when it returns no error is what was written whole, and proved by its last line, which it returns. An
// export that broke off is ErrCutExport.
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

// copyScope copies lines up to the one that proves those before.
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

// ImportScope fills a scope that has had no element with what ExportScope or WriteScope gave, all or nothing. It reads the file from where it stands, again from there where it is asked for a
// second factor, and has no time limit but that of ctx. Repeating is safe: Imported is false then. Errors: CodeAlreadyExists when the scope has had elements that are not of this file,
// CodeStateConflict while somebody else imports it, ErrInvalid when the file is damaged.
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

// again gives each attempt of a request the file from where it stood.
func again(file io.ReadSeeker, begin int64) func() (io.ReadCloser, error) {
	var sent *fileBody // by the attempt before: its connection may still read it when the answer is there
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

// fileBody is a file as the body of one attempt. The connection closes it when it reads no more.
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

// ReindexScope has every element of a scope brought to the search service again, in the background. Repeating is safe.
func (s *Sequence) ReindexScope(ctx context.Context, scope string, opts ...CallOption) (*sequence.ScopeReindex, error) {
	return send[sequence.ScopeReindex](ctx, s.client, opReindexScope, opts, func(server string) (*http.Request, error) {
		return sequence.NewReindexScopeRequest(server, scope)
	})
}
