package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/internal/problem"
)

// SearchOnly is the definition of a new key of the engine. Its value never appears in an error.
type SearchOnly struct {
	Description string   `json:"description"`
	Value       string   `json:"value"`
	Actions     []string `json:"actions"`
	Collections []string `json:"collections"` // regular expressions for whole names
	ExpiresAt   int64    `json:"expires_at"`  // Unix seconds
}

// KeyInfo is what the engine returns about a key.
type KeyInfo struct {
	ID          int64  `json:"id"`
	Description string `json:"description"`
	ExpiresAt   int64  `json:"expires_at"`
}

// Denied reports whether the engine's current key, read afresh, lacks the permission for a call.
func Denied(err error) bool { return refusesKey(err) }

// CreateKey creates a key. Problem: already_exists if a key with the same value exists.
func (e *Engine) CreateKey(ctx context.Context, k SearchOnly) error {
	body, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	err = e.again(ctx, func() error { return e.client.CreateKey(ctx, body) })
	if errors.Is(err, problem.ValidationFailed) { // no part of the key comes from a caller
		return problem.New(problem.BadUpstream, "The search engine refuses keys for searching.")
	}
	return err
}

// Keys lists the existing keys, without their values.
func (e *Engine) Keys(ctx context.Context) (list []KeyInfo, err error) {
	err = e.again(ctx, func() error {
		body, err := e.client.Keys(ctx)
		if err != nil {
			return err
		}
		var told struct {
			Keys []KeyInfo `json:"keys"`
		}
		err = decode(body, &told)
		list = told.Keys
		return err
	})
	return list, err
}

// DeleteKey removes a key. Problem: not_found.
func (e *Engine) DeleteKey(ctx context.Context, id int64) error {
	return e.again(ctx, func() error { return e.client.DeleteKey(ctx, id) })
}
