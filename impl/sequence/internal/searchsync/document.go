// Package searchsync keeps the search service's copy of the elements up to date, and searches elements there. The search
// service only says which elements were found. Their content is read from the database of this service.
package searchsync

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/clients/search"
	"github.com/fountainai/fountain/impl/sequence/internal/domain"
)

const (
	// Collection is the search service's collection of all elements.
	Collection = "elements"

	attribute    = "attr_" // prefix of the field for a text property of an element's data
	textField    = "text"  // all texts of the data
	scopeField   = "scopeKey"
	typeField    = "typeKey"
	maxText      = 32 << 10 // bytes of textField
	maxAttribute = 256      // characters of a property's value; a longer one can't be filtered by
)

var (
	propertyName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`) // PropertyName of the contract
	errKey       = errors.New("not the key of an element")
)

// schema returns the collection as Run creates it.
func schema() search.CollectionCreate {
	yes := true
	field := func(name string, t search.FieldType) search.Field { return search.Field{Name: name, Type: t} }
	facet := func(name string) search.Field {
		return search.Field{Name: name, Type: search.FieldTypeString, Facet: &yes}
	}
	attributes := facet(attribute + ".*")
	attributes.Optional = &yes
	return search.CollectionCreate{Name: Collection, Fields: []search.Field{
		field(scopeField, search.FieldTypeString), field(typeField, search.FieldTypeString),
		facet("scope"), facet("elementType"), facet("status"), field("number", search.FieldTypeInt64), field("version", search.FieldTypeInt64),
		field(textField, search.FieldTypeString), field("updatedAt", search.FieldTypeInt64), attributes,
	}}
}

// exactKey returns a hash of names, which filters compare instead of the names. The engine ignores case and punctuation, so that it takes
// the scopes act-1, act.1 and Act1 for one. The hashes of different names differ.
func exactKey(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Key returns the element's id in the outbox and in the collection. None of its parts can contain a colon.
func Key(r domain.Ref) string { return r.Scope + ":" + r.ElementType + ":" + r.ID }

// ParseKey returns the element of a key that Key has made.
func ParseKey(key string) (domain.Ref, error) {
	parts := strings.Split(key, ":")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return domain.Ref{}, errKey
	}
	return domain.Ref{Group: domain.Group{Scope: parts[0], ElementType: parts[1]}, ID: parts[2]}, nil
}

// document returns the element's document for the search service. Without attributes the element can't be filtered by its properties, but still be found by its words.
func document(e domain.Element, attributes bool) (json.RawMessage, error) {
	fields := map[string]any{
		scopeField: exactKey(e.Scope), typeField: exactKey(e.Scope, e.ElementType),
		"scope": e.Scope, "elementType": e.ElementType, "status": e.Status, "number": e.Number, "version": e.Version,
		"updatedAt": e.UpdatedAt.UnixMicro(),
	}
	var text lines
	text.add(e.Formatted) // so that a search for the formatted number finds the element
	err := eachText(e.Data, func(property, value string) {
		text.add(value)
		if attributes && propertyName.MatchString(property) && value != "" && utf8.RuneCountInString(value) <= maxAttribute {
			fields[attribute+property] = value
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read data of element: %w", err)
	}
	fields[textField] = text.String()
	return json.Marshal(fields)
}

// lines joins texts up to maxText bytes.
type lines struct {
	strings.Builder
	full bool
}

// add adds a line, or as many whole characters of it as there is room for.
func (l *lines) add(value string) {
	if value == "" || l.full {
		return
	}
	room := maxText - l.Len() - 1
	if len(value) > room {
		l.full = true
		for room > 0 && !utf8.RuneStart(value[room]) {
			room--
		}
		value = value[:max(room, 0)]
	}
	if l.Len() > 0 && value != "" {
		l.WriteByte('\n')
	}
	l.WriteString(value)
}

// eachText calls fn with every string value of a JSON object, in the order of the text. property is the name of the value's
// property when that belongs to the object itself, and empty for values further inside.
func eachText(data []byte, fn func(property, value string)) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // a number need not fit a float
	var stack []container
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if d, ok := token.(json.Delim); ok {
			if d == '{' || d == '[' {
				stack = append(stack, container{object: d == '{'})
				continue
			}
			stack = stack[:len(stack)-1]
			closeValue(stack)
			continue
		}
		top := len(stack) - 1
		value, isText := token.(string)
		if top >= 0 && stack[top].object && !stack[top].inValue {
			stack[top].name, stack[top].inValue = value, true
			continue
		}
		if isText {
			property := ""
			if top == 0 {
				property = stack[0].name
			}
			fn(property, value)
		}
		closeValue(stack)
	}
}

// container is an object or array that is being read.
type container struct {
	object  bool
	inValue bool   // of an object: its name is read, its value is next
	name    string // of the property being read
}

// closeValue records that the value of the innermost object's property has been read.
func closeValue(stack []container) {
	if n := len(stack); n > 0 {
		stack[n-1].inValue = false
	}
}
