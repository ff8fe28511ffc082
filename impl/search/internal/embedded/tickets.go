package embedded

import "sync"

// ticket holds the writes of one caller.
type ticket struct {
	writes []Write
	// done reports that results and err are set. They are guarded by the collection's writing lock.
	done    bool
	results []Written
	err     error
}

// tickets is the queue of tickets that wait for a transaction.
type tickets struct {
	mu   sync.Mutex
	list []*ticket
}

func (q *tickets) add(t *ticket) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, t)
}

// take removes the first tickets that together have at most ChunkDocs writes and ChunkBytes of text, but at least one ticket.
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
