package contract

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// reference is a $ref with the file that contains it.
type reference struct{ file, ref string }

// resolution is the target of a reference, or the error of resolving it.
type resolution struct {
	*element
	err error
}

// maxHops bounds chains of references.
const maxHops = 32

// deref follows the $ref of an element, repeatedly, to an element without one.
func (b *adopter) deref(e *element) (*element, error) {
	for range maxHops {
		ref := e.get("$ref")
		if ref == nil || ref.kind != elementString {
			return e, nil
		}
		next, err := b.target(ref)
		if err != nil {
			return nil, err
		}
		e = next
	}
	return nil, errorAt(e, "references form a cycle; write the value out at one of them")
}

// target returns what a $ref refers to: a place in one of the given files, never anything else.
func (b *adopter) target(ref *element) (*element, error) {
	key := reference{ref.file.name, ref.text}
	found, done := b.resolved[key]
	if !done {
		found.element, found.err = b.lookUp(ref.file, ref.text)
		b.resolved[key] = found
	}
	if found.err != nil {
		return nil, errorAt(ref, "$ref %s %w", shortened(ref.text), found.err)
	}
	return found.element, nil
}

var errUnresolved = errors.New("leads nowhere; define it under components, or correct the name")

func (b *adopter) lookUp(from *elementFile, ref string) (*element, error) {
	name, fragment, _ := strings.Cut(ref, "#")
	file := from
	if name != "" {
		if named := from.anchors[ref]; named != nil {
			return named, nil // by its $id in this file
		}
		if strings.Contains(name, ":") || strings.HasPrefix(name, "/") {
			return nil, errors.New("is a URL or an absolute path, which is never followed; give the file beside the document and refer to it by its name")
		}
		plain, err := url.PathUnescape(name)
		if err != nil {
			return nil, errUnresolved
		}
		if file = b.files[path.Join(path.Dir(from.name), plain)]; file == nil {
			return nil, fmt.Errorf("refers to a file that is missing; pass %s too", shortened(name))
		}
	}
	pointer, err := url.PathUnescape(fragment)
	if err != nil {
		return nil, errUnresolved
	}
	if pointer != "" && !strings.HasPrefix(pointer, "/") {
		if found := file.anchors[pointer]; found != nil {
			return found, nil
		}
		return nil, errUnresolved
	}
	found := followPointer(file.root, pointer)
	if found == nil {
		return nil, errUnresolved
	}
	return found, nil
}

// followPointer follows a JSON pointer (RFC 6901), or returns nil.
func followPointer(e *element, pointer string) *element {
	if pointer == "" {
		return e
	}
	for part := range strings.SplitSeq(pointer[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if e != nil && e.kind == elementList {
			items, found := e.items, (*element)(nil)
			for i := range items {
				if fmt.Sprint(i) == part {
					found = items[i]
				}
			}
			e = found
			continue
		}
		if e = e.get(part); e == nil {
			return nil
		}
	}
	return e
}
