package contract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// elementKind is the type of a value of a document.
type elementKind uint8

const (
	elementNull elementKind = iota
	elementBool
	elementNumber
	elementString
	elementList
	elementMap
)

// element is a value of a foreign document, with its place. JSON and YAML are parsed to the same elements. Values of a YAML alias are shared, so a
// walk over a tree of elements is bounded by its expanded size, maxElements, and not by its memory.
type element struct {
	kind  elementKind
	line  int32 // of its key, or of the item itself; from 1
	file  *elementFile
	text  string     // a string's value, a number as JSON writes it, true or false
	names []string   // of the members of a map
	items []*element // of a list, or the members of a map

	parent *element         // the first list or map that holds it
	index  map[string]int32 // of the names, where there are many
	size   int32            // values in it, aliases expanded; 0: not counted yet, -1: while it is being counted
	height int32            // how deep its values are nested
}

// elementFile is one of the files of a document.
type elementFile struct {
	name    string
	minute  bool // lines are so long that a line number does not locate anything
	root    *element
	anchors map[string]*element // by $anchor, $dynamicAnchor and $id
}

// Bounds of foreign documents.
const (
	// MaxDocument is the maximum size of a document and of each of its files, in bytes.
	MaxDocument = 8 << 20
	// MaxDocumentFiles is the maximum number of files of a document, including itself.
	MaxDocumentFiles = 32
	// maxElements is the maximum number of values of a file, with YAML aliases expanded. The YAML parser takes some 250 bytes for each.
	maxElements = 600_000
	// maxElementDepth is the maximum nesting of lists and maps in a file.
	maxElementDepth = 64
)

// readElements parses a file of JSON or YAML. Errors begin with the place.
func readElements(name string, text []byte) (*elementFile, error) {
	file := &elementFile{name: name, anchors: map[string]*element{}}
	file.minute = len(text)/(1+bytes.Count(text, []byte("\n"))) > longLine
	if len(text) > MaxDocument {
		return nil, fmt.Errorf("%s:1: the file has %d bytes; a document of at most %d is adopted", name, len(text), MaxDocument)
	}
	text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	var err error
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); bytes.HasPrefix(trimmed, []byte("{")) {
		file.root, err = file.readJSON(text)
		if err == nil {
			return file, file.finish()
		}
		if !errors.Is(err, errMaybeYAML) {
			return nil, err
		}
		// A flow mapping of YAML begins like a JSON object.
		if yamlRoot, yamlErr := file.readYAML(text); yamlErr == nil {
			file.root = yamlRoot
			return file, file.finish()
		}
		return nil, err
	}
	if file.root, err = file.readYAML(text); err != nil {
		return nil, err
	}
	return file, file.finish()
}

// finish counts the values and collects the anchors.
func (f *elementFile) finish() error {
	if err := f.root.measure(0); err != nil {
		return err
	}
	f.collectAnchors(f.root, map[*element]bool{})
	return nil
}

// measure counts the values that a walk over e visits, and its depth.
func (e *element) measure(depth int) error {
	if e.size > 0 {
		return nil
	}
	if e.size < 0 {
		return fmt.Errorf("%s: a YAML alias is inside its own anchor; write the value out", e.place())
	}
	e.size = -1
	total := int64(1)
	for _, item := range e.items {
		if item.parent == nil {
			item.parent = e
		}
		if err := item.measure(depth + 1); err != nil {
			return err
		}
		e.height = max(e.height, item.height+1)
		if total += int64(item.size); total > maxElements {
			return fmt.Errorf("%s: more than %d values with its YAML aliases expanded", e.place(), maxElements)
		}
	}
	if depth > 2*maxElementDepth || e.height > maxElementDepth {
		return fmt.Errorf("%s: nested deeper than %d; name the inner part and refer to it with $ref", e.place(), maxElementDepth)
	}
	e.size = int32(total)
	return nil
}

func (f *elementFile) collectAnchors(e *element, seen map[*element]bool) {
	if seen[e] || len(e.items) == 0 {
		return
	}
	seen[e] = true
	for _, keyword := range []string{"$anchor", "$dynamicAnchor", "$id"} {
		if name := e.get(keyword).str(); name != "" {
			f.anchors[name] = e
		}
	}
	for _, item := range e.items {
		f.collectAnchors(item, seen)
	}
}

// errMaybeYAML marks an error of parsing JSON for a file that may be YAML.
var errMaybeYAML = errors.New("not JSON")

func (f *elementFile) readJSON(text []byte) (*element, error) {
	var t tape
	if fault := t.read(text); fault != nil {
		line := 1 + bytes.Count(text[:min(fault.offset, len(text))], []byte("\n"))
		message := bodyMessages[fault.rule]
		if fault.rule == RuleJSONSyntax {
			return nil, fmt.Errorf("%s:%d: the text %s here: %w", f.name, line, message, errMaybeYAML)
		}
		return nil, fmt.Errorf("%s:%d: the text %s", f.name, line, message)
	}
	if len(t.tokens) > 2*maxElements {
		return nil, fmt.Errorf("%s:1: more than %d values", f.name, maxElements)
	}
	r := jsonElements{file: f, tape: &t, line: 1}
	root := r.element(0)
	return root, nil
}

// jsonElements converts a tape to elements. The tape is in the order of the text, so lines are counted on the way.
type jsonElements struct {
	file *elementFile
	tape *tape
	line int32
	at   int
}

// lineAt returns the line of an offset. Offsets must not decrease between calls.
func (r *jsonElements) lineAt(offset int) int32 {
	if offset > r.at {
		r.line += int32(strings.Count(r.tape.source[r.at:offset], "\n"))
		r.at = offset
	}
	return r.line
}

func (r *jsonElements) element(v int) *element {
	t, e := r.tape, &element{file: r.file}
	e.line = r.line
	k := t.tokens[v]
	switch k.kind {
	case kindTrue, kindFalse, kindNumber:
		e.kind = elementBool
		if k.kind == kindNumber {
			e.kind = elementNumber
		}
		e.text, e.line = t.text(v), r.lineAt(int(k.start))
	case kindString:
		e.kind, e.text = elementString, strings.Clone(t.text(v))
		if !k.decoded {
			e.line = r.lineAt(int(k.start))
		}
	case kindArray:
		e.kind, e.items = elementList, make([]*element, 0, t.count(v))
		item := v + 1
		for range t.count(v) {
			e.items = append(e.items, r.element(item))
			item = t.after(item)
		}
	case kindObject:
		e.kind, e.items, e.names = elementMap, make([]*element, 0, t.count(v)), make([]string, 0, t.count(v))
		key := v + 1
		for range t.count(v) {
			line := r.line
			if !t.tokens[key].decoded {
				line = r.lineAt(int(t.tokens[key].start))
			}
			value := r.element(key + 1)
			value.line = line
			e.names, e.items = append(e.names, strings.Clone(t.text(key))), append(e.items, value)
			key = t.after(key + 1)
		}
	}
	return e
}

func (f *elementFile) readYAML(text []byte) (*element, error) {
	marks := 0
	for _, mark := range []string{"\n", ",", "[", "{", ": ", "- "} {
		marks += bytes.Count(text, []byte(mark))
	}
	if marks > maxElements {
		return nil, fmt.Errorf("%s:1: more than %d values; give the document as JSON, or in several files", f.name, maxElements)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, notYAML(f.name, text, err)
	}
	if len(document.Content) != 1 {
		return nil, fmt.Errorf("%s:1: the file is empty", f.name)
	}
	return (&yamlElements{file: f, made: map[*yaml.Node]*element{}}).element(document.Content[0], 0)
}

// yamlElements converts YAML nodes to elements. Aliases share the element of their anchor.
type yamlElements struct {
	file *elementFile
	made map[*yaml.Node]*element // of the nodes with an anchor
}

func (r *yamlElements) element(node *yaml.Node, depth int) (*element, error) {
	if depth > 2*maxElementDepth {
		return nil, fmt.Errorf("%s:%d: nested deeper than %d", r.file.name, node.Line, maxElementDepth)
	}
	if node.Kind == yaml.AliasNode {
		return r.element(node.Alias, depth+1)
	}
	if node.Anchor != "" {
		if e := r.made[node]; e != nil {
			return e, nil
		}
	}
	e := &element{file: r.file, line: int32(node.Line)}
	if node.Anchor != "" {
		r.made[node] = e
	}
	switch node.Kind {
	case yaml.SequenceNode:
		e.kind, e.items = elementList, make([]*element, 0, len(node.Content))
		for _, item := range node.Content {
			made, err := r.element(item, depth+1)
			if err != nil {
				return nil, err
			}
			e.items = append(e.items, made)
		}
	case yaml.MappingNode:
		return e, r.members(e, node, depth)
	default:
		e.scalar(node)
	}
	return e, nil
}

func (r *yamlElements) members(e *element, node *yaml.Node, depth int) error {
	e.kind = elementMap
	e.names, e.items = make([]string, 0, len(node.Content)/2), make([]*element, 0, len(node.Content)/2)
	seen := make(map[string]bool, len(node.Content)/2)
	var merged []*element
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		for key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		value, err := r.element(node.Content[i+1], depth+1)
		if err != nil {
			return err
		}
		if key.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s:%d: a key must be a plain text", r.file.name, key.Line)
		}
		if key.Tag == "!!merge" {
			merged = append(merged, value)
			continue
		}
		if seen[key.Value] {
			return fmt.Errorf("%s:%d: the key %q occurs twice; keep one of them", r.file.name, key.Line, shortened(key.Value))
		}
		seen[key.Value] = true
		if node.Content[i+1].Kind != yaml.AliasNode && node.Content[i+1].Anchor == "" {
			value.line = int32(key.Line)
		}
		e.names, e.items = append(e.names, key.Value), append(e.items, value)
	}
	for _, one := range merged {
		from := []*element{one}
		if one.kind == elementList {
			from = one.items
		}
		for _, source := range from {
			for i, name := range source.names {
				if !seen[name] {
					seen[name] = true
					e.names, e.items = append(e.names, name), append(e.items, source.items[i])
				}
			}
		}
		if len(e.items) > maxElements {
			return fmt.Errorf("%s:%d: more than %d members", r.file.name, node.Line, maxElements)
		}
	}
	return nil
}

// scalar sets a YAML scalar. Dates and other types that JSON does not have become strings.
func (e *element) scalar(node *yaml.Node) {
	e.kind, e.text = elementString, node.Value
	switch node.ShortTag() {
	case "!!null":
		e.kind, e.text = elementNull, ""
	case "!!bool":
		e.kind, e.text = elementBool, strings.ToLower(node.Value)
	case "!!int", "!!float":
		if literal, ok := jsonNumber(node.Value); ok {
			e.kind, e.text = elementNumber, literal
		}
	}
}

// jsonNumber converts a YAML number to JSON.
func jsonNumber(text string) (string, bool) {
	if numberLiteral(text) && len(text) <= maxNumber && inRange(text) {
		return text, true
	}
	plain := strings.ReplaceAll(text, "_", "")
	if n, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return strconv.FormatInt(n, 10), true
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "", false
	}
	return strconv.FormatFloat(f, 'g', -1, 64), true
}

// get returns a member of a map, or nil. All methods may be called on a nil element, which stands for a missing value.
func (e *element) get(names ...string) *element {
	for _, name := range names {
		if e == nil || e.kind != elementMap {
			return nil
		}
		i := e.find(name)
		if i < 0 {
			return nil
		}
		e = e.items[i]
	}
	return e
}

// find returns the index of a member, or -1.
func (e *element) find(name string) int {
	if len(e.names) < 32 {
		return slices.Index(e.names, name)
	}
	if e.index == nil {
		e.index = make(map[string]int32, len(e.names))
		for i, one := range e.names {
			e.index[one] = int32(i)
		}
	}
	if i, found := e.index[name]; found {
		return int(i)
	}
	return -1
}

// each visits the members of a map in order.
func (e *element) each(visit func(name string, value *element)) {
	if e == nil || e.kind != elementMap {
		return
	}
	for i, name := range e.names {
		visit(name, e.items[i])
	}
}

// list returns the items of a list.
func (e *element) list() []*element {
	if e == nil || e.kind != elementList {
		return nil
	}
	return e.items
}

// str returns the value of a string, or "".
func (e *element) str() string {
	if e == nil || e.kind != elementString {
		return ""
	}
	return e.text
}

// is reports whether e is the boolean value.
func (e *element) is(value bool) bool {
	return e != nil && e.kind == elementBool && (e.text == "true") == value
}

// isMap reports whether e exists and is a map.
func (e *element) isMap() bool { return e != nil && e.kind == elementMap }

// count returns a non-negative integer, such as that of minLength, or -1.
func (e *element) count() int {
	if e == nil || e.kind != elementNumber {
		return -1
	}
	f, err := strconv.ParseFloat(e.text, 64)
	if err != nil || f < 0 || f != math.Trunc(f) {
		return -1
	}
	return int(min(f, math.MaxInt32))
}

// origin returns the place of the element.
func (e *element) origin() Origin {
	if e == nil {
		return Origin{}
	}
	return Origin{e.file.name, int(e.line)}
}

// place returns the place as text: pets.yaml:12 or, where lines are very long, with the JSON pointer: pets.json:1 (/paths/~1pets/get).
func (e *element) place() string {
	at := e.origin().String()
	if e != nil && e.file.minute {
		at += " (" + e.pointer() + ")"
	}
	return at
}

// longLine is the average line length of a file, in bytes, from which on a line number does not locate anything.
const longLine = 400

// pointer returns the path from the root as a JSON pointer (RFC 6901).
func (e *element) pointer() string {
	var parts []string
	for ; e.parent != nil && len(parts) < 2*maxElementDepth; e = e.parent {
		i := slices.Index(e.parent.items, e)
		part := strconv.Itoa(i)
		if e.parent.kind == elementMap {
			part = strings.NewReplacer("~", "~0", "/", "~1").Replace(shortened(e.parent.names[i]))
		}
		parts = append(parts, part)
	}
	slices.Reverse(parts)
	return "/" + strings.Join(parts, "/")
}

// maxWritten is the maximum size of an enum's value or a policy that is written as JSON, in bytes.
const maxWritten = 256 << 10

var errLongValue = errors.New("the value is too large")

// json appends the value as JSON.
func (e *element) json(out []byte) ([]byte, error) {
	if len(out) > maxWritten {
		return nil, errLongValue
	}
	switch e.kind {
	case elementBool, elementNumber:
		return append(out, e.text...), nil
	case elementString:
		text, err := json.Marshal(e.text)
		return append(out, text...), err
	case elementNull:
		return append(out, "null"...), nil
	}
	opening, closing := byte('['), byte(']')
	if e.kind == elementMap {
		opening, closing = '{', '}'
	}
	out = append(out, opening)
	for i, item := range e.items {
		if i > 0 {
			out = append(out, ',')
		}
		var err error
		if e.kind == elementMap {
			name, _ := json.Marshal(e.names[i])
			out = append(append(out, name...), ':')
		}
		if out, err = item.json(out); err != nil {
			return nil, err
		}
	}
	return append(out, closing), nil
}

// shortened returns the beginning of a text of a document, for messages.
func shortened(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "..."
	}
	return strings.ToValidUTF8(s, "?")
}
