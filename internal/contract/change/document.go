package change

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fountainai/fountain/internal/contract"
)

// kind is the type of a value of a document.
type kind uint8

const (
	isNull kind = iota
	isBool
	isNumber
	isString
	isList
	isMap
)

// node is a value of a document, with its place. A nil node is a missing value; its methods return zero values.
type node struct {
	kind  kind
	line  int
	file  *file
	text  string   // of a scalar
	names []string // of the members of a map
	items []*node  // of a list, or the members of a map

	digest string // of a list or a map; computed on first use
}

// file is one file of a version.
type file struct {
	name    string
	version *document
	root    *node
	anchors map[string]*node // $anchor, $dynamicAnchor and $id
}

// document is all files of one version.
type document struct {
	files map[string]*file
	root  *node
}

// maxNesting is the maximum nesting of values. Compiled contracts are already less deep.
const maxNesting = 256

func readDocument(v Version) (*document, error) {
	d := &document{files: map[string]*file{}}
	for name, text := range v.Files {
		f := &file{name: name, version: d, anchors: map[string]*node{}}
		var err error
		if f.root, err = f.read(text); err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		f.collect(f.root, map[*node]bool{})
		d.files[name] = f
	}
	main := d.files[v.File]
	if main == nil {
		return nil, fmt.Errorf("the document %s is not among its files", v.File)
	}
	d.root = main.root
	return d, nil
}

// collect finds the schemas that can be referred to by name.
func (f *file) collect(n *node, seen map[*node]bool) {
	if seen[n] || len(n.items) == 0 {
		return
	}
	seen[n] = true
	for _, keyword := range []string{"$anchor", "$dynamicAnchor", "$id"} {
		if name := n.get(keyword).str(); name != "" {
			f.anchors[name] = n
		}
	}
	for _, item := range n.items {
		f.collect(item, seen)
	}
}

// read parses JSON, and anything else as YAML.
func (f *file) read(text []byte) (*node, error) {
	if bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n\xEF\xBB\xBF"), []byte("{")) {
		r := jsonReader{file: f, text: text, decoder: json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF")))), line: 1}
		r.decoder.UseNumber()
		root, err := r.value(0)
		if err == nil {
			return root, nil
		}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, errors.New("it is neither JSON nor YAML")
	}
	if len(document.Content) != 1 {
		return nil, errors.New("it has no value")
	}
	return f.fromYAML(document.Content[0], map[*yaml.Node]*node{}, 0)
}

// jsonReader converts the tokens of a JSON text to nodes.
type jsonReader struct {
	file    *file
	text    []byte
	decoder *json.Decoder
	line    int
	at      int
}

func (r *jsonReader) value(depth int) (*node, error) {
	t, err := r.decoder.Token()
	if err != nil {
		return nil, err
	}
	return r.from(t, depth)
}

// place returns the line at which the last token ends.
func (r *jsonReader) place() int {
	offset := min(int(r.decoder.InputOffset()), len(r.text))
	r.line += bytes.Count(r.text[r.at:offset], []byte("\n"))
	r.at = offset
	return r.line
}

func (r *jsonReader) from(t json.Token, depth int) (*node, error) {
	n := &node{file: r.file, line: r.place()}
	if depth > maxNesting {
		return nil, errNesting
	}
	switch t := t.(type) {
	case bool:
		n.kind, n.text = isBool, fmt.Sprint(t)
	case json.Number:
		n.kind, n.text = isNumber, t.String()
	case string:
		n.kind, n.text = isString, t
	case json.Delim:
		return r.inside(n, t, depth)
	}
	return n, nil
}

// inside reads the members of a map or the items of a list, and its end.
func (r *jsonReader) inside(n *node, open json.Delim, depth int) (*node, error) {
	n.kind = isList
	if open == '{' {
		n.kind = isMap
	}
	for r.decoder.More() {
		line := 0
		if n.kind == isMap {
			key, err := r.decoder.Token()
			if err != nil {
				return nil, err
			}
			line = r.place()
			n.names = append(n.names, key.(string))
		}
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if line > 0 {
			item.line = line
		}
		n.items = append(n.items, item)
	}
	if _, err := r.decoder.Token(); err != nil && err != io.EOF {
		return nil, err
	}
	return n, nil
}

var errNesting = fmt.Errorf("it is nested deeper than %d", maxNesting)

// fromYAML converts YAML to nodes. An alias shares the node of its anchor, so that nothing is multiplied.
func (f *file) fromYAML(y *yaml.Node, made map[*yaml.Node]*node, depth int) (*node, error) {
	if depth > maxNesting {
		return nil, errNesting
	}
	if y.Kind == yaml.AliasNode {
		y = y.Alias
	}
	if n, begun := made[y]; begun {
		if n == nil {
			return nil, fmt.Errorf("line %d: an alias is inside its own anchor", y.Line)
		}
		return n, nil
	}
	made[y] = nil
	n := &node{file: f, line: y.Line, text: y.Value}
	var err error
	switch y.Kind {
	case yaml.MappingNode:
		n.kind = isMap
		err = f.membersFromYAML(n, y, made, depth)
	case yaml.SequenceNode:
		n.kind = isList
		for _, content := range y.Content {
			item, itemErr := f.fromYAML(content, made, depth+1)
			if itemErr != nil {
				return nil, itemErr
			}
			n.items = append(n.items, item)
		}
	default:
		n.scalar(y)
	}
	if err != nil {
		return nil, err
	}
	made[y] = n
	return n, nil
}

// membersFromYAML reads the members of a map. Merged members (<<) are used where the map has none of their name.
func (f *file) membersFromYAML(n *node, y *yaml.Node, made map[*yaml.Node]*node, depth int) error {
	var merged []*node
	seen := map[string]bool{}
	for i := 0; i+1 < len(y.Content); i += 2 {
		key := y.Content[i]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		item, err := f.fromYAML(y.Content[i+1], made, depth+1)
		switch {
		case err != nil:
			return err
		case key.Tag == "!!merge" && item.kind == isList:
			merged = append(merged, item.items...)
			continue
		case key.Tag == "!!merge":
			merged = append(merged, item)
			continue
		case y.Content[i+1].Kind != yaml.AliasNode && y.Content[i+1].Anchor == "":
			item.line = key.Line
		}
		n.names, n.items, seen[key.Value] = append(n.names, key.Value), append(n.items, item), true
	}
	for _, from := range merged {
		for i, name := range from.names {
			if !seen[name] {
				n.names, n.items, seen[name] = append(n.names, name), append(n.items, from.items[i]), true
			}
		}
	}
	return nil
}

// scalar reads a scalar of YAML. Integers may be written in bases other than ten.
func (n *node) scalar(y *yaml.Node) {
	n.kind = isString
	switch y.ShortTag() {
	case "!!null":
		n.kind = isNull
	case "!!bool":
		n.kind = isBool
	case "!!float":
		n.kind = isNumber
	case "!!int":
		n.kind = isNumber
		var whole any
		if y.Decode(&whole) == nil {
			n.text = fmt.Sprint(whole)
		}
	}
}

func (n *node) origin() contract.Origin {
	if n == nil || n.file == nil {
		return contract.Origin{}
	}
	return contract.Origin{File: n.file.name, Line: n.line}
}

// get returns the value at a path of keys.
func (n *node) get(keys ...string) *node {
	for _, key := range keys {
		if n == nil || n.kind != isMap {
			return nil
		}
		at := slices.Index(n.names, key)
		if at < 0 {
			return nil
		}
		n = n.items[at]
	}
	return n
}

// str returns a scalar's text.
func (n *node) str() string {
	if n == nil {
		return ""
	}
	return n.text
}

func (n *node) isTrue() bool {
	return n != nil && n.kind == isBool && strings.EqualFold(n.text, "true")
}

func (n *node) isFalse() bool {
	return n != nil && n.kind == isBool && strings.EqualFold(n.text, "false")
}

// list returns the items of a list.
func (n *node) list() []*node {
	if n == nil || n.kind != isList {
		return nil
	}
	return n.items
}

// members visits the members of a map, except extensions.
func (n *node) members(visit func(name string, value *node)) {
	if n == nil || n.kind != isMap {
		return
	}
	for i, name := range n.names {
		if !strings.HasPrefix(name, "x-") {
			visit(name, n.items[i])
		}
	}
}

// number returns a number, or nil when there is none. A number with an enormous exponent counts as missing.
func (n *node) number() *big.Rat {
	if n == nil || n.kind != isNumber || len(n.text) > 64 {
		return nil
	}
	if at := strings.IndexAny(n.text, "eE"); at >= 0 && len(strings.TrimLeft(n.text[at+1:], "+-0")) > 3 {
		return nil
	}
	r, ok := new(big.Rat).SetString(n.text)
	if !ok {
		return nil
	}
	return r
}

// canonical returns a text that is the same for equal values only: scalars are readable, numbers are compared by value; lists and maps, whose members
// have no order, are digests.
func (n *node) canonical() string {
	switch {
	case n == nil || n.kind == isNull:
		return "null"
	case n.kind == isBool:
		return strings.ToLower(n.text)
	case n.kind == isNumber:
		if r := n.number(); r != nil {
			return r.RatString()
		}
		return n.text
	case n.kind == isString:
		return strconv.Quote(n.text)
	case n.digest == "":
		n.digest = n.digestOf()
	}
	return n.digest
}

func (n *node) digestOf() string {
	parts := make([]string, len(n.items))
	for i, item := range n.items {
		parts[i] = item.canonical()
		if n.kind == isMap {
			parts[i] = strconv.Quote(n.names[i]) + ":" + parts[i]
		}
	}
	kind := "list "
	if n.kind == isMap {
		kind = "map "
		slices.Sort(parts)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ",")))
	return kind + hex.EncodeToString(sum[:])
}

// maxHops bounds chains of references.
const maxHops = 32

// resolve follows the reference of a node that consists of nothing else, repeatedly. It returns an unresolvable reference unchanged.
func (n *node) resolve() *node {
	for range maxHops {
		ref := n.get("$ref")
		if ref == nil || ref.kind != isString {
			return n
		}
		next := n.file.target(ref.text)
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// through follows a reference in place of a schema: in 3.0 keywords beside it are ignored, in 3.1 they must be descriptive.
func (n *node) through() *node {
	for range maxHops {
		ref := n.get("$ref")
		if ref == nil {
			return n
		}
		for _, name := range n.names {
			if n.file.version.later() && !describes[name] && !strings.HasPrefix(name, "x-") {
				return n
			}
		}
		next := n.file.target(ref.text)
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// describes are the keywords beside a reference that do not affect validation.
var describes = map[string]bool{"$ref": true, "description": true, "summary": true, "title": true, "example": true, "examples": true, "deprecated": true, "$comment": true}

// target returns what a reference refers to, in the files of the version only.
func (f *file) target(ref string) *node {
	name, pointer, _ := strings.Cut(ref, "#")
	if named := f.anchors[ref]; name != "" && named != nil {
		return named // by its $id
	}
	if name != "" {
		plain, err := url.PathUnescape(name)
		if err != nil {
			return nil
		}
		if f = f.version.files[path.Join(path.Dir(f.name), plain)]; f == nil {
			return nil
		}
	}
	at := f.root
	if pointer == "" {
		return at
	}
	pointer, err := url.PathUnescape(pointer)
	switch {
	case err != nil:
		return nil
	case !strings.HasPrefix(pointer, "/"):
		return f.anchors[pointer]
	default:
		for key := range strings.SplitSeq(pointer[1:], "/") {
			key = strings.ReplaceAll(strings.ReplaceAll(key, "~1", "/"), "~0", "~")
			if at.kindOf() == isList {
				at = at.index(key)
				continue
			}
			at = at.get(key)
		}
		return at
	}
}

func (n *node) kindOf() kind {
	if n == nil {
		return isNull
	}
	return n.kind
}

func (n *node) index(key string) *node {
	for i, item := range n.items {
		if fmt.Sprint(i) == key {
			return item
		}
	}
	return nil
}
