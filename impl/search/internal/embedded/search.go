package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/highlight"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/projection"
	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// run is one search under way.
type run struct {
	ctx        context.Context
	engine     *Engine
	collection *Collection
	schema     *schema.Schema
	params     params.Params

	index  *index.Plan
	sort   []ordering.Key
	facets facetAsk
	groups groupAsk
	vector *vectorAsk
	infix  []infixField
	// q is the query after curation; what curation said of documents follows.
	q          string
	pins       []rules.Included
	hidden     []string
	metadata   json.RawMessage
	filterPins bool
	// filtered says that a filter holds, beside the one that hides documents.
	filtered bool
}

// Search carries out one search. The values are its parameters by name.
func (e *Engine) Search(ctx context.Context, collection string, values map[string]string) (*Answer, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, e.limits.SearchTime)
	defer cancel()
	r, err := e.prepare(ctx, collection, values)
	if err != nil {
		return nil, err
	}
	if r.params.Has("search_cutoff_ms") {
		allowed := time.Duration(r.params.Number("search_cutoff_ms")) * time.Millisecond
		if r.index.Cutoff = began.Add(allowed); r.aboveIndex() { // what it reads of documents is of use only when it is whole
			var cut context.CancelFunc
			r.index.Cutoff = time.Time{}
			r.ctx, cut = context.WithTimeout(ctx, allowed)
			defer cut()
		}
	}
	out, err := r.answer()
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil { // search_cutoff_ms is over, and nothing is complete
		out, err = r.cut(), nil
	}
	if err != nil {
		return nil, err
	}
	out.counts = r.params.Flag("enable_analytics") && (out.Page == nil && *out.Offset == 0 || out.Page != nil && *out.Page == 1)
	out.SearchTimeMS.n = time.Since(began).Milliseconds()
	hide(r.params, &out.OutOf, &out.SearchTimeMS)
	return out, nil
}

// Asked tells what an answer is of: the collection by its own name, the query as it was asked, and whether something was found. Pages beyond the first, and searches with enable_analytics=false, are not
// the asking of a query.
func (a *Answer) Asked() (collection, q string, found, counts bool) {
	return a.RequestParams.CollectionName, a.RequestParams.FirstQ, a.Found > 0, a.counts
}

// aboveIndex says that documents are read to answer, and not only those of the page.
func (r *run) aboveIndex() bool {
	return r.late() || r.groups.wanted() || r.vector != nil || slices.ContainsFunc(r.facets.list, func(f facetOf) bool { return f.by != nil })
}

// prepare reads the parameters and makes the plan.
func (e *Engine) prepare(ctx context.Context, collection string, values map[string]string) (*run, error) {
	values, err := e.withPreset(values)
	if err != nil {
		return nil, err
	}
	if collection == "" {
		collection = values["collection"]
	}
	c, err := e.Collection(collection)
	if err != nil {
		return nil, err
	}
	p, err := params.Read(values)
	if err != nil {
		return nil, err
	}
	r := &run{ctx: ctx, engine: e, collection: c, schema: c.schema.Load(), params: p}
	if err := r.plan(); err != nil {
		return nil, err
	}
	if err := r.expand(); err != nil {
		return nil, err
	}
	everything := r.index.Query.All && len(r.index.Query.Excluded) == 0 && !r.filtered && r.vector == nil
	r.facets.strategy(p, everything)
	r.index.FacetsOfAll = everything && r.facets.top && r.index.Filter != nil // but for the hidden: the most frequent values are those of the collection
	return r, nil
}

// cut is the answer of a search whose time is over before it has found anything for sure.
func (r *run) cut() *Answer {
	page, none := 1, []HitAnswer{}
	out := &Answer{FacetCounts: []FacetAnswer{}, Hits: &none, Page: &page, SearchCutoff: true, OutOf: hideable{n: int64(r.collection.idx().Stats().Documents)}}
	out.RequestParams = requestParams{CollectionName: r.schema.Name, FirstQ: r.params.Text("q"), PerPage: r.params.PerPage(), Q: r.q}
	return out
}

func (r *run) answer() (*Answer, error) {
	page, offset, count := r.params.Window()
	out := &Answer{Metadata: r.metadata}
	out.RequestParams = requestParams{CollectionName: r.schema.Name, FirstQ: r.params.Text("q"), PerPage: r.params.PerPage(), Q: r.q}
	if out.Page = &page; page == 0 {
		out.Page, out.Offset = nil, &offset
	}
	if r.groups.wanted() {
		return out, r.grouped(out, offset, count)
	}
	rows, res, err := r.rows(offset, count)
	if err != nil {
		return nil, err
	}
	out.Found, out.OutOf.n, out.SearchCutoff = res.Found, int64(res.OutOf), res.Cut
	hits, err := r.hits(rows, res.Marks)
	if err != nil {
		return nil, err
	}
	out.Hits = &hits
	if err := r.orderFacets(res.Facets); err != nil {
		return nil, err
	}
	out.FacetCounts, err = r.facetAnswers(res.Facets)
	return out, err
}

// facetAnswers shows what was counted.
func (r *run) facetAnswers(results []index.FacetResult) ([]FacetAnswer, error) {
	answers, err := r.facets.answers(results)
	if err == nil && r.params.Text("facet_return_parent") != "" {
		err = r.parents(answers, results)
	}
	return answers, err
}

// row is a document found.
type row struct {
	seq    uint64
	match  *index.Match
	pinned bool
	// at is the row's place in a table.
	at int
	// keys are the values of columnKeys.
	keys []schema.Value
	// distance is that of a vector; fusion is its rank together with that of the words.
	distance *float64
	fusion   float64
}

// everything is a limit beyond every collection.
func (r *run) everything() int { return r.engine.limits.DocumentsPerCollection }

// rows returns the wanted part of what is found, in order, with pinned documents in their places. The index orders and cuts where it can;
// what it can't order it returns whole.
func (r *run) rows(offset, count int) ([]row, index.Result, error) {
	pins, err := r.effectivePins()
	if err != nil {
		return nil, index.Result{}, err
	}
	if r.vector != nil {
		return r.vectorPage(pins, offset, count)
	}
	plan := *r.index
	plan.Facets = r.facets.asks()
	late := r.late()
	switch {
	case late:
		plan.Sort, plan.Limit, plan.Values = byMatch, r.everything(), r.columnKeys()
	case len(pins) > 0:
		plan.Sort, plan.Limit = r.sort, offset+count+len(pins)
	default:
		plan.Sort, plan.Offset, plan.Limit = r.sort, offset, count
	}
	res, err := r.collection.find(r.ctx, plan)
	if err != nil {
		return nil, res, err
	}
	rows := make([]row, len(res.Hits))
	for i, h := range res.Hits {
		rows[i] = row{seq: h.Seq, match: h.Match, keys: h.Values}
	}
	if late {
		if err := r.order(rows); err != nil {
			return nil, res, err
		}
	}
	if len(pins) > 0 {
		found, err := r.foundOf(pins)
		if err != nil {
			return nil, res, err
		}
		res.Found += len(pins) - found
		rows = place(rows, pins)
	}
	if late || len(pins) > 0 {
		rows = rows[min(offset, len(rows)):min(offset+count, len(rows))]
	}
	return rows, res, nil
}

// byMatch is the order below keys that the index can't apply: the text match, then the newest. The collection's own sort field counts only where no
// sort_by is given.
var byMatch = []ordering.Key{{Desc: true}}

// late says that a sort key needs more than the index.
func (r *run) late() bool {
	for _, k := range r.sort {
		if k.Late() {
			return true
		}
	}
	return false
}

// hits reads the documents of a page and shows them. A document that has gone since the search is left out.
func (r *run) hits(rows []row, marks map[string]int) ([]HitAnswer, error) {
	seqs := make([]uint64, len(rows))
	for i, row := range rows {
		seqs[i] = row.seq
	}
	docs, err := r.collection.bySeq(seqs)
	if err != nil {
		return nil, err
	}
	var searched []*schema.Field
	for _, f := range r.index.Fields {
		searched = append(searched, f.Field)
	}
	marker := highlight.New(r.params, r.schema, searched)
	marker.Inside = strings.Join(r.index.Query.Words, "")
	shown := projection.New(r.params.Text("include_fields"), r.params.Text("exclude_fields")).Without(r.schema.HiddenFields())
	out := make([]HitAnswer, 0, len(docs))
	for i, doc := range docs {
		if doc == nil {
			continue
		}
		a := HitAnswer{Curated: rows[i].pinned, Highlight: map[string]any{}, Highlights: []any{}}
		parsed := schema.Document{}
		if marker.Wanted(marks) || r.late() {
			if parsed, err = schema.ParseDocument(doc); err != nil {
				return nil, err
			}
		}
		if marker.Wanted(marks) && !a.Curated {
			m := marker.Mark(parsed, marks, shown)
			a.Highlight, a.Highlights = m.Tree, m.List
		}
		a.GeoDistances = r.distances(parsed)
		if a.Document, err = shown.Apply(doc); err != nil {
			return nil, err
		}
		a.tell(rows[i].match)
		a.VectorDistance = rows[i].distance
		if rows[i].fusion > 0 {
			a.Hybrid = &hybridInfo{rows[i].fusion}
		}
		out = append(out, a)
	}
	return out, nil
}

// distances tells how far a document is from the places that it is ordered by.
func (r *run) distances(doc schema.Document) map[string]int {
	var out map[string]int
	for _, k := range r.sort {
		if k.Geo == nil {
			continue
		}
		if places := filter.Points(doc, k.Geo.Field); len(places) > 0 {
			if out == nil {
				out = map[string]int{}
			}
			out[k.Geo.Field.Name] = int(k.Geo.Nearest(places))
		}
	}
	return out
}

// seqsOf finds documents by their ids; those that there are not are left out.
func (c *Collection) seqsOf(ids []string) (map[string]uint64, error) {
	out := make(map[string]uint64, len(ids))
	err := c.store.Read(c.key, func(tx *docstore.Tx) error {
		for _, id := range ids {
			if seq, ok := tx.Find(id); ok {
				out[id] = seq
			}
		}
		return nil
	})
	return out, err
}
