package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/clients/sequence"
)

const (
	// pauseAfterFailure is the pause of a client after a failed call.
	pauseAfterFailure = 200 * time.Millisecond
	// reviseEvery is the number of appends for each revision of a client's own element and of the element that all
	// clients share.
	reviseEvery = 4
	// patience is how long all calls may fail before the recording is aborted.
	patience = time.Minute
	// followerPatience is how long the follower may take to see what is committed.
	followerPatience = 30 * time.Second
)

// Options configure Record. Client and Scope are required.
type Options struct {
	Client       *fountain.Client // of a user or service that may write elements
	Scope        string           // must have no element; it becomes the recorder's own, and its elements remain
	ElementType  string           // default: checked
	Clients      int              // number of clients that append at the same time; default 8
	Appends      int              // the recording ends after this many acknowledged appends; default 1,000
	For          time.Duration    // longest duration of the recording; default 1 minute
	Stop         <-chan struct{}  // ends the recording when it is closed
	SearchWithin time.Duration    // how long search may take to have all elements; 0: search is not asked
	Progress     func(acknowledged int)
}

func (o *Options) complete() {
	if o.ElementType == "" {
		o.ElementType = "checked"
	}
	if o.Clients <= 0 {
		o.Clients = 8
	}
	if o.Appends <= 0 {
		o.Appends = 1000
	}
	if o.For <= 0 {
		o.For = time.Minute
	}
	if o.Progress == nil {
		o.Progress = func(int) {}
	}
}

// ErrUsed means that the scope has elements. The recorder needs a scope of its own, so that it can detect elements that no call created.
var ErrUsed = errors.New("the scope has elements: choose an unused name")

// recorder makes the calls of a recording and stores their results.
type recorder struct {
	Options
	began time.Time

	mu           sync.Mutex
	history      *History
	acknowledged atomic.Int64
	succeeded    atomic.Int64 // when a call last succeeded, as a time.Duration since began
	failed       error        // the error that ends the recording
}

// Record has several clients append to a new scope and revise what they appended. It follows the feed meanwhile, and
// afterwards reads what is stored. A call without a response is not repeated: its outcome is unknown, and the recording
// continues, so that services can be restarted during it. An error means that the recording could not be made, never
// that a guarantee was violated.
func Record(ctx context.Context, o Options) (*History, error) {
	o.complete()
	if _, err := o.Client.Sequence.GetElementScope(ctx, o.Scope); !errors.Is(err, fountain.ErrNotFound) {
		if err == nil {
			err = ErrUsed
		}
		return nil, err
	}
	r := &recorder{Options: o, began: time.Now(), history: &History{}}
	shared, err := r.first(ctx)
	if err != nil {
		return nil, err
	}
	f := follow(ctx, o.Client, o.Scope)
	defer f.cancel()
	r.work(ctx, shared)
	if r.failed != nil {
		return nil, r.failed
	}
	answered := time.Now()
	h, err := Read(ctx, o.Client, o.Scope, o.SearchWithin)
	if err != nil {
		return nil, err
	}
	if h.Followed, err = f.until(len(h.Feed)); err != nil {
		return nil, err
	}
	h.Own, h.Appends, h.Revisions = true, r.history.Appends, r.history.Revisions
	if h.SearchLag > 0 {
		h.SearchLag = time.Since(answered)
	}
	return h, nil
}

// first appends the element that all clients revise. It also creates the scope, so that its feed can be followed.
func (r *recorder) first(ctx context.Context) (*sequence.Element, error) {
	e, call, err := r.append(ctx, 0, "shared")
	r.keep(&r.history.Appends, call)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// work runs the clients until enough appends are acknowledged, the time is up, or all calls fail.
func (r *recorder) work(ctx context.Context, shared *sequence.Element) {
	over, stop := context.WithTimeout(ctx, r.For)
	defer stop()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-r.Stop:
			stop()
		case <-ended:
		}
	}()
	var clients sync.WaitGroup
	for n := range r.Clients {
		clients.Go(func() {
			for i := 0; over.Err() == nil && r.acknowledged.Load() < int64(r.Appends); i++ {
				if err := r.turn(ctx, n, i, shared); err != nil {
					r.end(err, stop)
					r.rest(over)
				}
			}
		})
	}
	clients.Wait()
}

// rest pauses before a client's next call.
func (r *recorder) rest(over context.Context) {
	select {
	case <-time.After(pauseAfterFailure):
	case <-over.Done():
	}
}

// end ends the recording if err is permanent, or if no call has succeeded for patience.
func (r *recorder) end(err error, stop context.CancelFunc) {
	silent := time.Since(r.began) - time.Duration(r.succeeded.Load())
	if !permanent(err) && silent < patience {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
	stop()
}

// permanent reports whether a refusal is permanent.
func permanent(err error) bool {
	return errors.Is(err, fountain.ErrUnauthenticated) || errors.Is(err, fountain.ErrForbidden) || errors.Is(err, fountain.ErrNotFound) || errors.Is(err, fountain.ErrInvalid)
}

// turn is one append of a client and, every reviseEvery turns, two revisions. A call that has started is not cancelled
// when the time is up, so that its outcome is known.
func (r *recorder) turn(ctx context.Context, client, n int, shared *sequence.Element) error {
	e, call, err := r.append(ctx, client, fmt.Sprintf("c%d-%d", client, n))
	r.keep(&r.history.Appends, call)
	if err == nil && n%reviseEvery == 0 {
		err = r.revise(ctx, client, n, e)
		if err == nil {
			var now *sequence.Element
			if now, err = r.Client.Sequence.GetElement(ctx, r.Scope, r.ElementType, shared.ID); err == nil {
				err = r.revise(ctx, client, n, now)
			}
		}
	}
	return err
}

func (r *recorder) append(ctx context.Context, client int, id string) (*sequence.Element, Call, error) {
	data := dataOf(client, id)
	call := Call{Client: client, ElementType: r.ElementType, ID: id, Sum: sum(data), Begin: time.Since(r.began)}
	e, err := r.Client.Sequence.CreateElement(ctx, r.Scope, r.ElementType, sequence.ElementCreate{ID: &id, Data: data}, fountain.WithoutRetry())
	r.told(&call, e, err)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.Progress(int(min(r.acknowledged.Add(1), int64(r.Appends))))
	}
	return e, call, err
}

// revise adds a version to an element. Losing to another client is not a failure.
func (r *recorder) revise(ctx context.Context, client, n int, e *sequence.Element) error {
	data := dataOf(client, fmt.Sprintf("%s, turn %d from version %d", e.ID, n, e.Version))
	call := Call{Client: client, ElementType: r.ElementType, ID: e.ID, Sum: sum(data), Begin: time.Since(r.began)}
	now, err := r.Client.Sequence.CreateVersion(ctx, r.Scope, r.ElementType, e.ID, fountain.IfMatch(e.Version), sequence.VersionCreate{Data: data}, fountain.WithoutRetry())
	r.told(&call, now, err)
	r.keep(&r.history.Revisions, call)
	if errors.Is(err, fountain.ErrStale) {
		return nil
	}
	return err
}

// told records the response of a call.
func (r *recorder) told(call *Call, e *sequence.Element, err error) {
	call.End, call.Outcome = time.Since(r.began), outcome(err)
	if err != nil {
		return
	}
	r.succeeded.Store(int64(call.End))
	call.Number, call.Version = e.Number, e.Version
	if e.FormattedNumber != nil {
		call.FormattedNumber = *e.FormattedNumber
	}
}

func (r *recorder) keep(to *[]Call, call Call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*to = append(*to, call)
}

// certain lists the statuses with which a service or the gateway says that nothing was done. A conflict is not among
// them: the gateway may have repeated a request and conflicted with its own first attempt. For the same reason a full
// queue leaves the outcome open, because a first attempt may be waiting in it.
var certain = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusPreconditionFailed,
	http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusPreconditionRequired, http.StatusTooManyRequests,
}

func outcome(err error) Outcome {
	var refused *fountain.Error
	switch {
	case err == nil:
		return Acknowledged
	case errors.As(err, &refused) && refused.Code != "" && refused.Code != fountain.CodeQueueShareExceeded && slices.Contains(certain, refused.Status):
		return Refused
	}
	return Unknown
}

// dataOf returns JSON without white space, so that its checksum equals that of what is stored.
func dataOf(client int, text string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"client":%d,"text":%q}`, client, text))
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
