package embedded

import (
	"cmp"
	"context"
	"slices"

	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/geo"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// ranked is a row with the values of its sort keys. Smaller parts come first.
type ranked struct {
	row
	parts []part
}

// part is the value of one sort key. A document without a value comes after or before all others.
type part struct {
	missing, first, desc bool
	number               float64
	whole                int64
	text                 string
}

func (p part) compare(o part) int {
	switch {
	case p.missing && o.missing:
		return 0
	case p.missing != o.missing:
		if p.missing == p.first {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(p.whole, o.whole), cmp.Compare(p.number, o.number), cmp.Compare(p.text, o.text))
	if p.desc {
		return -c
	}
	return c
}

// order sorts rows by keys that the index can't apply. The rows come in the index's own order, best match first. order reads documents for
// keys that are fields.
func (r *run) order(rows []row) error {
	if plain, ok := unbucketed(r.sort); ok { // buckets are cut from the order without buckets
		whole := r.sort
		r.sort = plain
		err := r.order(rows)
		if r.sort = whole; err != nil {
			return err
		}
	}
	list, err := r.rank(rows)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list, func(a, b ranked) int { return compareParts(a.parts, b.parts) })
	for i := range list {
		rows[i] = list[i].row
	}
	return nil
}

// unbucketed returns the keys without their buckets. ok reports whether there were any.
func unbucketed(keys []ordering.Key) (plain []ordering.Key, ok bool) {
	plain = slices.Clone(keys)
	for i := range plain {
		if k := &plain[i]; k.Buckets > 0 || k.BucketSize > 0 {
			*k, ok = ordering.Key{Desc: k.Desc, Distance: k.Distance}, true
		}
	}
	return plain, ok
}

func compareParts(a, b []part) int {
	for i := range min(len(a), len(b)) {
		if c := a[i].compare(b[i]); c != 0 {
			return c
		}
	}
	return 0
}

// rank computes the values of the sort keys for each row.
func (r *run) rank(rows []row) ([]ranked, error) {
	list := make([]ranked, len(rows))
	for i := range rows {
		list[i].row = rows[i]
	}
	typed, err := r.typedFor(rows)
	if err != nil {
		return nil, err
	}
	for _, k := range r.sort {
		value, err := r.valuer(k, rows, typed)
		if err != nil {
			return nil, err
		}
		for i := range list {
			list[i].parts = append(list[i].parts, value(i))
		}
	}
	return list, nil
}

// typedFor reads the values of sort keys that are fields.
func (r *run) typedFor(rows []row) ([]*schema.Typed, error) {
	var fields []*schema.Field
	for _, k := range r.sort {
		if k.Field != nil && k.Decay == nil {
			fields = append(fields, k.Field)
		}
	}
	if fields == nil {
		return nil, nil
	}
	return r.typed(rows, fields)
}

// typed reads the fields of documents. A deleted document has no values.
func (r *run) typed(rows []row, fields []*schema.Field) ([]*schema.Typed, error) {
	out := make([]*schema.Typed, 0, len(rows))
	err := r.documents(rows, fields, func(doc schema.Document) { out = append(out, schema.Values(doc, fields)) })
	return out, err
}

// documents calls do, in order, with the part of each row's document that the fields need. A deleted document is empty.
func (r *run) documents(rows []row, fields []*schema.Field, do func(schema.Document)) error {
	seqs := make([]uint64, len(rows))
	for i := range rows {
		seqs[i] = rows[i].seq
	}
	return r.collection.parts(r.ctx, seqs, fields, do)
}

// parts calls do, in order, with the part of each document that the fields need. A deleted document is empty.
func (c *Collection) parts(ctx context.Context, seqs []uint64, fields []*schema.Field, do func(schema.Document)) error {
	for chunk := range slices.Chunk(seqs, ChunkDocs) {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.store.Read(c.key, func(tx *docstore.Tx) error {
			for _, seq := range chunk {
				if err := ctx.Err(); err != nil {
					return err
				}
				doc := schema.Document{}
				if stored := tx.Get(seq); stored != nil {
					var err error
					if doc, err = schema.ReadPart(stored, fields); err != nil {
						return err
					}
				}
				do(doc)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// valuer returns a function that computes the part of row i for a sort key.
func (r *run) valuer(k ordering.Key, rows []row, typed []*schema.Typed) (func(i int) part, error) {
	switch {
	case k.Eval != nil:
		scores, err := r.scores(k.Eval)
		return func(i int) part { return part{whole: int64(scores[rows[i].seq]), desc: k.Desc} }, err
	case k.Buckets > 0 || k.BucketSize > 0:
		n := k.BucketSize
		if k.Buckets > 0 {
			n = (len(rows) + k.Buckets - 1) / k.Buckets
		}
		if n >= len(rows) && k.BucketSize > 0 { // as documented: not larger than the results
			n = 1
		}
		return func(i int) part { return part{whole: -int64(i / max(n, 1)), desc: true} }, nil
	case k.Random:
		seed := cmp.Or(k.Seed, uint64(r.engine.Now().UnixNano()))
		return func(i int) part { return part{whole: int64(ordering.Chance(seed, rows[i].seq) >> 1), desc: k.Desc} }, nil
	case k.Distance:
		return func(i int) part {
			if rows[i].distance == nil {
				return part{missing: true}
			}
			return part{number: *rows[i].distance, desc: k.Desc}
		}, nil
	case k.Geo != nil:
		at := slices.Index(r.columnKeys(), k.Geo.Field)
		return func(i int) part {
			places := geo.Points(rows[i].keys[at].Floats)
			return part{number: k.Geo.Weigh(places), missing: len(places) == 0, desc: k.Desc}
		}, nil
	case k.Decay != nil:
		at := slices.Index(r.columnKeys(), k.Field)
		return func(i int) part {
			weight, ok := k.Decay.Weigh(rows[i].keys[at])
			return part{number: weight, missing: !ok, desc: k.Desc}
		}, nil
	case k.Field != nil:
		return func(i int) part { return fieldPart(k, typed[i].Values[k.Field.Name]) }, nil
	}
	return func(i int) part {
		if rows[i].match == nil {
			return part{}
		}
		return part{whole: int64(rows[i].match.Score >> 1), desc: true}
	}, nil
}

// columnKeys returns the fields that geo and decay sort keys need, each once. The hits contain their values.
func (r *run) columnKeys() (out []*schema.Field) {
	for _, k := range r.sort {
		f := k.Field
		switch {
		case k.Geo != nil:
			f = k.Geo.Field
		case k.Decay == nil:
			continue
		}
		if !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

func fieldPart(k ordering.Key, v schema.Value) part {
	o, ok := k.Field.Order(v)
	return part{missing: !ok, first: k.MissingFirst, desc: k.Desc, whole: o.Whole, number: o.Number, text: o.Text}
}

// scores evaluates the conditions of a key. The score of a document is that of the first condition that it meets.
func (r *run) scores(list []ordering.Eval) (map[uint64]int, error) {
	out := map[uint64]int{}
	for _, e := range slices.Backward(list) {
		node, err := r.collection.resolve(r.ctx, e.Filter)
		if err != nil {
			return nil, err
		}
		res, err := r.collection.find(r.ctx, index.Plan{
			Schema: &schema.Schema{}, Query: index.Query{All: true}, Filter: both(r.index.Filter, node), Limit: r.everything(), FilterCandidates: r.index.FilterCandidates,
		})
		if err != nil {
			return nil, err
		}
		for _, h := range res.Hits {
			out[h.Seq] = e.Score
		}
	}
	return out, nil
}
