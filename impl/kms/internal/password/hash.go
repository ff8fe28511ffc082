// Package password hashes passwords with argon2id and refuses those that everybody tries first.
package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/fountainai/fountain/impl/kms/internal/domain"
)

// Cost of one hash (OWASP Password Storage Cheat Sheet): about 45 ms of a core and 19 MiB.
const (
	memory  = 19456 // KiB
	passes  = 2
	threads = 1
	saltLen = 16
	sumLen  = 32
)

// queueTime is how long a hash waits for its turn before the service says that it has too much to do.
const queueTime = 2 * time.Second

// Hasher hashes with at most as many hashes at once as there are processors, so that a flood of sign-ins costs a bounded amount
// of memory and leaves the rest of the service its share.
type Hasher struct {
	slots chan struct{}
	dummy string
}

// NewHasher returns a Hasher.
func NewHasher() *Hasher {
	h := &Hasher{slots: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)))}
	h.dummy = encode([]byte(rand.Text()))
	return h
}

// Acquire waits for a turn; overloaded when it does not come in time. The caller releases it.
func (h *Hasher) Acquire(ctx context.Context) (release func(), err error) {
	return Turn(ctx, h.slots, queueTime)
}

// Turn waits for a place in turns; overloaded when none comes in time. A place that is free is given however late it is: a process that got no processor for so long
// refuses nobody for that. The caller releases it.
func Turn(ctx context.Context, turns chan struct{}, patience time.Duration) (release func(), err error) {
	release = func() { <-turns }
	wait := time.NewTimer(patience)
	defer wait.Stop()
	select {
	case turns <- struct{}{}:
		return release, nil
	case <-wait.C:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a turn: %w", ctx.Err())
	}
	select {
	case turns <- struct{}{}:
		return release, nil
	default:
		return nil, Overloaded()
	}
}

// Overloaded is the refusal when too many sign-ins wait.
func Overloaded() error {
	return domain.Refuse(domain.Overloaded, "Too many sign-ins at once.").After(queueTime)
}

// Hash returns the PHC string of a password, in Unicode's form NFC: a keyboard that composes letters differently types the same password
// (NIST SP 800-63B, section 3.1.1.2).
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	release, err := h.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return encode(norm.NFC.Bytes([]byte(password))), nil
}

// Verify compares in a turn that the caller has acquired. An empty hash stands for nobody: it takes as long and is never right.
//
// The NFC form is compared first. When it is not what was typed, the typed bytes are compared too. Whether there is a second comparison
// depends on what was typed and on the answer to the first, never on whether the user exists: a wrong password costs the same for anybody and
// nobody.
func (h *Hasher) Verify(password, phc string) bool {
	nobody := phc == ""
	if nobody {
		phc = h.dummy
	}
	p, err := decode(phc)
	if err != nil {
		return false
	}
	right := p.matches(norm.NFC.Bytes([]byte(password)))
	if !right && !norm.NFC.IsNormalString(password) {
		right = p.matches([]byte(password)) // version 0.1 hashed what was typed
	}
	return right && !nobody
}

func (p parameters) matches(password []byte) bool {
	sum := argon2.IDKey(password, p.salt, p.time, p.memory, p.threads, uint32(len(p.sum)))
	return subtle.ConstantTimeCompare(sum, p.sum) == 1
}

func encode(password []byte) string {
	salt := make([]byte, saltLen)
	rand.Read(salt) // never fails (crypto/rand)
	sum := argon2.IDKey(password, salt, passes, memory, threads, sumLen)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, threads,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(sum))
}

type parameters struct {
	memory, time uint32
	threads      uint8
	salt, sum    []byte
}

// decode reads a PHC string of argon2id.
func decode(phc string) (p parameters, err error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return p, fmt.Errorf("password hash is not argon2id")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); err != nil {
		return p, fmt.Errorf("password hash has no parameters")
	}
	if p.salt, err = base64.RawStdEncoding.Strict().DecodeString(parts[4]); err != nil {
		return p, fmt.Errorf("password hash has no salt")
	}
	if p.sum, err = base64.RawStdEncoding.Strict().DecodeString(parts[5]); err != nil {
		return p, fmt.Errorf("password hash has no sum")
	}
	if p.memory > 1<<20 || p.time > 16 || p.time < 1 || p.threads < 1 || len(p.sum) < 16 {
		return p, fmt.Errorf("password hash has parameters out of bounds")
	}
	return p, nil
}
