package index

import (
	"cmp"
	"slices"
)

// number is the element type of a numeric column.
type number interface{ int64 | float64 }

// column holds a field's numbers by document: one per document, or a list. It is sealed once all documents are added.
type column[T number] struct {
	array bool
	// ends[doc] is the end of the document's values.
	ends   []uint32
	values []T
	// sorted holds the indexes into values in ascending order of the values. owners holds the document of each value.
	sorted, owners []uint32
}

func (c *column[T]) visit(v visitor) {
	v.u32s(&c.ends)
	v.u32s(&c.sorted)
	v.u32s(&c.owners)
}

// add appends the numbers of the next document.
func (c *column[T]) add(values []T) {
	if !c.array && len(values) > 1 {
		values = values[:1]
	}
	doc := uint32(len(c.ends))
	for range values {
		c.owners = append(c.owners, doc)
	}
	c.values = append(c.values, values...)
	c.ends = append(c.ends, uint32(len(c.values)))
}

// seal sorts the values.
func (c *column[T]) seal() {
	c.sorted = make([]uint32, len(c.values))
	for i := range c.sorted {
		c.sorted[i] = uint32(i)
	}
	slices.SortFunc(c.sorted, func(a, b uint32) int { return cmp.Or(cmp.Compare(c.values[a], c.values[b]), cmp.Compare(a, b)) })
}

// of returns the numbers of a document.
func (c *column[T]) of(doc uint32) []T {
	from := uint32(0)
	if doc > 0 {
		from = c.ends[doc-1]
	}
	return c.values[from:c.ends[doc]]
}

// single returns the number of a document, for a column without lists.
func (c *column[T]) single(doc uint32) (T, bool) {
	if c.array {
		return 0, false
	}
	if v := c.of(doc); len(v) > 0 {
		return v[0], true
	}
	return 0, false
}

// facet holds a string field's values by document. A value that a document has several times is stored once. values are sorted.
type facet struct {
	array  bool
	values texts
	ends   []uint32 // ends[doc] is the end of the document's values in list
	list   []uint32
}

func (f *facet) of(doc uint32) []uint32 {
	from := uint32(0)
	if doc > 0 {
		from = f.ends[doc-1]
	}
	return f.list[from:f.ends[doc]]
}

// facetBuilder numbers values in the order in which they are added.
type facetBuilder struct {
	f      *facet
	number map[string]uint32
	value  []string
}

func newFacetBuilder(f *facet) *facetBuilder {
	return &facetBuilder{f: f, number: make(map[string]uint32)}
}

// add appends the values of the next document.
func (b *facetBuilder) add(values []string) {
	if !b.f.array && len(values) > 1 {
		values = values[:1]
	}
	from := len(b.f.list)
	for _, v := range values {
		n, ok := b.number[v]
		if !ok {
			n = uint32(len(b.value))
			b.number[v] = n
			b.value = append(b.value, v)
		}
		if !slices.Contains(b.f.list[from:], n) {
			b.f.list = append(b.f.list, n)
		}
	}
	b.f.ends = append(b.f.ends, uint32(len(b.f.list)))
}

// seal sorts the values and renumbers them.
func (b *facetBuilder) seal() {
	order := make([]uint32, len(b.value))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(x, y uint32) int { return cmp.Compare(b.value[x], b.value[y]) })
	place := make([]uint32, len(order))
	for i, n := range order {
		place[n] = uint32(i)
		b.f.values.add(b.value[n])
	}
	for i, n := range b.f.list {
		b.f.list[i] = place[n]
	}
}
