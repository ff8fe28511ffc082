package contract

import (
	"errors"
	"net/http"
	"net/textproto"
	"slices"
	"sort"
	"strings"

	"github.com/fountainai/fountain/internal/problem"
)

// style is how a parameter of an adopted document is serialized.
type style struct {
	name    string // simple, label, matrix, form, spaceDelimited, pipeDelimited, deepObject, or json for content of JSON
	explode bool
	plain   bool            // a scalar whose text can be read in only one way
	members map[string]bool // names that the object of an exploded form may have
	spread  bool            // the value is always such an object, so nothing is sent under the parameter's own name
	free    bool            // it may have any name
}

var (
	defaultStyles = map[string]string{"path": "simple", "header": "simple", "query": "form", "cookie": "form"}
	stylesOf      = map[string][]string{
		"path": {"simple", "label", "matrix"}, "header": {"simple"}, "query": {"form", "spaceDelimited", "pipeDelimited", "deepObject"}, "cookie": {"form"},
	}
)

// parameters compiles the path's and the operation's parameters; those of the operation override.
func (b *adopter) parameters(op *Operation, item, o *element) ([]*parameter, error) {
	var out []*parameter
	var errs []error
	for _, level := range []*element{item, o} {
		for _, at := range level.get("parameters").list() {
			p, err := b.parameter(at)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if p == nil {
				continue
			}
			out = slices.DeleteFunc(out, func(have *parameter) bool {
				return have.in == p.in && (have.name == p.name || p.in == "header" && have.canonical == p.canonical)
			})
			out = append(out, p)
		}
	}
	if len(out) > maxAdoptedParameters {
		errs = append(errs, errorAt(o, "the operation has more than %d parameters; join some in an object", maxAdoptedParameters))
	}
	out = b.pathParameters(op, o, out)
	sort.SliceStable(out, func(i, j int) bool { return out[i].in+out[i].name < out[j].in+out[j].name })
	return out, errors.Join(errs...)
}

// pathParameters orders the parameters of the path. An undeclared one accepts any text.
func (b *adopter) pathParameters(op *Operation, o *element, all []*parameter) []*parameter {
	all = slices.DeleteFunc(all, func(p *parameter) bool {
		missing := p.in == "path" && !slices.Contains(op.pathNames, p.name)
		if missing {
			b.warn(WarnParameter, o, "leave it out, or put it into the path in braces", "%s: path parameter %s is not in the path; it is ignored", b.operation, shortened(p.name))
		}
		return missing
	})
	for position, name := range op.pathNames {
		i := slices.IndexFunc(all, func(p *parameter) bool { return p.in == "path" && p.name == name })
		if i < 0 {
			b.warn(WarnParameter, o, "declare it under parameters", "%s: path parameter %s is not declared; it accepts any text", b.operation, shortened(name))
			s, _ := b.schema(&element{kind: elementMap, file: o.file, line: o.line})
			i, all = len(all), append(all, &parameter{name: name, in: "path", schema: s, scalar: s, style: &style{name: "simple"}})
		}
		all[i].position, all[i].required = position, true
	}
	return all
}

// gatewayHeaders frame messages or carry credentials. They are never parameters.
var gatewayHeaders = []string{"connection", "content-length", "cookie", "expect", "host", "keep-alive", "proxy-authenticate", "proxy-authorization",
	"te", "trailer", "transfer-encoding", "upgrade", "x-otp"}

// parameter compiles one parameter. It returns nil when OpenAPI says that it is ignored.
func (b *adopter) parameter(at *element) (*parameter, error) {
	e, err := b.deref(at)
	if err != nil {
		return nil, err
	}
	name, in := e.get("name").str(), e.get("in").str()
	if defaultStyles[in] == "" || name == "" {
		return nil, errorAt(e, "a parameter needs a name and a place; write name: and in: path, query, header or cookie")
	}
	if in == "header" && slices.ContainsFunc(ignoredHeaders, func(h string) bool { return strings.EqualFold(h, name) }) {
		return nil, nil
	}
	if in == "header" && slices.Contains(gatewayHeaders, strings.ToLower(name)) {
		b.warn(WarnParameter, e, "leave it out, or give it a name of the service's own", "header %s is between the gateway and its neighbours; the service does not get it from callers", shortened(name))
		return nil, nil
	}
	b.misspelled(WarnParameter, e, parameterKeys)
	p := &parameter{name: name, in: in, canonical: textproto.CanonicalMIMEHeaderKey(name), required: b.boolean(WarnParameter, e, "required"),
		mayBeVoid: e.get("allowEmptyValue").is(true), style: &style{name: defaultStyles[in]}}
	if said := e.get("style").str(); said != "" && slices.Contains(stylesOf[in], said) {
		p.style.name = said
	} else if said != "" {
		b.warn(WarnParameter, e.get("style"), "write "+strings.Join(stylesOf[in], " or "), "style %s is not allowed for parameters in %s; it is read as %s", shortened(said), in, p.style.name)
	}
	p.style.explode = p.style.name == "form" || p.style.name == "deepObject"
	if said := e.get("explode"); said != nil {
		p.style.explode = said.is(true)
	}
	described := e.get("schema")
	if content := e.get("content"); content.isMap() && len(content.items) > 0 {
		described = content.items[0].get("schema")
		if kind, _ := kindOf(strings.ToLower(content.names[0])); kind == mediaJSON {
			p.style.name = "json"
		} else {
			b.warn(WarnParameter, content, "describe it by a schema",
				"parameter %s is written as %s; it is read as text", shortened(name), shortened(content.names[0]))
		}
	}
	if described == nil {
		if old := e.get("type"); old != nil {
			b.warn(WarnParameter, old, "write schema: {type: "+shortened(old.text)+"}", "type beside a parameter is from Swagger 2.0; the parameter accepts any text")
		}
		described = &element{kind: elementMap, file: e.file, line: e.line}
	}
	p.schema, err = b.schema(described)
	p.scalar = p.schema
	return p, err
}

// finishStyle determines, once all schemas are compiled, how the texts of a parameter are parsed.
func (p *parameter) finishStyle() {
	s := p.style
	types := textTypes(p.schema)
	p.types = types &^ (typeArray | typeObject | typeNull)
	p.form, p.say = numberOrType(p.types), sentence("must be of type %s", p.types)
	flat := s.name == "simple" || s.name == "form" || s.name == "spaceDelimited" || s.name == "pipeDelimited"
	s.plain = flat && (types&^typeNull == typeString || types == p.types && types&typeString == 0)
	if s.name == "form" && s.explode && types&typeObject != 0 {
		s.members, s.spread = map[string]bool{}, types&^(typeObject|typeNull) == 0
		for _, part := range p.schema.flat() {
			for name := range part.properties {
				s.members[name] = true
			}
			s.free = s.free || part.open
		}
	}
}

// claims reports whether a name in the query or in the cookies belongs to the parameter.
func (p *parameter) claims(name string) bool {
	switch {
	case p.style.name == "deepObject":
		return name == p.name || strings.HasPrefix(name, p.name+"[")
	case p.style.members[name]:
		return true
	}
	return name == p.name && !p.style.spread
}

// ownParameters checks the parameters of the operation, without its variants.
func (op *Operation) ownParameters(r *http.Request, m *Match) error {
	c := newChecker(inbound, "query")
	defer c.release()
	if rule := c.pairs.readOpen(r.URL.RawQuery); rule != "" {
		return problem.New(problem.MalformedQuery, "The query cannot be decoded.").WithField("query", "", string(rule), pairMessages[rule])
	}
	for _, p := range op.parameters {
		c.in = p.in
		var sent bool
		switch p.in {
		case "path":
			sent = true
			c.oneText(p, m.value(p.position))
		case "query":
			sent = c.adoptedPairs(op, p, c.pairs)
		case "header":
			sent = c.adoptedHeader(p, r)
		case "cookie":
			var cookies pairs
			for _, one := range r.Cookies() {
				cookies = append(cookies, pair{name: one.Name, value: one.Value})
			}
			sent = c.adoptedPairs(op, p, cookies)
		}
		if sent || !p.required {
			continue
		}
		if err := missingHeader(p); err != nil {
			return err
		}
		c.failAt(p.name, "required", "is required")
	}
	return c.problem(problem.InvalidParameter, "A parameter does not match the contract.")
}

func (c *checker) adoptedHeader(p *parameter, r *http.Request) bool {
	lines := r.Header[p.canonical]
	if len(lines) == 0 || p.style.plain {
		return c.sentHeader(p, lines)
	}
	if !c.printable(p, lines) {
		return true
	}
	c.oneText(p, strings.TrimSpace(strings.Join(lines, ",")))
	return true
}

// adoptedPairs checks what a query or the cookies contain for a parameter. It returns false when there is nothing.
func (c *checker) adoptedPairs(op *Operation, p *parameter, sent pairs) bool {
	switch {
	case p.style.name == "deepObject":
		return c.deepObject(p, sent)
	case p.style.spread:
		return c.explodedObject(op, p, sent)
	}
	var texts []string
	count, text := 0, ""
	for i := range sent {
		if sent[i].name == p.name {
			if count, text = count+1, sent[i].value; !p.style.plain {
				texts = append(texts, text)
			}
		}
	}
	switch {
	case count == 0 && p.style.members != nil:
		return c.explodedObject(op, p, sent)
	case count == 1 && text == "" && p.mayBeVoid:
		return true
	case p.style.plain:
		return c.once(p, count, text)
	case count == 0:
		return false
	case count == 1 && text == "" && textTypes(p.schema)&^(typeNull|typeObject) == typeArray && p.style.name != "json":
		c.failAt(p.name, "allowEmptyValue", "must not be empty") // ambiguous: an empty list, or a list of one empty text
		return true
	case count == 1:
		c.oneText(p, text)
		return true
	case !p.style.explode || p.style.name == "json":
		c.failAt(p.name, string(RuleRepeated), "must be sent once")
		return true
	}
	c.checkReadings(p.name, p.schema, func(b *values) bool { return b.several(p.schema, texts, false) })
	return true
}

// explodedObject checks an object whose members are sent as separate parameters.
func (c *checker) explodedObject(op *Operation, p *parameter, sent pairs) bool {
	var mine []*branch
	for _, one := range sent {
		declared := func(other *parameter) bool { return other != p && other.in == p.in && other.claims(one.name) }
		if !p.style.members[one.name] && (!p.style.free || slices.ContainsFunc(op.parameters, declared)) {
			continue
		}
		if i := slices.IndexFunc(mine, func(have *branch) bool { return have.name == one.name }); i >= 0 {
			mine[i].texts = append(mine[i].texts, one.value)
			continue
		}
		mine = append(mine, &branch{name: one.name, texts: []string{one.value}})
	}
	if len(mine) == 0 && !p.required {
		return false
	}
	c.checkReadings(p.name, p.schema, func(b *values) bool {
		if len(mine) == 0 {
			b.close(b.open(kindObject), 0)
			return true
		}
		return b.tree(p.schema, &branch{inner: mine})
	})
	return true
}

func (c *checker) deepObject(p *parameter, sent pairs) bool {
	root := &branch{}
	for _, one := range sent {
		brackets, mine := strings.CutPrefix(one.name, p.name)
		if !mine || brackets != "" && brackets[0] != '[' {
			continue // without brackets it is the value itself, where the schema takes one beside an object
		}
		if !root.put(brackets, one.value) {
			c.failAt(p.name, string(RuleQueryBrackets), "has brackets that are not well formed")
			return true
		}
	}
	if len(root.inner) == 0 && len(root.texts) == 0 {
		return false
	}
	c.checkReadings(p.name, p.schema, func(b *values) bool { return b.tree(p.schema, root) })
	return true
}

// oneText checks a parameter whose value is a single text.
func (c *checker) oneText(p *parameter, text string) {
	switch {
	case p.style.plain:
		c.scalarText(p, text)
		return
	case p.style.name == "json":
		c.jsonText(p, text)
		return
	}
	text, ok := p.unwrapped(text)
	if !ok {
		c.failAt(p.name, "style", "must be written in the style "+p.style.name)
		return
	}
	types := textTypes(p.schema)
	scalar, list, object := types&^(typeArray|typeObject|typeNull) != 0 || types == typeNull, types&typeArray != 0, types&typeObject != 0
	c.checkReadings(p.name, p.schema, func(b *values) bool {
		if list && (scalar || object) {
			b.listChoice = true
		}
		switch {
		case list && (b.asList || !scalar && !object):
			b.listOf(p.schema, p.split(text))
		case object && !scalar:
			return b.object(p, text)
		default:
			b.scalar(p.schema, text)
		}
		return true
	})
}

func (c *checker) jsonText(p *parameter, text string) {
	fault := c.read([]byte(text))
	if fault != nil {
		c.failAt(p.name, string(fault.rule), bodyMessages[fault.rule])
		return
	}
	c.name = p.name
	c.check(p.schema, 0)
}

// unwrapped removes the prefix that a style puts before the value: .a, ;name=a. Where each item has the prefix, it is a separator for split.
func (p *parameter) unwrapped(text string) (string, bool) {
	switch p.style.name {
	case "label":
		return strings.CutPrefix(text, ".")
	case "matrix":
		if p.style.explode && textTypes(p.schema)&typeObject != 0 {
			return strings.CutPrefix(text, ";")
		}
		if text == ";"+p.name {
			return "", true
		}
		return strings.CutPrefix(text, ";"+p.name+"=")
	}
	return text, true
}

// separator returns the delimiter of a list's items.
func (p *parameter) separator(text string) string {
	switch {
	case p.style.name == "spaceDelimited":
		return " "
	case p.style.name == "pipeDelimited":
		return "|"
	case p.style.name == "label" && (p.style.explode || !strings.Contains(text, ",")):
		return "."
	case p.style.name == "matrix" && p.style.explode:
		if textTypes(p.schema)&typeObject != 0 {
			return ";"
		}
		return ";" + p.name + "="
	}
	return ","
}

func (p *parameter) split(text string) []string {
	if text == "" {
		return nil
	}
	if p.style.name == "form" && p.style.explode {
		return []string{text}
	}
	texts := strings.Split(text, p.separator(text))
	for i := range texts {
		if p.in == "header" {
			texts[i] = strings.TrimSpace(texts[i])
		}
	}
	return texts
}

// object adds an object that is serialized in one text: "a,1,b,2", or exploded "a=1,b=2".
func (b *values) object(p *parameter, text string) bool {
	texts := p.split(text)
	if p.style.explode && p.style.name != "form" {
		var members []string
		for _, one := range texts {
			name, value, _ := strings.Cut(one, "=")
			members = append(members, name, value)
		}
		texts = members
	}
	if len(texts)%2 != 0 {
		return b.failAt(p.name, "style", "must be alternating names and values")
	}
	return b.objectOf(p.schema, texts)
}
