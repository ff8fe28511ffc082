package servicetest

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// endings is the revocation feed of a KMS.
type endings struct {
	mu     sync.Mutex
	items  []map[string]any
	more   chan struct{} // closed when there is another item
	closed chan struct{}
}

func newEndings() *endings { return &endings{more: make(chan struct{}), closed: make(chan struct{})} }

func (e *endings) close() { close(e.closed) }

func (e *endings) add(kind, id string, epoch int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	e.items = append(e.items, map[string]any{
		"position": len(e.items) + 1, "kind": kind, "id": id, "epoch": epoch, "at": now, "until": now.Add(24 * time.Hour),
	})
	close(e.more)
	e.more = make(chan struct{})
}

// serve answers like listRevocations.
func (e *endings) serve(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.Atoi(r.URL.Query().Get("after")) // the follower sends nothing else
	seconds, _ := strconv.Atoi(strings.TrimPrefix(r.Header.Get("Prefer"), "wait="))
	limit := time.After(time.Duration(seconds) * time.Second)
	for {
		e.mu.Lock()
		items, more := e.items[min(after, len(e.items)):], e.more
		e.mu.Unlock()
		if len(items) == 0 && seconds > 0 {
			select {
			case <-more:
				continue
			case <-limit:
			case <-e.closed:
			case <-r.Context().Done():
			}
		}
		Send(w, http.StatusOK, map[string]any{"feed": "feed-of-the-test", "position": after + len(items), "items": items})
		return
	}
}
