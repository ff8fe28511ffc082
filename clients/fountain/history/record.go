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
	// pauseAfterFailure is before a client's next call behind one without a success.
	pauseAfterFailure = 200 * time.Millisecond
	// reviseEvery is how many appends come to one revision of a client's own element, and one of an element that all clients revise.
	reviseEvery = 4
	// patience is how long all calls may fail before a recording is given up.
	patience = time.Minute
	// followerPatience is how long the follower may need for what is committed.
	followerPatience = 30 * time.Second
)

// Options say what Record does. Client and Scope are required.
type Options struct {
	Client       *fountain.Client // of somebody who may write elements
	Scope        string           // without any element: it is the recorder's own, and its elements stay there
	ElementType  string           // default checked
	Clients      int              // that append at once; default 8
	Appends      int              // acknowledged ones after which it ends; default 1,000
	For          time.Duration    // after which it ends in any case; default 1 minute
	Stop         <-chan struct{}  // ends it, too, when it is closed
	SearchWithin time.Duration    // how long search may take to have all; 0: it is not asked
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

// ErrUsed is of a scope that has elements: only one of its own tells the recorder what nobody asked for.
var ErrUsed = errors.New("the scope has elements: choose a name that nobody has used")

// recorder makes the calls of a recording and keeps what they were told.
type recorder struct {
	Options
	began time.Time

	mu           sync.Mutex
	history      *History
	acknowledged atomic.Int64
	succeeded    atomic.Int64 // when a call succeeded last, as time.Duration since began
	failed       error        // one that ends the recording
}

// Record has several clients append to a scope of their own and revise what they appended, follows the feed beside them, and reads what is stored behind them. A call that is not
// answered is not repeated: its outcome is unknown, and the recording goes on, so that services may be restarted meanwhile. An error is of a recording that could not be made, never of a broken promise.
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

// first appends the element that all clients revise: with it the scope begins, so that its feed can be followed.
func (r *recorder) first(ctx context.Context) (*sequence.Element, error) {
	e, call, err := r.append(ctx, 0, "shared")
	r.keep(&r.history.Appends, call)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// work runs the clients until enough is acknowledged, the time is over, or nothing works.
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

// rest waits before a client's next call.
func (r *recorder) rest(over context.Context) {
	select {
	case <-time.After(pauseAfterFailure):
	case <-over.Done():
	}
}

// end ends the recording when an error says that it can't go on.
func (r *recorder) end(err error, stop context.CancelFunc) {
	silent := time.Since(r.began) - time.Duration(r.succeeded.Load())
	if !hopeless(err) && silent < patience {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = err
	}
	stop()
}

// hopeless tells a refusal that will stay one.
func hopeless(err error) bool {
	return errors.Is(err, fountain.ErrUnauthenticated) || errors.Is(err, fountain.ErrForbidden) || errors.Is(err, fountain.ErrNotFound) || errors.Is(err, fountain.ErrInvalid)
}

// turn is one append of a client, and now and then a revision. What has begun is not given up when the time is over, so that its outcome is known.
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

// revise gives an element a version. That another client was faster is no failure.
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

// told keeps an answer.
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

// certain are the statuses by which a service or gateway says that nothing was done. A conflict is none of them: the gateway may have sent a request again, and met itself.
// For the same reason the refusal of a full queue leaves it open: a first try may wait in it.
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

// dataOf is JSON without white space, so that its sum is that of what is stored.
func dataOf(client int, text string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"client":%d,"text":%q}`, client, text))
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
