// Package password hashes passwords with argon2id and refuses weak ones.
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

// The cost of one hash (OWASP Password Storage Cheat Sheet): about 45 ms of a core and 19 MiB.
const (
	memory  = 19456 // KiB
	passes  = 2
	threads = 1
	saltLen = 16
	sumLen  = 32
)

// queueTime is how long a hash waits for its turn before it is refused as overload.
const queueTime = 2 * time.Second

// Hasher computes at most one hash per processor at a time, so that a flood of sign-ins uses a bounded amount of memory and leaves CPU time to the rest
// of the service.
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

// Acquire waits for a turn; domain.Overloaded when there is none within queueTime. The caller must call release.
func (h *Hasher) Acquire(ctx context.Context) (release func(), err error) {
	return Turn(ctx, h.slots, queueTime)
}

// Turn waits for a free place in turns; domain.Overloaded when there is none within patience. A place that is free after that is still given, so that a
// process that got no CPU time meanwhile does not refuse for that reason alone. The caller must call release.
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

// Overloaded returns the refusal when too many sign-ins are waiting.
func Overloaded() error {
	return domain.Refuse(domain.Overloaded, "Too many sign-ins at once.").After(queueTime)
}

// Hash returns the PHC string of a password's NFC form, so that the password is the same on keyboards that compose letters differently (NIST SP 800-63B,
// section 3.1.1.2). It fails with domain.Overloaded when too many hashes are waiting.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	release, err := h.Acquire(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return encode(norm.NFC.Bytes([]byte(password))), nil
}

// Verify compares a password with its hash. The caller must have acquired a turn. An empty hash stands for an unknown user: the comparison takes as long and
// is always false.
//
// The NFC form is compared first. If it differs from what was typed, the typed bytes are compared too. Whether there is a second comparison depends on the
// input and on the first result, never on whether the user exists: a wrong password takes the same time for known and unknown users.
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

// decode parses a PHC string of argon2id.
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
