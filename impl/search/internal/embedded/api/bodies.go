package api

import (
	"context"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

const (
	// smallBody is the size up to which a body reserves no memory.
	smallBody = 64 << 10
	// bodyStep is the increment by which a body of unknown length reserves memory.
	bodyStep = 256 << 10
	// importsAtOnce is how many imports of maximum size may be in memory at once, or correspondingly more smaller ones. othersAtOnce is the
	// same for other requests.
	importsAtOnce, othersAtOnce = 4, 16
	// bodyWait is how long a body waits for memory.
	bodyWait = 10 * time.Second
)

// bodies limits the memory that large request bodies take together. Clients wait until there is room. Imports and other requests have
// separate limits, so that searches don't wait for imports.
type bodies struct {
	imports, others room
	wait            time.Duration
}

// room is the limit that bodies of one kind share. most is the maximum size of one of them.
type room struct {
	*semaphore.Weighted
	most int64
}

func newRoom(most int64, times int64) room { return room{semaphore.NewWeighted(times * most), most} }

func newBodies(l embedded.Limits) *bodies {
	return &bodies{
		imports: newRoom(max(l.ImportBytes, settings.MaxLargeBytes), importsAtOnce), others: newRoom(max(l.BodyBytes, l.DocumentBytes, settings.MaxLargeBytes), othersAtOnce), wait: bodyWait,
	}
}

var errBodies = &schema.Error{Status: http.StatusServiceUnavailable, Text: "Too many large requests at once."}

// bound makes the reading of a request's body wait for room in memory. A read that gets none fails with errBodies. leave returns the room
// when the request is answered.
//
// An import reserves its Content-Length before its first byte is read, so that imports that have started can finish, however many wait.
// Other bodies reserve room for the bytes that have arrived, and not for announced ones. A client that streams an import, or announces a
// length and sends nothing, can therefore not block others.
func (b *bodies) bound(r *http.Request, to *route) *boundBody {
	body := &boundBody{from: r.Body, ctx: r.Context(), room: b.others, wait: b.wait}
	if to.action == importAction {
		body.room = b.imports
	}
	body.most = body.room.most
	if r.ContentLength >= 0 && r.ContentLength <= body.most { // a longer body is refused before it is read completely
		body.most = r.ContentLength
		if to.action == importAction && r.ContentLength > smallBody {
			body.first = r.ContentLength
		}
	}
	if body.from == nil { // for requests that no server has read
		body.from = http.NoBody
	}
	return body
}

// boundBody is a body that reserves room while it is read: first at the beginning, and at most most or a little more in the end.
type boundBody struct {
	from        io.Reader
	ctx         context.Context // of the body's request
	room        room
	wait        time.Duration
	first, most int64
	read, taken int64
}

// Read implements io.Reader.
func (b *boundBody) Read(p []byte) (int, error) {
	if err := b.take(b.first); err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	if b.read += int64(n); b.read > max(smallBody, b.taken) {
		if err := b.take(max(b.read, min(b.taken+bodyStep, b.most))); err != nil {
			return n, err
		}
	}
	return n, err
}

// take waits until the body has reserved size bytes in total.
func (b *boundBody) take(size int64) error {
	more := size - b.taken
	if more <= 0 {
		return nil
	}
	if !b.room.TryAcquire(more) {
		ctx, cancel := context.WithTimeout(b.ctx, b.wait)
		defer cancel()
		if b.room.Acquire(ctx, more) != nil {
			return errBodies
		}
	}
	b.taken = size
	return nil
}

func (b *boundBody) leave() { b.room.Release(b.taken) }
