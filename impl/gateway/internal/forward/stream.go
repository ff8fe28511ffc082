package forward

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/httpserver"
)

// errIdle is why a stream was ended on which nothing came.
var errIdle = errors.New("nothing came for longer than the contract's stream.idle")

// idle ends a stream on which nothing comes, of the request body or of the answer. Where the operation is none it is nil, and does nothing.
type idle struct {
	most   time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// watch begins to watch an operation that streams its request body or its answer. A long poll does not: it ends, and is checked as any answer.
func watch(x *httpserver.Exchange) *idle {
	s := x.Operation.Policy.Stream
	if s == nil || s.Kind == contract.StreamLongPoll {
		return nil
	}
	ctx, cancel := context.WithCancelCause(x.Request.Context())
	x.Request = x.Request.WithContext(ctx)
	return &idle{most: s.Idle, timer: time.AfterFunc(s.Idle, func() { cancel(errIdle) }), cancel: cancel}
}

// over says that something has come.
func (i *idle) over() {
	if i != nil {
		i.timer.Reset(i.most)
	}
}

func (i *idle) end() {
	if i != nil {
		i.timer.Stop()
		i.cancel(nil)
	}
}

// chunk is how much of a stream is copied at a time, in bytes.
const chunk = 32 << 10

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// stream copies an answer that has no fixed end as it comes. What breaks off at the service is cut off at the client: nothing else tells
// that it is not whole.
func (f *Forwarder) stream(x *httpserver.Exchange, res *upstream.Response, idle *idle) error {
	f.responseHeader(x, res)
	x.Writer.WriteHeader(res.Status)
	connection := http.NewResponseController(x.Writer)
	_ = connection.Flush() // the head at once
	buffer := chunks.Get().(*[]byte)
	defer chunks.Put(buffer)
	for {
		n, err := res.Read(*buffer)
		idle.over()
		if n > 0 {
			if _, err := x.Writer.Write((*buffer)[:n]); err != nil {
				panic(http.ErrAbortHandler) // the client has gone
			}
			_ = connection.Flush() // a writer that can't flush has nothing to be flushed
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			panic(http.ErrAbortHandler)
		}
	}
}
