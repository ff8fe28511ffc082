package ratelimit

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"time"
)

const (
	shards = 64 // one bit of the mask each
	// maxKeys bounds one shard, and shards*maxKeys all of them: 524,288 keys, which take at most 32 MiB. A full shard drops keys whose whole
	// allowance is available again; if there are none, new keys of a limit share one common key, so that a flood of keys is limited as one and takes
	// no more memory.
	maxKeys = 8192
	// sweepEvery is the minimum time between two sweeps of a full shard, so that a flood of keys does not cause a sweep for each of them.
	sweepEvery = time.Second
)

// memory is the state of keys in this process. Times are those of clock.Elapsed.
type memory struct {
	seed   maphash.Seed // random, so that clients cannot choose keys of one shard
	shards [shards]shard
}

type shard struct {
	mu    sync.Mutex
	tats  map[Key]time.Duration
	swept time.Duration
}

func newMemory() *memory {
	m := &memory{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].tats = make(map[Key]time.Duration)
	}
	return m
}

// take decides about all counts at once: all are taken or none.
func (m *memory) take(counts []Count, now time.Duration) bool {
	mask := m.lock(counts)
	defer m.unlock(mask)
	allowed := true
	for i := range counts {
		c := &counts[i]
		s := &m.shards[c.shard]
		c.place = s.place(c, now)
		c.Decision = decide(c.Limit, s.tats[c.place], now, c.Limit.increment())
		allowed = allowed && c.Allowed
	}
	for i := range counts {
		c := &counts[i]
		s := &m.shards[c.shard]
		switch {
		case allowed:
			s.tats[c.place] = c.tat
		case c.Allowed:
			c.Decision = decide(c.Limit, s.tats[c.place], now, 0)
		}
	}
	return allowed
}

// used returns how much of its allowance a key has used, as far as this process knows.
func (m *memory) used(key Key, now time.Duration) time.Duration {
	s := &m.shards[m.index(key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(s.tats[key]-now, 0)
}

// learn stores the TAT of a key that was decided elsewhere, if there is room.
func (m *memory) learn(key Key, tat, now time.Duration) {
	s := &m.shards[m.index(key)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if before, known := s.tats[key]; tat > before && (known || s.hasRoom(now)) {
		s.tats[key] = tat
	}
}

func (m *memory) index(key Key) uint64 { return maphash.Bytes(m.seed, key[:]) % shards }

// lock locks the shards of all counts in order, so that two calls cannot deadlock.
func (m *memory) lock(counts []Count) (mask uint64) {
	for i := range counts {
		counts[i].shard = m.index(counts[i].Key)
		mask |= 1 << counts[i].shard
	}
	for left := mask; left != 0; left &= left - 1 {
		m.shards[bits.TrailingZeros64(left)].mu.Lock()
	}
	return mask
}

func (m *memory) unlock(mask uint64) {
	for ; mask != 0; mask &= mask - 1 {
		m.shards[bits.TrailingZeros64(mask)].mu.Unlock()
	}
}

// place returns the key under which a count is stored: its own or, when the shard is full, the common one of its limit.
func (s *shard) place(c *Count, now time.Duration) Key {
	if _, known := s.tats[c.Key]; known || s.hasRoom(now) {
		return c.Key
	}
	return NewKey(c.Name)
}

// hasRoom reports whether the shard has room for one more key.
func (s *shard) hasRoom(now time.Duration) bool {
	if len(s.tats) < maxKeys {
		return true
	}
	if now-s.swept < sweepEvery {
		return false
	}
	s.swept = now
	for key, tat := range s.tats {
		if tat <= now {
			delete(s.tats, key)
		}
	}
	return len(s.tats) < maxKeys
}
