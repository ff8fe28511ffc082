package contract

// names is a fixed map of names. A look-up hashes a few bytes of the name and compares with few names, whatever the sender chooses: the distribution
// over the slots depends on the contract alone.
type names[T any] struct {
	places []slot[T] // a power of two of slots, at least half of them empty
	mask   uint32
}

type slot[T any] struct {
	name  string
	taken bool
	value T
}

func newNames[T any](room int) *names[T] {
	size := 2
	for size < 2*room {
		size *= 2
	}
	return &names[T]{places: make([]slot[T], size), mask: uint32(size - 1)}
}

// put adds a name. The map must not be full.
func (n *names[T]) put(name string, value T) {
	i := nameHash(name) & n.mask
	for n.places[i].taken {
		i = (i + 1) & n.mask
	}
	n.places[i] = slot[T]{name, true, value}
}

// find returns the value of a name, or nil.
func (n *names[T]) find(name string) *T {
	for i := nameHash(name) & n.mask; n.places[i].taken; i = (i + 1) & n.mask {
		if n.places[i].name == name {
			return &n.places[i].value
		}
	}
	return nil
}

// nameHash mixes the first and the last eight bytes of a name with its length.
func nameHash(s string) uint32 {
	n := len(s)
	var first, last uint64
	switch {
	case n >= 8:
		first, last = eightBytes(s), eightBytes(s[n-8:])
	case n >= 4:
		first, last = fourBytes(s), fourBytes(s[n-4:])
	case n > 0:
		first, last = uint64(s[0])<<8|uint64(s[n/2]), uint64(s[n-1])
	}
	h := (first ^ uint64(n)) * 0x9E3779B97F4A7C15
	h = (h ^ h>>32 ^ last) * 0xD6E8FEB86659FD93
	return uint32(h >> 32)
}

// eightBytes and fourBytes read the beginning of a string.
func eightBytes(s string) uint64 {
	b := s[:8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 | uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func fourBytes(s string) uint64 {
	b := s[:4]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
}
