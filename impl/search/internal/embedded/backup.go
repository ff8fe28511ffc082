package embedded

import (
	"github.com/fountainai/fountain/impl/search/internal/embedded/docstore"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
	"github.com/fountainai/fountain/internal/backup"
)

// BackupPart returns what a backup of the engine in dir contains. The index is not included, because it is rebuilt from the documents.
func BackupPart(name, dir string) backup.Part {
	return backup.Part{Name: name, Database: docstore.Database(dir), Files: []string{settings.FileName}, Create: docstore.TableOf}
}
