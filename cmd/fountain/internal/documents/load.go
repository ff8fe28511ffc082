// Package documents loads the documents of an NDJSON file into a collection of the search service. A load that was ended can go on.
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

// Position is how far a load is.
type Position struct {
	Offset int64 `json:"offset"` // of the first byte in the file that is not dealt with
	Lines  int64 `json:"lines"`  // before it, empty ones too
	Stored int64 `json:"stored"`
	Failed int64 `json:"failed"`
}

// Failure is a line that is not stored, and why.
type Failure struct {
	Line     int64           `json:"line"` // from 1
	Code     string          `json:"code"`
	Message  string          `json:"message"`
	Document json.RawMessage `json:"document,omitempty"` // absent when the line is no JSON, or too long
}

// Load stores the documents of a file.
type Load struct {
	Store      Store
	Collection string
	Tenant     *string // whose the documents are, said by the owner of a tenant-scoped collection
	Batch      int     // documents in one request
	Bytes      int     // of the documents of one request, about; 0: 8 MiB
	// In a collection that keeps versions: IfAbsent replaces no document, and VersionField is the member in which a document has the version that it replaces; without it, whatever there is.
	IfAbsent     bool
	VersionField string
	// Fail takes a failure, Done the position behind a part whose documents are stored and whose failures Fail has. Their errors end the load.
	Fail func(Failure) error
	Done func(Position) error

	at    Position
	next  Position // behind the lines that were read
	items []search.SyncItem
	lines []int64
	size  int
}

// Bounds of a request and of a line: those of the contract, with room for what is around the documents.
const (
	batchBytes = 8 << 20
	lineBytes  = 1 << 20
)

// plainID is what the contract takes as an id.
var plainID = regexp.MustCompile(`^([.]{0,2}[A-Za-z0-9_:~-][A-Za-z0-9_.:~-]*|[.]{3}[A-Za-z0-9_.:~-]*)$`)

// Run reads lines from file, which stands at the position, to the end. It returns the position that it has reached, with an error too: the load can go
// on from there, and repeating a part does no harm.
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

// readLine returns the next line, nil for one that is too long, and how many bytes it takes in the file.
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

// take puts a line into the next request, or tells why it can't be in one.
func (l *Load) take(line []byte) error {
	if line == nil {
		return l.fail(l.next.Lines, "body_too_large", "The line is longer than a document may be.", nil)
	}
	text := strings.TrimSpace(string(line))
	if text == "" {
		return nil
	}
	document := json.RawMessage(text)
	id := idOf(document)
	switch {
	case !json.Valid(document):
		return l.fail(l.next.Lines, "malformed_body", "The line is no JSON.", nil)
	case id == nil:
		return l.fail(l.next.Lines, "invalid_body", "The line is no document with an id that is a text.", document)
	case len(*id) > 512 || !plainID.MatchString(*id):
		return l.fail(l.next.Lines, "invalid_body", "The id is none that the search service takes.", document)
	}
	version, document, ok := l.version(document)
	if !ok {
		return l.fail(l.next.Lines, "invalid_body", "The member for the version is no whole number from 0 on.", document)
	}
	l.items = append(l.items, search.SyncItem{Op: search.SyncItemOpUpsert, ID: *id, Document: &document, Tenant: l.Tenant, IfVersion: version})
	l.lines, l.size = append(l.lines, l.next.Lines), l.size+len(document)
	return nil
}

// version is the version that a document replaces, nil for any, and the document without it; ok says that it is one.
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

// given is the document of an item as its line had it: what failed must not replace any version when it is loaded again.
func (l *Load) given(item search.SyncItem) json.RawMessage {
	if l.VersionField == "" || item.IfVersion == nil {
		return *item.Document
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(*item.Document, &members) != nil {
		return *item.Document // it was written here
	}
	members[l.VersionField] = json.RawMessage(strconv.FormatInt(*item.IfVersion, 10))
	whole, err := json.Marshal(members)
	if err != nil {
		return *item.Document
	}
	return whole
}

// idOf returns the id of a document, or nil. The member's name is told exactly, as the search service does: to a struct, "ID" would be one too.
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

// flush sends what was read, and says that it is dealt with.
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

// send stores items. A request that is refused for what it holds is sent in halves, until the documents at fault are alone.
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
		return fmt.Errorf("the search service told %d outcomes of %d documents", len(done.Results), len(items))
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

// ofDocuments reports whether a request was refused for one of its documents, and not for what all have in common.
func ofDocuments(e *fountain.Error) bool {
	for _, f := range e.Errors {
		if strings.HasSuffix(f.Pointer, "/tenant") {
			return false
		}
	}
	return e.Status == http.StatusRequestEntityTooLarge || errors.Is(e, fountain.ErrInvalid)
}
