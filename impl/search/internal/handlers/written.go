package handlers

import (
	"net/http"
	"strconv"
	"sync"
)

// written is an answer of JSON that the handlers write by themselves. It is sent once: its room is another answer's afterwards.
type written []byte

// mostRoom is the largest room, in bytes, that is kept for other answers.
const mostRoom = 1 << 20

// rooms keeps what answers are written in. Most are of about the same size, so that few of them grow.
var rooms sync.Pool

// takeRoom returns room for about so many bytes, of which none are used.
func takeRoom(size int) []byte {
	if kept, ok := rooms.Get().(*[]byte); ok && cap(*kept) >= size {
		return (*kept)[:0]
	}
	return make([]byte, 0, size)
}

// jsonType is a header's value, into which nobody writes.
var jsonType = []string{"application/json"}

func (b written) send(w http.ResponseWriter) error {
	header := w.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(b)
	if err == nil && cap(b) <= mostRoom { // else who was to send it may be reading it still
		rooms.Put((*[]byte)(&b))
	}
	return err
}

// VisitSearchDocumentsResponse implements the generated answer of searchDocuments.
func (b written) VisitSearchDocumentsResponse(w http.ResponseWriter) error { return b.send(w) }

// VisitMultiSearchResponse implements the generated answer of multiSearch.
func (b written) VisitMultiSearchResponse(w http.ResponseWriter) error { return b.send(w) }

// VisitUnionSearchResponse implements the generated answer of unionSearch.
func (b written) VisitUnionSearchResponse(w http.ResponseWriter) error { return b.send(w) }

// VisitSyncDocumentsResponse implements the generated answer of syncDocuments.
func (b written) VisitSyncDocumentsResponse(w http.ResponseWriter) error { return b.send(w) }
