package vault

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/fountainai/fountain/internal/seal"
)

// Files are the paths of the root keys.
type Files struct {
	Current  string // the key that seals new keysets after a rotation
	Previous string // opens keysets that are not resealed yet; need not exist
}

// roots are the root keys of this process. It is safe for concurrent use.
type roots struct {
	files Files

	mu      sync.RWMutex
	known   map[string]*seal.Root // all keys read since the start; one that is removed from the files stays usable until the process ends
	held    []string              // IDs of the keys now in the files, that of Current first
	current string                // ID of the key in Current; "" if the file is refused
	fault   error                 // error of the last read
}

// read reads the files again. A file that is refused does not affect keys that were read before.
func (r *roots) read() error {
	current, err := load(r.files.Current)
	if err != nil {
		err = fmt.Errorf("load root key %s: %w", r.files.Current, err)
	}
	previous, before := load(r.files.Previous)
	if errors.Is(before, os.ErrNotExist) {
		before = nil
	}
	if before != nil {
		err = errors.Join(err, fmt.Errorf("load previous root key %s: %w", r.files.Previous, before))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held, r.current, r.fault = nil, "", err
	for _, root := range []*seal.Root{current, previous} {
		if root != nil && !slices.Contains(r.held, root.ID()) {
			r.held = append(r.held, root.ID())
			r.known[root.ID()] = root
		}
	}
	if current != nil {
		r.current = current.ID()
	}
	return err
}

func load(path string) (*seal.Root, error) {
	if path == "" {
		return nil, nil
	}
	return seal.LoadRoot(path)
}

// root returns the key with an ID.
func (r *roots) root(id string) (*seal.Root, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	root, found := r.known[id]
	return root, found
}

// now returns the IDs of the keys in the files, the one in Current, and the error of the last read.
func (r *roots) now() (held []string, current string, fault error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.held), r.current, r.fault
}

// holds returns ErrWrongRoot if the files lack the key of an ID.
func (r *roots) holds(ids ...string) error {
	held, _, _ := r.now()
	for _, id := range ids {
		if !slices.Contains(held, id) {
			return fmt.Errorf("root key %s: %w (%s; the files have %s)", r.files.Current, ErrWrongRoot, id, strings.Join(held, ", "))
		}
	}
	return nil
}
