package store

import (
	"sync"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
)

// ownersKept is how long owners and grants are cached if other processes may change them. A change by this process clears the cache at
// once.
const ownersKept = time.Second

// maxOwnersKept limits the number of names in the cache, including names of collections that don't exist.
const maxOwnersKept = 4096

// names are the first and the last candidate of a lookup.
type names [2]owner.Name

// ownerCache caches owners of collections. The zero value is empty.
type ownerCache struct {
	mu     sync.Mutex
	kept   map[names]keptOwners
	change int  // how often the cache was cleared
	alone  bool // no other process changes owners: entries don't expire
}

type keptOwners struct {
	found []*owner.Collection
	until time.Time
}

// get returns a cached entry, and the change count that put takes.
func (c *ownerCache) get(of names, now time.Time) (found []*owner.Collection, ok bool, change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.kept[of]
	return k.found, ok && (c.alone || now.Before(k.until)), c.change
}

// put stores what was read, unless the cache was cleared since the read began.
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

// forget clears the cache.
func (c *ownerCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.change = nil, c.change+1
}

// own declares that no other process changes owners, so that entries don't expire.
func (c *ownerCache) own() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept, c.change, c.alone = nil, c.change+1, true
}
