package contract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// LoadModel parses <word>.yaml of fsys into kin-openapi's model, with the source line of every element, and validates it, including examples. Errors
// name the place in the file. A $ref to another file is resolved in fsys's top folder only.
func LoadModel(fsys fs.FS, word string) (*openapi3.T, []byte, error) {
	text, err := fs.ReadFile(fsys, word+".yaml")
	if err != nil {
		return nil, nil, fmt.Errorf("read contract %s: %w", word, err)
	}
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.IncludeOrigin = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, location *url.URL) ([]byte, error) {
		return readReferenced(fsys, location)
	}
	doc, err := loader.LoadFromDataWithPath(text, &url.URL{Path: word + ".yaml"})
	if err != nil {
		return nil, nil, fmt.Errorf("load contract %s: %w", word, loadFault(newSource(fsys).root(word+".yaml"), word, err))
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation(), openapi3.EnableMultiError()); err != nil {
		return nil, nil, fmt.Errorf("validate contract %s: %w", word, loadFault(newSource(fsys).root(word+".yaml"), word, err))
	}
	return doc, text, nil
}

// readReferenced resolves a $ref in fsys. It accepts only a bare file name beside the contract.
func readReferenced(fsys fs.FS, location *url.URL) ([]byte, error) {
	name := location.Path
	if location.Scheme != "" || location.Host != "" || location.RawQuery != "" || strings.Contains(name, "/") || !fs.ValidPath(name) {
		return nil, errors.New("a contract references only files in its own folder")
	}
	return fs.ReadFile(fsys, name)
}
