package embedded

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

func badRequest(format string, args ...any) error {
	return &schema.Error{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

// plan builds the index's plan, except for the query, which expand adds.
func (r *run) plan() (err error) {
	p := &index.Plan{Schema: r.schema}
	if err := r.typing(p); err != nil {
		return err
	}
	if p.Fields, err = r.queryFields(strings.TrimSpace(r.params.Text("q")) == "*"); err != nil {
		return err
	}
	if p.Filter, err = r.filters(r.params.Filters()); err != nil {
		return err
	}
	if r.sort, err = ordering.Parse(r.params.Text("sort_by"), r.schema); err != nil {
		return err
	}
	for _, k := range r.sort {
		if k.GroupFound && r.params.Text("group_by") == "" {
			return &schema.Error{Status: http.StatusNotFound, Text: "group_by parameters should not be empty when using sort_by group_found"}
		}
	}
	if err := r.facets.read(r.params, r.schema); err != nil {
		return err
	}
	if err := r.groups.read(r.params, r.schema); err != nil {
		return err
	}
	r.index = p
	return r.readVector()
}

// filters parses each text separately, and combines the results.
func (r *run) filters(texts []string) (all *filter.Node, err error) {
	for _, t := range texts {
		n, err := filter.Parse(t, r.schema, filter.Options{AllowUnknown: !r.params.Flag("validate_field_names"), Over: r.ctx.Err})
		if err != nil {
			return nil, err
		}
		if n, err = r.collection.resolve(r.ctx, n); err != nil {
			return nil, err
		}
		all = both(all, n)
	}
	return all, nil
}

func both(a, b *filter.Node) *filter.Node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return &filter.Node{Op: filter.And, Left: a, Right: b}
}

// typing reads the parameters for how words are matched.
func (r *run) typing(plan *index.Plan) error {
	p := r.params
	plan.MinLen1Typo, plan.MinLen2Typo = p.Number("min_len_1typo"), p.Number("min_len_2typo")
	plan.TypoThreshold, plan.DropThreshold = p.Number("typo_tokens_threshold"), p.Number("drop_tokens_threshold")
	plan.MaxCandidates, plan.FilterCandidates = p.Number("max_candidates"), p.Number("max_filter_by_candidates")
	plan.Exhaustive = p.Flag("exhaustive_search")
	plan.NoTyposInNumbers = !p.Flag("enable_typos_for_numerical_tokens")
	plan.NoExactPriority = !p.Flag("prioritize_exact_match")
	plan.NoFieldPriority = !p.Flag("prioritize_num_matching_fields")
	plan.PositionMatters = p.Flag("prioritize_token_position")
	switch p.Text("text_match_type") {
	case "max_weight":
		plan.MatchType = index.MaxWeight
	case "sum_score":
		plan.MatchType = index.SumScore
	}
	switch p.Text("split_join_tokens") {
	case "off":
		plan.SplitJoin = index.Off
	case "always":
		plan.SplitJoin = index.Always
	}
	switch mode := p.Text("drop_tokens_mode"); {
	case mode == "", mode == "right_to_left":
	case mode == "left_to_right":
		plan.DropLeft = true
	case strings.HasPrefix(mode, "both_sides:") && strings.Trim(mode[len("both_sides:"):], "0123456789") == "" && mode != "both_sides:":
		// Words are in any case dropped from the right and then from the left, until there are enough documents.
	default:
		return badRequest("Invalid format for drop tokens mode.")
	}
	return nil
}

// queryFields reads query_by and its related parameters.
func (r *run) queryFields(star bool) ([]index.QueryField, error) {
	var fields []*schema.Field
	for _, name := range r.params.Names("query_by") {
		more, err := r.fieldsNamed(name)
		if err != nil {
			return nil, err
		}
		fields = append(fields, more...)
	}
	if len(fields) > params.MaxFields {
		return nil, params.TooMany("query_by", params.MaxFields)
	}
	if len(fields) == 0 {
		if !star {
			return nil, badRequest("No search fields specified for the query.")
		}
		return nil, nil
	}
	typos, err := r.params.PerField("num_typos", "values", len(fields))
	if err != nil {
		return nil, err
	}
	prefixes, err := r.params.PerField("prefix", "prefix values", len(fields))
	if err != nil {
		return nil, err
	}
	if err := r.readInfix(fields); err != nil {
		return nil, err
	}
	weights, err := weights(r.params, len(fields))
	if err != nil {
		return nil, err
	}
	out := make([]index.QueryField, len(fields))
	for i, f := range fields {
		out[i] = index.QueryField{Field: f, Weight: weights[i], NumTypos: 2, Prefix: true}
		if typos != nil {
			n, err := strconv.Atoi(typos[i])
			if err != nil || n < 0 {
				return nil, badRequest("Number of values in `num_typos` does not match number of `query_by` fields.")
			}
			out[i].NumTypos = min(n, 2)
		}
		if prefixes != nil {
			out[i].Prefix = prefixes[i] != "false"
		}
	}
	return out, nil
}

// readInfix reads the infix parameter.
func (r *run) readInfix(fields []*schema.Field) error {
	modes, err := r.params.PerField("infix", "infix values", len(fields))
	if err != nil {
		return err
	}
	for i, mode := range modes {
		switch mode {
		case "off":
			continue
		case "always", "fallback":
		default:
			return badRequest("Number of infix values in `infix` does not match number of `query_by` fields.")
		}
		if !fields[i].Infix {
			return badRequest("Could not find `%s` in the infix index. Make sure to enable infix search by specifying `infix: true` in the schema.", fields[i].Name)
		}
		r.infix = append(r.infix, infixField{fields[i], mode == "fallback"})
	}
	return nil
}

// fieldsNamed returns the string fields that an item of query_by selects: one field, those that match a pattern, or those inside an object.
func (r *run) fieldsNamed(name string) ([]*schema.Field, error) {
	unknown := &schema.Error{Status: http.StatusNotFound, Text: "Could not find a field named `" + name + "` in the schema."}
	if name == "id" {
		return nil, badRequest("Cannot use `id` as a query by field.")
	}
	if prefix, ok := strings.CutSuffix(name, "*"); ok {
		out := r.texts(prefix)
		if len(out) == 0 {
			return nil, unknown
		}
		return out, nil
	}
	f, ok := r.schema.Field(name)
	switch {
	case !ok && !r.params.Flag("validate_field_names"):
		return nil, nil
	case !ok:
		return nil, unknown
	case !f.Index:
		return nil, badRequest("Field `%s` is marked as a non-indexed field in the schema.", name)
	case f.Nests():
		return r.texts(name + "."), nil
	case !f.Text():
		return nil, badRequest("Field `%s` should be a string or a string array.", name)
	}
	return []*schema.Field{f}, nil
}

// texts returns the indexed string fields whose names have the prefix.
func (r *run) texts(prefix string) (out []*schema.Field) {
	for _, f := range r.schema.Fields {
		if !f.Pattern() && f.Text() && f.Index && strings.HasPrefix(f.Name, prefix) {
			out = append(out, f)
		}
	}
	return out
}

// weights returns the weights of the fields; the most important field has the top weight. Without valid query_by_weights, the order of the
// fields determines them.
func weights(p params.Params, n int) ([]int, error) {
	out := make([]int, n)
	for i := range out {
		out[i] = max(1, index.TopWeight-i)
	}
	list := p.Names("query_by_weights")
	if len(list) == 0 {
		return out, nil
	}
	if len(list) != n {
		return nil, badRequest("Number of weights in `query_by_weights` does not match number of `query_by` fields.")
	}
	given := make([]int, n)
	for i, v := range list {
		w, err := strconv.Atoi(v)
		if err != nil || w < 0 {
			return out, nil
		}
		given[i] = w
	}
	ranks := slices.Clone(given)
	slices.Sort(ranks)
	ranks = slices.Compact(ranks)
	for i, w := range given {
		at, _ := slices.BinarySearch(ranks, w)
		out[i] = max(1, index.TopWeight-(len(ranks)-1-at))
	}
	return out, nil
}
