package api

import (
	"context"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/fountainai/fountain/impl/search/internal/embedded"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

const (
	// smallBody is the size up to which a body is taken at once.
	smallBody = 64 << 10
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

// enter waits until there is room for the body of a request, or returns errBodies. leave gives the room back when the request is answered.
func (b *bodies) enter(r *http.Request, to *route) (leave func(), err error) {
	room := b.others
	if to.action == importAction {
		room = b.imports
	}
	size := r.ContentLength
	if size < 0 || size > room.most { // not said, or refused before it is read whole
		size = room.most
	}
	if size <= smallBody {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), b.wait)
	defer cancel()
	if room.Acquire(ctx, size) != nil {
		return nil, errBodies
	}
	return func() { room.Release(size) }, nil
}
