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
	// smallBody is up to what size, in bytes, the body of an answer is read and written at once.
	smallBody = 64 << 10
	// pieceOfBody is how much of a larger one is read or written before others have their turn.
	pieceOfBody = 256 << 10
	// largestKept is the size of the largest memory that is used again.
	largestKept = 16 << 20
)

// buffers keeps the memory of large answers for the next ones, by powers of two. Else each would leave garbage of two to four times its size, and the collector
// would take the processors from everybody. It takes what nobody has used for a while.
var buffers [32]sync.Pool

// buffer returns memory of at least n bytes.
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

// reuse gives the memory of readBody back. Nobody may read it any more.
func reuse(body []byte) {
	if size := cap(body); size >= smallBody && size <= largestKept && size&(size-1) == 0 {
		kept := body[:size]
		buffers[bits.Len(uint(size-1))].Put(&kept)
	}
}

// readBody reads all of a body, which may have at most so many bytes, into memory that reuse takes back. length is how long it says to be, or negative.
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

// writeBody writes a body, a large one piece by piece.
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
