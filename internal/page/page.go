// Package page encodes and decodes the opaque cursors of lists, and bounds their page size. A cursor contains the sort keys of the last item and
// grants nothing: a forged cursor shows nothing that the list would not show anyway.
package page

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// ErrInvalid means that a cursor was not made by this list. It is answered with problem.BadCursor.
var ErrInvalid = errors.New("not a cursor of this list")

const (
	version   = 'c' // first byte of every cursor, so that the format can change
	tagSize   = 6
	maxCursor = 2048
)

// Encode returns the cursor after the item with these sort keys in the list with this name. Keys can be anything that JSON can represent; texts must
// be valid UTF-8.
func Encode(list string, keys ...any) string {
	payload, err := json.Marshal(keys)
	if err != nil {
		// Keys are columns of a row: a channel or a function is a programming error.
		panic("page: sort key cannot be encoded: " + err.Error())
	}
	raw := make([]byte, 0, 1+tagSize+len(payload))
	raw = append(raw, version)
	raw = append(raw, tag(list, payload)...)
	raw = append(raw, payload...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Decode decodes the sort keys of a cursor into pointers, one for each key given to Encode. It returns ErrInvalid when the cursor is malformed or
// comes from another list; into must not be used then.
func Decode(list, cursor string, into ...any) error {
	if len(cursor) > maxCursor || strings.ContainsAny(cursor, "\r\n") { // the decoder ignores line ends
		return ErrInvalid
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < 1+tagSize || raw[0] != version {
		return ErrInvalid
	}
	payload := raw[1+tagSize:]
	if subtle.ConstantTimeCompare(raw[1:1+tagSize], tag(list, payload)) != 1 {
		return ErrInvalid
	}
	var keys []json.RawMessage
	if err := json.Unmarshal(payload, &keys); err != nil || len(keys) != len(into) {
		return ErrInvalid
	}
	for i, key := range keys {
		if bytes.Equal(key, []byte("null")) || json.Unmarshal(key, into[i]) != nil {
			return ErrInvalid
		}
	}
	return nil
}

// Limit returns the page size for an optional limit parameter: def when absent, and always from 1 to most.
func Limit(p *int, def, most int) int {
	if p == nil {
		return def
	}
	return min(max(*p, 1), most)
}

// tag binds a cursor to its list. It is a checksum against mistakes, not a signature.
func tag(list string, payload []byte) []byte {
	h := sha256.New()
	h.Write([]byte("fountain cursor\x00" + list + "\x00"))
	h.Write(payload)
	return h.Sum(nil)[:tagSize]
}
