// Package lint enforces the house rules for contracts (DESIGN section 4): names, bounds, problems, lists, idempotency, policy, examples. Every rule
// has a contract in testdata that breaks it.
package lint

import (
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fountainai/fountain/internal/contract"
)

// Finding is one violation of a rule.
type Finding struct {
	Rule    string // name of the rule
	Where   string // operationId, path, or place in the components
	Message string
	File    string // and Line of the element, where known
	Line    int
}

// String returns "kms.yaml:12: rule: where: message".
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s: %s", f.File, f.Line, f.Rule, f.Where, f.Message)
}

// Rule is one house rule.
type Rule struct {
	Name  string // kebab-case
	Says  string // the rule in one sentence
	check func(*family, reporter)
}

// Rules lists all rules, in the order in which they are checked.
func Rules() []Rule {
	return slices.Concat(compileRules, nameRules, besideRules, operationRules, shapeRules, boundRules, exampleRules)
}

// family is all contracts that are checked together.
type family struct{ documents []*document }

type document struct {
	word     string
	model    *openapi3.T
	compiled *contract.Contract
	broken   error // why model or compiled is nil
}

// operation is an operation with its place.
type operation struct {
	*openapi3.Operation
	document *document
	item     *openapi3.PathItem
	path     string
	method   string
	compiled *contract.Operation // nil when the contract does not compile
}

// reporter records a violation; origin is the element's place in the file, or nil.
type reporter func(where string, origin *openapi3.Origin, file, format string, args ...any)

// Check reads the contracts of words from fsys and returns all violations, sorted by file and line.
func Check(fsys fs.FS, words ...string) []Finding {
	f := &family{}
	for _, word := range words {
		d := &document{word: word}
		if d.model, _, d.broken = contract.LoadModel(fsys, word); d.broken == nil {
			d.compiled, d.broken = contract.LoadFS(fsys, word)
		}
		f.documents = append(f.documents, d)
	}
	var found []Finding
	for _, rule := range Rules() {
		rule.check(f, func(where string, origin *openapi3.Origin, file, format string, args ...any) {
			finding := Finding{Rule: rule.Name, Where: where, Message: fmt.Sprintf(format, args...), File: file}
			if origin != nil && origin.Key != nil {
				finding.Line = origin.Key.Line
				if origin.Key.File != "" {
					finding.File = origin.Key.File
				}
			}
			found = append(found, finding)
		})
	}
	sort.SliceStable(found, func(i, j int) bool {
		a, b := found[i], found[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Where < b.Where
	})
	return slices.Compact(found) // a shared component is visited many times
}

// each calls do for every operation of every contract that could be parsed.
func (f *family) each(do func(operation)) {
	for _, d := range f.documents {
		d.each(do)
	}
}

func (d *document) each(do func(operation)) {
	if d.model == nil {
		return
	}
	paths := d.model.Paths.Map()
	for _, path := range sortedKeys(paths) {
		methods := paths[path].Operations()
		for _, method := range sortedKeys(methods) {
			op := operation{Operation: methods[method], document: d, item: paths[path], path: path, method: method}
			if d.compiled != nil {
				op.compiled = d.compiled.Operation(op.OperationID)
			}
			do(op)
		}
	}
}

func (d *document) file() string { return d.word + ".yaml" }

// report records a violation at an operation.
func (op operation) report(r reporter, format string, args ...any) {
	where := op.OperationID
	if where == "" {
		where = op.method + " " + op.path
	}
	r(where, op.Origin, op.document.file(), format, args...)
}

// parameters returns the path's and the operation's parameters.
func (op operation) parameters() []*openapi3.Parameter {
	var out []*openapi3.Parameter
	for _, ref := range slices.Concat(op.item.Parameters, op.Parameters) {
		if ref.Value != nil {
			out = append(out, ref.Value)
		}
	}
	return out
}

func (op operation) parameter(in, name string) *openapi3.Parameter {
	for _, p := range op.parameters() {
		if p.In == in && strings.EqualFold(p.Name, name) {
			return p
		}
	}
	return nil
}

func (op operation) public() bool { return op.Security != nil && len(*op.Security) == 0 }

// responses returns the declared answers by status.
func (op operation) responses() map[string]*openapi3.ResponseRef {
	if op.Responses == nil {
		return nil
	}
	return op.Responses.Map()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// visit is a schema with its place.
type visit struct {
	schema   *openapi3.Schema
	where    string
	document *document
	request  bool // reached from a request; an answer's schema may be open and unbounded
	property bool // is the schema of a property
}

func (v visit) report(r reporter, format string, args ...any) {
	r(v.where, v.schema.Origin, v.document.file(), format, args...)
}

// schemas calls do for every schema that an operation reaches, once per side.
func (f *family) schemas(do func(visit)) {
	f.each(func(op operation) {
		seen := map[*openapi3.Schema]bool{}
		for _, p := range op.parameters() {
			walk(visit{where: op.OperationID + " " + p.Name, document: op.document, request: true}, p.Schema, seen, do)
		}
		if op.RequestBody != nil && op.RequestBody.Value != nil {
			for name, mt := range op.RequestBody.Value.Content {
				walk(visit{where: op.OperationID + " " + name, document: op.document, request: true}, mt.Schema, seen, do)
			}
		}
		seen = map[*openapi3.Schema]bool{}
		for status, ref := range op.responses() {
			if ref.Value == nil {
				continue
			}
			for _, mt := range ref.Value.Content {
				walk(visit{where: op.OperationID + " " + status, document: op.document}, mt.Schema, seen, do)
			}
			for name, h := range ref.Value.Headers {
				if h.Value != nil {
					walk(visit{where: op.OperationID + " " + status + " " + name, document: op.document}, h.Value.Schema, seen, do)
				}
			}
		}
	})
}

func walk(at visit, ref *openapi3.SchemaRef, seen map[*openapi3.Schema]bool, do func(visit)) {
	if ref == nil || ref.Value == nil || seen[ref.Value] {
		return
	}
	seen[ref.Value] = true
	s := ref.Value
	at.schema = s
	if ref.Ref != "" {
		at.where = ref.Ref[strings.LastIndexByte(ref.Ref, '/')+1:]
	}
	do(at)
	inner := at
	inner.property = true
	for _, name := range sortedKeys(s.Properties) {
		inner.where = at.where + "." + name
		walk(inner, s.Properties[name], seen, do)
	}
	inner.property = false
	inner.where = at.where + "[]"
	walk(inner, s.Items, seen, do)
	inner.where = at.where + ".*"
	walk(inner, s.AdditionalProperties.Schema, seen, do)
	inner.where = at.where
	for _, sub := range slices.Concat(s.AllOf, s.OneOf, s.AnyOf, openapi3.SchemaRefs{s.Not}) {
		walk(inner, sub, seen, do)
	}
}
