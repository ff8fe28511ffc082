package tsclient

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// RecordKind is a kind of records that change searches.
type RecordKind string

// The kinds. Sets of synonyms and curations are of Typesense 30, which the official client does not know yet; before, each collection has synonyms and overrides of its own.
const (
	StopwordSets RecordKind = "stopwords"
	SynonymSets  RecordKind = "synonym_sets"
	CurationSets RecordKind = "curation_sets"
	OwnSynonyms  RecordKind = "synonyms"
	OwnOverrides RecordKind = "overrides"
	Aliases      RecordKind = "aliases"
)

// recordPath is where the records of a kind are, or one of them. collection is for the kinds that belong to one.
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

// Records reads the records of a kind by their names, as the engine has them.
func (c *Client) Records(ctx context.Context, kind RecordKind, collection string) (map[string]json.RawMessage, error) {
	body, _, err := c.call(ctx, c.times.Search, always, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodGet, recordPath(kind, collection, ""), nil)
	})
	if err != nil {
		return nil, err
	}
	var list []json.RawMessage
	if json.Unmarshal(body, &list) != nil { // in an object, but for the newer kinds
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

// PutRecord makes or replaces a record.
func (c *Client) PutRecord(ctx context.Context, kind RecordKind, collection, name string, record json.RawMessage) error {
	_, _, err := c.call(ctx, c.times.Write, always, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodPut, recordPath(kind, collection, name), record)
	})
	return err
}

// DeleteRecord removes a record.
func (c *Client) DeleteRecord(ctx context.Context, kind RecordKind, collection, name string) error {
	return c.remove(ctx, recordPath(kind, collection, name))
}

// DeleteItem removes an item of a set of synonyms or curations.
func (c *Client) DeleteItem(ctx context.Context, kind RecordKind, set, id string) error {
	return c.remove(ctx, recordPath(kind, "", set)+"/items/"+url.PathEscape(id))
}

func (c *Client) remove(ctx context.Context, path string) error {
	_, _, err := c.call(ctx, c.times.Write, never, func(ctx context.Context) (*http.Response, error) {
		return c.plain(ctx, http.MethodDelete, path, nil)
	})
	return err
}
