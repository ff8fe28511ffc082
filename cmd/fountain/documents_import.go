package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/fountainai/fountain/clients/fountain"
	"github.com/fountainai/fountain/cmd/fountain/internal/documents"
	"github.com/fountainai/fountain/cmd/fountain/internal/terminal"
)

// documentImport holds the flags and the state of documents import.
type documentImport struct {
	documents.Load
	path, failedPath string
	restart          bool
	background       bool
	failed           *os.File
	begun            begun
}

// begun is the content of the progress file beside an import that has not finished.
type begun struct {
	Collection  string    `json:"collection"`
	Tenant      string    `json:"tenant,omitempty"`
	Size        int64     `json:"size"`
	Modified    time.Time `json:"modified"`
	Failed      string    `json:"failedPath"`  // absolute path of the file with the failures
	FailedBytes int64     `json:"failedBytes"` // size of the part that belongs to the position
	documents.Position
}

func newDocumentsImport(o *operator) *cobra.Command {
	d := &documentImport{}
	var tenant string
	cmd := o.command("import COLLECTION FILE.ndjson", "Import the documents of an NDJSON file into a collection",
		"  fountain documents import plays plays.ndjson\n  fountain documents import plays plays.ndjson --batch 2000 --failed refused.ndjson", collectionAndFile,
		func(cmd *cobra.Command, c *fountain.Client, args []string) error {
			most := 5000
			d.Store = c.Search
			if d.background {
				most, d.Store, d.Bytes = 100_000, documents.Background{Jobs: c.Search}, documents.BackgroundBytes
			}
			switch {
			case d.Batch == 0 && d.background:
				d.Batch = 20_000
			case d.Batch == 0:
				d.Batch = 1000
			}
			if d.IfAbsent && d.VersionField != "" {
				return usagef("--if-absent and --version-field exclude each other")
			}
			if d.Batch < 1 || d.Batch > most {
				return usagef("--batch must be 1 to %d", most)
			}
			d.Collection, d.Tenant, d.path = args[0], optional(tenant), args[1]
			if d.failedPath == "" {
				d.failedPath = d.path + ".failed"
			}
			return d.run(cmd)
		})
	cmd.Long = `import reads a document with an id from each line, and creates or replaces it in the collection. Refused
documents are written to a file, with line number and reason, and the import continues. Its progress is kept
in FILE.ndjson.progress until it has ended: after an interruption, the same command continues there. Repeating
an import is safe.

In a versioned collection ("versioned": true at its creation), --if-absent stores only documents that do not
exist, and replaces none. --version-field NAME takes the version that a document replaces from this member,
and removes the member; a document without it replaces any version. A document with another version is refused
(version_conflict). If such an import continues after an interruption, the documents of its last request can
be reported as conflicts with the import itself.

With --background each request runs as a job of the search service, in parts that wait while the search engine
is busy or unavailable (fountain jobs shows it). This is for large files; a running job continues if the
import is interrupted.`
	cmd.Flags().IntVar(&d.Batch, "batch", 0, "number of documents per request, 1 to 5000, with --background up to 100000 (default: 1000, with --background 20000)")
	cmd.Flags().BoolVar(&d.background, "background", false, "run the import as background jobs of the search service")
	cmd.Flags().StringVar(&d.failedPath, "failed", "", "write refused documents to this file (default: FILE.ndjson.failed)")
	cmd.Flags().StringVar(&tenant, "tenant", "", "tenant of the documents; for the owner of a tenant-scoped collection")
	cmd.Flags().BoolVar(&d.IfAbsent, "if-absent", false, "replace no existing document; for versioned collections")
	cmd.Flags().StringVar(&d.VersionField, "version-field", "", "member of each document that holds the version that it replaces; for versioned collections")
	cmd.Flags().BoolVar(&d.restart, "restart", false, "start at the first line, even after an interrupted import")
	return cmd
}

func collectionAndFile(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return usagef("%s takes two arguments, a collection and a file of NDJSON", cmd.CommandPath())
	}
	return nil
}

func (d *documentImport) progressPath() string { return d.path + ".progress" }

// run imports, continuing where an interrupted import stopped.
func (d *documentImport) run(cmd *cobra.Command) error {
	file, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer file.Close()
	from, err := d.find(file)
	if err != nil {
		return err
	}
	if from.Offset > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "going on after line %d of %s\n", from.Lines, d.path)
	}
	if err := d.openFailed(file); err != nil {
		return err
	}
	defer d.failed.Close()
	bar := terminal.NewBar(os.Stderr, d.Collection)
	d.Fail = d.note
	unit, shift := unitOf(d.begun.Size)
	d.Done = func(p documents.Position) error {
		bar.Show(unit, int(p.Offset>>shift), int(d.begun.Size>>shift))
		return d.keep(p)
	}
	reached, err := d.Run(cmd.Context(), file, from)
	bar.Done()
	return d.end(cmd, reached, err)
}

// unitOf returns the unit in which the progress in a file of this size is shown, and the shift from bytes to that unit.
func unitOf(size int64) (name string, shift int) {
	if size < 1<<20 {
		return "bytes", 0
	}
	return "KiB", 10
}

// openFailed opens the failures file at the end of the failures that belong to the position. It refuses a file that the
// import needs for something else.
func (d *documentImport) openFailed(input *os.File) error {
	inUse := []string{d.path, d.progressPath(), d.progressPath() + ".new"}
	for _, path := range inUse {
		if path, err := filepath.Abs(path); err != nil || path == d.begun.Failed {
			return errors.Join(usagef("--failed must be another file than the import's own and that of its progress"), err)
		}
	}
	failed, err := os.OpenFile(d.failedPath, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := d.resume(failed, input, inUse); err != nil {
		return errors.Join(err, failed.Close())
	}
	d.failed = failed
	return nil
}

// resume removes the failures that were written after the position. It never truncates another file of the import,
// whatever links point to it.
func (d *documentImport) resume(failed, input *os.File, inUse []string) error {
	info, err := failed.Stat()
	if err != nil {
		return err
	}
	for i, path := range inUse {
		other, err := os.Stat(path)
		if i == 0 { // the file that is read, even if path is another file by now
			other, err = input.Stat()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && os.SameFile(info, other) {
			return usagef("--failed must be another file than the import's own and that of its progress")
		}
	}
	if info.Size() < d.begun.FailedBytes {
		return fmt.Errorf("%s is shorter than it was when the import was interrupted; --restart begins at the first line", d.failedPath)
	}
	if err := failed.Truncate(d.begun.FailedBytes); err != nil {
		return fmt.Errorf("begin %s: %w", d.failedPath, err)
	}
	if _, err := failed.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("begin %s: %w", d.failedPath, err)
	}
	return nil
}

// find returns the position where the import starts. If an import was interrupted, the file must not have changed
// since.
func (d *documentImport) find(file *os.File) (documents.Position, error) {
	info, err := file.Stat()
	if err != nil {
		return documents.Position{}, err
	}
	failed, err := filepath.Abs(d.failedPath)
	if err != nil {
		return documents.Position{}, err
	}
	now := begun{Collection: d.Collection, Size: info.Size(), Modified: info.ModTime().UTC(), Failed: failed}
	if d.Tenant != nil {
		now.Tenant = *d.Tenant
	}
	d.begun = now
	raw, err := os.ReadFile(d.progressPath())
	if errors.Is(err, fs.ErrNotExist) || err == nil && d.restart {
		return documents.Position{}, nil
	}
	var old begun
	if err == nil {
		err = json.Unmarshal(raw, &old)
	}
	if err != nil {
		return documents.Position{}, fmt.Errorf("read %s: %w; --restart begins at the first line", d.progressPath(), err)
	}
	if old.Collection != now.Collection || old.Tenant != now.Tenant || old.Size != now.Size || !old.Modified.Equal(now.Modified) {
		return documents.Position{}, fmt.Errorf("%s is of another import, or the file has changed since; --restart begins at the first line", d.progressPath())
	}
	if old.Failed != now.Failed {
		return documents.Position{}, fmt.Errorf("the interrupted import has its failures in another file than %s: name that with --failed; --restart begins at the first line", d.failedPath)
	}
	d.begun = old
	_, err = file.Seek(old.Offset, io.SeekStart)
	return old.Position, err
}

// note writes a failure.
func (d *documentImport) note(f documents.Failure) error {
	line, err := json.Marshal(f)
	if err == nil {
		_, err = d.failed.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", d.failedPath, err)
	}
	return nil
}

// keep stores the position of the import, and the size of the failures file at that position.
func (d *documentImport) keep(p documents.Position) error {
	size, err := d.failed.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("write %s: %w", d.failedPath, err)
	}
	d.begun.Position, d.begun.FailedBytes = p, size
	raw, err := json.Marshal(d.begun)
	if err == nil {
		err = os.WriteFile(d.progressPath()+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(d.progressPath()+".new", d.progressPath())
	}
	if err != nil {
		return fmt.Errorf("note how far the import is: %w", err)
	}
	return nil
}

// end prints the result of the import.
func (d *documentImport) end(cmd *cobra.Command, reached documents.Position, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("interrupted after line %d; run the same import again to continue", reached.Lines)
	case errors.Is(err, fountain.ErrUnavailable), errors.Is(err, fountain.ErrRateLimited):
		return fmt.Errorf("%w; run the same import again to continue after line %d", err, reached.Lines)
	case err != nil:
		return err
	}
	if err := os.Remove(d.progressPath()); err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "imported %d %s into %s\n", reached.Stored, plural(int(reached.Stored), "document"), d.Collection)
	if reached.Failed == 0 {
		return os.Remove(d.failedPath)
	}
	return fmt.Errorf("%d %s not imported: %s has the reasons", reached.Failed, plural(int(reached.Failed), "line"), d.failedPath)
}
