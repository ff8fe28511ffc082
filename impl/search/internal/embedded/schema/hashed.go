package schema

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// The fields that objects make come in the order in which Typesense 29.0 adds them. Its answers show that order to be the one of a
// std::unordered_map of the GNU C++ library, first of the objects and then of all dotted names: both of the library's rules, how it hashes and where
// it puts a name, are public. Clients see the order in the fields of a collection, in facets of a pattern and in groups by an object.

// hashedOrder returns the names, which are different, in the order of such a map that they were put into one by one.
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

// hashedNames is one list of all names, which are numbered from 1. Those of a bucket follow each other; before[bucket] is the number of the name
// before them (0: the head of the list), less 1 where the bucket is empty.
type hashedNames struct {
	names  []string
	next   []int
	before []int
}

// hashedSizes are the numbers of buckets that the library takes one after the other.
var hashedSizes = []int{13, 29, 59, 127, 257, 541, 1109, 2357, 5087, 10273, 20753}

func (m *hashedNames) buckets() int { return len(m.before) }

func (m *hashedNames) bucket(n int) int {
	return int(hashName(m.names[n-1]) % uint64(len(m.before)))
}

// grow makes more buckets than there are names and puts the names into them again, in their order.
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

// put puts a name first in its bucket, and the bucket of a first name first of all.
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

// setPlaces is the number of places that a set has at least.
const setPlaces = 128

// SetOrder returns words, which are different, in the order in which Typesense tells those of a set of stopwords: by the place that the hash of a word has in
// a table of at least 128. The documentation's example and what the tests of Typesense's clients for Go and Python expect agree with that (and the
// order means nothing to a search). How the table grows is not known: here it is twice as large as its words at least.
func SetOrder(words []string) []string {
	places := uint64(setPlaces)
	for int(places) < 2*len(words) {
		places *= 2
	}
	out := slices.Clone(words)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(hashName(a)%places, hashName(b)%places) })
	return out
}

// hashName is the library's std::hash of a string on machines of 64 bits: MurmurHash64A with its own seed.
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
