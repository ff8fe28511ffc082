package contract

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// adoptedMethods are the methods of a path item, in the order in which operations are compiled.
var adoptedMethods = []string{"get", "head", "post", "put", "patch", "delete", "options", "trace"}

// operations compiles every operation of the document.
func (b *adopter) operations(c *Contract) error {
	var errs []error
	b.root.get("paths").each(func(template string, item *element) {
		if strings.HasPrefix(template, "x-") {
			return
		}
		at := item
		item, err := b.deref(item)
		if err != nil || !item.isMap() {
			b.warn(WarnPath, at, "write its methods below it, such as get:", "the operations of path %s can't be read", shortened(template))
			return
		}
		for _, later := range []string{"query", "additionalOperations"} {
			if o := item.get(later); o != nil {
				b.warn(WarnPath, o, "use GET or POST", "path %s has operations of methods that are not supported; they are left out", shortened(template))
			}
		}
		b.misspelled(WarnPath, item, pathKeys)
		for _, method := range adoptedMethods {
			o := item.get(method)
			if o == nil {
				continue
			}
			if len(b.places) >= MaxOperations {
				errs = append(errs, errorAt(o, "the document has more than %d operations; adopt it in parts", MaxOperations))
				return
			}
			b.operation = strings.ToUpper(method) + " " + shortened(template)
			op, err := b.adoptOperation(template, strings.ToUpper(method), item, o)
			if err != nil {
				errs = append(errs, err)
			} else if op != nil {
				b.places[op] = o
				b.add(c, op, o)
			}
		}
	})
	b.operation = ""
	return errors.Join(errs...)
}

// add adds an operation to the contract, or merges it with the one that has the same method and path.
func (b *adopter) add(c *Contract, op *Operation, o *element) {
	i := slices.IndexFunc(c.Operations, func(other *Operation) bool { return other.Method == op.Method && other.route == op.route })
	if i < 0 {
		c.Operations = append(c.Operations, op)
		return
	}
	other, joined := c.Operations[i], false
	if c.Operations[i], joined = join(other, op); joined {
		b.warn(WarnPath, o, "give it a path of its own",
			"requests of %s cannot be distinguished from those of %s; they pass when they match one of the two", op.ID, other.ID)
		return
	}
	b.warn(WarnPath, o, "give it a path of its own, or the same requirements for callers",
		"requests of %s cannot be distinguished from those of %s, which has other requirements for callers; %s applies", op.ID, other.ID, c.Operations[i].ID)
}

// operationID returns the document's operationId, or one derived from method and path.
func (b *adopter) operationID(method, template string, o *element) string {
	id := o.get("operationId").str()
	if id == "" || len(id) > maxID {
		id = derivedID(method, template)
		id = id[:min(len(id), maxID)]
		b.warn(WarnOperation, o, "write operationId: "+id, "the operation has no operationId, or a very long one; it is called %s", id)
	}
	unique := id
	for n := 2; b.ids[unique] != ""; n++ {
		unique = id + strconv.Itoa(n)
	}
	if unique != id {
		b.warn(WarnOperation, o, "give each operation an operationId of its own",
			"the operationId %s is used by %s too; this one is called %s", shortened(id), b.ids[id], unique)
	}
	b.ids[unique] = b.operation
	return unique
}

// derivedID derives an operationId from a method and a path: getPetsByPetId.
func derivedID(method, template string) string {
	id := strings.ToLower(method)
	for _, segment := range strings.Split(template, "/") {
		if strings.Contains(segment, "{") {
			id += "By"
		}
		for _, word := range strings.FieldsFunc(segment, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
		}) {
			id += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return id
}

// adoptOperation compiles one operation. It returns nil when the path is not valid. A missing feature that it needs becomes op.Unsupported. The error
// is one of x-fountain.
func (b *adopter) adoptOperation(template, method string, item, o *element) (*Operation, error) {
	clean := b.cleanPath(template, item)
	op := &Operation{Word: b.adoption.Name, Method: method, Path: b.made.BasePath + clean, template: template, adopted: true,
		Origin: o.origin(), origins: b.origins(item, o), statuses: map[int]*responseContract{}}
	for _, tag := range o.get("tags").list() {
		op.Tags = append(op.Tags, tag.str())
	}
	if own := cmp.Or(o.get("servers"), item.get("servers")); own != nil {
		b.warn(WarnServer, own, "adopt it as a separate member if it is another service",
			"the servers of single operations do not count; requests go to the member's upstream")
	}
	op.ID = b.operationID(method, template, o)
	op.Mount, op.label = b.made.Mount, op.Word+"."+op.ID
	b.requirements(op, o)
	var parts []error
	var err error
	if op.route, op.pathNames, err = adoptedRoute(op.Path); err != nil {
		b.warn(WarnPath, o, "give it a path that can be distinguished from others", "the path cannot be matched: %v; the operation is left out", err)
		return nil, nil
	}
	b.misspelled(WarnOperation, o, operationKeys)
	b.outbound(o, "callbacks")
	if method == http.MethodTrace {
		parts = append(parts, errorAt(o, "the gateway lets no TRACE through; use GET or POST"))
	}
	if op.parameters, err = b.parameters(op, item, o); err != nil {
		parts = append(parts, err)
	}
	if op.body, err = b.body(o.get("requestBody")); err != nil {
		parts = append(parts, err)
	}
	b.responses(op, o.get("responses"))
	if err := errors.Join(parts...); err != nil {
		b.unsupported(op, o, err)
	}
	return op, b.policy(op, item, o)
}

// outbound warns that requests which the service itself sends are not handled by the gateway.
func (b *adopter) outbound(e *element, keyword string) {
	if at := e.get(keyword); at != nil {
		b.warn(WarnOutbound, at, "let the service send them itself, and sign them if receivers must verify the sender",
			"%s are requests that the service sends; they do not pass the gateway", keyword)
	}
}

// unsupported marks an operation that cannot be checked.
func (b *adopter) unsupported(op *Operation, o *element, err error) {
	if op.Unsupported != "" {
		return
	}
	op.Unsupported = sentence("%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	op.parameters, op.body, op.statuses = nil, nil, map[int]*responseContract{}
	b.warn(WarnUnsupported, o, "", "requests are answered with 501: %s", op.Unsupported)
}

// origins records the places that OriginOf knows.
func (b *adopter) origins(item, o *element) map[string]Origin {
	out := map[string]Origin{}
	put := func(what string, at *element) {
		if _, have := out[what]; !have && at != nil {
			out[what] = at.origin()
		}
	}
	put("security", cmp.Or(o.get("security"), b.root.get("security")))
	put("requestBody", o.get("requestBody"))
	put("responses", o.get("responses"))
	o.get("responses").each(func(status string, at *element) { put("responses."+status, at) })
	for _, level := range []*element{o, item, b.root} {
		put(extension, level.get(extension))
		level.get(extension).each(func(key string, at *element) {
			if key != "rate" {
				put(extension+"."+key, at)
				return
			}
			for _, limit := range at.list() {
				put(extension+".rate."+limit.get("name").str(), limit)
			}
		})
	}
	for _, level := range []*element{o, item} {
		for _, at := range level.get("parameters").list() {
			if p, err := b.deref(at); err == nil {
				put("parameters."+p.get("in").str()+"."+p.get("name").str(), p)
			}
		}
	}
	return out
}

// readsOnly reports whether a method only reads.
func readsOnly(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
