package verify

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

const (
	maxMembers = 32 // of one object; a FountainAI token has about 20
	maxDepth   = 8
)

var errNotJSON = errors.New("not JSON")

// checkObject parses one JSON object and calls member with each of its own members and the raw value. It refuses what
// two parsers could read differently: a member named twice, ignoring case, in this object or a nested one; an escaped
// member name; and text after the object.
func checkObject(raw []byte, member func(name string, value json.RawMessage) error) error {
	c := &objectChecker{raw: raw, dec: json.NewDecoder(bytes.NewReader(raw))}
	c.dec.UseNumber()
	first, err := c.dec.Token()
	if err != nil {
		return errNotJSON
	}
	if first != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	if err := c.object(0, member); err != nil {
		return err
	}
	if _, err := c.dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("text after the JSON object")
	}
	return nil
}

// objectChecker walks the text with the standard decoder, which checks the syntax.
type objectChecker struct {
	raw []byte
	dec *json.Decoder
}

// object reads an object after its opening brace.
func (c *objectChecker) object(depth int, member func(name string, value json.RawMessage) error) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	var names []string
	for c.dec.More() {
		name, err := c.name()
		if err != nil {
			return err
		}
		if len(names) == maxMembers {
			return errors.New("too many members")
		}
		for _, earlier := range names {
			if strings.EqualFold(earlier, name) {
				return errors.New("a member is named twice")
			}
		}
		names = append(names, name)
		begin := c.dec.InputOffset()
		if err := c.value(depth); err != nil {
			return err
		}
		if member != nil {
			if err := member(name, bytes.TrimLeft(c.raw[begin:c.dec.InputOffset()], " \t\r\n:")); err != nil {
				return err
			}
		}
	}
	return c.end()
}

// name reads a member's name without decoding it.
func (c *objectChecker) name() (string, error) {
	begin := c.dec.InputOffset()
	if _, err := c.dec.Token(); err != nil {
		return "", errNotJSON
	}
	written := strings.TrimLeft(string(c.raw[begin:c.dec.InputOffset()]), " \t\r\n,")
	if len(written) < 2 || strings.Contains(written, `\`) {
		return "", errors.New("a member's name is written with escapes")
	}
	return written[1 : len(written)-1], nil
}

// value reads a value of any type.
func (c *objectChecker) value(depth int) error {
	token, err := c.dec.Token()
	if err != nil {
		return errNotJSON
	}
	switch token {
	case json.Delim('{'):
		return c.object(depth+1, nil)
	case json.Delim('['):
		return c.array(depth + 1)
	}
	return nil
}

func (c *objectChecker) array(depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	for c.dec.More() {
		if err := c.value(depth); err != nil {
			return err
		}
	}
	return c.end()
}

// end reads the closing brace or bracket.
func (c *objectChecker) end() error {
	if _, err := c.dec.Token(); err != nil {
		return errNotJSON
	}
	return nil
}
