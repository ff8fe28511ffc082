package forward

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/impl/gateway/internal/upstream"
)

// A body is read as it was sent, whatever its size and whether or not its length is declared. Of a body that is too large no more than the limit is read. Reused
// buffers leave no traces.
func TestReadBody_readsWhatWasSent(t *testing.T) {
	const most = 3 << 20
	for _, size := range []int{0, 1, smallBody - 1, smallBody, smallBody + 1, pieceOfBody, 1 << 20, 1<<20 + 1, most} {
		text := bytes.Repeat([]byte{byte(size%251 + 1)}, size)
		for _, length := range []int64{int64(size), -1} {
			for name, from := range map[string]io.Reader{
				"whole": bytes.NewReader(text), "with its end": iotest.DataErrReader(bytes.NewReader(text)), "in halves": iotest.HalfReader(bytes.NewReader(text)),
			} {
				body, err := readBody(from, length, most)
				require.NoError(t, err)
				require.True(t, bytes.Equal(text, body), "%d %d %s", size, length, name)
				reuse(body)
			}
		}
	}
	large := bytes.NewReader(make([]byte, 8<<20))
	_, err := readBody(large, -1, most)
	require.ErrorIs(t, err, upstream.ErrTooLarge)
	require.GreaterOrEqual(t, large.Len(), 8<<20-most-pieceOfBody, "it is not read on")
	_, err = readBody(large, most+1, most)
	require.ErrorIs(t, err, upstream.ErrTooLarge)
	broken := errors.New("the connection broke")
	_, err = readBody(io.MultiReader(bytes.NewReader(make([]byte, 100_000)), iotest.ErrReader(broken)), -1, most)
	require.ErrorIs(t, err, broken)
}

// The whole body is written, in one piece or several.
func TestWriteBody_writesAll(t *testing.T) {
	for _, size := range []int{0, 1, pieceOfBody, pieceOfBody + 1, 3*pieceOfBody - 1} {
		text := bytes.Repeat([]byte("x"), size)
		var out bytes.Buffer
		require.NoError(t, writeBody(&out, text))
		require.Equal(t, size, out.Len())
	}
}
