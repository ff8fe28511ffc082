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

// base is the one row that says where the stored chain begins. It is summed under the chain's key: whoever moves it without the key is found.
type base struct {
	Seq        int64  // of the last event that was archived and removed; 0: none was
	Hash       []byte // of that event
	TargetSeq  int64  `db:"target_seq"`  // up to which event an archive was ordered; never below Seq
	TargetHash []byte `db:"target_hash"` // of that event
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

// baseMigration makes the table of the base.
const baseMigration = 17

// readBaseBeside is readBase for whoever opens a database beside its service, which may be one that an older release has left.
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

// position is what the first stored event follows.
func (b base) position() position {
	if b.Seq == 0 {
		return beginning
	}
	return position{b.Seq, b.Hash}
}

// untouched is the row before anything was ordered. A row that was put back to it is found by the events that are missing then.
func (b base) untouched() bool {
	return b.Seq == 0 && b.TargetSeq == 0 && b.KeyID == 0 && len(b.Hash) == 0 && len(b.TargetHash) == 0 && len(b.MAC) == 0
}

// ofBase is what a sum of the base is of.
const ofBase = "base"

// sumBase is the HMAC that vouches for the base. All its parts have a fixed length.
func (k *key) sumBase(b base) []byte {
	text := bytes.Clone(b.position().hash)
	text = binary.BigEndian.AppendUint64(text, uint64(b.TargetSeq))
	return k.sum(ofBase, b.Seq, append(text, b.TargetHash...))
}

// vouchedBase reads the base and asks the keys about it. good: it is what the last removal left.
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

// ErrArchived says that something asks about events that were archived and removed; errors.As with an *ArchivedError says where the stored trail begins.
var ErrArchived = errors.New("these events were archived")

// ArchivedError is an ErrArchived that says where the stored chain begins.
type ArchivedError struct {
	Before int64 // number of the first stored event
}

// Error implements error.
func (e *ArchivedError) Error() string {
	return fmt.Sprintf("%v: the trail holds those from number %d on", ErrArchived, e.Before)
}

// Unwrap makes it an ErrArchived.
func (e *ArchivedError) Unwrap() error { return ErrArchived }

func (b base) archived() error { return &ArchivedError{Before: b.Seq + 1} }

// Beginning is where a stored chain begins.
type Beginning struct {
	Seq  int64  // of the last event that was archived and removed; 0: none was
	Hash []byte // of that event, which the first stored one follows
	Goal int64  // up to which event removal was ordered; above Seq while it is on its way
}

// StoredFrom returns where a stored chain begins, as its row says. Nothing is verified.
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

// Oldest returns when the oldest stored event was recorded; the zero time when there is none.
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
