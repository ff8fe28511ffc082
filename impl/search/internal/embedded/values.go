package embedded

import (
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// table holds the values of some fields of rows.
type table struct {
	fields []*schema.Field
	// rows[i] holds the values of row i, in the order of fields.
	rows [][]schema.Value
	// lacks[i] reports, for row i, which fields are missing in the document. It is set only if documents were read, because columns don't
	// distinguish an empty list from a missing one.
	lacks [][]bool
}

// absent reports whether a row has no value of field i.
func (t *table) absent(row, i int) bool {
	if t.lacks != nil {
		return t.lacks[row][i]
	}
	v := t.rows[row][i]
	return len(v.Strings)+len(v.Ints)+len(v.Floats) == 0
}

// at returns the index of a field in the rows.
func (t *table) at(f *schema.Field) int { return slices.Index(t.fields, f) }

// tabled finds what a plan finds, with the values of fields. The values come from the columns of the index if these are exact for all
// fields, and otherwise from the documents.
func (r *run) tabled(plan index.Plan, fields []*schema.Field, held func(*schema.Field) bool) (index.Result, []row, *table, error) {
	t := &table{fields: fields}
	inColumns := !slices.ContainsFunc(fields, func(f *schema.Field) bool { return !held(f) })
	if inColumns {
		plan.Values = fields
	}
	own := len(plan.Values)
	plan.Values = append(slices.Clone(plan.Values), r.columnKeys()...)
	res, err := r.collection.find(r.ctx, plan)
	if err != nil {
		return res, nil, nil, err
	}
	rows := make([]row, len(res.Hits))
	t.rows = make([][]schema.Value, len(res.Hits))
	for i, h := range res.Hits {
		rows[i] = row{seq: h.Seq, match: h.Match, at: i, keys: h.Values[own:]}
		t.rows[i] = h.Values[:own]
	}
	if inColumns {
		return res, rows, t, nil
	}
	n := 0
	t.lacks = make([][]bool, len(rows))
	err = r.documents(rows, fields, func(doc schema.Document) {
		typed := schema.Values(doc, fields)
		t.rows[n], t.lacks[n] = make([]schema.Value, len(fields)), make([]bool, len(fields))
		for i, f := range fields {
			v, there := typed.Values[f.Name]
			t.rows[n][i], t.lacks[n][i] = v, !there
		}
		n++
	})
	return res, rows, t, err
}
