package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/fountainai/fountain/internal/problem"
)

// SearchOnly is a key of the engine that is to be made. Its value is never part of an error.
type SearchOnly struct {
	Description string   `json:"description"`
	Value       string   `json:"value"`
	Actions     []string `json:"actions"`
	Collections []string `json:"collections"` // regular expressions for whole names
	ExpiresAt   int64    `json:"expires_at"`  // unix seconds
}

// KeyInfo is what the engine tells of a key.
type KeyInfo struct {
	ID          int64  `json:"id"`
	Description string `json:"description"`
	ExpiresAt   int64  `json:"expires_at"`
}

// Denied reports whether the engine's key may not do what was asked for, though it was read anew: it is made for less.
func Denied(err error) bool { return refusesKey(err) }

// CreateKey makes a key. Problem: already_exists, when there is one of its value.
func (e *Engine) CreateKey(ctx context.Context, k SearchOnly) error {
	body, err := json.Marshal(k)
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	err = e.again(ctx, func() error { return e.client.CreateKey(ctx, body) })
	if errors.Is(err, problem.ValidationFailed) { // nothing of it is a caller's
		return problem.New(problem.BadUpstream, "The search engine refuses keys for searching.")
	}
	return err
}

// Keys reads the keys that were made, without their values.
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
