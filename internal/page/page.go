// Package page makes and reads the opaque cursors of lists, and bounds their page size. A cursor carries the sort keys of the
// last item, never an authority: whoever forges one sees nothing that the list would not show anyway.
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

// ErrInvalid is of a cursor that was not made by this list. To the outside it is problem.BadCursor.
var ErrInvalid = errors.New("not a cursor of this list")

const (
	version   = 'c' // first byte of every cursor, so that the format can change
	tagSize   = 6
	maxCursor = 2048
)

// Encode returns the cursor that follows the item with these sort keys in the list of this name. Keys are anything JSON can
// hold; keys must be valid UTF-8 where they are text.
func Encode(list string, keys ...any) string {
	payload, err := json.Marshal(keys)
	if err != nil {
		// Keys are columns of a row: a channel or a function among them is a programming error.
		panic("page: sort key cannot be encoded: " + err.Error())
	}
	raw := make([]byte, 0, 1+tagSize+len(payload))
	raw = append(raw, version)
	raw = append(raw, tag(list, payload)...)
	raw = append(raw, payload...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Decode reads the sort keys of a cursor into pointers, one for each key Encode was given. A cursor that is not ours, or comes
// from another list, is ErrInvalid, and into is not to be used.
func Decode(list, cursor string, into ...any) error {
	if len(cursor) > maxCursor || strings.ContainsAny(cursor, "\r\n") { // the decoder skips line ends
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

// Limit returns the page size for an optional limit parameter: def when absent, and never below 1 or above most.
func Limit(p *int, def, most int) int {
	if p == nil {
		return def
	}
	return min(max(*p, 1), most)
}

// tag binds a cursor to its list. It is a checksum against mix-ups, not a signature.
func tag(list string, payload []byte) []byte {
	h := sha256.New()
	h.Write([]byte("fountain cursor\x00" + list + "\x00"))
	h.Write(payload)
	return h.Sum(nil)[:tagSize]
}
