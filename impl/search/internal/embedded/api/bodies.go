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
	// smallBody is what of each body takes no room.
	smallBody = 64 << 10
	// bodyStep is by how much the room of a body grows whose length is not known.
	bodyStep = 256 << 10
	// importsAtOnce is how many of the largest imports are in memory at the same time, or as many more as are smaller; othersAtOnce is that of other requests.
	importsAtOnce, othersAtOnce = 4, 16
	// bodyWait is how long a body waits for its place.
	bodyWait = 10 * time.Second
)

// bodies bounds the bytes of large bodies that are in memory at the same time. Clients wait with theirs meanwhile, those of searches not for those of imports.
type bodies struct {
	imports, others room
	wait            time.Duration
}

// room is what bodies of one kind share; most is the largest of them.
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

// bound makes the reading of a request's body wait for room in memory; a read that finds none fails with errBodies. The room is given back by leave, when the request is answered.
//
// An import takes what its Content-Length says before its first byte is read: those that have begun end, however many wait. All else takes room for the bytes that have come, and not for what is promised: neither who streams an import
// nor who says a length and sends nothing keeps others out.
func (b *bodies) bound(r *http.Request, to *route) *boundBody {
	body := &boundBody{from: r.Body, ctx: r.Context(), room: b.others, wait: b.wait}
	if to.action == importAction {
		body.room = b.imports
	}
	body.most = body.room.most
	if r.ContentLength >= 0 && r.ContentLength <= body.most { // a longer one is refused before it is read whole
		body.most = r.ContentLength
		if to.action == importAction && r.ContentLength > smallBody {
			body.first = r.ContentLength
		}
	}
	if body.from == nil { // as of requests that no server has read
		body.from = http.NoBody
	}
	return body
}

// boundBody is a body that takes room as it is read: first at the beginning, in the end most or a little more.
type boundBody struct {
	from        io.Reader
	ctx         context.Context // that of the request whose body it is
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

// take waits until the body has room for so many bytes.
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
