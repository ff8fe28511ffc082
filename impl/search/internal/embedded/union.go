package embedded

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2/roaring64"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// UnionAnswer is the response to searches whose hits are merged.
type UnionAnswer struct {
	Found         int           `json:"found"`
	Hits          []HitAnswer   `json:"hits"`
	OutOf         hideable      `json:"out_of,omitzero"`
	Page          int           `json:"page"`
	SearchCutoff  bool          `json:"search_cutoff"`
	SearchTimeMS  hideable      `json:"search_time_ms,omitzero"`
	RequestParams []unionParams `json:"union_request_params"`
}

type unionParams struct {
	Collection string `json:"collection"`
	FirstQ     string `json:"first_q"`
	Found      int    `json:"found"`
	PerPage    int    `json:"per_page"`
	Q          string `json:"q"`
}

// united is a row of one of the searches.
type united struct {
	ranked
	search int
	marks  map[string]int
}

// Union carries out searches and merges their hits, sorted by their sort keys and then by search. Paging is set by the common parameters.
// Pins, groups and facets of single searches are ignored (reference, section 9). With once, a document that several searches find appears
// only at its first position and is counted once. next is called before each search, and may wait for a free slot.
func (e *Engine) Union(ctx context.Context, common map[string]string, searches []map[string]string, once bool, next func() error) (*UnionAnswer, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, e.limits.SearchTime)
	defer cancel()
	paging, err := params.Read(common)
	if err != nil {
		return nil, err
	}
	u := &union{paging: paging, answer: &UnionAnswer{}}
	if once {
		u.found = map[*Collection]*roaring64.Bitmap{}
	}
	if _, u.offset, u.count = paging.Window(); u.offset+u.count > max(e.limits.DocumentsPerCollection, spare) {
		return nil, errDeepUnion
	}
	if paging.Has("page") {
		u.answer.Page = paging.Number("page")
	}
	for i, values := range searches {
		if err := next(); err != nil {
			return nil, err
		}
		r, err := e.prepare(ctx, values["collection"], values)
		if err != nil {
			return nil, unknownInUnion(err, values["collection"])
		}
		if r.vector != nil { // distances and text matches can't be sorted together
			return nil, schema.Unsupported("union with vector_query")
		}
		if i > 0 {
			if err := alike(u.runs[0].keys(), r.keys(), i); err != nil {
				return nil, err
			}
			r.room = u.runs[0].room
		}
		done := r.limit(began)
		err = u.add(r)
		done()
		if err != nil && !isCut(ctx, err) {
			return nil, err
		}
		u.answer.SearchCutoff = u.answer.SearchCutoff || err != nil
		r.ctx = ctx
	}
	u.order()
	if u.answer.Hits, err = shownUnited(u.runs, u.all[min(u.offset, len(u.all)):min(u.offset+u.count, len(u.all))]); err != nil {
		return nil, err
	}
	u.answer.SearchTimeMS.n = time.Since(began).Milliseconds()
	return u.answer, nil
}

// union is the state of a union: what the searches so far have found.
type union struct {
	paging        params.Params
	offset, count int
	runs          []*run
	all           []united
	answer        *UnionAnswer
	found         map[*Collection]*roaring64.Bitmap // the documents found, if each may occur only once; otherwise nil
}

// hit identifies a document in a union.
type hit struct {
	of  *Collection
	seq uint64
}

// errDeepUnion refuses a page that is too far down, because all documents of a union up to the end of the page are in memory.
var errDeepUnion = &schema.Error{Status: http.StatusUnprocessableEntity, Text: "Rejecting search: a page of a union ends at most where the largest collection of the embedded engine may end."}

// spare is how many rows beyond those that may be shown are kept before the list is cut.
const spare = 10_000

// add carries out another search.
func (u *union) add(r *run) error {
	before, out := u.runs, u.answer
	u.runs = append(u.runs, r)
	res, list, err := r.unite(len(before), u.offset+u.count, u.found != nil)
	if err != nil {
		res = index.Result{OutOf: r.collection.idx().Stats().Documents}
	}
	if u.all = append(u.all, list...); len(u.all) > 2*(u.offset+u.count)+spare {
		u.order()
		u.all = slices.Clone(u.all[:min(u.offset+u.count, len(u.all))])
	}
	found := res.Found
	if u.found != nil {
		found = u.note(r.collection, res.Hits)
	}
	out.Found += found
	out.SearchCutoff = out.SearchCutoff || res.Cut
	if !slices.ContainsFunc(before, func(o *run) bool { return o.collection == r.collection }) { // a collection counts once
		out.OutOf.n += int64(res.OutOf)
	}
	hide(r.params, &out.OutOf, &out.SearchTimeMS)
	out.RequestParams = append(out.RequestParams, unionParams{r.schema.Name, r.params.Text("q"), res.Found, u.paging.PerPage(), r.q})
	return err
}

// note adds documents to those found, and returns how many of them are new.
func (u *union) note(of *Collection, hits []index.Hit) int {
	set := u.found[of]
	if set == nil {
		set = roaring64.New()
		u.found[of] = set
	}
	before := set.GetCardinality()
	for _, h := range hits {
		set.Add(h.Seq)
	}
	return int(set.GetCardinality() - before) //nolint:gosec // as many as there are hits at the most
}

// order sorts what was found, and removes duplicates if they are not wanted.
func (u *union) order() {
	slices.SortStableFunc(u.all, func(a, b united) int {
		return cmp.Or(compareParts(a.parts, b.parts), cmp.Compare(a.search, b.search), cmp.Compare(b.seq, a.seq))
	})
	if u.found == nil {
		return
	}
	shown := make(map[hit]bool, len(u.all))
	u.all = slices.DeleteFunc(u.all, func(one united) bool {
		at := hit{u.runs[one.search].collection, one.seq}
		before := shown[at]
		shown[at] = true
		return before
	})
}

// shownUnited renders rows of several searches.
func shownUnited(runs []*run, list []united) ([]HitAnswer, error) {
	out := []HitAnswer{}
	for _, u := range list {
		hits, err := runs[u.search].hits([]row{u.row}, u.marks)
		if err != nil {
			return nil, err
		}
		for _, h := range hits {
			h.Collection, h.SearchIndex = runs[u.search].schema.Name, &u.search
			out = append(out, h)
		}
	}
	return out, nil
}

func unknownInUnion(err error, name string) error {
	if err == ErrCollection {
		return &schema.Error{Status: http.StatusNotFound, Text: "`" + name + "` collection not found."}
	}
	return err
}

// keys returns the effective sort keys: those requested, or else the text match and the collection's default sorting field.
func (r *run) keys() []ordering.Key {
	if len(r.sort) > 0 {
		return r.sort
	}
	var keys []ordering.Key
	keys = append(keys, ordering.Key{Desc: true})
	if f, ok := r.schema.Field(r.schema.DefaultSortingField); ok {
		keys = append(keys, ordering.Key{Field: f, Desc: true})
	}
	return keys
}

const (
	unequalSize = "Expected size of `sort_by` parameter of all searches to be equal. The first union search sorts on %s but the search at index `%d` sorts on %s."
	unequalType = "Expected type of `%s` sort_by (%s) at search index `%d` to be the same as the type of `%s` sort_by (%s) at search index `0`."
	unequalWay  = "Expected order of `%s` sort_by at search index `%d` to be the same as that of `%s` at search index `0`."
	// byItself describes the order of a union whose first search has no sort keys.
	byItself = "{`_text_match: text_match`, `_union_search_index: union_query_order`, `_seq_id: insertion_order`}"
)

// alike refuses searches whose hits can't be sorted together.
func alike(first, other []ordering.Key, at int) error {
	if len(first) != len(other) {
		order := described(first)
		if len(first) == 1 && first[0].Field == nil {
			order = byItself
		}
		return badRequest(unequalSize, order, at, described(other))
	}
	for i := range first {
		a, b := first[i], other[i]
		if keyType(a) != keyType(b) {
			return badRequest(unequalType, keyName(b), keyType(b), at, keyName(a), keyType(a))
		}
		if a.Desc != b.Desc {
			return badRequest(unequalWay, keyName(b), at, keyName(a))
		}
	}
	return nil
}

func keyName(k ordering.Key) string {
	if k.Field == nil {
		return "_text_match"
	}
	return k.Field.Name
}

func keyType(k ordering.Key) string {
	switch {
	case k.Eval != nil:
		return "eval"
	case k.Random:
		return "random"
	case k.Field == nil:
		return "text_match"
	}
	return k.Field.Type() + "_field"
}

func described(keys []ordering.Key) string {
	out := ""
	for i, k := range keys {
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf("`%s: %s`", keyName(k), keyType(k))
	}
	return "{" + out + "}"
}

// unite returns the first rows of a search with the values of its sort keys. With all, the result contains every document found.
func (r *run) unite(n, most int, all bool) (res index.Result, list []united, err error) {
	plan := *r.index
	plan.Sort, plan.Limit = r.sort, most
	if all {
		plan.Limit = r.everything()
	}
	if r.late() {
		plan.Sort, plan.Limit, plan.Values = byMatch, r.everything(), r.columnKeys()
	}
	if res, err = r.collection.find(r.ctx, plan); err != nil {
		return res, nil, err
	}
	hits := res.Hits
	if !r.late() { // already sorted
		hits = hits[:min(len(hits), most)]
	}
	rows := make([]row, len(hits))
	for i, h := range hits {
		rows[i] = row{seq: h.Seq, match: h.Match, keys: h.Values}
	}
	r.sort = r.keys()
	sorted, err := r.rank(rows)
	if err != nil {
		return res, nil, err
	}
	slices.SortStableFunc(sorted, func(a, b ranked) int { return compareParts(a.parts, b.parts) })
	for _, s := range sorted[:min(len(sorted), most)] {
		list = append(list, united{s, n, res.Marks})
	}
	return res, list, nil
}
