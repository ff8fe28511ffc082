package embedded

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// groupAsk holds the parsed group_by and its related parameters.
type groupAsk struct {
	fields []*schema.Field
	limit  int
	// apart puts each document without a value into a group of its own.
	apart bool
}

func (a *groupAsk) wanted() bool { return len(a.fields) > 0 }

// maxGroupLimit is the documented maximum of group_limit.
const maxGroupLimit = 99

func (a *groupAsk) read(p params.Params, s *schema.Schema) error {
	names := p.Names("group_by")
	if len(names) == 0 {
		return nil
	}
	a.limit, a.apart = p.Number("group_limit"), !p.Flag("group_missing_values")
	if a.limit < 1 || a.limit > maxGroupLimit {
		return badRequest("Value of `group_limit` must be between 1 and 99.")
	}
	seen := keyShows(p)
	for _, name := range names {
		f, ok := s.Field(name)
		switch {
		case (!ok || !seen.Shows(name)) && !p.Flag("validate_field_names"): // as documented, an unknown field is ignored
			continue
		case !ok || !seen.Shows(name):
			return &schema.Error{Status: 404, Text: "Could not find a field named `" + name + "` in the schema."}
		case !f.Facet:
			return badRequest("Group by field `%s` should be a facet field.", name)
		case f.Nests():
			for _, inner := range s.Fields {
				if inner.Facet && len(inner.Name) > len(name) && inner.Name[:len(name)+1] == name+"." && seen.Shows(inner.Name) {
					a.fields = append(a.fields, inner)
				}
			}
			continue
		}
		a.fields = append(a.fields, f)
	}
	if len(a.fields) > params.MaxGroupFields {
		return params.TooMany("group_by", params.MaxGroupFields)
	}
	return nil
}

// group is a set of documents with equal values.
type group struct {
	key  []any
	rows []row
	n    int
}

// held reports whether the index's columns suffice to group by a field or to count it. Grouping by a list needs the documents: the whole
// list with its duplicates is the key, and an empty list is another key than a missing one.
func (a *groupAsk) held(f *schema.Field) bool {
	return index.Holds(f) && !(f.Array && slices.Contains(a.fields, f))
}

// grouped adds the groups of the documents found to the answer.
func (r *run) grouped(out *Answer, offset, count int) error {
	byGroup := slices.ContainsFunc(r.sort, func(k ordering.Key) bool { return k.GroupFound })
	fields := slices.Clone(r.groups.fields)
	for _, f := range r.facets.list {
		if !slices.Contains(fields, f.field) {
			fields = append(fields, f.field)
		}
	}
	grouping := r.grouping
	if r.vector != nil {
		grouping = r.vectorGrouping
	}
	res, rows, values, err := grouping(fields, byGroup)
	if err != nil {
		return err
	}
	groups, of := r.divide(rows, values)
	if byGroup {
		r.orderGroups(groups)
	}
	found := len(rows)
	out.Found, out.FoundDocs, out.OutOf.n = len(groups), &found, int64(res.OutOf)
	r.countGroups(res.Facets, rows, values, of)
	if err := r.orderFacets(res.Facets); err != nil {
		return err
	}
	if out.FacetCounts, err = r.facetAnswers(res.Facets); err != nil {
		return err
	}
	return r.showGroups(out, groups[min(offset, len(groups)):min(offset+count, len(groups))], res.Marks)
}

// grouping finds the documents to be grouped, in order, with their values of the fields, and counts the facets.
func (r *run) grouping(fields []*schema.Field, byGroup bool) (index.Result, []row, *table, error) {
	plan := *r.index
	plan.Facets, plan.Limit = r.facets.asks(), r.everything()
	if plan.Sort = r.sort; r.late() {
		plan.Sort = byMatch
	}
	res, rows, values, err := r.tabled(plan, fields, r.groups.held)
	if err == nil && r.late() && !byGroup {
		err = r.order(rows)
	}
	return res, rows, values, err
}

// divide forms the groups, in the order of their first documents. of holds the group of each row.
func (r *run) divide(rows []row, values *table) (groups []*group, of []int) {
	byKey := map[string]int{}
	of = make([]int, len(rows))
	var encoded []byte
	for i, row := range rows {
		var shown int
		var missing bool
		if encoded, shown, missing = r.groups.encode(encoded[:0], values, row.at); missing && r.groups.apart {
			encoded = append(strconv.AppendUint(encoded, row.seq, 10), " apart"...)
		}
		n, ok := byKey[string(encoded)]
		if !ok {
			n = len(groups)
			byKey[string(encoded)] = n
			groups = append(groups, &group{key: r.groups.key(values, row.at)})
		}
		of[i] = n
		g := groups[n]
		if shown > len(g.key) { // an empty string is shown rather than nothing
			g.key = r.groups.key(values, row.at)
		}
		g.n++
		if len(g.rows) < r.groups.limit {
			g.rows = append(g.rows, row)
		}
	}
	return groups, of
}

// key returns the values of the fields, without missing ones.
func (a *groupAsk) key(t *table, row int) []any {
	key := []any{}
	for i, f := range a.fields {
		if !t.absent(row, i) {
			key = append(key, f.Shown(t.rows[row][i]))
		}
	}
	return key
}

// encode appends a key that is equal for all documents of a group. It returns how many fields have a value, and whether one is missing. An
// empty string is grouped with missing values.
func (a *groupAsk) encode(to []byte, t *table, row int) (out []byte, shown int, missing bool) {
	for i, f := range a.fields {
		v := t.rows[row][i]
		if t.absent(row, i) {
			missing = true
			to = append(to, 0, '-')
			continue
		}
		if shown++; !f.Array && len(v.Strings) == 1 && v.Strings[0] == "" {
			to = append(to, 0, '-')
			continue
		}
		to = append(to, 0, '+')
		for _, s := range v.Strings {
			to = append(strconv.AppendInt(to, int64(len(s)), 10), ':')
			to = append(to, s...)
		}
		for _, n := range v.Ints {
			to = append(strconv.AppendInt(to, n, 10), ',')
		}
		for _, x := range v.Floats {
			to = append(strconv.AppendFloat(to, x, 'g', -1, 32), ',')
		}
	}
	return to, shown, missing
}

func (r *run) orderGroups(groups []*group) {
	desc := true
	for _, k := range r.sort {
		if k.GroupFound {
			desc = k.Desc
		}
	}
	slices.SortStableFunc(groups, func(a, b *group) int {
		if desc {
			return cmp.Compare(b.n, a.n)
		}
		return cmp.Compare(a.n, b.n)
	})
}

// countGroups replaces the counts of facet values by the number of groups that have the value.
func (r *run) countGroups(facets []index.FacetResult, rows []row, values *table, of []int) {
	for n := range facets {
		f := facets[n].Field
		at := values.at(f)
		seen := map[string]map[int]bool{}
		var texts []string
		for i, row := range rows {
			texts = f.Texts(texts[:0], values.rows[row.at][at])
			for _, v := range texts {
				if seen[v] == nil {
					seen[v] = map[int]bool{}
				}
				seen[v][of[i]] = true
			}
		}
		counts := facets[n].Counts
		for i := range counts {
			counts[i].Count = len(seen[counts[i].Value])
		}
		if !r.facets.list[n].alpha {
			slices.SortStableFunc(counts, func(a, b index.FacetCount) int { return cmp.Compare(b.Count, a.Count) })
		}
	}
}

func (r *run) showGroups(out *Answer, groups []*group, marks map[string]int) error {
	list := make([]GroupAnswer, 0, len(groups))
	for _, g := range groups {
		hits, err := r.hits(g.rows, marks)
		if err != nil {
			return err
		}
		list = append(list, GroupAnswer{Found: g.n, GroupKey: g.key, Hits: hits})
	}
	out.GroupedHits = &list
	return nil
}
