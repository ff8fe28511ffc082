package embedded

import (
	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
	"github.com/fountainai/fountain/internal/backup"
)

// BackupPart is what an engine in a directory holds, for backup and restore. The index is not in it: it is made anew from the documents.
func BackupPart(name, dir string) backup.Part {
	return backup.Part{Name: name, Database: docstore.Database(dir), Files: []string{settings.FileName}, Create: docstore.TableOf}
}
