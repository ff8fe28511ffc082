package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/internal/contract/compat"
)

// written is an operation as the document writes it.
type written struct {
	path            string // without the part that no request contains
	beside          string // that part: "#read" of /notes/{id}#read, usually ""
	item, operation *node
}

// writtenIn returns the operations of a document by route. Several operations of one route are its variants (see contract.Adopt).
func writtenIn(root *node) map[string][]written {
	out := map[string][]written{}
	root.get("paths").members(func(path string, item *node) {
		item, beside := item.resolve(), ""
		if end := strings.IndexAny(path, "?#"); end >= 0 {
			path, beside = path[:end], path[end:]
		}
		path = "/" + strings.TrimPrefix(path, "/")
		for _, method := range []string{"get", "head", "post", "put", "patch", "delete", "options", "trace"} {
			if operation := item.get(method); operation != nil {
				route := compat.RouteOf(strings.ToUpper(method), path)
				out[route] = append(out[route], written{path, beside, item, operation})
			}
		}
	})
	return out
}

// variant finds the next version's variant that corresponds to the nth live one: the only one, or the one with the same fragment or query in its
// path.
func variant(olds, news []written, nth int) *written {
	if len(olds) == 1 && len(news) == 1 {
		return &news[0]
	}
	before := 0 // of those with the same
	for _, other := range olds[:nth] {
		if other.beside == olds[nth].beside {
			before++
		}
	}
	for i := range news {
		if news[i].beside != olds[nth].beside {
			continue
		}
		if before == 0 {
			return &news[i]
		}
		before--
	}
	return nil
}

// operations compares what the operations of the live version take and answer.
func (c *comparer) operations(live, next *node) {
	olds, news := writtenIn(live), writtenIn(next)
	now := map[string]*contract.Operation{}
	for _, op := range c.next.Operations {
		now[compat.Route(c.next, op)] = op
	}
	ordered := slices.Clone(c.live.Operations)
	slices.SortFunc(ordered, func(a, b *contract.Operation) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Method, b.Method))
	})
	for _, old := range ordered {
		route := compat.Route(c.live, old)
		new, is := now[route], news[route]
		o := &operation{comparer: c, old: old, subject: old.ID, at: next.get("paths")}
		switch {
		case new == nil || len(is) == 0:
			o.say("", "operation removed", nil, "%s is not in the next contract", route)
			continue
		case len(olds[route]) == 0:
			o.say("", "not comparable", is[0].operation, "the live document does not have it where the live contract says")
			continue
		case old.Unsupported != "":
			continue // there was no such answer before
		case new.Unsupported != "":
			o.say("", "no longer supported", is[0].operation, "requests are answered with 501: %s", new.Unsupported)
			continue
		case old.ID != new.ID:
			o.say("", "operationId changed", is[0].operation, "it is called %s: generated clients have another method", new.ID)
		}
		for i := range olds[route] {
			o.variant(olds[route], is, i)
		}
		if !c.step(1) {
			return
		}
	}
}

// operation is an operation being compared.
type operation struct {
	*comparer
	old     *contract.Operation
	subject string // its name in changes: its ID, or that of its variant
	at      *node  // in the next version
}

func (o *operation) variant(olds, news []written, nth int) {
	was, is := olds[nth], variant(olds, news, nth)
	if len(olds) > 1 {
		o.subject = cmp.Or(was.operation.get("operationId").str(), o.old.ID+was.beside)
	}
	if is == nil {
		o.say("", "operation removed", news[0].operation, "%s%s is not in the next contract", was.path, was.beside)
		return
	}
	o.at = is.operation
	o.parameters(parametersOf(was), parametersOf(*is))
	o.body(was.operation.get("requestBody").resolve(), is.operation.get("requestBody").resolve())
	o.answers(was.operation.get("responses"), is.operation.get("responses"))
}

// say reports a break of the operation.
func (o *operation) say(place, what string, at *node, format string, args ...any) {
	name := o.subject + ": " + what
	if place != "" {
		name = o.subject + ": " + place + ": " + what
	}
	o.note(Change{Name: name, Kind: Breaking, OperationID: o.old.ID, Origin: or(at, o.at).origin(), Text: fmt.Sprintf(format, args...)})
}

// schemas compares the schemas of a request or an answer at a place of the operation.
func (o *operation) schemas(place string, old, new *node, d direction) {
	top := &result{}
	if d == request {
		o.within(top, "", old, new, d)
	} else {
		o.within(top, "", new, old, d)
	}
	o.addFindings(o.subject+": "+place, " ", top)
	o.addNested(top, d)
}

// addFindings reports findings under the name of their place.
func (o *operation) addFindings(where, join string, r *result) {
	for _, f := range r.findings {
		name := where
		if f.path != "" {
			name += join + f.path
		}
		o.note(Change{Name: name + ": " + f.what, Kind: Breaking, OperationID: o.old.ID, Origin: or(f.at, o.at).origin(), Text: f.text})
	}
}

// addNested reports findings in named schemas, once.
func (o *operation) addNested(r *result, d direction) {
	for _, l := range r.inside {
		if o.told[l] {
			continue
		}
		o.told[l] = true
		if l.name != "" {
			o.addFindings(l.name+" in "+d.String(), ": ", l.to)
		}
		o.addNested(l.to, d)
	}
}

// parameter is a declared parameter, or a header of an answer.
type parameter struct {
	place string // "query limit"
	node  *node
}

// parametersOf returns the parameters of an operation and its path by place: path parameters by their position, as their names do not matter. Those
// of the operation override.
func parametersOf(w written) map[string]parameter {
	out := map[string]parameter{}
	for _, level := range []*node{w.item, w.operation} {
		for _, at := range level.get("parameters").list() {
			p := at.resolve()
			in, name := p.get("in").str(), p.get("name").str()
			key := in + " " + name
			switch in {
			case "header":
				if slices.Contains([]string{"accept", "content-type", "authorization"}, strings.ToLower(name)) {
					continue // OpenAPI says that it is described elsewhere
				}
				key = strings.ToLower(key)
			case "path":
				before, _, _ := strings.Cut(w.path, "{"+name+"}")
				key = fmt.Sprint("path ", strings.Count(before, "{"))
			}
			out[key] = parameter{in + " " + name, p}
		}
	}
	return out
}

func (o *operation) parameters(olds, news map[string]parameter) {
	for key, old := range olds {
		new, still := news[key]
		switch {
		case !still && strings.HasPrefix(key, "path "):
			continue // the path contains it, but it is not declared
		case !still:
			o.say(old.place, "removed", nil, "the parameter is not declared any more")
			continue
		case new.node.get("required").isTrue() && !old.node.get("required").isTrue():
			o.say(old.place, "became required", new.node, "a request without it was accepted")
		}
		if was, is := serialisation(old.node), serialisation(new.node); was != is {
			o.say(old.place, "written otherwise", new.node, "it is written as %s instead of %s", is, was)
		}
		if old.node.get("allowEmptyValue").isTrue() && !new.node.get("allowEmptyValue").isTrue() {
			o.say(old.place, "empty value refused", new.node, "allowEmptyValue was removed")
		}
		o.schemas(old.place, schemaOf(old.node), schemaOf(new.node), request)
	}
	for key, new := range news {
		if _, had := olds[key]; !had && new.node.get("required").isTrue() && !strings.HasPrefix(key, "path ") {
			o.say(new.place, "added as required", new.node, "requests of the live contract do not have it")
		}
	}
}

// schemaOf returns the schema of a parameter or a header, also of one with a media type.
func schemaOf(p *node) *node {
	var schema *node
	p.get("content").members(func(_ string, media *node) { schema = media.get("schema") })
	if own := p.get("schema"); own != nil {
		return own
	}
	return schema
}

// serialisation returns how a parameter's value is serialized.
func serialisation(p *node) string {
	if content := p.get("content"); content != nil && len(content.names) > 0 {
		return content.names[0]
	}
	style := p.get("style").str()
	if style == "" {
		style = map[string]string{"query": "form", "cookie": "form"}[p.get("in").str()]
	}
	if style == "" {
		style = "simple"
	}
	explode := style == "form"
	if said := p.get("explode"); said != nil {
		explode = said.isTrue()
	}
	return fmt.Sprintf("%s, explode %t", style, explode)
}

func (o *operation) body(old, new *node) {
	const place = "body"
	required := new.get("required").isTrue()
	switch {
	case old == nil && new == nil:
		return
	case old == nil:
		if required {
			o.say(place, "added as required", new, "requests of the live contract have none")
		}
		return
	case new == nil:
		o.say(place, "removed", nil, "the next contract accepts no body")
		return
	case required && !old.get("required").isTrue():
		o.say(place, "became required", new, "a request without a body was accepted")
	}
	old.get("content").members(func(name string, was *node) {
		is := mediaOf(new.get("content"), name)
		if is == nil {
			o.say(place+" "+name, "removed", new, "bodies of this media type are no longer accepted")
			return
		}
		if had, has := was.get("encoding"), is.get("encoding"); had.canonical() != has.canonical() {
			o.say(place+" "+name, "encoding changed", is, "parts are written otherwise")
		}
		o.schemas(place+" "+name, was.get("schema"), is.get("schema"), request)
	})
}

// mediaOf returns the entry of a content object for a media type: by its name, or by a range that covers it.
func mediaOf(content *node, name string) *node {
	name = mediaName(name)
	main, _, _ := strings.Cut(name, "/")
	for _, wanted := range []string{name, main + "/*", "*/*"} {
		var found *node
		content.members(func(has string, media *node) {
			if mediaName(has) == wanted {
				found = media
			}
		})
		if found != nil {
			return found
		}
	}
	return nil
}

// mediaName returns a media type without parameters, in lower case.
func mediaName(s string) string {
	name, _, _ := strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(name))
}

func (o *operation) answers(olds, news *node) {
	olds.members(func(status string, was *node) {
		was = was.resolve()
		is, exact := answerOf(news, status)
		place := "answer " + status
		if is == nil {
			o.say(place, "removed", news, "the next contract does not declare this answer")
			return
		}
		o.headers(place, was.get("headers"), is.get("headers"), is)
		had := was.get("content")
		if had != nil && len(had.names) > 0 && is.get("content") == nil {
			o.say(place, "body removed", is, "the answer has no body any more")
			return
		}
		had.members(func(name string, media *node) {
			now := mediaOf(is.get("content"), name)
			if now == nil {
				if !strings.Contains(name, "*") || !exact {
					o.say(place+" "+name, "removed", is, "the answer has no body of this media type any more")
				}
				return
			}
			o.schemas(place+" "+name, media.get("schema"), now.get("schema"), answer)
		})
	})
}

// answerOf returns the declaration for a status: the status itself, its class, or default.
func answerOf(answers *node, status string) (found *node, exact bool) {
	for _, wanted := range []string{status, status[:min(1, len(status))] + "XX", "default"} {
		answers.members(func(has string, at *node) {
			if strings.EqualFold(has, wanted) && found == nil {
				found, exact = at.resolve(), strings.EqualFold(has, status)
			}
		})
		if found != nil || strings.EqualFold(status, "default") {
			return found, exact
		}
	}
	return nil, false
}

func (o *operation) headers(place string, olds, news, at *node) {
	olds.members(func(name string, was *node) {
		if strings.EqualFold(name, "Content-Type") {
			return // described by the media types, says OpenAPI
		}
		was = was.resolve()
		var is *node
		news.members(func(has string, header *node) {
			if strings.EqualFold(has, name) {
				is = header.resolve()
			}
		})
		place := place + " header " + name
		switch {
		case is == nil:
			o.say(place, "removed", at, "the header is not declared any more, and does not reach the caller")
			return
		case was.get("required").isTrue() && !is.get("required").isTrue():
			o.say(place, "became optional", is, "the answer had it always")
		}
		if had, has := serialisation(was), serialisation(is); had != has {
			o.say(place, "written otherwise", is, "it is written as %s instead of %s", has, had)
		}
		o.schemas(place, schemaOf(was), schemaOf(is), answer)
	})
}
