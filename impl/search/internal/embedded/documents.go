package embedded

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func (e *Engine) postDocument(w http.ResponseWriter, r *request) {
	act := create
	var err error
	if r.params.Has("action") {
		act, err = parseAction(r.param("action"))
	}
	if err != nil {
		e.fail(w, err)
		return
	}
	e.writeOne(w, r, http.StatusCreated, write{action: act})
}

func (e *Engine) patchDocument(w http.ResponseWriter, r *request) {
	e.writeOne(w, r, http.StatusOK, write{action: update, id: r.parts[3]})
}

func (e *Engine) writeOne(w http.ResponseWriter, r *request, status int, change write) {
	c, err := e.collection(r.parts[1])
	if err != nil {
		e.fail(w, err)
		return
	}
	if change.line, err = e.body(w, r, e.limits.DocumentBytes+1024); err != nil {
		e.fail(w, err)
		return
	}
	change.dirty = r.param("dirty_values")
	e.report(w, status, c, change)
}

// report carries out one write and shows the document.
func (e *Engine) report(w http.ResponseWriter, status int, c *collection, change write) {
	results, err := c.apply([]write{change})
	if err == nil {
		err = results[0].err
	}
	if err != nil {
		e.fail(w, err)
		return
	}
	reply(w, status, json.RawMessage(results[0].doc))
}

func (e *Engine) getDocument(w http.ResponseWriter, r *request) {
	c, err := e.collection(r.parts[1])
	if err != nil {
		e.fail(w, err)
		return
	}
	doc, err := c.get(r.parts[3])
	if err == nil {
		doc, err = newProjection(r.param("include_fields"), r.param("exclude_fields")).apply(doc)
	}
	if err != nil {
		e.fail(w, err)
		return
	}
	reply(w, http.StatusOK, json.RawMessage(doc))
}

func (e *Engine) deleteDocument(w http.ResponseWriter, r *request) {
	c, err := e.collection(r.parts[1])
	if err != nil {
		e.fail(w, err)
		return
	}
	if r.param("ignore_not_found") == "true" {
		if _, err := c.get(r.parts[3]); err != nil && e.refusal(err).Status == http.StatusNotFound {
			reply(w, http.StatusOK, map[string]string{"id": r.parts[3]})
			return
		}
	}
	e.report(w, http.StatusOK, c, write{remove: true, id: r.parts[3]})
}

var errFilterWanted = &schema.Error{Status: http.StatusBadRequest, Text: "Parameter `filter_by` must be provided."}

// deleteDocuments deletes by filter. An empty filter deletes nothing; only truncate empties a collection.
func (e *Engine) deleteDocuments(w http.ResponseWriter, r *request) {
	c, err := e.collection(r.parts[1])
	if err != nil {
		e.fail(w, err)
		return
	}
	truncate := r.param("truncate") == "true"
	if !truncate && !r.params.Has("filter_by") {
		e.fail(w, errFilterWanted)
		return
	}
	n := 0
	if truncate || r.param("filter_by") != "" {
		n, err = e.overFilter(r.Context(), c, r.param("filter_by"), func(id string) write { return write{remove: true, id: id} })
	}
	if err != nil {
		e.fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]int{"num_deleted": n})
}

// patchDocuments updates by filter.
func (e *Engine) patchDocuments(w http.ResponseWriter, r *request) {
	c, err := e.collection(r.parts[1])
	if err != nil {
		e.fail(w, err)
		return
	}
	if !r.params.Has("filter_by") || r.param("filter_by") == "" {
		e.fail(w, errFilterWanted)
		return
	}
	body, err := e.body(w, r, e.limits.DocumentBytes)
	if err != nil {
		e.fail(w, err)
		return
	}
	if _, err := schema.ParseDocument(body); err != nil {
		e.fail(w, err)
		return
	}
	n, err := e.overFilter(r.Context(), c, r.param("filter_by"), func(id string) write {
		return write{action: update, id: id, line: body, dirty: r.param("dirty_values")}
	})
	if err != nil {
		e.fail(w, err)
		return
	}
	reply(w, http.StatusOK, map[string]int{"num_updated": n})
}

// overFilter writes something for each document that a filter lets through and counts the successes. Each chunk is a
// transaction of its own.
func (e *Engine) overFilter(ctx context.Context, c *collection, text string, change func(id string) write) (int, error) {
	found, err := e.selected(ctx, c, text)
	if err != nil {
		return 0, err
	}
	done := 0
	for len(found) > 0 {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		chunk := found[:min(len(found), chunkDocs)]
		found = found[len(chunk):]
		writes, err := c.identify(chunk, change)
		if err != nil {
			return done, err
		}
		results, err := c.apply(writes)
		if err != nil {
			return done, err
		}
		for _, r := range results {
			if r.err == nil {
				done++
			}
		}
	}
	return done, nil
}

// selected returns the numbers of the documents that a filter lets through, in the order of insertion.
func (e *Engine) selected(ctx context.Context, c *collection, text string) ([]uint64, error) {
	s := c.schema.Load()
	node, err := filter.Parse(text, s, filter.Options{})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.limits.SearchTime)
	defer cancel()
	res, err := c.find(ctx, index.Plan{
		Schema: &schema.Schema{}, Query: index.Query{All: true}, Filter: node, Limit: e.limits.DocumentsPerCollection, FilterCandidates: defaultCandidates,
	})
	if err != nil {
		return nil, err
	}
	out := make([]uint64, len(res.Hits))
	for i, h := range res.Hits {
		out[len(out)-1-i] = h.Seq
	}
	return out, nil
}

// identify makes the writes for documents by number; those that have gone are left out.
func (c *collection) identify(seqs []uint64, change func(id string) write) ([]write, error) {
	docs, err := c.bySeq(seqs)
	if err != nil {
		return nil, err
	}
	var writes []write
	for _, stored := range docs {
		if stored == nil {
			continue
		}
		doc, err := schema.ParseDocument(stored)
		if err != nil {
			return nil, err
		}
		id, _ := doc["id"].(string)
		writes = append(writes, change(id))
	}
	return writes, nil
}

// exportPage is the number of documents read at once: no read transaction waits for a slow client.
const exportPage = 500

func (e *Engine) exportDocuments(w http.ResponseWriter, r *request) {
	c, err := e.collection(r.parts[1])
	if err != nil {
		e.fail(w, err)
		return
	}
	p := newProjection(r.param("include_fields"), r.param("exclude_fields"))
	var next func() ([][]byte, error)
	if r.param("filter_by") != "" {
		found, err := e.selected(r.Context(), c, r.param("filter_by"))
		if err != nil {
			e.fail(w, err)
			return
		}
		next = c.pagesOf(found)
	} else {
		next = c.pages()
	}
	w.Header().Set("Content-Type", contentText)
	for first := true; ; {
		docs, err := next()
		if err != nil || r.Context().Err() != nil {
			panic(http.ErrAbortHandler) // the status has gone out: only a broken connection tells
		}
		if docs == nil {
			return
		}
		for _, doc := range docs {
			line, err := p.apply(doc)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			if !first {
				line = append([]byte("\n"), line...)
			}
			first = false
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}
}

// pagesOf reads the documents with the numbers, page by page; nil is the end.
func (c *collection) pagesOf(seqs []uint64) func() ([][]byte, error) {
	return func() ([][]byte, error) {
		if len(seqs) == 0 {
			return nil, nil
		}
		chunk := seqs[:min(len(seqs), exportPage)]
		seqs = seqs[len(chunk):]
		docs, err := c.bySeq(chunk)
		out := make([][]byte, 0, len(docs))
		for _, d := range docs {
			if d != nil {
				out = append(out, d)
			}
		}
		return out, err
	}
}

// pages reads all documents, page by page; nil is the end.
func (c *collection) pages() func() ([][]byte, error) {
	from, done := uint64(0), false
	return func() (out [][]byte, err error) {
		if done {
			return nil, nil
		}
		out = [][]byte{}
		err = c.store.Read(c.key, func(tx *docstore.Tx) error {
			var err error
			from, done, err = tx.Scan(from, exportPage, func(_ uint64, doc []byte) error {
				out = append(out, append([]byte(nil), doc...))
				return nil
			})
			return err
		})
		return out, err
	}
}
