package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// TooManyAttempts is the reason of a message that became a dead letter after too many failures, none of which was final.
const TooManyAttempts = "too_many_attempts"

// FinalError is a failure of one message that a retry cannot cure. In a PartialError it makes the message a dead letter at once.
type FinalError struct {
	Reason string // a word for people and programs, such as an error code; it is shown to administrators
	Err    error
}

func (e *FinalError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *FinalError) Unwrap() error { return e.Err }

// DeadLetter is a message that is not delivered any more unless it is retried (Retry) or its key is enqueued again.
type DeadLetter struct {
	Topic      string
	Key        string
	Reason     string    // of a FinalError, or TooManyAttempts
	Attempts   int       // failed deliveries
	EnqueuedAt time.Time // of the oldest change in it
	FailedAt   time.Time // of the last failure
}

// dead is a message that becomes a dead letter, with the reason.
type dead struct {
	Message
	reason string
}

// DeadLetters returns up to limit dead letters of a topic whose keys come after the given one, in the byte order of their keys.
func DeadLetters(ctx context.Context, q store.Querier, topic, after string, limit int) ([]DeadLetter, error) {
	var rows []struct {
		Key, Reason string
		Attempts    int
		EnqueuedAt  int64 `db:"enqueued_at"`
		FailedAt    int64 `db:"failed_at"`
	}
	err := q.Select(ctx, &rows, `SELECT key, reason, attempts, enqueued_at, failed_at FROM outbox_dead_letters
		WHERE topic = ? AND key > ? ORDER BY key LIMIT ?`, topic, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	out := make([]DeadLetter, len(rows))
	for i, r := range rows {
		out[i] = DeadLetter{
			Topic: topic, Key: r.Key, Reason: r.Reason, Attempts: r.Attempts,
			EnqueuedAt: time.UnixMicro(r.EnqueuedAt).UTC(), FailedAt: time.UnixMicro(r.FailedAt).UTC(),
		}
	}
	return out, nil
}

// CountDeadLetters returns how many dead letters a topic has.
func CountDeadLetters(ctx context.Context, q store.Querier, topic string) (n int64, err error) {
	if err := q.Get(ctx, &n, "SELECT COUNT(*) FROM outbox_dead_letters WHERE topic = ?", topic); err != nil {
		return 0, fmt.Errorf("count dead letters: %w", err)
	}
	return n, nil
}

// Retry turns dead letters of a topic back into messages without failed attempts: those with the given keys or, when keys is nil, the first limit in
// the order of their keys. It returns how many. A pending message of the same key is newer, so it is kept and becomes due. After the commit, call
// Notify.
func Retry(ctx context.Context, tx *store.Tx, topic string, keys []string, limit int) (int, error) {
	if keys == nil {
		if err := tx.Select(ctx, &keys, "SELECT key FROM outbox_dead_letters WHERE topic = ? ORDER BY key LIMIT ?", topic, limit); err != nil {
			return 0, fmt.Errorf("choose dead letters: %w", err)
		}
	}
	// This is the order in which EnqueueKeys writes. As everywhere, the rows of the outbox are locked before those of the dead letters.
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	retried := 0
	for part := range slices.Chunk(keys, rowsPerInsert) {
		n, err := retrySome(ctx, tx, topic, part)
		if err != nil {
			return 0, err
		}
		retried += n
	}
	return retried, nil
}

func retrySome(ctx context.Context, tx *store.Tx, topic string, keys []string) (int, error) {
	args := []any{time.Now().UnixMicro(), topic}
	for _, key := range keys {
		args = append(args, key)
	}
	var back []string
	err := tx.Select(ctx, &back, `INSERT INTO outbox (topic, key, payload, version, lease, due_at, attempts, enqueued_at)
		SELECT topic, key, payload, 1, '', 0, 0, CAST(? AS BIGINT) FROM outbox_dead_letters WHERE topic = ? AND key IN (`+places(len(keys))+`) ORDER BY key
		ON CONFLICT (topic, key) DO UPDATE SET version = outbox.version + 1, due_at = CASE WHEN outbox.lease = '' THEN 0 ELSE outbox.due_at END
		RETURNING key`, args...)
	if err != nil {
		return 0, fmt.Errorf("enqueue dead letters: %w", err)
	}
	if len(back) == 0 {
		return 0, nil
	}
	// Delete only letters whose outbox row this transaction has locked: a letter that another worker has written since must not be lost.
	args = []any{topic}
	for _, key := range back {
		args = append(args, key)
	}
	n, err := tx.Exec(ctx, "DELETE FROM outbox_dead_letters WHERE topic = ? AND key IN ("+places(len(back))+")", args...)
	if err != nil {
		return 0, fmt.Errorf("remove dead letters: %w", err)
	}
	return int(n), nil
}

func places(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// insertDeadLetters turns messages into dead letters. A message that changed since it was claimed deserves a new attempt and stays in the outbox.
func insertDeadLetters(ctx context.Context, tx *store.Tx, lease string, at time.Time, letters []dead) error {
	for part := range slices.Chunk(letters, rowsPerInsert) {
		args := make([]any, 0, 4*len(part)+2)
		for _, d := range part {
			args = append(args, d.Topic, d.Key, d.version, d.reason)
		}
		rows := strings.TrimSuffix(strings.Repeat("(CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT)), ", len(part)), ", ")
		_, err := tx.Exec(ctx, "WITH given_up (topic, key, version, reason) AS (VALUES "+rows+`)
			INSERT INTO outbox_dead_letters (topic, key, payload, reason, attempts, enqueued_at, failed_at)
			SELECT o.topic, o.key, o.payload, g.reason, o.attempts + 1, o.enqueued_at, CAST(? AS BIGINT)
			FROM outbox o JOIN given_up g ON o.topic = g.topic AND o.key = g.key AND o.version = g.version
			WHERE o.lease = ? AND o.lease <> '' ORDER BY o.topic, o.key
			ON CONFLICT (topic, key) DO UPDATE SET payload = excluded.payload, reason = excluded.reason, attempts = excluded.attempts,
				enqueued_at = excluded.enqueued_at, failed_at = excluded.failed_at`, append(args, at.UnixMicro(), lease)...)
		if err != nil {
			return fmt.Errorf("keep dead letters: %w", err)
		}
		gone := make([]Message, len(part))
		for i, d := range part {
			gone[i] = d.Message
		}
		if err := remove(ctx, tx, lease, gone); err != nil {
			return err
		}
	}
	return nil
}

// deleteDeadLetters deletes the dead letters of keys that were delivered after all.
func deleteDeadLetters(ctx context.Context, tx *store.Tx, delivered []Message) error {
	for part := range slices.Chunk(delivered, rowsPerInsert) {
		args := make([]any, 0, 2*len(part))
		for _, m := range part {
			args = append(args, m.Topic, m.Key)
		}
		rows := strings.TrimSuffix(strings.Repeat("(?, ?), ", len(part)), ", ")
		letters := store.Rows{Table: "outbox_dead_letters", Key: []string{"topic", "key"}, Where: "(topic, key) IN (VALUES " + rows + ")", Args: args}
		if err := letters.Lock(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "DELETE FROM outbox_dead_letters WHERE "+letters.Where, args...); err != nil {
			return fmt.Errorf("remove dead letters that were delivered: %w", err)
		}
	}
	return nil
}
