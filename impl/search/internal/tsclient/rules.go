package tsclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Kind is a kind of rule that belongs to a collection in Typesense 29 and earlier.
type Kind string

// The kinds.
const (
	Synonyms  Kind = "synonyms"
	Overrides Kind = "overrides"
)

// Rules reads the rules of a collection by their IDs. An engine that keeps rules in named sets (Typesense 30) returns none.
func (c *Client) Rules(ctx context.Context, collection string, kind Kind) (map[string]json.RawMessage, error) {
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		if kind == Synonyms {
			return c.raw.GetSearchSynonyms(ctx, collection)
		}
		return c.raw.GetSearchOverrides(ctx, collection)
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list map[Kind][]map[string]json.RawMessage
	if json.Unmarshal(body, &list) != nil {
		return nil, fmt.Errorf("read %s: %w", kind, errBadAnswer)
	}
	all := make(map[string]json.RawMessage, len(list[kind]))
	for _, rule := range list[kind] {
		var id string
		if json.Unmarshal(rule["id"], &id) != nil || id == "" {
			return nil, fmt.Errorf("read %s: %w", kind, errBadAnswer)
		}
		delete(rule, "id")
		if all[id], err = json.Marshal(rule); err != nil {
			return nil, fmt.Errorf("write %s: %w", kind, err)
		}
	}
	return all, nil
}

// PutRule creates or replaces a rule of a collection.
func (c *Client) PutRule(ctx context.Context, collection string, kind Kind, id string, rule json.RawMessage) error {
	_, _, err := c.call(ctx, c.times.Write, always, func(ctx context.Context) (*http.Response, error) {
		if kind == Synonyms {
			return c.raw.UpsertSearchSynonymWithBody(ctx, collection, id, "application/json", bytes.NewReader(rule))
		}
		return c.raw.UpsertSearchOverrideWithBody(ctx, collection, id, "application/json", bytes.NewReader(rule))
	})
	return err
}

// DeleteRule deletes a rule of a collection.
func (c *Client) DeleteRule(ctx context.Context, collection string, kind Kind, id string) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		if kind == Synonyms {
			return c.raw.DeleteSearchSynonym(ctx, collection, id)
		}
		return c.raw.DeleteSearchOverride(ctx, collection, id)
	})
	return err
}
