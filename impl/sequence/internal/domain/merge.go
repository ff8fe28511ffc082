package domain

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// merge applies a merge patch (RFC 7396) to an element's data. Members that the patch does not name keep their text and their position. New
// members are appended in the order of the patch. Libraries decode into Go's maps and encode again, which preserves neither text nor order. The
// recursion is bounded, because the contract limits the depth of a body.
func merge(data, patch json.RawMessage) (json.RawMessage, error) {
	if !isObject(patch) {
		return patch, nil
	}
	into, err := readObject(data)
	if err != nil {
		return nil, fmt.Errorf("read data: %w", err)
	}
	from, err := readObject(patch)
	if err != nil {
		return nil, fmt.Errorf("read merge patch: %w", err)
	}
	for _, change := range from.members {
		if bytes.Equal(change.value, []byte("null")) {
			into.remove(change.name)
			continue
		}
		if change.value, err = merge(into.value(change.name), change.value); err != nil {
			return nil, err
		}
		into.set(change)
	}
	return into.text(), nil
}

// object is a JSON object that preserves the order and the text of its members.
type object struct {
	members []member
	at      map[string]int // index in members, by name
}

type member struct {
	name       string
	key, value json.RawMessage // value nil: removed
}

func isObject(text json.RawMessage) bool {
	return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{"))
}

// readObject reads the members of an object. Any other JSON value, and no value, gives an object without members, as RFC 7396 has it.
func readObject(text json.RawMessage) (*object, error) {
	o := &object{at: map[string]int{}}
	if !isObject(text) {
		return o, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil { // {
		return nil, err
	}
	for decoder.More() {
		before := decoder.InputOffset()
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: bytes.TrimLeft(text[before:decoder.InputOffset()], ", \t\r\n")}
		m.name, _ = name.(string) // keys of an object are always strings
		if err := decoder.Decode(&m.value); err != nil {
			return nil, err
		}
		o.set(m)
	}
	_, err := decoder.Token() // }
	return o, err
}

func (o *object) value(name string) json.RawMessage {
	if i, ok := o.at[name]; ok {
		return o.members[i].value
	}
	return nil
}

// set replaces the value of a member in place, or appends a new member.
func (o *object) set(m member) {
	if i, ok := o.at[m.name]; ok {
		o.members[i].value = m.value
		return
	}
	o.at[m.name] = len(o.members)
	o.members = append(o.members, m)
}

func (o *object) remove(name string) {
	if i, ok := o.at[name]; ok {
		o.members[i].value = nil
	}
}

func (o *object) text() json.RawMessage {
	out := []byte{'{'}
	for _, m := range o.members {
		if m.value == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, m.key...), ':'), m.value...)
	}
	return append(out, '}')
}
