package credential

import (
	"sync"
	"time"

	"github.com/fountainai/fountain/internal/auth"
)

const (
	// knownFor is how long a verdict is taken for true without its row being read again: what the revocation feed does not tell (a new end,
	// new scopes) holds on every replica after it.
	knownFor = time.Second
	// maxKnown bounds the verdicts that are kept.
	maxKnown = 10_000
)

// known keeps verdicts of good keys by the whole text of the key: a map compares it in full, under a seed of its own. Each hit asks the
// revocation feed, so that an ended key or owner is refused at once.
type known struct {
	endings auth.Revocations

	mu        sync.RWMutex
	verdicts  map[string]*kept
	forgotten int64 // how often something was forgotten
}

type kept struct {
	verdict Verdict
	read    time.Time // with the monotonic clock
	stands  auth.Principal
}

func newKnown(endings auth.Revocations) *known {
	return &known{endings: endings, verdicts: map[string]*kept{}}
}

// moment is when the reading of a row began.
type moment struct {
	at        time.Time
	forgotten int64
}

func (k *known) begin() moment {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return moment{time.Now(), k.forgotten}
}

// get returns the verdict on a key that was read less than knownFor ago, that has not expired at now, and that has not ended since.
func (k *known) get(text string, now time.Time) (Verdict, bool) {
	k.mu.RLock()
	one := k.verdicts[text]
	k.mu.RUnlock()
	if one == nil || time.Since(one.read) >= knownFor || !now.Before(one.verdict.Key.ExpiresAt) {
		return Verdict{}, false
	}
	if ended, err := k.endings.Revoked(&one.stands); ended || err != nil {
		return Verdict{}, false // its row says why
	}
	return one.verdict, true
}

// put keeps the verdict on a good key, unless something was forgotten while its row was read.
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

// sweep drops what is too old to be used.
func (k *known) sweep() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for text, one := range k.verdicts {
		if time.Since(one.read) >= knownFor {
			delete(k.verdicts, text)
		}
	}
}
