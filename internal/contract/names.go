package contract

// names is a fixed set of names, each with what it stands for. A look-up hashes three bytes of the name and its length, and compares with few
// names, whatever a sender chooses: how full the places are depends on the contract alone.
type names[T any] struct {
	places []slot[T] // a power of two of them, at least half of them empty
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

// put adds a name; there must be room for it.
func (n *names[T]) put(name string, value T) {
	i := nameHash(name) & n.mask
	for n.places[i].taken {
		i = (i + 1) & n.mask
	}
	n.places[i] = slot[T]{name, true, value}
}

// find returns what a name stands for, or nil.
func (n *names[T]) find(name string) *T {
	for i := nameHash(name) & n.mask; n.places[i].taken; i = (i + 1) & n.mask {
		if n.places[i].name == name {
			return &n.places[i].value
		}
	}
	return nil
}

func nameHash(s string) uint32 {
	h := uint32(len(s))
	if h == 0 {
		return 0
	}
	h = h*31 + uint32(s[0])
	h = h*31 + uint32(s[len(s)/2])
	h = h*31 + uint32(s[len(s)-1])
	h *= 0x9E3779B1
	return h ^ h>>15
}
