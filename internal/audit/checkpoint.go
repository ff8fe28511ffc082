package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// ErrSignature means that a checkpoint is not one of this chain: it has another signature, key or service.
var ErrSignature = errors.New("the checkpoint is not signed by this audit chain")

// ErrTampered means that the chain was changed. Nothing of such a chain is signed.
var ErrTampered = errors.New("the audit chain does not hold")

// Checkpoint is the signed end of a service's chain at one moment (Ed25519, RFC 8032). A copy that is stored elsewhere proves later whether the chain
// still contains everything up to that event.
type Checkpoint struct {
	Service   string    `json:"service"`
	Seq       int64     `json:"seq"`
	Hash      []byte    `json:"hash"` // hash of the event with this number; 32 zero bytes when there is no event yet
	At        time.Time `json:"at"`
	KeyID     string    `json:"keyId"` // KeyName of PublicKey
	PublicKey []byte    `json:"publicKey"`
	Signature []byte    `json:"signature"`

	// Source is where the checkpoint comes from, for error messages; "" when nobody said it.
	Source string `json:"-"`
}

// ErrContradiction means that two checkpoints cannot be of the same history: both are signed by the key of the chain, for one event, with different
// hashes. The error that wraps it names the two.
var ErrContradiction = errors.New("two checkpoints contradict each other")

// contradiction returns the error of two checkpoints of one event with different hashes.
func contradiction(one, other Checkpoint) error {
	if other.At.Before(one.At) {
		one, other = other, one
	}
	return fmt.Errorf("%w: %s (signed %s) and %s (signed %s) have different hashes of event %d of %s. The same key signed both, and no trail contains both:"+
		" in between the database was rewritten, an older state of it was put back, or a copy of the service recorded events of its own",
		ErrContradiction, one.name(), second(one.At), other.name(), second(other.At), one.Seq, one.Service)
}

// name returns how an error message calls the checkpoint.
func (c Checkpoint) name() string {
	if c.Source == "" {
		return "a known checkpoint"
	}
	return c.Source
}

func second(at time.Time) string { return at.UTC().Format(time.DateTime + "Z") }

// agree checks checkpoints that were stored elsewhere, before anything is compared with them. It fails with ErrSignature when one is not signed by
// public for the service, and with ErrContradiction when two exclude each other.
func agree(service string, public ed25519.PublicKey, known []Checkpoint) error {
	of := map[int64]Checkpoint{}
	for _, c := range known {
		if c.Service != service || c.Verify(public) != nil {
			return ErrSignature
		}
		if other, found := of[c.Seq]; found && c.Seq > 0 && !bytes.Equal(other.Hash, c.Hash) {
			return contradiction(other, c)
		}
		of[c.Seq] = c
	}
	return nil
}

// text returns the signed bytes.
func (c Checkpoint) text() []byte {
	return fmt.Appendf(nil, "fountain audit checkpoint v1\n%s\n%d\n%s\n%s\n", c.Service, c.Seq, hex.EncodeToString(c.Hash), c.At.UTC().Format(timeLayout))
}

// Verify checks the signature with a public key that the caller trusts. The key in the checkpoint is only a hint which one to use. A wrong signature
// is ErrSignature.
func (c Checkpoint) Verify(public ed25519.PublicKey) error {
	if len(public) != ed25519.PublicKeySize || len(c.Hash) != len(genesis) || !ed25519.Verify(public, c.text(), c.Signature) {
		return ErrSignature
	}
	return nil
}

// Sign signs the checkpoint with a private key, whose public key the checkpoint should contain.
func (c *Checkpoint) Sign(private ed25519.PrivateKey) { c.Signature = ed25519.Sign(private, c.text()) }

func (k *key) checkpoint(service string, seq int64, hash []byte, at time.Time) Checkpoint {
	if seq == 0 {
		hash = make([]byte, len(genesis))
	}
	c := Checkpoint{Service: service, Seq: seq, Hash: hash, At: at.UTC().Truncate(time.Microsecond), KeyID: k.name(), PublicKey: k.public()}
	c.Sign(k.sign)
	return c
}

// Checkpoint signs the present end of the chain. It fails with ErrTampered when the head row is not what the last append wrote.
func (c *Chain) Checkpoint(ctx context.Context) (Checkpoint, error) {
	h, err := c.vouchedHead(ctx, c.db.Read(ctx))
	if err != nil {
		return Checkpoint{}, err
	}
	return c.key.checkpoint(c.Service, h.Seq, h.last(), c.Clock.Now()), nil
}

// vouchedHead reads and verifies the head. It fails with ErrTampered when the row is not what an append wrote, or is older than one that this process
// has seen.
func (c *Chain) vouchedHead(ctx context.Context, q store.Querier) (head, error) {
	known := c.End() // before the read: the chain may grow meanwhile
	h, err := readHead(ctx, q)
	switch {
	case err != nil:
		return head{}, err
	case h.KeyID > c.key.id: // a lower number is not that of another process: the numbers of keys only increase
		return head{}, ErrOtherKey
	case !c.key.vouchesFor(h):
		return head{}, fmt.Errorf("%w: its head was changed", ErrTampered)
	case h.Seq < known:
		return head{}, fmt.Errorf("%w: an older state was put back", ErrTampered)
	}
	return h, nil
}

// holds reports whether the chain still contains what the checkpoint says. It fails with ErrSignature when the checkpoint is not one of this chain,
// and with ErrArchived when its event was archived and removed.
func (c *Chain) holds(ctx context.Context, q store.Querier, known Checkpoint, keys []*key) (bool, error) {
	if !signedByAny(keys, c.Service, known) {
		return false, ErrSignature
	}
	return contains(ctx, q, known)
}

// stillHolds reports whether the chain still contains what a checkpoint says. Events that were archived since do not count as lost, provided that the
// base is intact.
func (c *Chain) stillHolds(ctx context.Context, known Checkpoint) (bool, error) {
	q := c.db.Read(ctx)
	held, err := contains(ctx, q, known)
	if !errors.Is(err, ErrArchived) {
		return held, err
	}
	keys, err := c.keys(ctx, q, c.key.id)
	if err != nil {
		return false, err
	}
	_, good, err := vouchedBase(ctx, q, keys)
	return good, err
}

// contains reports whether the stored chain contains what a checkpoint says. It fails with ErrArchived when the checkpoint's event was archived and
// is not the last archived one.
func contains(ctx context.Context, q store.Querier, known Checkpoint) (bool, error) {
	if known.Seq == 0 {
		return true, nil
	}
	var hash []byte
	err := q.Get(ctx, &hash, "SELECT hash FROM audit_events WHERE seq = ?", known.Seq)
	if errors.Is(err, sql.ErrNoRows) {
		return archivedWith(ctx, q, known)
	}
	if err != nil {
		return false, fmt.Errorf("read audit event: %w", err)
	}
	return bytes.Equal(hash, known.Hash), nil
}

// archivedWith is contains for an event that is not stored.
func archivedWith(ctx context.Context, q store.Querier, known Checkpoint) (bool, error) {
	b, err := readBaseBeside(ctx, q)
	switch {
	case errors.Is(err, ErrTampered):
		return false, nil
	case err != nil:
		return false, err
	case known.Seq < b.Seq:
		return false, b.archived()
	}
	return known.Seq == b.Seq && bytes.Equal(known.Hash, b.Hash), nil
}
