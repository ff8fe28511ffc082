package groupcommit

import "sync"

// Shared is a request that names its owner. Queued requests are taken in turns: first by owner, and within an owner by part, for example by scope.
// Requests of one part are taken in order of arrival. All requests that are not Shared belong to one owner.
type Shared interface {
	Owner() string
	Part() string
}

// fair is a bounded queue in which owners take turns, and within an owner its parts. It is safe for concurrent use.
type fair[T any] struct {
	mu     sync.Mutex
	most   int // highest number of items
	count  int
	owners map[string]*owner[T]
	turns  fifo[*owner[T]] // owners with items, in the order of their turns
	spare  []*owner[T]     // to be reused for new owners
}

// owner has the items of one owner in the queue.
type owner[T any] struct {
	name  string
	count int
	parts map[string]*part[T]
	turns fifo[*part[T]]
	last  *part[T] // an empty part, to be reused for the next new one
}

type part[T any] struct {
	name  string
	items fifo[T]
}

func newFair[T any](most int) *fair[T] {
	return &fair[T]{most: most, owners: map[string]*owner[T]{}}
}

// len returns how many items wait.
func (q *fair[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// admission is the outcome of a push.
type admission int

const (
	admitted admission = iota
	full               // no owner has more than its share, or there is only one owner
	overShare
)

// push adds an item at the end of its owner's part. In a full queue the item replaces one of the owner with the most items, if that owner has more
// than the item's owner would have with it. The newest item of that owner's part whose turn is last is removed and returned as dropped.
func (q *fair[T]) push(item T, ownerName, partName string) (result admission, dropped T, drops bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count >= q.most {
		own := 0
		if o := q.owners[ownerName]; o != nil {
			own = o.count
		}
		greediest := q.greediest()
		switch {
		case greediest.count > own+1:
			dropped, drops = q.drop(greediest), true
		case len(q.owners) > 1 && own*len(q.owners) >= q.most:
			return overShare, dropped, false
		default:
			return full, dropped, false
		}
	}
	q.put(item, ownerName, partName)
	return admitted, dropped, drops
}

func (q *fair[T]) put(item T, ownerName, partName string) {
	o := q.owners[ownerName]
	if o == nil {
		o = q.newOwner(ownerName)
		q.owners[ownerName] = o
		q.turns.push(o)
	}
	p := o.parts[partName]
	if p == nil {
		if p = o.last; p == nil {
			p = &part[T]{}
		}
		o.last, p.name = nil, partName
		o.parts[partName] = p
		o.turns.push(p)
	}
	p.items.push(item)
	o.count++
	q.count++
}

func (q *fair[T]) newOwner(name string) *owner[T] {
	if n := len(q.spare); n > 0 {
		o := q.spare[n-1]
		q.spare = q.spare[:n-1]
		o.name = name
		return o
	}
	return &owner[T]{name: name, parts: map[string]*part[T]{}}
}

// spares bounds how many owners without items are kept to be reused.
const spares = 64

// gone removes an owner that has no items.
func (q *fair[T]) gone(o *owner[T]) {
	delete(q.owners, o.name)
	if len(q.spare) < spares {
		o.name = ""
		q.spare = append(q.spare, o)
	}
}

// pop takes the next item: from the owner whose turn it is, and from this owner's part whose turn it is.
func (q *fair[T]) pop() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return item, false
	}
	o := q.turns.pop()
	p := o.turns.pop()
	item = p.items.pop()
	if p.items.len() > 0 {
		o.turns.push(p)
	} else {
		o.empty(p)
	}
	q.count--
	if o.count--; o.count > 0 {
		q.turns.push(o)
	} else {
		q.gone(o)
	}
	return item, true
}

// empty removes a part that has no items.
func (o *owner[T]) empty(p *part[T]) {
	delete(o.parts, p.name)
	p.name, o.last = "", p
}

// greediest returns the owner with the most items. It is called only when the queue is full.
func (q *fair[T]) greediest() (most *owner[T]) {
	for _, o := range q.owners {
		if most == nil || o.count > most.count {
			most = o
		}
	}
	return most
}

// drop removes the newest item of the owner's part whose turn is last. The owner must have more than one item.
func (q *fair[T]) drop(o *owner[T]) T {
	p := o.turns.last()
	item := p.items.popLast()
	if p.items.len() == 0 {
		o.turns.popLast()
		o.empty(p)
	}
	o.count--
	q.count--
	return item
}

// fifo is a queue that reuses its memory.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(item T) { f.items = append(f.items, item) }

// pop takes the first item. The queue must not be empty.
func (f *fifo[T]) pop() T {
	var none T
	item := f.items[f.head]
	f.items[f.head] = none
	f.head++
	switch {
	case f.head == len(f.items):
		f.items, f.head = f.items[:0], 0
	case f.head >= 64 && f.head*2 >= len(f.items):
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return item
}

func (f *fifo[T]) last() T { return f.items[len(f.items)-1] }

// popLast takes the last item. The queue must not be empty.
func (f *fifo[T]) popLast() T {
	var none T
	n := len(f.items) - 1
	item := f.items[n]
	f.items[n] = none
	f.items = f.items[:n]
	if f.head == n {
		f.items, f.head = f.items[:0], 0
	}
	return item
}
