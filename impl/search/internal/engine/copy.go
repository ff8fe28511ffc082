package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/typesense/typesense-go/v3/typesense/api"

	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// IDOf returns the ID of a document in the engine's form.
func IDOf(document []byte) (string, error) {
	var doc struct {
		ID string `json:"id"`
	}
	if err := decode(document, &doc); err != nil {
		return "", err
	}
	if doc.ID == "" {
		return "", problem.New(problem.BadUpstream, "The search engine's answer can't be read.")
	}
	return doc.ID, nil
}

// notInherited lists the members of a collection that are output of the engine only, or that this service sets itself.
var notInherited = []string{"created_at", "num_documents", "num_memory_shards", "default_sorting_field", "synonym_sets", "curation_sets"}

// CreateLike creates a collection that inherits the attributes of another one that this service does not know, and those of its fields with
// the same name and type. Problems: those of Create, and unsupported_query if a field can't be copied.
func (e *Engine) CreateLike(ctx context.Context, c Collection, like string) error {
	var source, made struct {
		rest   map[string]json.RawMessage
		fields []map[string]json.RawMessage
	}
	err := e.again(ctx, func() error {
		answer, err := e.client.Collection(ctx, like)
		if err != nil {
			return err
		}
		return errors.Join(decode(answer, &source.rest), decode(source.rest["fields"], &source.fields))
	})
	if err != nil {
		return err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	if err := errors.Join(json.Unmarshal(body, &made.rest), json.Unmarshal(made.rest["fields"], &made.fields)); err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	for _, field := range made.fields {
		for _, old := range source.fields {
			if !bytes.Equal(old["name"], field["name"]) || !bytes.Equal(old["type"], field["type"]) {
				continue
			}
			if name := uncopied(old); name != "" {
				return problem.New(problem.UnsupportedQuery, "A field with `"+name+"` can't be copied.")
			}
			inherit(field, old)
		}
	}
	if made.rest["fields"], err = json.Marshal(made.fields); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	for _, name := range notInherited {
		delete(source.rest, name)
	}
	inherit(made.rest, source.rest)
	if body, err = json.Marshal(made.rest); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return e.again(ctx, func() error {
		_, err := e.client.CreateCollection(ctx, body)
		return err
	})
}

// uncopied returns the attribute that prevents a field from being copied, or "". Such fields get their values from another collection or a
// model, or their values are indexed but not stored.
func uncopied(field map[string]json.RawMessage) string {
	for _, name := range []string{"embed", "reference", "async_reference"} {
		if !blank(field[name]) {
			return name
		}
	}
	if string(field["store"]) == "false" {
		return "store"
	}
	return ""
}

// inherit adds attributes that are missing in to and not blank. The flags that this service sets itself are not inherited.
func inherit(to, from map[string]json.RawMessage) {
	for name, value := range from {
		switch name {
		case "facet", "optional", "index", "sort":
			continue
		}
		if _, own := to[name]; !own && !blank(value) {
			to[name] = value
		}
	}
}

// blank reports whether a value is null, zero or empty.
func blank(value json.RawMessage) bool {
	return slices.Contains([]string{"", "null", `""`, "false", "0", "[]", "{}"}, string(value))
}

// Alter drops fields of a collection and adds others in one step. Problems: validation_failed (a document does not fit), state_conflict
// (another change is under way), engine_unavailable.
func (e *Engine) Alter(ctx context.Context, collection string, drop []string, add []Field) error {
	fields := make([]any, 0, len(drop)+len(add))
	for _, name := range drop {
		fields = append(fields, map[string]any{"name": name, "drop": true})
	}
	for _, f := range add {
		fields = append(fields, f)
	}
	body, err := json.Marshal(map[string]any{"fields": fields})
	if err != nil {
		return fmt.Errorf("write change of schema: %w", err)
	}
	return e.again(ctx, func() error { return e.client.AlterCollection(ctx, collection, body) })
}

// ExportWhole starts to read all documents in the engine's form, with the service's own fields. The export ends with ctx.
func (e *Engine) ExportWhole(ctx context.Context, collection string) (*Export, error) {
	return e.export(ctx, collection, api.ExportDocumentsParams{})
}

// ExportIDs starts to read the IDs of all documents.
func (e *Engine) ExportIDs(ctx context.Context, collection string) (*Export, error) {
	only := "id"
	return e.export(ctx, collection, api.ExportDocumentsParams{IncludeFields: &only})
}

// Add creates documents in the form that ExportWhole returns. A document whose ID exists is left as it is, and counts as success. At most
// ImportDocuments documents of ImportBytes in total may be given.
func (e *Engine) Add(ctx context.Context, collection string, documents [][]byte) ([]Outcome, error) {
	return e.copyIn(ctx, collection, api.Create, documents)
}

// Replace creates or replaces documents in the form that ExportWhole returns.
func (e *Engine) Replace(ctx context.Context, collection string, documents [][]byte) ([]Outcome, error) {
	return e.copyIn(ctx, collection, api.Upsert, documents)
}

// ImportDocuments and ImportBytes limit one import.
const (
	ImportDocuments = importDocuments
	ImportBytes     = importBytes
)

func (e *Engine) copyIn(ctx context.Context, collection string, action api.IndexAction, documents [][]byte) ([]Outcome, error) {
	if len(documents) == 0 {
		return nil, nil
	}
	var lines []tsclient.ImportLine
	err := e.again(ctx, func() (err error) {
		lines, err = e.client.Import(ctx, collection, action, documents)
		return err
	})
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(lines))
	for i, line := range lines {
		if action == api.Create && line.Code == http.StatusConflict {
			continue
		}
		if outcomes[i], err = outcomeOf(line); err != nil {
			return nil, err
		}
	}
	return outcomes, nil
}

// DeleteIDs deletes documents by their IDs at the engine. Missing documents are not an error.
func (e *Engine) DeleteIDs(ctx context.Context, collection string, ids []string) error {
	items := make([]Item, len(ids))
	for i, id := range ids {
		items[i] = Item{ID: id}
	}
	return e.deletes(ctx, collection, items, lastOf(items), new(int))
}

// Documents reads documents by their IDs at the engine, in the form that ExportWhole returns. Documents that don't exist are missing in the
// result.
func (e *Engine) Documents(ctx context.Context, collection string, ids []string) (map[string][]byte, error) {
	found := make(map[string][]byte, len(ids))
	var some []string
	size := 0
	flush := func() error {
		if len(some) == 0 {
			return nil
		}
		filter := "id:=[`" + strings.Join(some, "`,`") + "`]"
		some, size = nil, 0
		return e.collect(ctx, collection, filter, found)
	}
	for _, id := range ids {
		if !plainID.MatchString(id) {
			doc, err := e.Document(ctx, collection, id)
			if err == nil {
				found[id] = doc
			} else if !errors.Is(err, problem.NotFound) {
				return nil, err
			}
			continue
		}
		n := len(url.QueryEscape("`" + id + "`,"))
		if size+n > deletionBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		some, size = append(some, id), size+n
	}
	return found, flush()
}

// collect reads the documents that match a filter.
func (e *Engine) collect(ctx context.Context, collection, filter string, into map[string][]byte) (err error) {
	export, err := e.export(ctx, collection, api.ExportDocumentsParams{FilterBy: &filter})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, export.Close()) }()
	for {
		line, err := export.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		id, err := IDOf(line)
		if err != nil {
			return err
		}
		into[id] = append([]byte(nil), line...)
	}
}

// CopyRules makes a collection have exactly the synonyms and overrides of another one.
func (e *Engine) CopyRules(ctx context.Context, from, to string) error {
	for _, kind := range []tsclient.Kind{tsclient.Synonyms, tsclient.Overrides} {
		var want, has map[string]json.RawMessage
		err := e.again(ctx, func() (err error) {
			if want, err = e.client.Rules(ctx, from, kind); err != nil {
				return err
			}
			has, err = e.client.Rules(ctx, to, kind)
			return err
		})
		if err != nil {
			return err
		}
		for id, rule := range want {
			if bytes.Equal(has[id], rule) {
				continue
			}
			if err := e.again(ctx, func() error { return e.client.PutRule(ctx, to, kind, id, rule) }); err != nil {
				return err
			}
		}
		for id := range has {
			if want[id] != nil {
				continue
			}
			if err := e.again(ctx, func() error { return e.client.DeleteRule(ctx, to, kind, id) }); err != nil {
				return err
			}
		}
	}
	return nil
}
