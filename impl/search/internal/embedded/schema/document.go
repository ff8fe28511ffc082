package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
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

// ParseDirty reads a dirty_values parameter; empty is the schema's default.
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

// ParseDocument reads one JSON object and nothing after it.
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
		return nil, refuse("Bad JSON: a surrogate stands alone.")
	}
	return v, nil
}

// loneSurrogate finds an escaped half of a pair without the other half, which Go's decoder replaces silently.
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

// Encode writes the document with sorted keys and untouched numbers.
func (d Document) Encode() ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(map[string]any(d)); err != nil {
		return nil, fmt.Errorf("encode document: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Merge puts the values of patch over the document: objects are merged in depth, all else is replaced. Neither is changed.
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

// Value holds a field's values in their type: one of the lists is used.
type Value struct {
	Strings []string
	Ints    []int64 // whole numbers and booleans (0, 1)
	Floats  []float64
}

// Typed is a document as the index takes it.
type Typed struct {
	ID     string
	Values map[string]Value
}

// Check validates doc, coerces it in place as dirty says and returns its typed values. New lists the fields that the
// schema's patterns and objects make from it; they are not yet part of the schema.
func (s *Schema) Check(doc Document, dirty Dirty) (typed *Typed, added []*Field, err error) {
	// A schema may have learned thousands of fields of which a document has few: room is made for those it can have.
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

// detected makes fields of values that no field declares, as the schema's patterns say.
func (s *Schema) detected(doc Document, dirty Dirty, typed *Typed) (added []*Field, err error) {
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		raw := doc[name]
		if _, known := s.byName[name]; known || name == "id" {
			continue
		}
		kind, array, ok := detect(raw)
		if !ok && s.Nested {
			kind, array, ok = detectObject(raw)
		}
		if !ok {
			if raw == nil {
				delete(doc, name)
			}
			continue
		}
		f := s.derive(name, kind, array)
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
	case f.Geo():
		raw, present = located(doc, f)
	default:
		raw, present = lookup(doc, f)
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
	v, coerced, changed, err := f.value(raw, dirty)
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
			_, fits := f.one(item, dirty == CoerceOrDrop, new(Value))
			return fits
		})
	}
	if (f.Index || f.Sort) && f.Indexed() || f.Index && f.NumDim > 0 {
		typed.Values[f.Name] = v
	}
	if f.Geo() {
		typed.Values[f.Name] = Value{Floats: Places(doc, f)}
	}
	return nil
}

// value types raw; coerced is the value to store when changed says that coercion was needed.
func (f *Field) value(raw any, dirty Dirty) (v Value, coerced any, changed bool, err error) {
	switch f.Kind {
	case Object, Image, GeoPoint, GeoPolygon:
		return Value{}, nil, false, f.shape(raw)
	}
	coerce := dirty == CoerceOrReject || dirty == CoerceOrDrop
	if !f.Array {
		c, ok := f.one(raw, coerce, &v)
		if !ok {
			return Value{}, nil, false, refuse("Field `%s` must be %s.", f.Name, article[f.Kind])
		}
		return v, c, coerce && c != raw, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return Value{}, nil, false, refuse("Field `%s` must be an array.", f.Name)
	}
	out := make([]any, 0, len(list))
	for _, item := range list {
		before := v
		c, ok := f.one(item, coerce, &v)
		if !ok {
			if dirty == Drop || dirty == CoerceOrDrop {
				v, changed = before, true
				continue
			}
			return Value{}, nil, false, refuse("Field `%s` must be an array of %s.", f.Name, kindNames[f.Kind])
		}
		if coerce && !same(c, item) {
			changed = true
		}
		out = append(out, c)
	}
	if f.NumDim > 0 && len(out) != f.NumDim { // also when a number of it was dropped
		return Value{}, nil, false, refuse("Field `%s` must have %d dimensions.", f.Name, f.NumDim)
	}
	return v, out, changed, nil
}

func same(a, b any) bool {
	switch b.(type) {
	case string, json.Number, bool:
		return a == b
	}
	return false
}

var article = map[Kind]string{String: "a string", Int32: "an int32", Int64: "an int64", Float: "a float", Bool: "a bool"}

// one types a single value and appends it to v. It returns the value to store.
func (f *Field) one(raw any, coerce bool, v *Value) (any, bool) {
	switch raw.(type) {
	case string, json.Number, bool:
	default:
		return nil, false
	}
	switch f.Kind {
	case String:
		s, ok := raw.(string)
		if !ok && coerce {
			s, ok = scalarText(raw), true
		}
		v.Strings = append(v.Strings, s)
		return s, ok
	case Bool:
		b, ok := asBool(raw, coerce)
		n := int64(0)
		if b {
			n = 1
		}
		v.Ints = append(v.Ints, n)
		return b, ok
	case Float:
		n, stored, ok := asFloat(raw, coerce)
		if f.NumDim == 0 { // beyond 32 bits it counts as the largest number: there is no JSON of an infinite sum or value. A vector of such numbers has no distance
			n = min(max(n, -math.MaxFloat32), math.MaxFloat32)
		}
		v.Floats = append(v.Floats, n)
		return stored, ok
	default:
		n, stored, ok := asInt(raw, coerce)
		v.Ints = append(v.Ints, n)
		return stored, ok
	}
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

func asBool(raw any, coerce bool) (bool, bool) {
	if b, ok := raw.(bool); ok {
		return b, true
	}
	if !coerce {
		return false, false
	}
	switch strings.ToLower(scalarText(raw)) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// asFloat narrows to 32 bits, as documented for the type; the stored text stays as it is.
func asFloat(raw any, coerce bool) (float64, any, bool) {
	n, isNumber := raw.(json.Number)
	if !isNumber {
		if !coerce {
			return 0, nil, false
		}
		if b, ok := raw.(bool); ok {
			n = "0.0"
			if b {
				n = "1.0"
			}
		} else {
			n = json.Number(strings.TrimSpace(scalarText(raw)))
		}
	}
	v, err := strconv.ParseFloat(n.String(), 64)
	if (err != nil && !math.IsInf(v, 0)) || math.IsNaN(v) || (!isNumber && !validNumber(n.String())) {
		return 0, nil, false
	}
	return float64(float32(v)), n, true
}

func validNumber(s string) bool {
	return json.Valid([]byte(s)) && s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9')
}

// asInt takes whole numbers written without fraction or exponent. Numbers beyond 64 bits are clamped in the index and
// kept as they are in the document.
func asInt(raw any, coerce bool) (int64, any, bool) {
	n, isNumber := raw.(json.Number)
	if isNumber {
		if v, ok := parseInt(n.String()); ok {
			return v, n, true
		}
	}
	if !coerce {
		return 0, nil, false
	}
	switch t := raw.(type) {
	case bool:
		if t {
			return 1, json.Number("1"), true
		}
		return 0, json.Number("0"), true
	case string:
		n = json.Number(strings.TrimSpace(t))
	}
	if v, ok := parseInt(n.String()); ok {
		return v, json.Number(strconv.FormatInt(v, 10)), true
	}
	f, err := strconv.ParseFloat(n.String(), 64)
	if !isNumber || err != nil || math.Abs(f) > 1<<62 {
		return 0, nil, false
	}
	return int64(f), json.Number(strconv.FormatInt(int64(f), 10)), true
}

func parseInt(s string) (int64, bool) {
	v, err := strconv.ParseInt(s, 10, 64)
	if err == nil {
		return v, true
	}
	if strings.TrimLeft(s, "-0123456789") == "" && strings.Count(s, "-") <= 1 && len(s) > 1 && len(s) < 21 {
		return v, v != 0 // out of range: ParseInt returns the nearest
	}
	return 0, false
}

// detect finds the type of a value that no field declares. Objects, nulls and empty lists have none.
func detect(raw any) (kind Kind, array, ok bool) {
	if list, isList := raw.([]any); isList {
		if len(list) == 0 {
			return 0, false, false
		}
		kind, array, ok = detect(list[0])
		return kind, true, ok && !array
	}
	switch t := raw.(type) {
	case string:
		return String, false, true
	case bool:
		return Bool, false, true
	case json.Number:
		if _, whole := parseInt(t.String()); whole {
			return Int64, false, true
		}
		return Float, false, true
	}
	return 0, false, false
}
