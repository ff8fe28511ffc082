package backup

import (
	"bufio"
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRows_areReadAsTheyWereWritten(t *testing.T) {
	row := []any{nil, int64(-1 << 63), int64(1<<63 - 1), "", "tëxt\x00", []byte{}, []byte{0, 255}}
	text, err := appendRow(nil, row)
	require.NoError(t, err)
	in := bufio.NewReader(bytes.NewReader(text))
	got, err := readRow(in)
	require.NoError(t, err)
	require.Equal(t, row, got)
	_, err = readRow(in)
	require.ErrorIs(t, err, io.EOF)
	for n := 1; n < len(text); n++ {
		_, err := readRow(bufio.NewReader(bytes.NewReader(text[:n])))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", n)
	}
	_, err = appendRow(nil, []any{1.5})
	require.Error(t, err)
}

// Anyone who can encrypt to the recipient can write any rows into an archive.
func FuzzReadRow(f *testing.F) {
	text, err := appendRow(nil, []any{nil, int64(-5), "text", []byte("bytes")})
	require.NoError(f, err)
	f.Add(text)
	f.Add([]byte{1, kindBytes, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, text []byte) {
		in := bufio.NewReader(bytes.NewReader(text))
		for {
			row, err := readRow(in)
			if err != nil {
				return
			}
			again, err := appendRow(nil, row)
			require.NoError(t, err)
			got, err := readRow(bufio.NewReader(bytes.NewReader(again)))
			require.NoError(t, err)
			require.Equal(t, row, got)
		}
	})
}
