// Package contract compiles an OpenAPI contract to a table: routes, parameters, bodies, answers and policy. The gateway and the service behind it
// check requests with the same compiled rules.
//
// kin-openapi loads the document and is the oracle of the tests: what it rejects is never accepted here, and every further rejection is a named Rule.
// Errors are problems that name the place and the rule, never the value.
//
// Load is for the family's own contracts, which are strict. Adopt compiles foreign documents, as they are, to the same table and the same checks.
package contract

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/fountainai/fountain/openapi"
)

// Contract is one service's contract, compiled. It is immutable and safe for concurrent use.
type Contract struct {
	Word       string            // the service's word, which is also the audience of its tokens
	Version    string            // info.version (semver)
	BasePath   string            // path of the only servers entry without a trailing slash: "/kms/v1", or "" for "/"; preceded by Mount if there is one
	Mount      string            // "/<name>" of an adopted document, which the service itself does not see; "" for the family's own
	Operations []*Operation      // sorted by ID
	Scopes     map[string]string // every scope of the oauth2 scheme, with its description
	Document   []byte            // the text: YAML, or JSON where an adopted document is so written

	table *Table
}

// Load returns the embedded contract of a service. It is compiled once per process. Each caller gets its own Operation values, so that what is stored
// with them (Kept) is not shared.
func Load(word string) (*Contract, error) {
	compile, known := embedded[word]
	if !known {
		return nil, fmt.Errorf("no contract is called %q", word)
	}
	c, err := compile()
	if err != nil {
		return nil, err
	}
	return c.own()
}

// embedded compiles each embedded contract at its first use.
var embedded = func() map[string]func() (*Contract, error) {
	all := map[string]func() (*Contract, error){}
	for _, word := range openapi.Words() {
		all[word] = sync.OnceValues(func() (*Contract, error) { return LoadFS(openapi.Files, word) })
	}
	return all
}()

// own returns the contract with its own Operation values. The compiled checks, which are nearly all of its memory, are shared.
func (c *Contract) own() (_ *Contract, err error) {
	own := *c
	own.Operations = make([]*Operation, len(c.Operations))
	for i, op := range c.Operations {
		own.Operations[i] = op.own()
	}
	if own.table, err = NewTable(&own); err != nil {
		return nil, fmt.Errorf("contract %s: %w", c.Word, err)
	}
	return &own, nil
}

// LoadAll loads every embedded contract, in the order of the words, and checks that no operationId is used twice.
func LoadAll() ([]*Contract, error) {
	var all []*Contract
	owner := map[string]string{}
	for _, word := range openapi.Words() {
		c, err := Load(word)
		if err != nil {
			return nil, err
		}
		for _, op := range c.Operations {
			if other, taken := owner[op.ID]; taken {
				return nil, fmt.Errorf("operationId %s is in %s and in %s", op.ID, other, word)
			}
			owner[op.ID] = word
		}
		all = append(all, c)
	}
	return all, nil
}

// LoadFS compiles <word>.yaml of fsys. References to other files are resolved in fsys only, never on disk or by network. Each fault is reported with
// its place, as kms.yaml:123.
func LoadFS(fsys fs.FS, word string) (*Contract, error) {
	doc, text, err := LoadModel(fsys, word)
	if err != nil {
		return nil, err
	}
	return compile(word, doc, text, newSource(fsys).root(word+".yaml"))
}

func compile(word string, doc *openapi3.T, text []byte, root place) (*Contract, error) {
	base, err := basePath(doc)
	if err != nil {
		return nil, fmt.Errorf("contract %s: %s: %w", word, root.within("servers"), err)
	}
	c := &Contract{Word: word, Version: doc.Info.Version, BasePath: base, Document: text, Scopes: map[string]string{}}
	schemes, err := compileSchemes(doc, c.Scopes)
	if err != nil {
		return nil, fmt.Errorf("contract %s: %s: %w", word, root.within("components", "securitySchemes"), err)
	}
	b := &builder{word: word, base: base, doc: doc, text: root, schemes: schemes, scopes: c.Scopes, schemas: map[schemaKey]*schema{}}
	var errs []error
	if b.root, err = decodePolicy(doc.Extensions); err != nil {
		errs = append(errs, fmt.Errorf("%s: root: %w", root.within(extension), err))
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			op, err := b.operation(method, path, item, operation)
			if err != nil {
				errs = append(errs, located(err, fmt.Sprintf("%s %s (%s): ", method, path, operation.OperationID), op.Origin, op.nearest)...)
				continue
			}
			c.Operations = append(c.Operations, op)
		}
	}
	sort.Slice(c.Operations, func(i, j int) bool { return c.Operations[i].ID < c.Operations[j].ID })
	for i := 1; i < len(c.Operations); i++ {
		if c.Operations[i].ID == c.Operations[i-1].ID {
			errs = append(errs, fmt.Errorf("%s: operationId %s is used twice", c.Operations[i].Origin, c.Operations[i].ID))
		}
	}
	if len(errs) > 0 {
		sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
		return nil, fmt.Errorf("contract %s: %w", word, errors.Join(errs...))
	}
	for _, s := range b.schemas {
		s.list()
	}
	for _, op := range c.Operations {
		op.computeMemory()
	}
	if c.table, err = NewTable(c); err != nil {
		return nil, fmt.Errorf("contract %s: %w", word, err)
	}
	return c, nil
}

// basePath returns the path of the contract's only server.
func basePath(doc *openapi3.T) (string, error) {
	if len(doc.Servers) != 1 {
		return "", fmt.Errorf("servers must have exactly one entry, has %d", len(doc.Servers))
	}
	url := doc.Servers[0].URL
	if !strings.HasPrefix(url, "/") || strings.ContainsAny(url, "{}?#%") {
		return "", errors.New("the server's url must be a plain path that begins with /")
	}
	return strings.TrimSuffix(url, "/"), nil
}

// Operation returns the operation with this operationId, or nil.
func (c *Contract) Operation(id string) *Operation {
	i, found := slices.BinarySearchFunc(c.Operations, id, func(op *Operation, id string) int { return strings.Compare(op.ID, id) })
	if !found {
		return nil
	}
	return c.Operations[i]
}

// Match finds the operation for a method and an escaped path; see Table.Match.
func (c *Contract) Match(method, escapedPath string, m *Match) error {
	return c.table.Match(method, escapedPath, m)
}

// Allow returns the value of the Allow header for an escaped path; see Table.Allow.
func (c *Contract) Allow(escapedPath string) (string, error) { return c.table.Allow(escapedPath) }
