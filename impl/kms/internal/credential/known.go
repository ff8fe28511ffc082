package credential

import (
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/auth"
)

const (
	// knownFor is how long a verdict is used without reading the row again. Changes that the revocation feed does not carry, such as a new expiry or new
	// scopes, apply on every replica after this time.
	knownFor = time.Second
	// maxKnown bounds the number of cached verdicts.
	maxKnown = 10_000
)

// known caches the verdicts on valid keys by the full text of the key. The map compares the text in full, and hashes it with its own random seed. Each hit
// consults the revocation feed, so that an ended key or owner is refused at once.
type known struct {
	endings auth.Revocations

	mu        sync.RWMutex
	verdicts  map[string]*kept
	forgotten int64 // number of calls of forget
}

type kept struct {
	verdict Verdict
	read    time.Time // has a monotonic clock reading
	stands  auth.Principal
}

func newKnown(endings auth.Revocations) *known {
	return &known{endings: endings, verdicts: map[string]*kept{}}
}

// moment records when the reading of a row began.
type moment struct {
	at        time.Time
	forgotten int64
}

func (k *known) begin() moment {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return moment{time.Now(), k.forgotten}
}

// get returns the verdict on a key that was read less than knownFor ago, has not expired at now, and has not been revoked since.
func (k *known) get(text string, now time.Time) (Verdict, bool) {
	k.mu.RLock()
	one := k.verdicts[text]
	k.mu.RUnlock()
	if one == nil || time.Since(one.read) >= knownFor || !now.Before(one.verdict.Key.ExpiresAt) {
		return Verdict{}, false
	}
	if ended, err := k.endings.Revoked(&one.stands); ended || err != nil {
		return Verdict{}, false // check then reads the row, which has the reason
	}
	return one.verdict, true
}

// put caches the verdict on a valid key, unless a key was dropped while its row was read: the row may be outdated then.
func (k *known) put(text string, v Verdict, read moment) {
	one := &kept{v, read.at, auth.Principal{Kind: v.Owner.Kind, Subject: v.Owner.ID, ClientID: v.Key.ID, Epoch: v.Owner.Epoch}}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.forgotten != read.forgotten {
		return
	}
	if len(k.verdicts) >= maxKnown {
		clear(k.verdicts)
	}
	k.verdicts[text] = one
}

// forget drops the verdict on a key.
func (k *known) forget(keyID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.forgotten++
	for text, one := range k.verdicts {
		if one.verdict.Key.ID == keyID {
			delete(k.verdicts, text)
		}
	}
}

// sweep drops verdicts older than knownFor.
func (k *known) sweep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for text, one := range k.verdicts {
		if time.Since(one.read) >= knownFor {
			delete(k.verdicts, text)
		}
	}
}
