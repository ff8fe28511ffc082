package contract

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// Documents distinguish several uses of one path by a fragment or a query in it, as in /files/{id}#add_shared_link, which a router cannot see. Such
// operations are variants of the one with the path alone: parameters are valid when one of the variants accepts them, and so is a body.

// maxVariants is how many variants an operation may have. A request may be checked against each.
const maxVariants = 16

// join makes an operation a variant of another one with the same method and path. It returns the one that represents both, whose path has no fragment
// and no query, and false when their requirements on the caller differ.
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

// either runs a check on the operation and then on its variants until one passes. The error is that of the operation.
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

// checkAdoptedParameters is CheckParameters for adopted documents, which allow undeclared parameters.
func (op *Operation) checkAdoptedParameters(r *http.Request, m *Match) error {
	if op.variants == nil {
		return op.ownParameters(r, m)
	}
	return op.either(func(one *Operation) error { return one.ownParameters(r, m) })
}

// withBody returns the variant that accepts a body of a Content-Type, or the operation itself when none does.
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

// anyBody returns the body of the operation or of one of its variants. It is required only when each of them requires one. The result is nil when
// none has a body.
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
