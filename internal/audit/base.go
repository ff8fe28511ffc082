package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// base is the row that says where the stored chain begins. It has an HMAC under the chain's key, so a change without the key is detected.
type base struct {
	Seq        int64  // number of the last event that was archived and removed; 0: none was
	Hash       []byte // hash of that event
	TargetSeq  int64  `db:"target_seq"`  // number of the last event whose removal was ordered; never below Seq
	TargetHash []byte `db:"target_hash"` // hash of that event
	KeyID      int64  `db:"key_id"`
	MAC        []byte `db:"mac"`
}

const baseColumns = "seq, hash, target_seq, target_hash, key_id, mac"

func readBase(ctx context.Context, q store.Querier) (b base, err error) {
	err = q.Get(ctx, &b, "SELECT "+baseColumns+" FROM audit_base WHERE id = 1")
	if errors.Is(err, sql.ErrNoRows) {
		return base{}, fmt.Errorf("%w: its base was removed", ErrTampered)
	}
	if err != nil {
		return base{}, fmt.Errorf("read audit base: %w", err)
	}
	return b, nil
}

// baseMigration is the number of the migration that creates the table of the base.
const baseMigration = 17

// readBaseBeside is readBase for a database that is opened without its service, and that an older release may have left without this table. It then
// returns the zero base.
func readBaseBeside(ctx context.Context, q store.Querier) (base, error) {
	b, err := readBase(ctx, q)
	if err == nil || errors.Is(err, ErrTampered) {
		return b, err
	}
	var applied int64
	if again := q.Get(ctx, &applied, "SELECT COUNT(*) FROM goose_db_version WHERE version_id = ? AND is_applied", baseMigration); again == nil && applied == 0 {
		return base{}, nil
	}
	return b, err
}

// position returns the position before the first stored event.
func (b base) position() position {
	if b.Seq == 0 {
		return beginning
	}
	return position{b.Seq, b.Hash}
}

// untouched reports whether the row is in its initial state, before any order. If an attacker resets the row to that state after a removal, the
// missing events reveal it.
func (b base) untouched() bool {
	return b.Seq == 0 && b.TargetSeq == 0 && b.KeyID == 0 && len(b.Hash) == 0 && len(b.TargetHash) == 0 && len(b.MAC) == 0
}

// ofBase is the kind of an HMAC over the base.
const ofBase = "base"

// sumBase returns the HMAC over the base. All parts of its input have a fixed length.
func (k *key) sumBase(b base) []byte {
	text := bytes.Clone(b.position().hash)
	text = binary.BigEndian.AppendUint64(text, uint64(b.TargetSeq))
	return k.sum(ofBase, b.Seq, append(text, b.TargetHash...))
}

// vouchedBase reads the base and verifies it with the keys. good is false when it is not what the last order or removal wrote, or its key does not
// open.
func vouchedBase(ctx context.Context, q store.Querier, keys []*key) (b base, good bool, err error) {
	if b, err = readBase(ctx, q); err != nil {
		if errors.Is(err, ErrTampered) {
			return b, false, nil
		}
		return b, false, err
	}
	return b, b.vouchedBy(keys), nil
}

func (b base) vouchedBy(keys []*key) bool {
	if b.untouched() {
		return true
	}
	if b.TargetSeq < b.Seq || len(b.TargetHash) != len(genesis) || b.Seq > 0 && len(b.Hash) != len(genesis) {
		return false
	}
	for _, k := range keys {
		if k.id == b.KeyID {
			return !k.lost && hmac.Equal(b.MAC, k.sumBase(b))
		}
	}
	return false
}

// ErrArchived means that the requested events were archived and removed. errors.As with an *ArchivedError tells where the stored chain begins.
var ErrArchived = errors.New("these events were archived")

// ArchivedError is an ErrArchived with the place where the stored chain begins.
type ArchivedError struct {
	Before int64 // number of the first stored event
}

// Error implements error.
func (e *ArchivedError) Error() string {
	return fmt.Sprintf("%v: the trail holds those from number %d on", ErrArchived, e.Before)
}

// Unwrap returns ErrArchived.
func (e *ArchivedError) Unwrap() error { return ErrArchived }

func (b base) archived() error { return &ArchivedError{Before: b.Seq + 1} }

// Beginning is where a stored chain begins, and how far removal was ordered.
type Beginning struct {
	Seq  int64  // number of the last event that was archived and removed; 0: none was
	Hash []byte // hash of that event, which the first stored event follows
	Goal int64  // number of the last event whose removal was ordered; above Seq while events are being removed
}

// StoredFrom returns where a stored chain begins, according to its base row. It verifies nothing.
func StoredFrom(ctx context.Context, q store.Querier) (Beginning, error) {
	b, err := readBaseBeside(ctx, q)
	if err != nil {
		return Beginning{}, err
	}
	return b.beginning(), nil
}

func (b base) beginning() Beginning {
	return Beginning{Seq: b.Seq, Hash: bytes.Clone(b.position().hash), Goal: b.TargetSeq}
}

// Oldest returns the time of the oldest stored event; the zero time when there is none.
func Oldest(ctx context.Context, q store.Querier) (time.Time, error) {
	var at int64
	err := q.Get(ctx, &at, "SELECT at FROM audit_events ORDER BY seq LIMIT 1")
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("read oldest audit event: %w", err)
	}
	return time.UnixMicro(at), nil
}
