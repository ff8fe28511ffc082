package contract

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fountainai/fountain/internal/problem"
)

// bodyContract is a declared request body.
type bodyContract struct {
	required bool
	streams  bool // has a media type that is read line by line
	media    map[string]*mediaContract
	ranges   []*mediaContract // of an adopted document: media types that are ranges, narrower ones first
}

// mediaContract is one media type of a body.
type mediaContract struct {
	name   string
	kind   mediaKind
	schema *schema // nil: anything of this type

	encoding map[string]partEncoding // of fields or parts, in an adopted document
}

// holds reports whether the body may have a media type that is not a stream of lines. Such a body is read whole.
func (b *bodyContract) holds() bool {
	for _, m := range b.media {
		if m.kind != mediaLines {
			return true
		}
	}
	return false
}

func (b *bodyContract) types() []string {
	names := make([]string, 0, len(b.media))
	for name := range b.media {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (b *builder) body(ref *openapi3.RequestBodyRef) (*bodyContract, error) {
	if ref == nil {
		return nil, nil
	}
	if ref.Value == nil {
		return nil, fmt.Errorf("request body %s does not resolve", ref.Ref)
	}
	media, err := b.media(ref.Value.Content)
	if err != nil {
		return nil, fmt.Errorf("request body: %w", err)
	}
	if len(media) == 0 {
		return nil, errors.New("request body: no media type is declared")
	}
	body := &bodyContract{required: ref.Value.Required, media: media}
	for _, m := range media {
		if m.kind == mediaEvents {
			return nil, errors.New("request body: text/event-stream is for answers")
		}
		if m.kind == mediaForm && (m.schema == nil || m.schema.types != typeObject) {
			return nil, errors.New("request body: a form needs a schema of type object")
		}
		body.streams = body.streams || m.kind == mediaLines
	}
	return body, nil
}

func (b *builder) media(content openapi3.Content) (map[string]*mediaContract, error) {
	out := make(map[string]*mediaContract, len(content))
	for name, mt := range content {
		kind, known := kindOf(name)
		if !known {
			return nil, fmt.Errorf("media type %s is not supported", name)
		}
		m := &mediaContract{name: name, kind: kind}
		if mt != nil && mt.Schema != nil {
			s, err := b.schema(mt.Schema)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			m.schema = s
		}
		out[name] = m
	}
	return out, nil
}

// CheckBody checks a whole body of the given Content-Type. Errors: malformed_body (400) when it cannot be parsed, invalid_body (422) when it violates
// the schema, and those of CheckMedia.
func (op *Operation) CheckBody(contentType string, body []byte) error {
	if op.variants != nil {
		return op.either(func(one *Operation) error { return one.ownBody(contentType, body) })
	}
	return op.ownBody(contentType, body)
}

// ownBody checks a body, without the operation's variants.
func (op *Operation) ownBody(contentType string, body []byte) error {
	if op.body == nil {
		if len(body) == 0 {
			return nil
		}
		return problem.New(problem.UnexpectedBody, "This operation takes no body.").WithField("body", "", string(RuleUnexpectedBody), "must not be sent")
	}
	if op.adopted {
		return op.checkAdoptedBody(contentType, body)
	}
	if len(body) == 0 && contentType == "" {
		if op.body.required {
			return errBodyRequired
		}
		return nil
	}
	m, err := op.mediaType([]string{contentType})
	if err != nil {
		return err
	}
	if m.kind == mediaLines {
		return op.checkLines(m, body)
	}
	c := newChecker(inbound, "body")
	defer c.release()
	if err := c.body(m, body, op.Policy.Errors == ErrorsOAuth); err != nil {
		return err
	}
	return c.problem(problem.InvalidBody, "The body does not match the contract.")
}

// body parses and checks a body of media m. Violations of the schema are collected; a body that cannot be parsed is the error.
func (c *checker) body(m *mediaContract, body []byte, oauth bool) error {
	switch m.kind {
	case mediaJSON:
		if fault := c.read(body); fault != nil {
			return malformedBody(fault.rule, fault.pointer())
		}
	case mediaForm:
		return c.form(m.schema, body, oauth)
	case mediaText, mediaEvents, mediaLines:
		if !utf8.Valid(body) {
			return malformedBody(RuleTextUTF8, "")
		}
		if m.kind != mediaText {
			return nil
		}
		c.reset(aliased(body))
		c.push(kindString, 0, len(body), true)
	default:
		return nil
	}
	if m.schema != nil {
		c.check(m.schema, 0)
	}
	return nil
}

// form parses application/x-www-form-urlencoded and checks it as an object whose properties have the schema's types. For OAuth an empty value counts
// as absent and unknown names are ignored (RFC 6749, section 3.2). A schema of additionalProperties applies to the names that the schema does not
// list.
func (c *checker) form(s *schema, body []byte, oauth bool) error {
	if rule := c.pairs.read(aliased(body)); rule != "" {
		return malformedBody(RuleFormSyntax, "")
	}
	c.reset("")
	count := 0
	c.open(kindObject)
	for i, pair := range c.pairs {
		field := s.additional
		if p := s.properties[pair.name]; p != nil {
			field = p.schema
		}
		// Decoders read a[7] as a position in a list: such a name would reach the service unchecked.
		brackets := oauth && strings.ContainsAny(pair.name, "[]")
		switch {
		case brackets || field == nil && !oauth:
			c.fail(0, string(RuleUndeclared), "is not a field of this form", pair.name)
			continue
		case oauth && (field == nil || pair.value == ""):
			continue
		}
		if c.pairs[:i].has(pair.name) {
			if field.types != typeArray {
				return problem.New(problem.MalformedBody, "The form has a field twice.").
					WithField("body", joinPointer([]string{pair.name}), string(RuleRepeated), "must be sent once")
			}
			continue
		}
		if c.field(field, pair, c.pairs[i:]) {
			count++
		}
	}
	c.close(0, count)
	c.check(s, 0)
	return nil
}

// field adds a member to the form's object, with the type of the schema. rest are the pairs from this one on, which contain the other items of a
// list. It returns false after a violation.
func (c *checker) field(s *schema, one pair, rest pairs) bool {
	if s.types == typeArray && s.items != nil {
		c.add(kindString, one.name)
		list, count := c.open(kindArray), 0
		for _, other := range rest {
			if other.name == one.name {
				k, _ := scalarKind(allTypes(s.items), other.value)
				c.add(k, other.value)
				count++
			}
		}
		c.close(list, count)
		return true
	}
	types := allTypes(s)
	k, ok := scalarKind(types, one.value)
	if !ok {
		return c.fail(0, numberOrType(types), sentence("must be of type %s", types), one.name)
	}
	c.add(kindString, one.name)
	c.add(k, one.value)
	return true
}

var bodyMessages = map[Rule]string{
	RuleJSONSyntax: "is not JSON", RuleJSONTrailing: "has text after the JSON value", RuleJSONDuplicateKey: "has the same key twice in one object",
	RuleJSONUTF8: "is not valid UTF-8", RuleJSONDepth: "is nested too deeply", RuleJSONNumber: "has a number out of all bounds",
	RuleJSONNUL: "has the character NUL", RuleTextUTF8: "is not valid UTF-8", RuleFormSyntax: "is not a form",
	RuleMultipart: "is not multipart/form-data with a boundary and parts that have names, or has too many of them",
}

func malformedBody(rule Rule, pointer string) *problem.Error {
	return problem.New(problem.MalformedBody, "The body cannot be read.").WithField("body", pointer, string(rule), bodyMessages[rule])
}
