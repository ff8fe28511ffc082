package session

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/fountainai/fountain/impl/kms/internal/password"
)

// Lockout: from the fifth failure on every further attempt must wait, first 30 seconds, then twice as long each time, at most
// 15 minutes.
const (
	freeAttempts = 4
	firstLock    = 30 * time.Second
	longestLock  = 15 * time.Minute
)

// locks returns the lock durations after the failures freeAttempts+1, freeAttempts+2 and so on; the last one applies to all further failures.
func locks() []time.Duration {
	var out []time.Duration
	for lock := firstLock; lock < longestLock; lock *= 2 {
		out = append(out, lock)
	}
	return append(out, longestLock)
}

// identity returns the key that failures are counted by. It is the same for all spellings of a name that a person might take for one, whether or not
// the user exists. It is hashed, since people type passwords into name fields.
func identity(username string) []byte {
	canonical := cases.Fold().String(norm.NFKC.String(username))
	canonical = strings.TrimFunc(canonical, func(r rune) bool { return r == '.' || unicode.IsSpace(r) || unicode.IsControl(r) })
	sum := sha256.Sum256([]byte(canonical))
	return sum[:]
}

// loginQueue serialises the sign-in attempts of one identity. Attempts are counted before they are checked, so without it a person who signs in from
// many places at once could be locked out by attempts that are still being checked.
type loginQueue [256]chan struct{}

func newLoginQueue() *loginQueue {
	var t loginQueue
	for i := range t {
		t[i] = make(chan struct{}, 1)
	}
	return &t
}

// wait waits for the identity's turn; it fails with domain.Overloaded when the turn does not come within turnTime.
func (t *loginQueue) wait(ctx context.Context, identity []byte) (release func(), err error) {
	return password.Turn(ctx, t[identity[0]], turnTime)
}

const turnTime = 2 * time.Second
