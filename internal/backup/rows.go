package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A row is encoded as the number of its values and each value: its kind and, for an integer, a zigzag varint or, for text and bytes, the length and
// the content.
const (
	kindNull  = 0
	kindInt   = 1
	kindText  = 2
	kindBytes = 3
)

// Bounds of what is read. No service writes more.
const (
	maxColumns = 256
	maxValue   = 128 << 20 // bytes
)

// appendRow appends a row of nil, int64, string and []byte.
func appendRow(out []byte, row []any) ([]byte, error) {
	out = binary.AppendUvarint(out, uint64(len(row)))
	for _, value := range row {
		switch v := value.(type) {
		case nil:
			out = append(out, kindNull)
		case int64:
			out = binary.AppendVarint(append(out, kindInt), v)
		case string:
			out = append(binary.AppendUvarint(append(out, kindText), uint64(len(v))), v...)
		case []byte:
			out = append(binary.AppendUvarint(append(out, kindBytes), uint64(len(v))), v...)
		default:
			return nil, fmt.Errorf("a value of type %T can't be copied", value)
		}
	}
	return out, nil
}

// rowReader is what rows are read from.
type rowReader interface {
	io.Reader
	io.ByteReader
}

// readRow reads one row. It returns io.EOF at the end.
func readRow(in rowReader) ([]any, error) {
	n, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err // io.EOF before the first byte, io.ErrUnexpectedEOF after it
	}
	if n > maxColumns {
		return nil, errors.New("a row has too many values")
	}
	row := make([]any, n)
	for i := range row {
		if row[i], err = readValue(in); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return row, nil
}

func readValue(in rowReader) (any, error) {
	kind, err := in.ReadByte()
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindNull:
		return nil, nil
	case kindInt:
		return binary.ReadVarint(in)
	case kindText, kindBytes:
		n, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		if n > maxValue {
			return nil, errors.New("a value is too long")
		}
		var value bytes.Buffer // grows with the data, not with the claimed length
		if _, err := io.CopyN(&value, in, int64(n)); err != nil {
			return nil, err
		}
		if kind == kindText {
			return value.String(), nil
		}
		return append([]byte{}, value.Bytes()...), nil
	}
	return nil, fmt.Errorf("a value has the unknown kind %d", kind)
}
