package contract

import (
	"bytes"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/internal/problem"
)

// partEncoding is the encoding object of a form's field or a part of a multipart body.
type partEncoding struct {
	types   []string // the media types that a part may have; none: what fits its schema
	style   string
	explode bool
}

// body compiles a request body. It returns nil when the operation has none.
func (b *adopter) body(at *element) (*bodyContract, error) {
	if at == nil {
		return nil, nil
	}
	e, err := b.deref(at)
	if err != nil {
		return nil, err
	}
	b.misspelled(WarnBody, e, bodyKeys)
	body := &bodyContract{required: b.boolean(WarnBody, e, "required"), media: map[string]*mediaContract{}}
	content := e.get("content")
	if !content.isMap() || len(content.items) == 0 {
		b.warn(WarnBody, e, "declare its media types under content", "the request body has no media type; bodies of any type are passed on without a check")
		m := &mediaContract{name: "*/*", kind: mediaBinary}
		body.media[m.name], body.ranges = m, []*mediaContract{m}
		return body, nil
	}
	for i, name := range content.names {
		m, err := b.mediaType(name, content.items[i], WarnBody)
		if err != nil {
			return nil, err
		}
		if body.media[m.name] != nil {
			b.warn(WarnBody, content.items[i], "keep one of them", "media type %s is declared twice; the first one applies", shortened(m.name))
			continue
		}
		body.media[m.name] = m
		if strings.Contains(m.name, "*") {
			body.ranges = append(body.ranges, m)
		}
	}
	if e.get("required") == nil {
		b.warn(WarnBody, e, "write required: true where the service needs a body, else required: false", "the request body is not required: a request without one reaches the service")
	}
	slices.SortStableFunc(body.ranges, func(x, y *mediaContract) int { return len(y.name) - len(x.name) }) // image/* before */*
	return body, nil
}

// mediaType compiles one media type of a body or an answer.
func (b *adopter) mediaType(name string, e *element, warning string) (*mediaContract, error) {
	name, parameters, _ := strings.Cut(strings.ToLower(name), ";")
	m := &mediaContract{name: strings.TrimSpace(name)}
	if parameters = strings.TrimSpace(parameters); parameters != "" && !strings.HasPrefix(parameters, "charset=") {
		b.warn(warning, e, "leave them out", "the parameters of media type %s are not compared", shortened(m.name))
	}
	b.misspelled(warning, e, mediaKeys)
	described := e.get("schema")
	kind, _ := kindOf(m.name)
	lines := b.lines(kind, e, warning)
	if item := e.get("itemSchema"); item != nil && lines != item {
		b.warn(warning, item, "answer with application/x-ndjson, or check them in the service", "the items of a stream are not checked")
	}
	switch {
	case lines != nil:
		described = lines
	case m.name == "multipart/form-data":
		kind = mediaMultipart
	case m.name == "text/json":
		kind = mediaJSON
	case kind == mediaJSON, kind == mediaForm, strings.HasPrefix(m.name, "text/") && kind == mediaText && !strings.HasSuffix(m.name, "xml"):
	default:
		kind = mediaBinary
		if described != nil && b.structured(described) {
			b.warn(warning, e, "describe it as JSON where it must be checked", "%s is passed on without a check of what is in it", shortened(m.name))
		}
		described = nil
	}
	m.kind = kind
	var err error
	if m.schema, err = b.schema(described); err != nil {
		return nil, err
	}
	if kind == mediaForm || kind == mediaMultipart {
		m.encoding = b.encodings(e.get("encoding"))
	}
	return m, nil
}

// lines returns the schema of each line of an NDJSON body: itemSchema or a schema of objects, because a stream of lines is not an object as a whole.
// With nil the body is forwarded unchecked.
func (b *adopter) lines(kind mediaKind, e *element, warning string) *element {
	if kind != mediaLines || warning != WarnBody {
		return nil
	}
	if item := e.get("itemSchema"); item != nil {
		return item
	}
	if s, err := b.deref(e.get("schema")); err == nil && s.get("type").str() == "object" {
		return e.get("schema")
	}
	return nil
}

// structured reports whether a schema says more than that the body is bytes.
func (b *adopter) structured(e *element) bool {
	e, err := b.deref(e)
	return err == nil && e.get("type").str() != "string" && len(e.items) > 0
}

func (b *adopter) encodings(e *element) map[string]partEncoding {
	out := map[string]partEncoding{}
	e.each(func(name string, at *element) {
		said := partEncoding{style: at.get("style").str()}
		for one := range strings.SplitSeq(strings.ToLower(at.get("contentType").str()), ",") {
			if one = strings.TrimSpace(one); one != "" {
				said.types = append(said.types, one)
			}
		}
		said.explode = said.style == "" || said.style == "form"
		if explode := at.get("explode"); explode != nil {
			said.explode = explode.is(true)
		}
		if at.get("headers") != nil {
			b.warn(WarnBody, at, "check them in the service where they matter", "the headers of part %s are not checked", shortened(name))
		}
		out[name] = said
	})
	return out
}

// uploads reports whether the body may be bytes, multipart/form-data or lines, which are checked while they are forwarded.
func (b *bodyContract) uploads() bool {
	if b == nil {
		return false
	}
	for _, m := range b.media {
		if m.streams() {
			return true
		}
	}
	return false
}

// onlyUploads reports whether the body is always checked while it is forwarded.
func (b *bodyContract) onlyUploads() bool {
	for _, m := range b.media {
		if !m.streams() {
			return false
		}
	}
	return true
}

// takesLines reports whether the body may be lines of JSON.
func (b *bodyContract) takesLines() bool {
	for _, m := range b.media {
		if m.kind == mediaLines {
			return true
		}
	}
	return false
}

// streams reports whether a body of this type is checked while it is forwarded.
func (m *mediaContract) streams() bool {
	return m.kind == mediaBinary || m.kind == mediaMultipart || m.kind == mediaLines
}

// adoptedMedia is mediaType for adopted documents: it supports ranges, and accepts media type parameters that the document does not declare.
func (op *Operation) adoptedMedia(header []string) (*mediaContract, map[string]string, error) {
	refuse := func(rule, message string) error {
		return problem.New(problem.UnsupportedMedia, "This operation does not accept the body's media type.").
			WithHeader("Accept", strings.Join(op.body.types(), ", ")).WithField("header", "Content-Type", rule, message)
	}
	if len(header) != 1 || header[0] == "" {
		if m := op.body.media["*/*"]; len(header) < 2 && m != nil {
			return m, nil, nil
		}
		return nil, nil, refuse("required", "must be sent once")
	}
	if m := op.body.media[header[0]]; m != nil { // as it is nearly always written
		return m, nil, nil
	}
	name, parameters, err := mime.ParseMediaType(header[0])
	if err != nil {
		return nil, nil, refuse("mediaType", "is not a media type")
	}
	m := op.body.media[name]
	for _, one := range op.body.ranges {
		if m == nil && covers(one.name, name) {
			m = one
		}
	}
	if m == nil {
		return nil, nil, refuse("mediaType", "must be "+strings.Join(op.body.types(), " or "))
	}
	text := m.kind == mediaJSON || m.kind == mediaForm || m.kind == mediaText && m.schema != nil
	if charset := parameters["charset"]; text && charset != "" && !strings.EqualFold(charset, "utf-8") {
		return nil, nil, refuse(string(RuleCharset), "must have the charset utf-8 or none")
	}
	return m, parameters, nil
}

// checkAdoptedBody is CheckBody for adopted documents.
func (op *Operation) checkAdoptedBody(contentType string, body []byte) error {
	if len(body) == 0 {
		if op.body.required {
			return errBodyRequired
		}
		return nil
	}
	m, parameters, err := op.adoptedMedia([]string{contentType})
	if err != nil {
		return err
	}
	if m.kind == mediaLines {
		return op.checkLines(m, body)
	}
	c := newChecker(inbound, "body")
	defer c.release()
	if err := c.adoptedBody(m, parameters, body); err != nil {
		return err
	}
	return c.problem(problem.InvalidBody, "The body does not match the contract.")
}

// adoptedBody reads and checks a body. It returns an error when the body cannot be read.
func (c *checker) adoptedBody(m *mediaContract, parameters map[string]string, body []byte) error {
	switch {
	case m.kind == mediaMultipart:
		return c.multipart(m, parameters["boundary"], bytes.NewReader(body))
	case m.kind == mediaForm && m.schema != nil:
		form := aliased(body)
		if strings.IndexByte(form, ';') >= 0 { // which older parsers take for &; unlike a query, the form reaches the service unchanged
			return malformedBody(RuleFormSyntax, "")
		}
		if rule := c.pairs.readOpen(form); rule != "" {
			return malformedBody(RuleFormSyntax, "")
		}
		c.adoptedForm(m)
	case m.kind == mediaText && m.schema != nil:
		if !utf8.Valid(body) {
			return malformedBody(RuleTextUTF8, "")
		}
		c.checkReadings("", m.schema, func(b *values) bool {
			b.scalar(m.schema, string(body))
			return true
		})
	case m.kind == mediaJSON:
		return c.body(m, body, false)
	}
	return nil
}

// adoptedForm checks the fields of a form as the members of an object.
func (c *checker) adoptedForm(m *mediaContract) {
	fields := &branch{}
	for _, one := range c.pairs {
		name := one.name
		if base, brackets := m.schema.bracketed(name); brackets != "" {
			structured := textTypes(memberOf(m.schema, base))&(typeArray|typeObject) != 0
			if !structured || !fields.put("["+base+"]"+brackets, one.value) {
				c.reset("")
				c.fail(0, string(RuleQueryBrackets), "has brackets that are not allowed or not well formed", base)
			}
			continue
		}
		i := slices.IndexFunc(fields.inner, func(have *branch) bool { return have.name == name })
		if i < 0 {
			i, fields.inner = len(fields.inner), append(fields.inner, &branch{name: name})
		}
		fields.inner[i].texts = append(fields.inner[i].texts, one.value)
	}
	c.checkReadings("", m.schema, func(b *values) bool {
		object := b.open(kindObject)
		for _, one := range fields.inner {
			b.add(kindString, one.name)
			if !b.field(m, one) {
				return false
			}
		}
		b.close(object, len(fields.inner))
		return true
	})
}

// bracketed splits a name such as tags[0] into the property that s lists and the brackets, which are "" when the name has none or is listed itself.
// Decoders read such a name as part of the property, so it must not count as an undeclared one.
func (s *schema) bracketed(name string) (base, brackets string) {
	i := strings.IndexByte(name, '[')
	lists := func(name string) bool {
		return slices.ContainsFunc(s.flat(), func(part *schema) bool { return part.properties[name] != nil })
	}
	if i <= 0 || lists(name) || !lists(name[:i]) {
		return name, ""
	}
	return name[:i], name[i:]
}

// field adds one field of a form to the value.
func (b *values) field(m *mediaContract, one *branch) bool {
	s, encoding := memberOf(m.schema, one.name), m.encoding[one.name]
	types := textTypes(s)
	switch {
	case len(one.inner) > 0:
		return b.tree(s, one)
	case len(one.texts) == 1 && types&typeArray != 0 && encoding.separator() != "":
		b.listOf(s, strings.Split(one.texts[0], encoding.separator()))
		return true
	case len(one.texts) == 1 && (types&typeString == 0 && types&(typeObject|typeArray) != 0 || slices.Contains(encoding.types, "application/json")):
		var inner tape // objects are written as JSON unless encoding says otherwise (OpenAPI 3.0.3, "Encoding Object")
		if text := one.texts[0]; (strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[")) && inner.read([]byte(text)) == nil {
			b.graft(&inner)
			return true
		}
	}
	return b.several(s, one.texts, one.listed)
}

// separator returns the delimiter of a list that is written in one field, or "".
func (e partEncoding) separator() string {
	switch {
	case e.style == "spaceDelimited":
		return " "
	case e.style == "pipeDelimited":
		return "|"
	case e.style == "form" && !e.explode:
		return ","
	}
	return ""
}
