package schema

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// The fields created from objects are in the order in which Typesense 29.0 adds them. Its responses show that this is the order of a
// std::unordered_map of the GNU C++ library, first for the objects and then for all dotted names. Both rules of the library, its hash
// function and its placement, are public. Clients see the order in the fields of a collection, in facets by a pattern and in groups by an
// object.

// hashedOrder returns distinct names in the iteration order of such a map, into which they were inserted one by one.
func hashedOrder(names []string) []string {
	m := &hashedNames{names: names, next: make([]int, len(names)+1)}
	for i := range names {
		if i >= m.buckets() {
			m.grow(i)
		}
		m.put(i + 1)
	}
	out := make([]string, 0, len(names))
	for n := m.next[0]; n != 0; n = m.next[n] {
		out = append(out, names[n-1])
	}
	return out
}

// hashedNames is a linked list of all names, which are numbered from 1. The names of a bucket are adjacent. before[bucket] is the number of
// the name before them (0 for the head of the list), or negative for an empty bucket.
type hashedNames struct {
	names  []string
	next   []int
	before []int
}

// hashedSizes are the successive numbers of buckets that the library uses.
var hashedSizes = []int{13, 29, 59, 127, 257, 541, 1109, 2357, 5087, 10273, 20753}

func (m *hashedNames) buckets() int { return len(m.before) }

func (m *hashedNames) bucket(n int) int {
	return int(hashName(m.names[n-1]) % uint64(len(m.before)))
}

// grow increases the number of buckets above the number of names, and inserts the names again in their order.
func (m *hashedNames) grow(names int) {
	size := 2*names + 1
	for _, s := range hashedSizes {
		if s > names {
			size = s
			break
		}
	}
	m.before = make([]int, size)
	for i := range m.before {
		m.before[i] = -1
	}
	n := m.next[0]
	m.next[0] = 0
	for n != 0 {
		following := m.next[n]
		m.put(n)
		n = following
	}
}

// put inserts a name at the front of its bucket. The bucket of its first name is put at the front of the list.
func (m *hashedNames) put(n int) {
	b := m.bucket(n)
	at := m.before[b]
	if at < 0 {
		at = 0
		m.before[b] = 0
		if first := m.next[0]; first != 0 {
			m.before[m.bucket(first)] = n
		}
	}
	m.next[n], m.next[at] = m.next[at], n
}

// setPlaces is the minimum size of a set's table.
const setPlaces = 128

// SetOrder returns distinct words in the order in which Typesense returns those of a stopword set: by their hashes' positions in a table of
// at least 128. The documentation's example and the tests of Typesense's Go and Python clients agree with that. The order has no effect on
// searches. How the table grows is not known: here it is at least twice as large as the number of words.
func SetOrder(words []string) []string {
	places := uint64(setPlaces)
	for int(places) < 2*len(words) {
		places *= 2
	}
	out := slices.Clone(words)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(hashName(a)%places, hashName(b)%places) })
	return out
}

// hashName is the library's std::hash of a string on 64-bit machines: MurmurHash64A with the library's seed.
func hashName(s string) uint64 {
	const mul, seed = 0xc6a4a7935bd1e995, 0xc70f6907
	mix := func(v uint64) uint64 { return v ^ v>>47 }
	hash := seed ^ uint64(len(s))*mul
	b := []byte(s)
	for ; len(b) >= 8; b = b[8:] {
		hash = (hash ^ mix(binary.LittleEndian.Uint64(b)*mul)*mul) * mul
	}
	if len(b) > 0 {
		var rest [8]byte
		copy(rest[:], b)
		hash = (hash ^ binary.LittleEndian.Uint64(rest[:])) * mul
	}
	return mix(mix(hash) * mul)
}
