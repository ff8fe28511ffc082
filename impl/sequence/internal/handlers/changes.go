package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/fountainai/fountain/generated/sequenceapi"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/internal/httpserver"
)

const (
	changesPage = 200              // default limit of the contract
	heartbeat   = 10 * time.Second // as in the contract
)

// ListChanges returns the changes of a scope after a position. If there are none it waits as long as the caller prefers (Prefer: wait).
func (s *Server) ListChanges(ctx context.Context, r sequenceapi.ListChangesRequestObject) (sequenceapi.ListChangesResponseObject, error) {
	after, limit := int64(0), changesPage
	if r.Params.After != nil {
		after = *r.Params.After
	}
	if r.Params.Limit != nil {
		limit = int(*r.Params.Limit)
	}
	feed, err := s.admit(ctx, r.Scope, text(r.Params.Feed), after)
	if err != nil {
		return nil, refuse(err, nil)
	}
	changes, err := s.await(ctx, r.Scope, after, limit, httpserver.PreferredWait(r.Params.Prefer))
	if err != nil {
		return nil, refuse(err, nil)
	}
	out := sequenceapi.ChangeList{Feed: feed, Position: after, Items: make([]sequenceapi.Change, len(changes))}
	for i, c := range changes {
		out.Items[i], out.Position = fromChange(c), c.Position
	}
	return ok(out), nil
}

// admit returns the present name of the feeds, or an error when a caller can't continue after a position of the feed that it names.
func (s *Server) admit(ctx context.Context, scope, name string, after int64) (string, error) {
	feed, err := s.Store.Feed(ctx, scope)
	if err != nil {
		return "", err
	}
	return feed.Name, feed.Admit(name, after)
}

func text(given *string) string {
	if given == nil {
		return ""
	}
	return *given
}

// await returns the changes after a position; none when there are none within wait. It does not poll the database: Followers wakes it for commits
// of this replica, and for those of other replicas.
func (s *Server) await(ctx context.Context, scope string, after int64, limit int, wait time.Duration) ([]domain.Change, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	for {
		changed, done := s.Followers.Follow(scope, after) // before the read, so that no change is missed in between
		changes, err := s.Store.Changes(ctx, scope, after, limit)
		if err != nil || len(changes) > 0 || wait <= 0 {
			done()
			return changes, err
		}
		select {
		case <-changed:
		case <-over.C:
			wait = 0 // read once more
		case <-s.Stopping:
			wait = 0
		case <-ctx.Done():
			err = ctx.Err()
		}
		done()
		if err != nil {
			return nil, err
		}
	}
}

// StreamChanges sends the changes of a scope as server-sent events.
func (s *Server) StreamChanges(ctx context.Context, r sequenceapi.StreamChangesRequestObject) (sequenceapi.StreamChangesResponseObject, error) {
	stream := changeStream{server: s, ctx: ctx, scope: r.Scope, left: -1}
	if r.Params.After != nil {
		stream.after = *r.Params.After
	}
	name := text(r.Params.Feed)
	if id := text(r.Params.LastEventID); id != "" {
		var err error
		if name, stream.after, err = readEventID(id); err != nil {
			return nil, err
		}
	}
	if r.Params.Limit != nil {
		stream.left = int(*r.Params.Limit)
	}
	var err error
	if stream.feed, err = s.admit(ctx, r.Scope, name, stream.after); err != nil { // errors are answered before the first event
		return nil, refuse(err, nil)
	}
	if stream.first, err = s.Store.Changes(ctx, r.Scope, stream.after, changesPage); err != nil {
		return nil, refuse(err, nil)
	}
	return stream, nil
}

// readEventID decodes the id of an event, whose form was checked against the contract: a position, or the name of the feed, a hyphen and a position, as this service writes it.
func readEventID(id string) (feed string, position int64, err error) {
	feed, digits, found := strings.Cut(id, "-")
	if !found {
		feed, digits = "", id
	}
	if position, err = strconv.ParseInt(digits, 10, 64); err != nil {
		return "", 0, fmt.Errorf("read the last event's id: %w", err)
	}
	return feed, position, nil
}

// changeStream is a response that stays open.
type changeStream struct {
	server *Server
	ctx    context.Context
	scope  string
	feed   string // its name
	after  int64
	left   int // events until the stream ends; negative: no limit
	first  []domain.Change
}

// VisitStreamChangesResponse writes events until the caller disconnects, the service stops, or the limit or the time limit of the stream is reached. A
// caller continues with the id of its last event.
func (c changeStream) VisitStreamChangesResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	connection := http.NewResponseController(w)
	for changes := c.first; ; {
		if err := c.write(w, changes); err != nil {
			return err
		}
		if err := connection.Flush(); err != nil {
			return fmt.Errorf("send events: %w", err)
		}
		if c.left == 0 {
			return nil
		}
		select {
		case <-c.server.Stopping:
			return nil
		default:
		}
		var err error
		if changes, err = c.server.await(c.ctx, c.scope, c.after, changesPage, heartbeat); err != nil {
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				return nil // the caller has disconnected, or the stream has reached its time limit
			}
			return err
		}
	}
}

func (c *changeStream) write(w io.Writer, changes []domain.Change) error {
	if len(changes) == 0 {
		_, err := io.WriteString(w, ":\n\n")
		return err
	}
	for _, change := range changes {
		if c.left == 0 {
			return nil
		}
		data, err := json.Marshal(fromChange(change))
		if err != nil {
			return fmt.Errorf("encode change: %w", err)
		}
		if _, err := fmt.Fprintf(w, "id: %s-%d\nevent: change\ndata: %s\n\n", c.feed, change.Position, data); err != nil {
			return err
		}
		c.after = change.Position
		if c.left > 0 {
			c.left--
		}
	}
	return nil
}
