package forward

import (
	"errors"
	"io"
	"math/bits"
	"sync"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
	"github.com/fountainai/fountain/internal/contract"
)

const (
	// smallBody is the size in bytes up to which the body of an answer is read and written at once.
	smallBody = 64 << 10
	// pieceOfBody is how much of a larger body is read or written before yielding the processor.
	pieceOfBody = 256 << 10
	// largestKept is the size of the largest buffer that is reused, in bytes.
	largestKept = 16 << 20
)

// buffers has reusable buffers for large answers, by powers of two. Otherwise each answer would leave garbage of two to four times its size, and garbage
// collection would take CPU time from all requests. The collector frees buffers that are unused for a while.
var buffers [32]sync.Pool

// buffer returns a buffer of at least n bytes.
func buffer(n int64) []byte {
	class := bits.Len64(uint64(n - 1))
	if n > largestKept {
		return make([]byte, n)
	}
	if kept, ok := buffers[class].Get().(*[]byte); ok {
		return *kept
	}
	return make([]byte, 1<<class)
}

// reuse returns a buffer of readBody for reuse. The body must not be used afterwards.
func reuse(body []byte) {
	if size := cap(body); size >= smallBody && size <= largestKept && size&(size-1) == 0 {
		kept := body[:size]
		buffers[bits.Len(uint(size-1))].Put(&kept)
	}
}

// readBody reads a body of at most most bytes into a buffer for reuse. length is its declared length, or negative.
func readBody(from io.Reader, length, most int64) ([]byte, error) {
	if length > most {
		return nil, upstream.ErrTooLarge
	}
	body, got, turn := buffer(max(length+1, smallBody)), 0, 0
	for {
		n, err := from.Read(body[got:min(got+pieceOfBody, len(body))])
		got += n
		switch {
		case int64(got) > most:
			reuse(body)
			return nil, upstream.ErrTooLarge
		case errors.Is(err, io.EOF):
			return body[:got], nil
		case err != nil:
			reuse(body)
			return nil, err
		}
		if got == len(body) {
			larger := buffer(2 * int64(got))
			copy(larger, body)
			reuse(body)
			body = larger
		}
		if got-turn >= pieceOfBody {
			turn = got
			contract.GiveWay()
		}
	}
}

// writeBody writes a body, a large one in pieces.
func writeBody(to io.Writer, body []byte) error {
	for len(body) > pieceOfBody {
		if _, err := to.Write(body[:pieceOfBody]); err != nil {
			return err
		}
		body = body[pieceOfBody:]
		contract.GiveWay()
	}
	_, err := to.Write(body)
	return err
}
