package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/internal/store"
)

// rowsPerInsert keeps a statement far below the placeholder limits of both databases.
const rowsPerInsert = 1000

// EnqueueKeys is Enqueue for many keys of one topic with empty payloads, in few statements. Keys may repeat. Rows are written in the order of their
// keys, so that two transactions with common keys do not deadlock.
func EnqueueKeys(ctx context.Context, tx *store.Tx, topic string, keys []string) error {
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	if topic == "" || len(topic) > maxName || slices.ContainsFunc(keys, func(k string) bool { return len(k) > maxName }) {
		return errors.New("outbox message lacks its topic or is too large")
	}
	now := time.Now().UnixMicro()
	for part := range slices.Chunk(keys, rowsPerInsert) {
		args := make([]any, 0, 4*len(part))
		for _, key := range part {
			args = append(args, topic, key, []byte{}, now)
		}
		rows := strings.TrimSuffix(strings.Repeat(messageRow+", ", len(part)), ", ")
		if _, err := tx.Exec(ctx, insertMessages+rows+coalesce, args...); err != nil {
			return fmt.Errorf("enqueue outbox messages: %w", err)
		}
	}
	return nil
}
