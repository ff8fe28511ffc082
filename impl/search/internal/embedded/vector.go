package embedded

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// vectorAsk holds a parsed vector_query, which finds the documents with the nearest vectors. The search is exact: the index measures the
// vector of every document that matches the filter.
type vectorAsk struct {
	field *schema.Field
	to    []float64
	// id is the document whose vector is searched for. The document itself is not among the results.
	id        string
	k         int
	threshold float64
	// alpha is the weight of the rank by vector against the rank by words.
	alpha float64
	// found holds the sequence numbers of the documents found, once the search has run.
	found []uint64
}

// defaultAlpha is the documented default of alpha in a hybrid search.
const defaultAlpha = 0.3

// readVector parses "field:([0.1, 0.2], k: 10, distance_threshold: 0.3, alpha: 0.5)" or "field:([], id: x)".
func (r *run) readVector() error {
	text := strings.TrimSpace(r.params.Text("vector_query"))
	if text == "" {
		return nil
	}
	malformed := badRequest("Malformed vector query string.")
	name, rest, ok := strings.Cut(text, ":")
	rest, open := strings.CutPrefix(strings.TrimSpace(rest), "(")
	rest, closed := strings.CutSuffix(rest, ")")
	list, bracket := strings.CutPrefix(strings.TrimSpace(rest), "[")
	numbers, options, ends := strings.Cut(list, "]")
	if !ok || !open || !closed || !bracket || !ends {
		return malformed
	}
	f, known := r.schema.Field(strings.TrimSpace(name))
	if !known || f.NumDim == 0 {
		return badRequest("Field `%s` does not have a vector query index.", strings.TrimSpace(name))
	}
	page, _, _ := r.params.Window()
	v := &vectorAsk{field: f, threshold: math.Inf(1), alpha: defaultAlpha, k: max(page, 1) * r.params.PerPage()}
	for item := range strings.SplitSeq(numbers, ",") {
		if item = strings.TrimSpace(item); item == "" {
			continue
		}
		x, err := strconv.ParseFloat(item, 64)
		if err != nil || math.IsNaN(x) || math.Abs(x) > math.MaxFloat32 {
			return malformed
		}
		v.to = append(v.to, x)
	}
	if err := v.options(options); err != nil {
		return err
	}
	if v.id == "" && len(v.to) != f.NumDim {
		return badRequest("Query field `%s` must have %d dimensions.", f.Name, f.NumDim)
	}
	r.vector = v
	return nil
}

// options parses what follows the vector. Options that only tune an approximate index have no effect.
func (v *vectorAsk) options(text string) error {
	malformed := badRequest("Malformed vector query string.")
	for item := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(item) == "" {
			continue
		}
		name, value, ok := strings.Cut(item, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok {
			return malformed
		}
		var err error
		switch name {
		case "id":
			v.id = value
		case "k":
			v.k, err = strconv.Atoi(value)
		case "distance_threshold":
			v.threshold, err = strconv.ParseFloat(value, 64)
		case "alpha":
			v.alpha, err = strconv.ParseFloat(value, 64)
		case "flat_search_cutoff", "ef":
		default:
			return schema.Unsupported("vector_query: " + name)
		}
		if err != nil || v.k < 0 || math.IsNaN(v.threshold) || !(v.alpha >= 0 && v.alpha <= 1) { // NaN is refused too
			return malformed
		}
	}
	return nil
}

// counting returns the plan for facets and groups. For a vector query it covers the nearest documents, and not all that match the filter.
func (r *run) counting() index.Plan {
	plan := *r.index
	if r.vector != nil {
		plan.Query, plan.Among = index.Query{All: true}, r.vector.found
	}
	return plan
}

// vectorPage returns the requested page of the results of a vector query, with pinned documents in their positions.
func (r *run) vectorPage(pins []pin, offset, count int) ([]row, index.Result, error) {
	rows, res, err := r.vectorRows()
	if err == nil && len(r.sort) > 0 {
		err = r.order(rows)
	}
	if err != nil {
		return nil, res, err
	}
	if asks := r.facets.asks(); len(asks) > 0 {
		plan := r.counting()
		plan.Facets, plan.Limit = asks, 0
		counted, err := r.collection.find(r.ctx, plan)
		if err != nil {
			return nil, res, err
		}
		res.Facets, res.Cut = counted.Facets, res.Cut || counted.Cut
	}
	for _, p := range pins {
		if !slices.Contains(r.vector.found, p.seq) {
			res.Found++
		}
	}
	rows = place(rows, pins)
	return rows[min(offset, len(rows)):min(offset+count, len(rows))], res, nil
}

// vectorGrouping is grouping for a vector query. It groups the nearest documents.
func (r *run) vectorGrouping(fields []*schema.Field, byGroup bool) (index.Result, []row, *table, error) {
	rows, res, err := r.vectorRows()
	if err == nil && len(r.sort) > 0 && !byGroup {
		err = r.order(rows)
	}
	if err != nil {
		return res, nil, nil, err
	}
	plan := r.counting()
	plan.Facets, plan.Limit = r.facets.asks(), r.everything()
	counted, listed, values, err := r.tabled(plan, fields, r.groups.held)
	if err != nil {
		return res, nil, nil, err
	}
	at := make(map[uint64]int, len(listed))
	for _, l := range listed {
		at[l.seq] = l.at
	}
	rows = slices.DeleteFunc(rows, func(row row) bool { // deleted between the two searches
		_, there := at[row.seq]
		return !there
	})
	for i := range rows {
		rows[i].at = at[rows[i].seq]
	}
	res.Facets = counted.Facets
	return res, rows, values, nil
}

// vectorRows returns the nearest documents. If the query has words, it returns those that rank highest by words and vector together.
func (r *run) vectorRows() ([]row, index.Result, error) {
	rows, res, err := r.measuredRows()
	r.vector.found = make([]uint64, len(rows)) // not nil, which would mean all documents
	for i, row := range rows {
		r.vector.found[i] = row.seq
	}
	return rows, res, err
}

func (r *run) measuredRows() ([]row, index.Result, error) {
	own, err := r.own()
	if err != nil {
		return nil, index.Result{}, err
	}
	plan := *r.index
	plan.Limit, plan.Values = r.everything(), r.columnKeys()
	if plan.Query.All {
		plan.Near = r.near()
	}
	res, err := r.collection.find(r.ctx, plan)
	if err != nil {
		return nil, res, err
	}
	if plan.Query.All {
		nearest, err := r.nearest(res.Hits, own)
		res.Found = len(nearest)
		return nearest, res, err
	}
	byWords := make([]row, len(res.Hits))
	for i, h := range res.Hits {
		byWords[i] = row{seq: h.Seq, match: h.Match, keys: h.Values}
	}
	plan.Query, plan.Near = index.Query{All: true}, r.near()
	filtered, err := r.collection.find(r.ctx, plan)
	if err != nil {
		return nil, res, err
	}
	nearest, err := r.nearest(filtered.Hits, own)
	cut := res.Cut || filtered.Cut
	if err == nil && r.params.Flag("rerank_hybrid_matches") {
		var late bool
		byWords, nearest, late, err = r.both(byWords, nearest, filtered.Hits)
		cut = cut || late
	}
	if err != nil {
		return nil, res, err
	}
	fused := r.fuse(byWords, nearest)
	res.Found, res.Cut = len(fused), cut
	return fused, res, nil
}

// both implements rerank_hybrid_matches. As documented (vector search, "Re-ranking Hybrid Matches"), documents found by words only get the
// distance of their vectors, documents found by vector only get a text match, and all are ranked by both. The documentation does not
// mention further results. It also leaves open the value of that text match, and what applies to a document without a vector. Here the text
// match is that of the words that the document contains, or 0 without any. A document without a vector, or without any of the words, has no
// rank in the respective order. cut reports that there was not enough time for all matches.
func (r *run) both(byWords, nearest []row, all []index.Hit) (words, vectors []row, cut bool, err error) {
	distances := make(map[uint64]*float64, len(all))
	for i := range all {
		if d := all[i].Distance; all[i].Measured && !math.IsNaN(d) && !math.IsInf(d, 0) {
			distances[all[i].Seq] = &all[i].Distance
		}
	}
	words, vectors = slices.Clone(byWords), slices.Clone(nearest)
	found, near := make(map[uint64]bool, len(words)), make(map[uint64]bool, len(nearest))
	for _, row := range nearest {
		near[row.seq] = true
	}
	for i := range words {
		row := &words[i]
		if found[row.seq] = true; !near[row.seq] && distances[row.seq] != nil {
			row.distance = distances[row.seq]
			vectors = append(vectors, *row)
		}
	}
	plan := *r.index
	plan.Values, plan.Among = r.columnKeys(), []uint64{}
	for _, row := range nearest {
		if !found[row.seq] {
			plan.Among = append(plan.Among, row.seq)
		}
	}
	plan.Limit = len(plan.Among)
	plan.DropThreshold, plan.TypoThreshold = plan.Limit, plan.Limit // until all are found, or nothing remains to be tried
	res, err := r.collection.find(r.ctx, plan)
	if err != nil {
		return nil, nil, false, err
	}
	for _, h := range res.Hits {
		found[h.Seq] = true
		words = append(words, row{seq: h.Seq, match: h.Match, keys: h.Values, distance: distances[h.Seq]})
	}
	for i := range vectors {
		if !found[vectors[i].seq] {
			vectors[i].match = &index.Match{} // contains none of the words
		}
	}
	slices.SortStableFunc(words, func(a, b row) int { return cmp.Compare(score(b.match), score(a.match)) })
	slices.SortStableFunc(vectors, func(a, b row) int { return cmp.Compare(*a.distance, *b.distance) })
	return words, vectors, res.Cut, nil
}

// score returns the score of a match, or 0 if there is none.
func score(m *index.Match) uint64 {
	if m == nil {
		return 0
	}
	return m.Score
}

// near returns how the index measures vectors.
func (r *run) near() *index.Near {
	to, inner := r.vector.to, r.vector.field.Distance == "ip"
	return &index.Near{Field: r.vector.field, Distance: func(v []float32) float64 { return distance(v, to, inner) }}
}

// none is a sequence number that no document has.
const none = math.MaxUint64

var errNoVector = badRequest("Document id referenced in vector query is not found.")

// own sets the vector to that of the document that the query names, and returns the document's sequence number.
func (r *run) own() (uint64, error) {
	v := r.vector
	if v.id == "" {
		return none, nil
	}
	seqs, err := r.collection.seqsOf([]string{v.id})
	if err != nil {
		return none, err
	}
	seq, ok := seqs[v.id]
	if !ok {
		return none, errNoVector
	}
	docs, err := r.collection.bySeq([]uint64{seq})
	if err != nil {
		return none, err
	}
	if docs[0] == nil {
		return none, errNoVector
	}
	doc, err := schema.ParseDocument(docs[0])
	if err != nil {
		return none, fmt.Errorf("read stored document: %w", err)
	}
	if v.to = numbers(doc[v.field.Name]); len(v.to) != v.field.NumDim {
		return none, errNoVector
	}
	return seq, nil
}

// nearest returns the documents sorted by distance, at most k, none beyond the threshold, and without the document whose vector is searched
// for. That document must match the filter too. Otherwise the distances would reveal something about a document that the caller may not
// see.
func (r *run) nearest(hits []index.Hit, own uint64) ([]row, error) {
	v, seen := r.vector, own == none
	var near []int // indexes into hits
	for i := range hits {
		h := &hits[i]
		if h.Seq == own {
			seen = true
			continue
		}
		// Numbers beyond the range of 32 bits have no distance.
		if h.Measured && h.Distance <= v.threshold && !math.IsInf(h.Distance, 0) {
			near = append(near, i)
		}
	}
	if !seen {
		return nil, errNoVector
	}
	slices.SortFunc(near, func(a, b int) int { return cmp.Or(cmp.Compare(hits[a].Distance, hits[b].Distance), cmp.Compare(a, b)) })
	var out []row
	for _, i := range near[:min(len(near), v.k)] {
		h := hits[i]
		out = append(out, row{seq: h.Seq, match: h.Match, keys: h.Values, distance: &h.Distance})
	}
	return out, nil
}

// numbers returns a vector from a document, with the precision of the index.
func numbers(raw any) []float64 {
	list, _ := raw.([]any)
	out := make([]float64, 0, len(list))
	for _, v := range list {
		n, _ := v.(json.Number)
		x, err := n.Float64()
		if err != nil {
			return nil
		}
		out = append(out, float64(float32(x)))
	}
	return out
}

// distance returns 1 minus the cosine of the angle, or with inner 1 minus the inner product.
func distance(a []float32, b []float64, inner bool) float64 {
	var dot, aa, bb float64
	for i, y := range b[:len(a)] {
		x := float64(a[i])
		dot, aa, bb = dot+x*y, aa+x*x, bb+y*y
	}
	if inner {
		return 1 - dot
	}
	if aa == 0 || bb == 0 {
		return 1
	}
	return max(0, 1-dot/math.Sqrt(aa*bb))
}

// fuse sorts the documents of both lists by the documented rank fusion: (1-alpha)/rank by words + alpha/rank by vector.
func (r *run) fuse(byWords, byVector []row) []row {
	at := map[uint64]int{}
	var out []row
	add := func(list []row, weight float64) {
		for i, row := range list {
			n, ok := at[row.seq]
			if !ok {
				n = len(out)
				at[row.seq] = n
				out = append(out, row)
			}
			if row.distance != nil {
				out[n].distance = row.distance
			}
			out[n].fusion += weight / float64(i+1)
		}
	}
	add(byWords, 1-r.vector.alpha)
	add(byVector, r.vector.alpha)
	slices.SortStableFunc(out, func(a, b row) int { return cmp.Compare(b.fusion, a.fusion) })
	return out
}
