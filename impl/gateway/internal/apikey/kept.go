package apikey

import (
	"sync"
	"time"
)

// maxKept bounds the kept outcomes: one has a key and a token, about 1 KiB.
const maxKept = 16384

// outcome is what the kms said of a key for one service.
type outcome struct {
	token   string
	refused error         // set when the kms does not take the key
	counted bool          // the key has a limit of its own: the token is for this request alone
	life    time.Duration // for how long it holds
}

// kept are outcomes by the whole text of the key: a map of Go hashes with a seed of its own and compares in full, so that no other text
// finds an entry.
type kept struct {
	mu      sync.RWMutex
	entries map[trade]entry
}

type entry struct {
	outcome
	until time.Time
}

// get returns the outcome that still holds.
func (k *kept) get(what trade, now time.Time) (outcome, bool) {
	k.mu.RLock()
	e, there := k.entries[what]
	k.mu.RUnlock()
	if !there || e.counted || !now.Before(e.until) || e.until.Sub(now) > e.life { // or the clock was set back
		return outcome{}, false
	}
	return e.outcome, true
}

// counted reports whether the key is known to have a limit of its own.
func (k *kept) counted(what trade) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.entries[what].counted
}

// put keeps an outcome; where there is no room, others make place, whichever the map names first.
func (k *kept) put(what trade, o outcome, now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.entries == nil {
		k.entries = map[trade]entry{}
	}
	if o.counted {
		o.token = "" // for one request alone
	}
	k.entries[what] = entry{outcome: o, until: now.Add(o.life)}
	for other := range k.entries {
		if len(k.entries) <= maxKept {
			return
		}
		if other != what {
			delete(k.entries, other)
		}
	}
}

// drop forgets a token; false when there was none to forget.
func (k *kept) drop(what trade) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	e, there := k.entries[what]
	if !there || e.refused != nil || e.counted {
		return false
	}
	delete(k.entries, what)
	return true
}
