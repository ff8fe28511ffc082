package groupcommit

import "sync"

// Shared is a request that tells whose it is. Those who wait take turns: each owner in the first place, and the parts of one owner, scopes for example, in the second. Requests of one
// part are taken in the order in which they came. All others are of one owner.
type Shared interface {
	Owner() string
	Part() string
}

// fair is a queue in which owners take turns, and the parts of each. It is safe for concurrent use.
type fair[T any] struct {
	mu     sync.Mutex
	most   int // items
	count  int
	owners map[string]*owner[T]
	turns  fifo[*owner[T]] // owners that have something, in the order of their turns
	spare  []*owner[T]     // for owners who come
}

// owner is who has something in the queue.
type owner[T any] struct {
	name  string
	count int
	parts map[string]*part[T]
	turns fifo[*part[T]]
	last  *part[T] // one that is empty, for the next that comes
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

// admission is what became of an item.
type admission int

const (
	admitted admission = iota
	full               // nobody has more than their share, or nobody else is there
	overShare
)

// push puts an item at the end of its owner's part. In a full queue it takes the place of an item of whoever has the most, the newest of the part that
// comes last there, when that is more than its own owner has with it: dropped is that item.
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

// spares bounds how many owners who have left are kept for those who come.
const spares = 64

// gone forgets an owner who has nothing.
func (q *fair[T]) gone(o *owner[T]) {
	delete(q.owners, o.name)
	if len(q.spare) < spares {
		o.name = ""
		q.spare = append(q.spare, o)
	}
}

// pop takes the next item: of the owner whose turn it is, and of the part whose turn it is there.
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

// empty forgets a part that has nothing.
func (o *owner[T]) empty(p *part[T]) {
	delete(o.parts, p.name)
	p.name, o.last = "", p
}

// greediest returns the owner who has the most. It is asked when the queue is full.
func (q *fair[T]) greediest() (most *owner[T]) {
	for _, o := range q.owners {
		if most == nil || o.count > most.count {
			most = o
		}
	}
	return most
}

// drop takes the newest item of an owner's part that has its turn last. The owner has more than one.
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

// fifo is a queue that keeps its memory.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) len() int { return len(f.items) - f.head }

func (f *fifo[T]) push(item T) { f.items = append(f.items, item) }

// pop takes the first item of a queue that has one.
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

// popLast takes the last item of a queue that has one.
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
