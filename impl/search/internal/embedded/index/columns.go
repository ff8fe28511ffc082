package index

import (
	"slices"
	"strings"

	"github.com/RoaringBitmap/roaring/v2"
)

// number is what a numeric column holds.
type number interface{ int64 | float64 }

// column holds a field's numbers by document: one for each or a list.
type column[T number] struct {
	array bool
	one   []T
	many  [][]T
	has   *roaring.Bitmap
}

func newColumn[T number](array bool) *column[T] { return &column[T]{array: array, has: roaring.New()} }

// grow makes room for document n.
func grow[T any](s []T, n uint32) []T {
	if int(n) < len(s) {
		return s
	}
	return append(s, make([]T, int(n)+1-len(s))...)
}

// put sets the document's numbers and returns the bytes that this cost.
func (c *column[T]) put(doc uint32, values []T) int64 {
	if len(values) == 0 {
		return 0
	}
	c.has.Add(doc)
	if c.array {
		c.many = grow(c.many, doc)
		c.many[doc] = values
		return int64(24 + 8*len(values))
	}
	c.one = grow(c.one, doc)
	c.one[doc] = values[0]
	return 8
}

func (c *column[T]) remove(doc uint32) int64 {
	if !c.has.CheckedRemove(doc) {
		return 0
	}
	if c.array {
		n := len(c.many[doc])
		c.many[doc] = nil
		return int64(24 + 8*n)
	}
	return 8
}

// values returns the document's numbers; buf is used for a single one.
func (c *column[T]) values(doc uint32, buf []T) []T {
	if c.array {
		if int(doc) < len(c.many) {
			return c.many[doc]
		}
		return nil
	}
	if !c.has.Contains(doc) {
		return nil
	}
	return append(buf[:0], c.one[doc])
}

// facet holds a string field's values by document, each value once.
type facet struct {
	array  bool
	number map[string]uint32
	value  []string // by number; 0 is unused
	refs   []uint32
	free   []uint32
	one    []uint32 // 0: none
	many   [][]uint32
}

func newFacet(array bool) *facet {
	return &facet{array: array, number: make(map[string]uint32), value: []string{""}, refs: []uint32{0}}
}

func (f *facet) intern(s string) (uint32, int64) {
	if n, ok := f.number[s]; ok {
		f.refs[n]++
		return n, 0
	}
	s = strings.Clone(s)
	n := uint32(len(f.value))
	if len(f.free) > 0 {
		n = f.free[len(f.free)-1]
		f.free = f.free[:len(f.free)-1]
		f.value[n], f.refs[n] = s, 1
	} else {
		f.value, f.refs = append(f.value, s), append(f.refs, 1)
	}
	f.number[s] = n
	return n, int64(len(s) + 64)
}

func (f *facet) release(n uint32) int64 {
	if f.refs[n]--; f.refs[n] > 0 {
		return 0
	}
	size := int64(len(f.value[n]) + 64)
	delete(f.number, f.value[n])
	f.value[n] = ""
	f.free = append(f.free, n)
	return size
}

func (f *facet) put(doc uint32, values []string) (cost int64) {
	if len(values) == 0 {
		return 0
	}
	if !f.array {
		n, c := f.intern(values[0])
		f.one = grow(f.one, doc)
		f.one[doc] = n
		return c + 4
	}
	list := make([]uint32, 0, len(values))
	for _, v := range values {
		if n, ok := f.number[v]; ok && slices.Contains(list, n) {
			continue
		}
		n, c := f.intern(v)
		list, cost = append(list, n), cost+c
	}
	f.many = grow(f.many, doc)
	f.many[doc] = list
	return cost + int64(24+4*len(list))
}

func (f *facet) remove(doc uint32) (freed int64) {
	for _, n := range f.values(doc) {
		freed += f.release(n)
	}
	if f.array {
		if int(doc) < len(f.many) && f.many[doc] != nil {
			freed += int64(24 + 4*len(f.many[doc]))
			f.many[doc] = nil
		}
		return freed
	}
	if int(doc) < len(f.one) && f.one[doc] != 0 {
		f.one[doc] = 0
		freed += 4
	}
	return freed
}

func (f *facet) values(doc uint32) []uint32 {
	if f.array {
		if int(doc) < len(f.many) {
			return f.many[doc]
		}
		return nil
	}
	if int(doc) < len(f.one) && f.one[doc] != 0 {
		return f.one[doc : doc+1]
	}
	return nil
}
