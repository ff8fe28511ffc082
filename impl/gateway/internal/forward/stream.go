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

// errIdle is the cause of the end of an idle stream.
var errIdle = errors.New("no data arrived for longer than the contract's stream.idle")

// idle ends a stream, of the request body or of the answer, that transfers nothing for too long. It is nil for operations that do not stream; its methods then do
// nothing.
type idle struct {
	most   time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// watch starts watching an operation that streams its request body or its answer. A long poll is not watched: it ends by itself, and its answer is checked like any
// other.
func watch(x *httpserver.Exchange) *idle {
	s := x.Operation.Policy.Stream
	if s == nil || s.Kind == contract.StreamLongPoll {
		return nil
	}
	ctx, cancel := context.WithCancelCause(x.Request.Context())
	x.Request = x.Request.WithContext(ctx)
	return &idle{most: s.Idle, timer: time.AfterFunc(s.Idle, func() { cancel(errIdle) }), cancel: cancel}
}

// over records that something was transferred.
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

// stream copies an answer as it arrives. If it breaks off at the service, the connection to the client is aborted: nothing else tells the client that the answer is
// incomplete.
func (f *Forwarder) stream(x *httpserver.Exchange, res *upstream.Response, idle *idle) error {
	f.responseHeader(x, res)
	x.Writer.WriteHeader(res.Status)
	connection := http.NewResponseController(x.Writer)
	_ = connection.Flush() // send the head at once
	buffer := chunks.Get().(*[]byte)
	defer chunks.Put(buffer)
	for {
		n, err := res.Read(*buffer)
		idle.over()
		if n > 0 {
			if _, err := x.Writer.Write((*buffer)[:n]); err != nil {
				panic(http.ErrAbortHandler) // the client has disconnected
			}
			_ = connection.Flush() // a writer that can't flush does not buffer
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			panic(http.ErrAbortHandler)
		}
	}
}
