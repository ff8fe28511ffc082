package tsclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// RecordKind is a kind of record that modifies searches.
type RecordKind string

// The kinds. Typesense 30 has sets of synonyms and curations, which the official client does not support yet. Earlier versions have
// synonyms and overrides per collection.
const (
	StopwordSets RecordKind = "stopwords"
	SynonymSets  RecordKind = "synonym_sets"
	CurationSets RecordKind = "curation_sets"
	OwnSynonyms  RecordKind = "synonyms"
	OwnOverrides RecordKind = "overrides"
	Aliases      RecordKind = "aliases"
)

// recordPath returns the path of the records of a kind, or of one of them. collection is set for the kinds that belong to a collection.
func recordPath(kind RecordKind, collection, name string) string {
	path := "/" + string(kind)
	if collection != "" {
		path = "/collections/" + url.PathEscape(collection) + path
	}
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}

// plain sends a request that the official client has no method for.
func (c *Client) plain(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if err := c.direct(ctx, r); err != nil {
		return nil, err
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	return c.doer.Do(r)
}

// Records reads the records of a kind by name, in the engine's form.
func (c *Client) Records(ctx context.Context, kind RecordKind, collection string) (map[string]json.RawMessage, error) {
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodGet, recordPath(kind, collection, ""), nil)
	})
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) != nil { // older kinds are wrapped in an object
		var wrapped map[RecordKind][]json.RawMessage
		if json.Unmarshal(body, &wrapped) != nil {
			return nil, fmt.Errorf("read %s: %w", kind, errBadAnswer)
		}
		list = wrapped[kind]
	}
	all := make(map[string]json.RawMessage, len(list))
	for _, record := range list {
		var head struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		}
		if json.Unmarshal(record, &head) != nil || head.ID+head.Name == "" {
			return nil, fmt.Errorf("read %s: %w", kind, errBadAnswer)
		}
		if kind == SynonymSets || kind == CurationSets || kind == Aliases {
			head.ID = head.Name
		}
		all[head.ID] = record
	}
	return all, nil
}

// PutRecord creates or replaces a record.
func (c *Client) PutRecord(ctx context.Context, kind RecordKind, collection, name string, record json.RawMessage) error {
	_, _, err := c.call(ctx, c.times.Write, always, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodPut, recordPath(kind, collection, name), record)
	})
	return err
}

// DeleteRecord deletes a record.
func (c *Client) DeleteRecord(ctx context.Context, kind RecordKind, collection, name string) error {
	return c.remove(ctx, recordPath(kind, collection, name))
}

// DeleteItem deletes an item of a synonym or curation set.
func (c *Client) DeleteItem(ctx context.Context, kind RecordKind, set, id string) error {
	return c.remove(ctx, recordPath(kind, "", set)+"/items/"+url.PathEscape(id))
}

func (c *Client) remove(ctx context.Context, path string) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodDelete, path, nil)
	})
	return err
}
