// Package blocklist knows the passwords that are used most. It holds a hash of each and how common it is, not the passwords.
//
// The file common.bin is made by tools/password-list.sh. It is read where it lies in the binary: no start time, no heap.
package blocklist

import (
	"bytes"
	_ "embed" // common.bin
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Lengths of the entries in code points after Fold. Shorter ones are as easy to guess character by character, longer ones are
// debris of the leaks that the list was taken from.
const (
	MinLength = 4
	MaxLength = 32
)

// An entry is a hash of 42 bits: the upper 14 bits choose a bucket, the other 28 are stored beside 4 bits of rank. The file is the
// bucket count plus one offsets and then the entries of each bucket in order, all little-endian uint32.
const (
	bucketBits = 14
	buckets    = 1 << bucketBits
	rankBits   = 4
	tagShift   = 64 - bucketBits - (32 - rankBits)
	offsets    = 4 * (buckets + 1)
	minBits    = 4 // the lowest rank class: one of the first 16
)

//go:embed common.bin
var file string

// Hash is the hash of a folded string, built one code point at a time so that each start of a string costs one step.
type Hash uint64

// Empty is the hash of the empty string.
const Empty Hash = 0x9ae16a3b2f90404f

// Add returns the hash of the string with one more code point.
func (h Hash) Add(r rune) Hash {
	return (h ^ Hash(r)) * 0x9e3779b97f4a7c15
}

// Sum returns the hash of a whole folded string.
func Sum(folded []rune) Hash {
	h := Empty
	for _, r := range folded {
		h = h.Add(r)
	}
	return h
}

// spread moves the entropy of all bits into the upper ones, which choose bucket and tag.
func (h Hash) spread() uint64 {
	x := uint64(h)
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

func (h Hash) place() (bucket, tag uint32) {
	x := h.spread()
	return uint32(x >> (64 - bucketBits)), uint32(x>>tagShift) & (1<<(32-rankBits) - 1)
}

// Lookup returns how many bits it takes to number all passwords that are at least as common as this one (4 for the first 16, 19 for
// the rarest); false when it is not on the list. Any other string is found with a probability below 10^-7.
func Lookup(h Hash) (rank int, found bool) {
	bucket, tag := h.place()
	from, to := int(uint32At(4*int(bucket))), int(uint32At(4*int(bucket)+4))
	at := from + sort.Search(to-from, func(i int) bool { return uint32At(offsets+4*(from+i))>>rankBits >= tag })
	if at == to {
		return 0, false
	}
	entry := uint32At(offsets + 4*at)
	return minBits + int(entry&(1<<rankBits-1)), entry>>rankBits == tag
}

func uint32At(i int) uint32 {
	return uint32(file[i]) | uint32(file[i+1])<<8 | uint32(file[i+2])<<16 | uint32(file[i+3])<<24
}

// Len is the number of entries.
func Len() int { return (len(file) - offsets) / 4 }

// Size is the size of the list in bytes.
func Size() int { return len(file) }

// Fold makes one of all spellings that a guesser tries together: compatibility forms (NFKC), case, accents of Latin letters and
// invisible characters do not count.
func Fold(s string) []rune {
	folded := make([]rune, 0, len(s))
	for _, r := range norm.NFKC.String(s) {
		if unicode.Is(unicode.Cf, r) {
			continue
		}
		r = unicode.ToLower(r)
		if r > unicode.MaxASCII {
			r = base(r)
		}
		folded = append(folded, r)
	}
	return folded
}

// base returns the Latin letter under an accent; any other code point as it is.
func base(r rune) rune {
	d := norm.NFD.PropertiesString(string(r)).Decomposition()
	if len(d) > 0 && d[0] <= unicode.MaxASCII && unicode.IsLetter(rune(d[0])) {
		return unicode.ToLower(rune(d[0]))
	}
	return r
}

// Build returns the file for passwords in the order of their use, the commonest first, and the number of entries.
func Build(passwords []string) ([]byte, int, error) {
	var in [buckets][]uint32
	count, seen := 0, map[uint64]bool{}
	for rank, p := range passwords {
		folded := Fold(p)
		if !worth(folded) {
			continue
		}
		bucket, tag := Sum(folded).place()
		if key := uint64(bucket)<<32 | uint64(tag); !seen[key] { // the commoner of two that fall together stays
			seen[key] = true
			class := min(max(bits.Len(uint(rank))-minBits, 0), 1<<rankBits-1)
			in[bucket] = append(in[bucket], tag<<rankBits|uint32(class))
			count++
		}
	}
	if count == 0 {
		return nil, 0, fmt.Errorf("no password is of a length between %d and %d", MinLength, MaxLength)
	}
	var out bytes.Buffer
	next := uint32(0)
	put := func(v uint32) { out.Write(binary.LittleEndian.AppendUint32(nil, v)) }
	for _, entries := range in {
		put(next)
		next += uint32(len(entries))
	}
	put(next)
	for _, entries := range in {
		slices.Sort(entries)
		for _, e := range entries {
			put(e)
		}
	}
	return out.Bytes(), count, nil
}

// worth reports whether a guesser gains by the list: short numbers are counted through as fast.
func worth(folded []rune) bool {
	if len(folded) < MinLength || len(folded) > MaxLength {
		return false
	}
	return len(folded) > 6 || slices.ContainsFunc(folded, func(r rune) bool { return r < '0' || r > '9' })
}
