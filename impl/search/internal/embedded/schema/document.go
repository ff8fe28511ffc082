package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Dirty is what to do with a value that does not have its field's type.
type Dirty uint8

// The values of the dirty_values parameter.
const (
	Reject Dirty = iota
	CoerceOrReject
	CoerceOrDrop
	Drop
)

// ParseDirty parses a dirty_values parameter. "" means the default of the schema.
func (s *Schema) ParseDirty(v string) (Dirty, error) {
	switch v {
	case "":
		if s.Patterned() {
			return CoerceOrReject, nil
		}
		return Reject, nil
	case "reject":
		return Reject, nil
	case "coerce_or_reject":
		return CoerceOrReject, nil
	case "coerce_or_drop":
		return CoerceOrDrop, nil
	case "drop":
		return Drop, nil
	}
	return Reject, refuse("Parameter `dirty_values` must be one of coerce_or_reject|coerce_or_drop|drop|reject.")
}

// Document is a JSON object whose numbers keep their text.
type Document map[string]any

// ParseDocument parses a body that consists of one JSON object.
func ParseDocument(body []byte) (Document, error) {
	v, err := decode(body)
	if err != nil {
		return nil, err
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, refuse("Bad JSON: not a properly formed document.")
	}
	return doc, nil
}

func decode(body []byte) (any, error) {
	if !utf8.Valid(body) {
		return nil, refuse("Bad JSON: the text is not UTF-8.")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, refuse("Bad JSON: the text can't be parsed.")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, refuse("Bad JSON: there is more text after the document.")
	}
	if bytes.Contains(body, []byte(`\u`)) && loneSurrogate(body) {
		return nil, refuse("Bad JSON: an unpaired surrogate.")
	}
	return v, nil
}

// loneSurrogate finds an escaped surrogate without its other half. Go's decoder would replace it silently.
func loneSurrogate(body []byte) bool {
	unit := func(i int) (uint64, bool) {
		if i+6 > len(body) || body[i] != '\\' || body[i+1] != 'u' {
			return 0, false
		}
		v, err := strconv.ParseUint(string(body[i+2:i+6]), 16, 32)
		return v, err == nil
	}
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		v, ok := unit(i)
		switch {
		case !ok:
			i++ // the escaped character
		case v >= 0xD800 && v < 0xDC00:
			low, ok := unit(i + 6)
			if !ok || low < 0xDC00 || low > 0xDFFF {
				return true
			}
			i += 11
		case v >= 0xDC00 && v <= 0xDFFF:
			return true
		default:
			i += 5
		}
	}
	return false
}

// Encode encodes the document with sorted keys and unchanged numbers.
func (d Document) Encode() ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]any(d)); err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Merge returns the document with the values of patch. Objects are merged recursively, and everything else is replaced. Neither argument is
// modified.
func (d Document) Merge(patch Document) Document {
	out := make(Document, len(d)+len(patch))
	for k, v := range d {
		out[k] = v
	}
	for k, v := range patch {
		old, isObject := out[k].(map[string]any)
		if sub, ok := v.(map[string]any); ok && isObject {
			out[k] = map[string]any(Document(old).Merge(sub))
			continue
		}
		out[k] = v
	}
	return out
}

// Value holds the typed values of a field. Only one of the lists is used.
type Value struct {
	Strings []string
	Ints    []int64 // integers and booleans (0, 1)
	Floats  []float64
}

// Typed is a document in the form that is indexed.
type Typed struct {
	ID     string
	Values map[string]Value
}

// Check validates doc, coerces it in place as dirty says, and returns its typed values. added holds the fields that the schema's patterns
// and objects create from doc. They are not part of the schema yet.
func (s *Schema) Check(doc Document, dirty Dirty) (typed *Typed, added []*Field, err error) {
	// A schema may have thousands of detected fields, of which a document has few. The map is sized for those that it can have.
	typed = &Typed{Values: make(map[string]Value, min(len(s.Fields), len(doc)))}
	typed.ID, _ = doc["id"].(string)
	for _, f := range s.Fields {
		if f.Pattern() {
			continue
		}
		if err := s.checkField(f, doc, dirty, typed); err != nil {
			return nil, nil, err
		}
	}
	if s.Patterned() {
		if added, err = s.detected(doc, dirty, typed); err != nil {
			return nil, nil, err
		}
	}
	if s.Nested {
		inside, err := s.inside(doc, added, dirty, typed)
		if err != nil {
			return nil, nil, err
		}
		added = append(added, inside...)
	}
	return typed, added, nil
}

// detected creates fields for undeclared values, as the schema's patterns say.
func (s *Schema) detected(doc Document, dirty Dirty, typed *Typed) (added []*Field, err error) {
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		raw := doc[name]
		if _, known := s.byName[name]; known || name == "id" {
			continue
		}
		found, array, ok := detect(raw, s.Nested)
		if !ok {
			if raw == nil {
				delete(doc, name)
			}
			continue
		}
		f := s.derive(name, found, array)
		if f == nil {
			continue
		}
		if err := s.checkField(f, doc, dirty, typed); err != nil {
			return nil, err
		}
		added = append(added, f)
	}
	return added, nil
}

func (s *Schema) checkField(f *Field, doc Document, dirty Dirty, typed *Typed) error {
	raw, present := doc[f.Name]
	own := present
	switch {
	case present || !s.Nested:
	default:
		raw, present = f.lookup(doc)
	}
	if present && raw == nil && f.Optional {
		if own {
			delete(doc, f.Name)
		}
		present = false
	}
	if !present {
		if f.Optional {
			return nil
		}
		if f.Name == s.DefaultSortingField {
			return refuse("Field `%s` has been declared as a default sorting field, but is not found in the document.", f.Name)
		}
		return refuse("Field `%s` has been declared in the schema, but is not found in the document.", f.Name)
	}
	v, coerced, changed, err := f.kind.read(f, raw, dirty)
	if err != nil {
		if (dirty == Drop || dirty == CoerceOrDrop) && f.Optional {
			if own {
				delete(doc, f.Name)
			} else {
				f.leaveOut(doc, nil)
			}
			return nil
		}
		return err
	}
	switch {
	case changed && own:
		doc[f.Name] = coerced
	case changed && f.Array && (dirty == Drop || dirty == CoerceOrDrop):
		f.leaveOut(doc, func(item any) bool {
			_, fits := f.kind.one(item, dirty == CoerceOrDrop, new(Value))
			return fits
		})
	}
	if f.Columns().Any() {
		typed.Values[f.Name] = v
	}
	return nil
}

func same(a, b any) bool {
	switch b.(type) {
	case string, json.Number, bool:
		return a == b
	}
	return false
}

func scalarText(raw any) string {
	switch t := raw.(type) {
	case json.Number:
		return t.String()
	case bool:
		return strconv.FormatBool(t)
	}
	return fmt.Sprint(raw)
}
