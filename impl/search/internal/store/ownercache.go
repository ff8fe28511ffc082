package store

import (
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
)

// ownersKept is how long what was read of owners and grants is used where other processes may change it. A change by this process ends it at once.
const ownersKept = time.Second

// maxOwnersKept bounds the names that are kept, those of collections that don't exist among them.
const maxOwnersKept = 4096

// names are the first and the last candidate that were asked for.
type names [2]owner.Name

// ownerCache keeps what was read of owners. The zero value is empty.
type ownerCache struct {
	mu     sync.Mutex
	kept   map[names]keptOwners
	change int  // counts the times that all was forgotten
	alone  bool // nobody but this process changes owners: what is kept is so until it is forgotten
}

type keptOwners struct {
	found []*owner.Collection
	until time.Time
}

// get returns what is kept, and the count of changes that put wants.
func (c *ownerCache) get(of names, now time.Time) (found []*owner.Collection, ok bool, change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.kept[of]
	return k.found, ok && (c.alone || now.Before(k.until)), c.change
}

// put keeps what was read, unless something has changed since the reading began.
func (c *ownerCache) put(of names, found []*owner.Collection, now time.Time, change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.change != change {
		return
	}
	if c.kept == nil || len(c.kept) >= maxOwnersKept {
		c.kept = map[names]keptOwners{}
	}
	c.kept[of] = keptOwners{found, now.Add(ownersKept)}
}

// forget ends all that is kept.
func (c *ownerCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.change = nil, c.change+1
}

// own says that nobody but this process changes owners.
func (c *ownerCache) own() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.change, c.alone = nil, c.change+1, true
}
