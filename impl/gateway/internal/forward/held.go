package forward

import (
	"net/http"
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/httpserver"
	"github.com/fountainai/fountain/internal/problem"
)

const (
	// heldOfOne bounds the bytes of answers of one member that are held at a time, and heldOfAll those of all members. An answer is held while it is received,
	// checked and read by the client. The family's services are trusted to keep their own limits.
	heldOfOne, heldOfAll = 64 << 20, 256 << 20
	// heldPiece is how much is reserved at a time for an answer of unknown length.
	heldPiece = 64 << 10
)

// held counts the bytes of members' answers that are held.
type held struct {
	mu  sync.Mutex
	of  map[string]int64 // by the member's name; only members with held bytes
	all int64
}

// take reserves n bytes, or returns false.
func (h *held) take(member string, n int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of[member]+n > heldOfOne || h.all+n > heldOfAll {
		return false
	}
	if h.of == nil {
		h.of = map[string]int64{}
	}
	h.of[member] += n
	h.all += n
	return true
}

func (h *held) give(member string, n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all -= n
	if h.of[member] -= n; h.of[member] == 0 {
		delete(h.of, member)
	}
}

// errHeld says that there is no room for another answer of a member.
var errHeld = problem.New(problem.Overloaded, "The memory for responses of this service is used up. Try again later.").WithRetryAfter(time.Second)

// readAll reads the answer's body into a buffer for reuse. For a member it reserves taken bytes, which the caller must give back, also after an
// error.
func (f *Forwarder) readAll(x *httpserver.Exchange, res *upstream.Response) (body []byte, taken int64, err error) {
	op := x.Operation
	most := op.Policy.Response.Max
	if res.Length == 0 || x.Request.Method == http.MethodHead {
		body, err = res.ReadAll(most)
		return body, 0, err
	}
	switch {
	case op.Mount == "" || res.Length > most:
	case res.Length < 0:
		return f.readGrowing(op.Word, res, most)
	case !f.held.take(op.Word, res.Length):
		return nil, 0, errHeld
	default:
		taken = res.Length
	}
	if 0 < res.Length && res.Length < smallBody {
		body, err = res.ReadAll(most)
		return body, taken, err
	}
	defer res.Close()
	body, err = readBody(res, res.Length, most)
	return body, taken, err
}

// readGrowing reads a member's answer of unknown length, and reserves room as it arrives.
func (f *Forwarder) readGrowing(member string, res *upstream.Response, most int64) (body []byte, taken int64, err error) {
	defer res.Close()
	got := int64(0)
	body, err = readBody(readerFunc(func(p []byte) (int, error) {
		if got == taken {
			if !f.held.take(member, heldPiece) {
				return 0, errHeld
			}
			taken += heldPiece
		}
		n, err := res.Read(p[:min(int64(len(p)), taken-got)])
		got += int64(n)
		return n, err
	}), -1, most)
	return body, taken, err
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
