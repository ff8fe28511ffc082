package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/fountainai/fountain/internal/store"
)

const secretSize = 32

// The kinds of data that an HMAC covers.
const (
	ofEvent = "event"
	ofHead  = "head"
)

// key makes the HMACs of the events from number first on, and signs checkpoints. Both of its keys are derived from one sealed secret.
type key struct {
	id, first int64
	prev      []byte // hash of the event before first
	mac       []byte
	sign      ed25519.PrivateKey
	lost      bool // its secret does not open

	sums sync.Pool // of *hasher with the key mac
}

// newKey creates a key and returns it with its sealed secret.
func newKey(o Options, id, first int64, prev []byte) (*key, []byte, error) {
	secret := make([]byte, secretSize)
	rand.Read(secret) // never fails: crypto/rand ends the program instead
	k := &key{id: id, first: first, prev: prev}
	sealed, err := o.Sealer.Seal(secret, k.context(o.Service))
	if err != nil {
		return nil, nil, fmt.Errorf("seal audit key: %w", err)
	}
	return k, sealed, k.derive(secret)
}

// context binds a sealed key to its place: it does not open for another first event or another previous hash.
func (k *key) context(service string) []byte {
	return fmt.Appendf(nil, "audit key:%s:%d:%d:%x", service, k.id, k.first, k.prev)
}

func (k *key) derive(secret []byte) (err error) {
	if k.mac, err = hkdf.Key(sha256.New, secret, nil, "fountain audit chain v1: sum", 32); err != nil {
		return fmt.Errorf("derive audit key: %w", err)
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, "fountain audit chain v1: sign", ed25519.SeedSize)
	if err != nil {
		return fmt.Errorf("derive audit key: %w", err)
	}
	k.sign = ed25519.NewKeyFromSeed(seed)
	return nil
}

// sum returns the HMAC-SHA-256 over an event, the head or the base.
func (k *key) sum(of string, seq int64, hash []byte) []byte {
	return k.appendSum(make([]byte, 0, sha256.Size), of, seq, hash)
}

func (k *key) appendSum(to []byte, of string, seq int64, hash []byte) []byte {
	h, _ := k.sums.Get().(*hasher)
	if h == nil {
		h = &hasher{Hash: hmac.New(sha256.New, k.mac)}
	}
	defer k.sums.Put(h)
	h.text = binary.BigEndian.AppendUint64(append(h.text[:0], of...), uint64(seq))
	return h.appendTo(to, h.text, hash)
}

func (k *key) public() ed25519.PublicKey { return k.sign.Public().(ed25519.PublicKey) }

// name returns KeyName of the public key.
func (k *key) name() string { return KeyName(k.public()) }

// KeyName returns the name of a public key of checkpoints: the first 16 hexadecimal digits of its SHA-256.
func KeyName(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// keyRow is a stored key.
type keyRow struct {
	ID     int64
	First  int64
	Prev   []byte
	Sealed []byte
}

// maxKeys bounds how many keys are read. A new key is made only when the last one does not open, which is rare.
const maxKeys = 1000

// keys opens the keys of the chain, oldest first. A key that is missing or does not open is in the list, with lost set.
func (c *Chain) keys(ctx context.Context, q store.Querier, newest int64) ([]*key, error) {
	var rows []keyRow
	if err := q.Select(ctx, &rows, "SELECT id, first, prev, sealed FROM audit_keys ORDER BY id LIMIT ?", maxKeys); err != nil {
		return nil, fmt.Errorf("read audit keys: %w", err)
	}
	var keys []*key
	expected := int64(1)
	for _, r := range rows {
		for ; expected < r.ID && expected <= newest; expected++ {
			keys = append(keys, &key{id: expected, lost: true})
		}
		keys = append(keys, c.openKey(r))
		expected = r.ID + 1
	}
	for ; expected <= newest; expected++ {
		keys = append(keys, &key{id: expected, lost: true})
	}
	return keys, nil
}

func (c *Chain) openKey(r keyRow) *key {
	k := &key{id: r.ID, first: r.First, prev: r.Prev}
	secret, err := c.Sealer.Open(r.Sealed, k.context(c.Service))
	k.lost = err != nil || len(secret) != secretSize || k.derive(secret) != nil
	return k
}

// vouches reports whether the key made the HMAC of a stored event.
func (k *key) vouches(r row) bool { return hmac.Equal(r.MAC, k.sum(ofEvent, r.Seq, r.Hash)) }

// vouchesFor reports whether the key made the HMAC of the head.
func (k *key) vouchesFor(h head) bool {
	return !k.lost && h.KeyID == k.id && hmac.Equal(h.MAC, k.sum(ofHead, h.Seq, h.last()))
}

// same reports whether other is this key, with the same place in the chain.
func (k *key) same(other *key) bool {
	return !other.lost && k.id == other.id && other.follows(k.first-1, k.prev) && hmac.Equal(k.mac, other.mac)
}

// follows reports whether the key begins right after the event with this number and hash.
func (k *key) follows(seq int64, hash []byte) bool {
	return k.first == seq+1 && bytes.Equal(k.prev, hash)
}
