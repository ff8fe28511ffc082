package contract

import (
	"net/url"
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxBundled is the maximum number of nodes in a document with the files that it refers to, each counted as often as it is referred to, because the
// library that joins files reads them that often. Two references in each of thirty files would be a thousand million.
const maxBundled = 2_000_000

// maxCircling is the maximum number of different references between files that refer to each other in a cycle: the library follows every path through
// the cycle.
const maxCircling = 12

// bundling counts the nodes.
type bundling struct {
	root     string
	files    map[string]*yaml.Node
	costs    map[*yaml.Node]int // -1: being counted
	targets  map[*yaml.Node]bool
	circling bool
}

// bundles reports whether the files of a document can be merged with bounded work.
func bundles(a Adoption) bool {
	b := &bundling{root: a.File, files: map[string]*yaml.Node{}, costs: map[*yaml.Node]int{}, targets: map[*yaml.Node]bool{}}
	for name, text := range a.Files {
		var file yaml.Node
		if yaml.Unmarshal(text, &file) != nil {
			return false
		}
		b.files[name] = &file
	}
	return b.cost(a.File, b.files[a.File]) <= maxBundled && (!b.circling || len(b.targets) <= maxCircling)
}

// cost returns how many nodes there are at n and at the targets of its references.
func (b *bundling) cost(file string, n *yaml.Node) int {
	if n == nil {
		return 1
	}
	if cost := b.costs[n]; cost != 0 {
		return max(cost, 1)
	}
	b.costs[n] = -1
	sum := 1
	if n.Kind == yaml.AliasNode {
		sum += b.cost(file, n.Alias)
	}
	for i, child := range n.Content {
		sum += b.cost(file, child)
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "$ref" && child.Kind == yaml.ScalarNode {
			sum += b.referred(file, child.Value)
		}
		if sum > maxBundled {
			sum = maxBundled + 1
			break
		}
	}
	b.costs[n] = sum
	return sum
}

// referred returns the cost of a reference's target. Within the document itself the library reads it once.
func (b *bundling) referred(from, reference string) int {
	name, pointer, _ := strings.Cut(reference, "#")
	to := from
	if name != "" {
		to = path.Join(path.Dir(from), name)
	}
	if to == b.root {
		return 1
	}
	at := b.files[to]
	for _, key := range strings.Split(pointer, "/")[1:] {
		if at = step(mappingOrList(at), key); at == nil {
			return 1
		}
	}
	b.targets[at] = true
	b.circling = b.circling || b.costs[at] < 0
	return b.cost(to, at)
}

// step returns the child at a key or an index of a JSON pointer, or nil.
func step(n *yaml.Node, key string) *yaml.Node {
	if n == nil {
		return nil
	}
	if unescaped, err := url.PathUnescape(key); err == nil {
		key = unescaped
	}
	key = strings.NewReplacer("~1", "/", "~0", "~").Replace(key)
	if n.Kind == yaml.MappingNode {
		return get(n, key)
	}
	if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(n.Content) {
		return n.Content[i]
	}
	return nil
}

func mappingOrList(n *yaml.Node) *yaml.Node {
	if m := mapping(n); m != nil || n == nil {
		return m
	}
	return n
}
