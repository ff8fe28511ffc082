package embedded

import "sync"

// ticket is the writes of one caller.
type ticket struct {
	writes []Write
	// done says that results or err are there. They are guarded by the collection's lock for writing.
	done    bool
	results []Written
	err     error
}

// tickets are those that wait for their transaction, in order.
type tickets struct {
	mu   sync.Mutex
	list []*ticket
}

func (q *tickets) add(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, t)
}

// take removes the first tickets, at most as many as have ChunkDocs writes and ChunkBytes of text, but at least one.
func (q *tickets) take() []*ticket {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, docs, size := 0, 0, 0
	for ; n < len(q.list); n++ {
		docs += len(q.list[n].writes)
		for _, w := range q.list[n].writes {
			size += len(w.Line)
		}
		if n > 0 && (docs > ChunkDocs || size > ChunkBytes) {
			break
		}
	}
	taken := q.list[:n:n]
	q.list = q.list[n:]
	return taken
}
