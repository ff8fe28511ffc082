package services

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/fountainai/fountain/internal/contract"
	"github.com/fountainai/fountain/openapi"
)

// Texts provides the documents served under /openapi.
type Texts struct {
	// Adopted returns the document of an adopted service, which is one file; nil when there is no such service.
	Adopted func(name string) []byte

	mu      sync.Mutex
	bundled map[string][]byte // bundled documents of the family, by word
}

var errNoText = errors.New("no contract has this name")

// Text returns a document by the last segment of its path: "kms.yaml", or "kms.bundled.yaml", which has no references to other files.
func (t *Texts) Text(document string) ([]byte, error) {
	name := strings.TrimSuffix(document, ".yaml")
	word, bundled := strings.CutSuffix(name, ".bundled")
	switch {
	case !slices.Contains(openapi.Words(), word) && word != "common":
		if text := t.Adopted(word); text != nil {
			return text, nil
		}
		return nil, errNoText
	case bundled && word != "common":
		return t.bundle(word)
	}
	return openapi.Read(name)
}

// bundle bundles a document once and caches it.
func (t *Texts) bundle(word string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text := t.bundled[word]; text != nil {
		return text, nil
	}
	text, err := contract.Bundle(word+".yaml", openapi.Files.ReadFile)
	if err != nil {
		return nil, err
	}
	if t.bundled == nil {
		t.bundled = map[string][]byte{}
	}
	t.bundled[word] = text
	return text, nil
}
