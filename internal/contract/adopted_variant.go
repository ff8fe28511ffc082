package contract

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// Documents tell several uses of one path apart by a fragment or a query in it, /files/{id}#add_shared_link, which no router can see. Such operations
// are variants of the one that has the path alone: parameters fit when they fit one of the variants, and so does a body.

// maxVariants is how many variants an operation may have, each of which a request may be held against.
const maxVariants = 16

// join makes an operation a variant of another one of the same method and path; false when what they ask of a caller differs. It returns the one that
// stands for both: that whose path has no fragment and no query.
func join(first, second *Operation) (*Operation, bool) {
	if strings.ContainsAny(first.template, "#?") && !strings.ContainsAny(second.template, "#?") {
		first, second = second, first
	}
	asked := func(op *Operation) []any {
		return []any{op.Public, op.Requirements, op.Policy.Principals, op.Policy.Roles, op.Policy.StepUp, op.Policy.APIKey}
	}
	if !reflect.DeepEqual(asked(first), asked(second)) || len(first.variants)+len(second.variants) >= maxVariants {
		return first, false
	}
	first.variants = append(first.variants, second)
	first.variants, second.variants = append(first.variants, second.variants...), nil
	return first, true
}

// either runs a check on the operation, and on its variants until it passes. The error is that of the operation.
func (op *Operation) either(check func(*Operation) error) error {
	err := check(op)
	for _, v := range op.variants {
		if err == nil {
			break
		}
		if v.Unsupported == "" && check(v) == nil {
			return nil
		}
	}
	return err
}

// checkAdoptedParameters is CheckParameters for documents of others, which do not forbid what they do not declare.
func (op *Operation) checkAdoptedParameters(r *http.Request, m *Match) error {
	if op.variants == nil {
		return op.ownParameters(r, m)
	}
	return op.either(func(one *Operation) error { return one.ownParameters(r, m) })
}

// withBody returns the variant that takes a body of a Content-Type; the operation itself where none does.
func (op *Operation) withBody(header []string) *Operation {
	for _, one := range op.all() {
		if one.body != nil {
			if _, _, err := one.adoptedMedia(header); err == nil {
				return one
			}
		}
	}
	return op
}

// anyBody returns the body of the operation or of its variants that asks least: one that is not required before one that is, and that before none,
// unless all have none.
func (op *Operation) anyBody() *bodyContract {
	var body *bodyContract
	required := true
	for _, one := range op.all() {
		if required = required && one.BodyRequired(); one.body != nil {
			body = one.body
		}
	}
	if body == nil || body.required == required {
		return body
	}
	return &bodyContract{media: body.media, ranges: body.ranges}
}

// all returns the operation and its variants.
func (op *Operation) all() []*Operation {
	if op.variants == nil {
		return []*Operation{op}
	}
	return slices.Concat([]*Operation{op}, op.variants)
}
