package clientgen

import (
	"fmt"
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// Limits of the workarounds for a document.
const (
	maxRounds   = 8  // rounds of renaming
	maxAttempts = 80 // runs of the generator to find the operations that cannot be in the client
)

// writer generates the client for one document.
type writer struct {
	name     string // of the Go package
	door     []byte
	document *document
	notes    []Note // differences from the document in the last attempt
	attempts int
}

// write returns the client. If the generator accepts the document, it is not changed.
func (w *writer) write() ([]byte, error) {
	if text, err := w.attempt(w.document.text, nil); err == nil {
		return text, nil
	}
	text, err := w.of(w.document.operations)
	if err == nil {
		return text, nil
	}
	return w.some(err)
}

// some returns the client without the operations that cannot be in it.
func (w *writer) some(why error) ([]byte, error) {
	out, err := w.bad(w.document.operations, why)
	if err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(slices.Clone(w.document.operations), func(o operation) bool {
		return slices.ContainsFunc(out, func(n Note) bool { return slices.Equal(n.Pointer, o.pointer()) })
	})
	if len(left) == 0 {
		return nil, why
	}
	text, err := w.of(left)
	if err != nil {
		return nil, fmt.Errorf("without the operations that can't be in the client: %w", err)
	}
	w.notes = append(w.notes, out...)
	return text, nil
}

// bad returns the operations for which no client can be generated, with the reasons. why is the reason why there is no
// client for all of them together.
func (w *writer) bad(operations []operation, why error) ([]Note, error) {
	if len(operations) < 2 {
		if len(operations) == 0 {
			return nil, why
		}
		return []Note{{operations[0].pointer(), fmt.Sprintf("%s is not in the client: %v", operations[0], why)}}, nil
	}
	if w.attempts > maxAttempts {
		return nil, fmt.Errorf("too many operations can't be turned into Go: %w", why)
	}
	var out []Note
	middle := len(operations) / 2
	for _, half := range [][]operation{operations[:middle], operations[middle:]} {
		if _, err := w.of(half); err != nil {
			found, err := w.bad(half, err)
			if err != nil {
				return nil, err
			}
			out = append(out, found...)
		}
	}
	if out == nil { // each half works, but not both together
		return w.bad(operations[middle:], why)
	}
	return out, nil
}

// of returns the client for some operations, after preparing what the generator cannot handle.
func (w *writer) of(operations []operation) ([]byte, error) {
	w.attempts++
	text, err := w.document.only(operations)
	if err != nil {
		return nil, err
	}
	p := newPreparation()
	for range maxRounds {
		var made []byte
		if made, err = w.attempt(text, p); err == nil {
			w.notes = p.notes
			return made, nil
		}
		if !p.rename(err) {
			break
		}
	}
	return nil, err
}

// attempt runs the generator once and checks its output.
func (w *writer) attempt(document []byte, p *preparation) ([]byte, error) {
	doc, err := openapi3.NewLoader().LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("load document: %w", err)
	}
	if p != nil {
		p.prepare(doc)
	}
	text, err := generated(doc, w.name)
	if err != nil {
		return nil, err
	}
	return text, check(text, w.door)
}
