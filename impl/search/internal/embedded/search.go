package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/geo"
	"github.com/fountainai/fountain/impl/search/internal/embedded/highlight"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/projection"
	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// run is the state of one search.
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
	// q is the query after curation. The fields below come from curation, too.
	q          string
	pins       []rules.Included
	hidden     []string
	metadata   json.RawMessage
	filterPins bool
	// filtered reports that there is a filter other than the one that excludes hidden documents.
	filtered bool
	// room is how many bytes the documents of the answer, with their highlights, may still take.
	room *int64
}

// maxAnswer limits the documents of one answer with their highlights, in bytes, because the whole answer is in memory until it is sent.
const maxAnswer = 64 << 20

var errAnswer = &schema.Error{Status: http.StatusUnprocessableEntity, Text: fmt.Sprintf("Rejecting search: the documents of one answer of the embedded engine are at most %d bytes. Ask for fewer documents or fields.", maxAnswer)}

// Search carries out one search. values are its parameters by name.
func (e *Engine) Search(ctx context.Context, collection string, values map[string]string) (*Answer, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, e.limits.SearchTime)
	defer cancel()
	r, err := e.prepare(ctx, collection, values)
	if err != nil {
		return nil, err
	}
	defer r.limit(began)()
	out, err := r.answer()
	if isCut(ctx, err) {
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

// limit makes the search end when search_cutoff_ms have passed since began. The caller must call done at the end.
func (r *run) limit(began time.Time) (done func()) {
	if !r.params.Has("search_cutoff_ms") {
		return func() {}
	}
	r.index.Cutoff = began.Add(time.Duration(r.params.Number("search_cutoff_ms")) * time.Millisecond)
	if !r.aboveIndex() {
		return func() {}
	}
	over := r.index.Cutoff
	r.index.Cutoff = time.Time{} // partial reads of documents are of no use
	r.ctx, done = context.WithDeadline(r.ctx, over)
	return done
}

// isCut reports whether an error means that search_cutoff_ms have passed before anything was complete. ctx is the search's context without
// the cutoff.
func isCut(ctx context.Context, err error) bool {
	return errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
}

// Asked returns what analytics need: the collection by its own name, the query as it was sent, and whether something was found. counts is
// false for pages other than the first and for searches with enable_analytics=false, which are not counted as a query.
func (a *Answer) Asked() (collection, q string, found, counts bool) {
	return a.RequestParams.CollectionName, a.RequestParams.FirstQ, a.Found > 0, a.counts
}

// aboveIndex reports whether the answer needs more documents than those of the page.
func (r *run) aboveIndex() bool {
	return r.late() || r.groups.wanted() || r.vector != nil || slices.ContainsFunc(r.facets.list, func(f facetOf) bool { return f.by != nil })
}

// prepare reads the parameters and builds the plan.
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
	room := int64(maxAnswer)
	r := &run{ctx: ctx, engine: e, collection: c, schema: c.schema.Load(), params: p, room: &room}
	if err := r.plan(); err != nil {
		return nil, err
	}
	if err := r.expand(); err != nil {
		return nil, err
	}
	everything := r.index.Query.All && len(r.index.Query.Excluded) == 0 && !r.filtered && r.vector == nil
	r.facets.strategy(p, everything)
	r.index.FacetsOfAll = everything && r.facets.top && r.index.Filter != nil // apart from hidden documents: the most frequent values are those of the whole collection
	return r, nil
}

// cut returns the answer for a search whose time has run out before it found anything for certain.
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

// facetAnswers converts the counts to the response.
func (r *run) facetAnswers(results []index.FacetResult) ([]FacetAnswer, error) {
	answers, err := r.facets.answers(results)
	if err == nil && r.params.Text("facet_return_parent") != "" {
		err = r.parents(answers, results)
	}
	return answers, err
}

// row is a document that was found.
type row struct {
	seq    uint64
	match  *index.Match
	pinned bool
	// at is the row's index in a table.
	at int
	// keys are the values of columnKeys.
	keys []schema.Value
	// distance is the vector distance. fusion is the combined rank by words and by vector.
	distance *float64
	fusion   float64
}

// everything is a limit that no collection exceeds.
func (r *run) everything() int { return r.engine.limits.DocumentsPerCollection }

// rows returns the requested page of what was found, in order, with pinned documents in their positions. The index sorts and cuts where it
// can. What it can't sort it returns completely.
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

// byMatch is the order in which the index returns documents for sort keys that it can't apply: by text match, then newest first. The
// collection's default sorting field applies only without sort_by.
var byMatch = []ordering.Key{{Desc: true}}

// late reports whether a sort key needs more than the index.
func (r *run) late() bool {
	for _, k := range r.sort {
		if k.Late() {
			return true
		}
	}
	return false
}

// readAtOnce is how many documents of a page are in memory at once, beside what is shown of them.
const readAtOnce = 50

// hits reads and renders the documents of a page. A document that has been deleted since the search is omitted.
func (r *run) hits(rows []row, marks map[string]int) ([]HitAnswer, error) {
	var searched []*schema.Field
	for _, f := range r.index.Fields {
		searched = append(searched, f.Field)
	}
	s := shower{run: r, marks: marks, marker: highlight.New(r.params, r.schema, searched)}
	s.marker.Inside = strings.Join(r.index.Query.Words, "")
	s.shown = projection.New(r.params.Text("include_fields"), r.params.Text("exclude_fields")).Without(r.schema.HiddenFields())
	out := make([]HitAnswer, 0, len(rows))
	for chunk := range slices.Chunk(rows, readAtOnce) {
		seqs := make([]uint64, len(chunk))
		for i, row := range chunk {
			seqs[i] = row.seq
		}
		docs, err := r.collection.bySeq(seqs)
		if err != nil {
			return nil, err
		}
		for i, doc := range docs {
			if doc == nil {
				continue
			}
			if err := r.ctx.Err(); err != nil {
				return nil, err
			}
			a, err := s.show(chunk[i], doc)
			if err != nil {
				return nil, err
			}
			out = append(out, a)
		}
	}
	return out, nil
}

// shower renders the documents of a search.
type shower struct {
	run    *run
	marks  map[string]int
	marker *highlight.Marker
	shown  projection.Projection
}

// show renders one document.
func (s *shower) show(row row, doc []byte) (a HitAnswer, err error) {
	a = HitAnswer{Curated: row.pinned, Highlight: map[string]any{}, Highlights: []any{}}
	parsed := schema.Document{}
	if s.marker.Wanted(s.marks) || s.run.late() {
		if parsed, err = schema.ParseDocument(doc); err != nil {
			return a, err
		}
	}
	before := s.marker.Bytes
	if s.marker.Wanted(s.marks) && !a.Curated {
		m := s.marker.Mark(parsed, s.marks, s.shown)
		a.Highlight, a.Highlights = m.Tree, m.List
	}
	a.GeoDistances = s.run.distances(parsed)
	if a.Document, err = s.shown.Apply(doc); err != nil {
		return a, err
	}
	if *s.run.room -= int64(len(a.Document) + s.marker.Bytes - before); *s.run.room < 0 {
		return a, errAnswer
	}
	a.tell(row.match)
	a.VectorDistance = row.distance
	if row.fusion > 0 {
		a.Hybrid = &hybridInfo{row.fusion}
	}
	return a, nil
}

// distances returns how far a document is from the places of the geo sort keys, in meters.
func (r *run) distances(doc schema.Document) map[string]int {
	var out map[string]int
	for _, k := range r.sort {
		if k.Geo == nil {
			continue
		}
		if places := geo.Points(k.Geo.Field.In(doc).Floats); len(places) > 0 {
			if out == nil {
				out = map[string]int{}
			}
			out[k.Geo.Field.Name] = int(k.Geo.Nearest(places))
		}
	}
	return out
}

// seqsOf returns the sequence numbers of documents by their IDs. Missing documents are omitted.
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
