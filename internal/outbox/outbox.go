// Package outbox delivers to another system what a transaction changed, at least once. The change and its outbox row are one commit; a Worker
// delivers the row later and repeats it as often as needed. A message says what changed, by topic and key: changes of the same key are merged, and
// the deliverer sends the current state, so repeats and reordering do no harm.
package outbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the outbox table (00012).
var Migrations = must(fs.Sub(files, "migrations"))

func must(f fs.FS, err error) fs.FS {
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return f
}

const (
	maxName    = 512       // bytes of a topic or key
	maxPayload = 256 << 10 // bytes
)

const (
	insertMessages = "INSERT INTO outbox (topic, key, payload, version, lease, due_at, attempts, enqueued_at) VALUES "
	messageRow     = "(?, ?, ?, 1, '', 0, 0, ?)"
	// A new state deserves a new attempt at once: its due time and its failures are reset, whatever the old one's were.
	coalesce = ` ON CONFLICT (topic, key) DO UPDATE SET payload = excluded.payload, version = outbox.version + 1, attempts = 0,
		due_at = CASE WHEN outbox.lease = '' THEN 0 ELSE outbox.due_at END`
)

// Enqueue adds a message to the caller's transaction. A pending message with the same topic and key gets the new payload; one that is being delivered
// is delivered again. After the commit, call Notify. The payload is stored as it is and must contain no secret. It may be empty when the deliverer
// reads the current state.
func Enqueue(ctx context.Context, tx *store.Tx, topic, key string, payload []byte) error {
	if topic == "" || len(topic) > maxName || len(key) > maxName || len(payload) > maxPayload {
		return errors.New("outbox message lacks its topic or is too large")
	}
	if payload == nil {
		payload = []byte{}
	}
	_, err := tx.Exec(ctx, insertMessages+messageRow+coalesce, topic, key, payload, time.Now().UnixMicro())
	if err != nil {
		return fmt.Errorf("enqueue outbox message: %w", err)
	}
	return nil
}

// Message is one change to deliver.
type Message struct {
	Topic      string
	Key        string
	Payload    []byte
	Attempts   int       // deliveries of it that failed
	EnqueuedAt time.Time // of the oldest change in it

	version int64
}

// PartialError is returned by a deliverer when only some messages failed. Failed maps their indexes in the batch to their errors, a *FinalError where
// a retry cannot help. All other messages count as delivered.
type PartialError struct{ Failed map[int]error }

func (e *PartialError) Error() string {
	for _, err := range e.Failed {
		return fmt.Sprintf("%d messages were not delivered, one because: %v", len(e.Failed), err)
	}
	return "no message failed"
}

// due holds the times that a claim compares with.
type due struct {
	now   time.Time
	until time.Time // of the new lease
	lease time.Time // a lease that ends later was set by a clock that was ahead, and counts as expired
	pause time.Time // likewise a pause that ends later
}

// claim leases the oldest due messages to one delivery. When there are fewer than limit, it also takes messages that a clock which was ahead has
// postponed or leased.
func claim(ctx context.Context, tx *store.Tx, lease string, d due, limit int) ([]Message, error) {
	var batch []Message
	// Each query is served by one index, so messages that are due later are not read. The unary plus keeps the last query from using outbox_due_at.
	for _, part := range []struct {
		condition, order string
		bound            time.Time
		most             int
	}{
		// A part of each batch is reserved for messages that failed before: otherwise a lasting backlog of new messages, whose time is 0, would
		// starve them.
		{"due_at > 0 AND due_at <= ?", "due_at, enqueued_at, topic, key", d.now, limit / 4},
		{"due_at <= ?", "due_at, enqueued_at, topic, key", d.now, limit},
		{"due_at > ? AND lease = ''", "due_at, enqueued_at, topic, key", d.pause, limit},
		{"lease <> '' AND +due_at > ?", "lease, topic, key", d.lease, limit},
	} {
		if part.most == 0 || len(batch) == limit {
			continue
		}
		some, err := claimWhere(ctx, tx, lease, d.until, min(part.most, limit-len(batch)), part.condition, part.order, part.bound)
		if err != nil {
			return nil, err
		}
		batch = append(batch, some...)
	}
	slices.SortFunc(batch, func(a, b Message) int { // RETURNING promises no order
		if c := a.EnqueuedAt.Compare(b.EnqueuedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Topic+"\x00"+a.Key, b.Topic+"\x00"+b.Key)
	})
	return batch, nil
}

// claimWhere leases up to limit messages that satisfy a condition on a time, in one statement.
func claimWhere(ctx context.Context, tx *store.Tx, lease string, until time.Time, limit int, condition, order string, bound time.Time) ([]Message, error) {
	skip := "" // SQLite has one writer
	if tx.Dialect() == store.PostgreSQL {
		skip = "FOR UPDATE SKIP LOCKED"
	}
	var rows []struct {
		Topic, Key string
		Payload    []byte
		Version    int64
		Attempts   int
		EnqueuedAt int64 `db:"enqueued_at"`
	}
	err := tx.Select(ctx, &rows, `
		WITH due AS MATERIALIZED (
			SELECT topic, key FROM outbox WHERE `+condition+` ORDER BY `+order+` LIMIT ? `+skip+`
		)
		UPDATE outbox SET lease = ?, due_at = ? WHERE (topic, key) IN (SELECT topic, key FROM due)
		RETURNING topic, key, payload, version, attempts, enqueued_at`, bound.UnixMicro(), limit, lease, until.UnixMicro())
	if err != nil {
		return nil, fmt.Errorf("claim outbox messages: %w", err)
	}
	batch := make([]Message, len(rows))
	for i, r := range rows {
		batch[i] = Message{
			Topic: r.Topic, Key: r.Key, Payload: r.Payload, Attempts: r.Attempts,
			EnqueuedAt: time.UnixMicro(r.EnqueuedAt).UTC(), version: r.Version,
		}
	}
	return batch, nil
}

// remove deletes delivered messages, except those that changed since they were claimed or are leased by another worker by now.
func remove(ctx context.Context, tx *store.Tx, lease string, delivered []Message) error {
	if len(delivered) == 0 {
		return nil
	}
	args := []any{lease}
	for _, m := range delivered {
		args = append(args, m.Topic, m.Key, m.version)
	}
	rows := strings.TrimSuffix(strings.Repeat("(?, ?, CAST(? AS BIGINT)), ", len(delivered)), ", ")
	_, err := tx.Exec(ctx, "DELETE FROM outbox WHERE lease = ? AND lease <> '' AND (topic, key, version) IN (VALUES "+rows+")", args...)
	if err != nil {
		return fmt.Errorf("remove outbox messages: %w", err)
	}
	return nil
}

// postpone ends the lease of a message and sets when it is due again. failed is how many failures count against the message. A message that changed
// meanwhile counts as new and is due at once.
func postpone(ctx context.Context, tx *store.Tx, lease string, m Message, until time.Time, failed int) error {
	_, err := tx.Exec(ctx, `UPDATE outbox SET lease = '', due_at = ?, attempts = attempts + ?
		WHERE topic = ? AND key = ? AND version = ? AND lease = ? AND lease <> ''`, until.UnixMicro(), failed, m.Topic, m.Key, m.version, lease)
	if err != nil {
		return fmt.Errorf("postpone outbox message: %w", err)
	}
	return nil
}

// held returns those messages that still have this lease. The others may be leased by another delivery, which then decides about them.
func held(ctx context.Context, tx *store.Tx, lease string, messages []Message) ([]Message, error) {
	var rows []struct{ Topic, Key string }
	if err := tx.Select(ctx, &rows, "SELECT topic, key FROM outbox WHERE lease = ? AND lease <> ''", lease); err != nil {
		return nil, fmt.Errorf("read leased outbox messages: %w", err)
	}
	still := make(map[[2]string]bool, len(rows))
	for _, r := range rows {
		still[[2]string{r.Topic, r.Key}] = true
	}
	return slices.DeleteFunc(slices.Clone(messages), func(m Message) bool { return !still[[2]string{m.Topic, m.Key}] }), nil
}

// leased selects the rows of one delivery. A transaction that changes several of them locks them first, in the order in which EnqueueKeys writes.
func leased(lease string) store.Rows {
	return store.Rows{Table: "outbox", Key: []string{"topic", "key"}, Where: "lease = ? AND lease <> ''", Args: []any{lease}}
}

// release ends the lease on all messages that still have it and makes them due at once.
func release(ctx context.Context, tx *store.Tx, lease string) error {
	if _, err := tx.Exec(ctx, "UPDATE outbox SET lease = '', due_at = 0 WHERE lease = ? AND lease <> ''", lease); err != nil {
		return fmt.Errorf("release outbox messages: %w", err)
	}
	return nil
}
