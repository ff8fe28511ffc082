// Package documents loads the documents of an NDJSON file into a collection of the search service. An interrupted load
// can be continued.
package documents

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/search"
)

// Store is the operation of the search service that a load uses.
type Store interface {
	SyncDocuments(ctx context.Context, collection string, body search.DocumentSync, opts ...fountain.CallOption) (*search.DocumentSyncResult, error)
}

// Position is the progress of a load.
type Position struct {
	Offset int64 `json:"offset"` // of the first byte that is not processed
	Lines  int64 `json:"lines"`  // lines before Offset, including empty ones
	Stored int64 `json:"stored"`
	Failed int64 `json:"failed"`
}

// Failure is a line that could not be stored, and the reason.
type Failure struct {
	Line     int64           `json:"line"` // from 1
	Code     string          `json:"code"`
	Message  string          `json:"message"`
	Document json.RawMessage `json:"document,omitempty"` // absent if the line is not JSON or too long
}

// Load stores the documents of a file.
type Load struct {
	Store      Store
	Collection string
	Tenant     *string // tenant of the documents; for the owner of a tenant-scoped collection
	Batch      int     // documents in a request
	Bytes      int     // approximate bytes of documents in a request; 0: 8 MiB
	// IfAbsent and VersionField are for a collection with versions. With IfAbsent no document is replaced. VersionField
	// is the member of a document with the version that it replaces; a document without this member replaces any
	// version.
	IfAbsent     bool
	VersionField string
	// Fail receives a failure. Done receives the position after a part whose documents are stored and whose failures
	// were passed to Fail. An error of either ends the load.
	Fail func(Failure) error
	Done func(Position) error

	at    Position
	next  Position // position after the lines read so far
	items []search.SyncItem
	lines []int64
	size  int
}

// Limits of a request and of a line: those of the contract, with room for what surrounds the documents.
const (
	batchBytes = 8 << 20
	lineBytes  = 1 << 20
)

// plainID is the form of an id that the contract accepts.
var plainID = regexp.MustCompile(`^([.]{0,2}[A-Za-z0-9_:~-][A-Za-z0-9_.:~-]*|[.]{3}[A-Za-z0-9_.:~-]*)$`)

// Run reads lines from file, which must be at the position from, to its end. It returns the position that it has
// reached, also with an error. The load can continue from there, and repeating a part is safe.
func (l *Load) Run(ctx context.Context, file io.Reader, from Position) (Position, error) {
	l.at, l.next = from, from
	most := l.Bytes
	if most == 0 {
		most = batchBytes
	}
	in := bufio.NewReaderSize(file, lineBytes+2)
	for {
		line, taken, err := readLine(in)
		if taken > 0 {
			l.next.Offset += taken
			l.next.Lines++
			if err := l.take(line); err != nil {
				return l.at, err
			}
		}
		if errors.Is(err, io.EOF) {
			return l.at, l.flush(ctx)
		}
		if err != nil {
			return l.at, fmt.Errorf("read documents: %w", err)
		}
		if len(l.items) >= l.Batch || l.size >= most {
			if err := l.flush(ctx); err != nil {
				return l.at, err
			}
		}
	}
}

// readLine returns the next line and its size in the file. The line is nil if it is too long.
func readLine(in *bufio.Reader) (line []byte, taken int64, err error) {
	line, err = in.ReadSlice('\n')
	taken = int64(len(line))
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, taken, err
	}
	for errors.Is(err, bufio.ErrBufferFull) {
		line, err = in.ReadSlice('\n')
		taken += int64(len(line))
	}
	return nil, taken, err
}

// take adds a line to the next request, or reports why it cannot.
func (l *Load) take(line []byte) error {
	if line == nil {
		return l.fail(l.next.Lines, "body_too_large", "The line is longer than a document can be.", nil)
	}
	text := strings.TrimSpace(string(line))
	if text == "" {
		return nil
	}
	document := json.RawMessage(text)
	id := idOf(document)
	switch {
	case !json.Valid(document):
		return l.fail(l.next.Lines, "malformed_body", "The line is not JSON.", nil)
	case id == nil:
		return l.fail(l.next.Lines, "invalid_body", "The line is not a document with an id that is a string.", document)
	case len(*id) > 512 || !plainID.MatchString(*id):
		return l.fail(l.next.Lines, "invalid_body", "The search service does not accept this id.", document)
	}
	version, document, ok := l.version(document)
	if !ok {
		return l.fail(l.next.Lines, "invalid_body", "The member for the version is not a whole number of at least 0.", document)
	}
	l.items = append(l.items, search.SyncItem{Op: search.SyncItemOpUpsert, ID: *id, Document: &document, Tenant: l.Tenant, IfVersion: version})
	l.lines, l.size = append(l.lines, l.next.Lines), l.size+len(document)
	return nil
}

// version returns the version that a document replaces, nil for any, and the document without that member. ok is false
// if the member is not a version.
func (l *Load) version(document json.RawMessage) (version *int64, rest json.RawMessage, ok bool) {
	if l.IfAbsent {
		return new(int64(0)), document, true
	}
	if l.VersionField == "" {
		return nil, document, true
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) != nil {
		return nil, document, false
	}
	said, told := members[l.VersionField]
	if !told {
		return nil, document, true
	}
	if json.Unmarshal(said, &version) != nil || version == nil || *version < 0 {
		return nil, document, false
	}
	delete(members, l.VersionField)
	rest, err := json.Marshal(members)
	return version, rest, err == nil
}

// given returns the document of an item as it was in the file. It restores the version member, because without it the
// document would replace any version when it is loaded again.
func (l *Load) given(item search.SyncItem) json.RawMessage {
	if l.VersionField == "" || item.IfVersion == nil {
		return *item.Document
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(*item.Document, &members) != nil {
		return *item.Document // cannot fail: version encoded it
	}
	members[l.VersionField] = json.RawMessage(strconv.FormatInt(*item.IfVersion, 10))
	whole, err := json.Marshal(members)
	if err != nil {
		return *item.Document
	}
	return whole
}

// idOf returns the id of a document, or nil. It matches the member's name exactly, as the search service does; decoding
// into a struct would accept "ID" too.
func idOf(document json.RawMessage) *string {
	var members map[string]json.RawMessage
	var id *string
	if json.Unmarshal(document, &members) != nil || json.Unmarshal(members["id"], &id) != nil {
		return nil
	}
	return id
}

func (l *Load) fail(line int64, code, message string, document json.RawMessage) error {
	l.next.Failed++
	return l.Fail(Failure{Line: line, Code: code, Message: message, Document: document})
}

// flush sends the lines read so far and reports them as done.
func (l *Load) flush(ctx context.Context) error {
	if err := l.send(ctx, l.items, l.lines); err != nil {
		return err
	}
	l.items, l.lines, l.size = nil, nil, 0
	if err := l.Done(l.next); err != nil {
		return err
	}
	l.at = l.next
	return nil
}

// send stores items. If a request is refused because of its content, send halves it until the faulty documents are
// alone.
func (l *Load) send(ctx context.Context, items []search.SyncItem, lines []int64) error {
	if len(items) == 0 {
		return nil
	}
	done, err := l.Store.SyncDocuments(ctx, l.Collection, search.DocumentSync{Items: items})
	var refused *fountain.Error
	switch {
	case errors.As(err, &refused) && ofDocuments(refused):
		if len(items) == 1 {
			return l.fail(lines[0], string(refused.Code), refused.Detail, l.given(items[0]))
		}
		half := len(items) / 2
		if err := l.send(ctx, items[:half], lines[:half]); err != nil {
			return err
		}
		return l.send(ctx, items[half:], lines[half:])
	case err != nil:
		return err
	case len(done.Results) != len(items):
		return fmt.Errorf("the search service returned %d outcomes for %d documents", len(done.Results), len(items))
	}
	for i, r := range done.Results {
		if r.Status == search.SyncOutcomeStatusOk {
			l.next.Stored++
			continue
		}
		if err := l.fail(lines[i], text(r.Code), text(r.Message), l.given(items[i])); err != nil {
			return err
		}
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// ofDocuments reports whether a request was refused because of one of its documents, and not because of something
// common to all.
func ofDocuments(e *fountain.Error) bool {
	for _, f := range e.Errors {
		if strings.HasSuffix(f.Pointer, "/tenant") {
			return false
		}
	}
	return e.Status == http.StatusRequestEntityTooLarge || errors.Is(e, fountain.ErrInvalid)
}
