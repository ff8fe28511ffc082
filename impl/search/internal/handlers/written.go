package handlers

import (
	"net/http"
	"strconv"
	"sync"
)

// written is a JSON answer that the handlers encode themselves. It may be sent only once, because its buffer is then reused.
type written []byte

// mostRoom is the size in bytes of the largest buffer that is reused.
const mostRoom = 1 << 20

// rooms holds buffers for answers. Most answers have about the same size, so that buffers rarely grow.
var rooms sync.Pool

// takeRoom returns an empty buffer with a capacity of at least size.
func takeRoom(size int) []byte {
	if kept, ok := rooms.Get().(*[]byte); ok && cap(*kept) >= size {
		return (*kept)[:0]
	}
	return make([]byte, 0, size)
}

// jsonType is the shared value of a header. It must not be modified.
var jsonType = []string{"application/json"}

func (b written) send(w http.ResponseWriter) error {
	header := w.Header()
	header["Content-Type"] = jsonType
	header["Content-Length"] = []string{strconv.Itoa(len(b))}
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(b)
	if err == nil && cap(b) <= mostRoom { // otherwise the writer may still be reading it
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
