package embedded

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// vectorAsk is a vector_query: the documents whose vectors are nearest to one. The search is exact: it looks at the vector of every document
// that the filter lets through.
type vectorAsk struct {
	field *schema.Field
	to    []float64
	// id is the document whose vector is meant; it is not found itself.
	id        string
	k         int
	threshold float64
	// alpha is the weight of the vector's rank beside that of the words.
	alpha float64
}

// defaultAlpha is the documented weight of the vector in a hybrid search.
const defaultAlpha = 0.3

// readVector reads "field:([0.1, 0.2], k: 10, distance_threshold: 0.3, alpha: 0.5)" or "field:([], id: x)".
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
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
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
	if r.groups.wanted() {
		return schema.Unsupported("group_by with vector_query")
	}
	r.vector = v
	return nil
}

// options reads what follows the vector. Those that only make an approximate index faster have nothing to do here.
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
		if err != nil || v.k < 0 || v.alpha < 0 || v.alpha > 1 {
			return malformed
		}
	}
	return nil
}

// vectorRows returns the nearest documents, or with words in the query those that words and vector together rank highest.
func (r *run) vectorRows() ([]row, index.Result, error) {
	plan := *r.index
	plan.Limit, plan.Facets, plan.Values = r.everything(), r.facets.asks(), r.placeFields()
	res, err := r.collection.find(r.ctx, plan)
	if err != nil {
		return nil, res, err
	}
	byWords := make([]row, len(res.Hits))
	for i, h := range res.Hits {
		byWords[i] = row{seq: h.Seq, match: h.Match, places: h.Values}
	}
	all := byWords
	if !plan.Query.All {
		plan.Query, plan.Facets = index.Query{All: true}, nil
		filtered, err := r.collection.find(r.ctx, plan)
		if err != nil {
			return nil, res, err
		}
		all = make([]row, len(filtered.Hits))
		for i, h := range filtered.Hits {
			all[i] = row{seq: h.Seq, places: h.Values}
		}
	}
	nearest, err := r.nearest(all)
	if err != nil {
		return nil, res, err
	}
	if !r.index.Query.All {
		nearest = r.fuse(byWords, nearest)
	}
	res.Found = len(nearest)
	return nearest, res, nil
}

// nearest returns the documents by their distance, at most k and none beyond the threshold.
func (r *run) nearest(rows []row) ([]row, error) {
	v := r.vector
	vectors := make([][]float64, 0, len(rows))
	own := -1
	if err := r.documents(rows, []*schema.Field{v.field}, func(doc schema.Document) {
		if id, _ := doc["id"].(string); v.id != "" && id == v.id {
			own = len(vectors)
		}
		vectors = append(vectors, numbers(doc[v.field.Name]))
	}); err != nil {
		return nil, err
	}
	to := v.to
	if v.id != "" {
		if own < 0 || len(vectors[own]) == 0 {
			return nil, badRequest("Document id referenced in vector query is not found.")
		}
		to = vectors[own]
	}
	var out []row
	for i, x := range vectors {
		if len(x) != len(to) || i == own {
			continue
		}
		if d := distance(x, to, v.field.Distance == "ip"); d <= v.threshold {
			near := rows[i]
			near.distance = &d
			out = append(out, near)
		}
	}
	slices.SortStableFunc(out, func(a, b row) int { return cmp.Compare(*a.distance, *b.distance) })
	return out[:min(len(out), v.k)], nil
}

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

// distance is 1 minus the cosine of the angle, or with inner 1 minus the inner product.
func distance(a, b []float64, inner bool) float64 {
	var dot, aa, bb float64
	for i := range a {
		dot, aa, bb = dot+a[i]*b[i], aa+a[i]*a[i], bb+b[i]*b[i]
	}
	if inner {
		return 1 - dot
	}
	if aa == 0 || bb == 0 {
		return 1
	}
	return max(0, 1-dot/math.Sqrt(aa*bb))
}

// fuse orders the documents of both lists by the documented rank fusion: (1-alpha)/rank by words + alpha/rank by vector.
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
