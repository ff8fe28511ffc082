package embedded

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
)

// errSnapshotThere reports that the name of a snapshot is taken.
var errSnapshotThere = &schema.Error{Status: 409, Text: "There is something with the name of this snapshot."}

// Snapshot writes a complete data directory to path, and creates its parent if needed. It contains all documents that were committed when
// it began, and the settings at that time. Searches and writes of documents continue; changes of settings wait. An engine that is opened on
// it rebuilds the index. An existing path is left unchanged, and a failed snapshot leaves nothing behind.
func (e *Engine) Snapshot(ctx context.Context, path string) (err error) {
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("make the directory of snapshots: %w", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, errSnapshotThere)
	}
	made, err := os.MkdirTemp(parent, ".snapshot-*")
	if err != nil {
		return fmt.Errorf("make a snapshot: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(made)) }() // nothing remains to be removed after the rename
	if err := e.settings.Copy(made, func() error { return e.store.CopyTo(ctx, made) }); err != nil {
		return fmt.Errorf("write a snapshot: %w", err)
	}
	for _, step := range []func() error{
		func() error { return settings.SyncDir(made) },
		func() error { return os.Rename(made, path) },
		func() error { return settings.SyncDir(parent) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("put a snapshot in its place: %w", err)
		}
	}
	e.log.Info("embedded engine: a snapshot was made", "path", path)
	return nil
}
