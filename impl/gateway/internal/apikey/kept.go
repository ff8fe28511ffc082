package apikey

import (
	"sync"
	"time"
)

const (
	// maxKept bounds the cached tokens. An entry has a key and a token, about 1 KiB.
	maxKept = 16384
	// maxRefused bounds the cached refusals. They have a map of their own: anyone can invent keys that are refused, and a flood of them must not evict the
	// tokens of valid keys.
	maxRefused = 4096
)

// outcome is the kms's decision on a key for one service.
type outcome struct {
	token   string
	refused error         // set if the kms refused the key
	counted bool          // the key has a rate limit of its own: the token is for one request only
	life    time.Duration // how long the outcome is valid
}

// kept caches outcomes by the full text of the key. A Go map hashes with its own random seed and compares in full, so no other text matches an
// entry.
type kept struct {
	mu      sync.RWMutex
	entries map[trade]entry
	refused map[trade]entry
}

type entry struct {
	outcome
	until time.Time
}

// get returns the cached outcome if it is still valid.
func (k *kept) get(what trade, now time.Time) (outcome, bool) {
	k.mu.RLock()
	e, there := k.entries[what]
	if !there {
		e, there = k.refused[what]
	}
	k.mu.RUnlock()
	if !there || e.counted || !now.Before(e.until) || e.until.Sub(now) > e.life { // the last condition: the clock was set back
		return outcome{}, false
	}
	return e.outcome, true
}

// counted reports whether the key is known to have a rate limit of its own.
func (k *kept) counted(what trade) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.entries[what].counted
}

// put caches an outcome and replaces an earlier one.
func (k *kept) put(what trade, o outcome, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.entries == nil {
		k.entries, k.refused = map[trade]entry{}, map[trade]entry{}
	}
	e := entry{outcome: o, until: now.Add(o.life)}
	if o.refused != nil {
		delete(k.entries, what)
		keep(k.refused, what, e, maxRefused)
		return
	}
	if o.counted {
		e.token = "" // it was for one request only
	}
	delete(k.refused, what)
	keep(k.entries, what, e, maxKept)
}

// keep adds an entry; beyond most entries it evicts arbitrary others.
func keep(in map[trade]entry, what trade, e entry, most int) {
	in[what] = e
	for other := range in {
		if len(in) <= most {
			return
		}
		if other != what {
			delete(in, other)
		}
	}
}

// drop removes a cached token; false when there was none.
func (k *kept) drop(what trade) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, there := k.entries[what]
	if !there || e.counted {
		return false
	}
	delete(k.entries, what)
	return true
}
