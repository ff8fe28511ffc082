package reindex

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/internal/problem"
)

// copy copies the documents of the source. A document that is already in the target was copied by an earlier attempt, and if it has changed
// since then, it is noted. Notes are not applied before verify. A document that is deleted during the copy can therefore not come back
// through a batch that was read before the deletion.
func (s *steps) copy(ctx context.Context) (err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	export, err := s.Engine.ExportWhole(reading, s.Source)
	if err != nil {
		return err
	}
	defer func() { stop(); _ = export.Close() }() // the rest of the export is not needed
	s.Copied = 0
	for done := false; !done; {
		var batch [][]byte
		if batch, done, err = nextBatch(export); err != nil {
			return err
		}
		if err := s.add(ctx, batch); err != nil {
			return err
		}
		s.Copied += int64(len(batch))
	}
	return s.move(ctx, Verifying)
}

// nextBatch reads the documents of one import. done reports that there are no more.
func nextBatch(export *engine.Export) (batch [][]byte, done bool, err error) {
	for size := 0; len(batch) < engine.ImportDocuments && size < engine.ImportBytes; {
		line, err := export.Next()
		if errors.Is(err, io.EOF) {
			return batch, true, nil
		}
		if err != nil {
			return nil, false, err
		}
		batch, size = append(batch, bytes.Clone(line)), size+len(line)
	}
	return batch, false, nil
}

func (s *steps) add(ctx context.Context, batch [][]byte) error {
	call, cancel, err := s.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	outcomes, err := s.Engine.Add(call, s.Target, batch)
	if err != nil {
		return err
	}
	for i, o := range outcomes {
		if o == nil {
			continue
		}
		id, err := engine.IDOf(batch[i])
		if err != nil {
			return err
		}
		// A document that was deleted, or changed to fit the schema, since it was read is handled later by its note.
		noted, err := s.Rows.Noted(ctx, s.ID, id)
		if err != nil {
			return err
		}
		if !noted {
			return problem.New(problem.ValidationFailed, "A document does not match the new schema. "+problem.From(o).Detail).Wrap(o)
		}
	}
	return nil
}

// catchUp applies the notes: it copies the noted documents from one collection to the other, and returns how many. By default it handles
// only notes of writes that have ended; all means that no write is under way. Documents that the other collection refuses are marked.
func (s *steps) catchUp(ctx context.Context, from, to string, all bool) (n int, err error) {
	var before time.Time
	if !all {
		if before, err = s.Rows.OldestWrite(ctx); err != nil || before.IsZero() {
			return 0, err
		}
	}
	for {
		notes, err := s.Rows.Notes(ctx, s.ID, before, notesAtOnce)
		if err != nil || len(notes) == 0 {
			return n, err
		}
		done, refused, err := s.bring(ctx, from, to, notes)
		if err != nil {
			return n, err
		}
		s.CaughtUp += int64(len(done))
		if err := s.Rows.SettleNotes(ctx, s.Reindex, s.lease, done, refused); err != nil {
			return n, err
		}
		if n += len(notes); len(notes) < notesAtOnce {
			return n, nil
		}
	}
}

// bring copies the documents of some notes, and deletes those that no longer exist.
func (s *steps) bring(ctx context.Context, from, to string, notes []Note) (done, refused []Note, err error) {
	ids := make([]string, len(notes))
	for i, note := range notes {
		ids[i] = note.Document
	}
	ctx, cancel, err := s.call(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	current, err := s.Engine.Documents(ctx, from, ids)
	if err != nil {
		return nil, nil, err
	}
	var gone []string
	var batch [][]byte
	var of []Note
	for _, note := range notes {
		if doc, there := current[note.Document]; there {
			batch, of = append(batch, doc), append(of, note)
		} else {
			gone, done = append(gone, note.Document), append(done, note)
		}
	}
	if err := s.Engine.DeleteIDs(ctx, to, gone); err != nil {
		return nil, nil, err
	}
	outcomes, err := s.Engine.Replace(ctx, to, batch)
	if err != nil {
		return nil, nil, err
	}
	for i, o := range outcomes {
		if o == nil {
			done = append(done, of[i])
		} else {
			refused = append(refused, of[i])
		}
	}
	return done, refused, nil
}

// sampled is the number of documents that are compared.
const sampled = 500

// errDiffers fails a reindex whose copy differs from the original.
func errDiffers(text string) error {
	return problem.New(problem.StateConflict, "The copy differs from the collection: "+text)
}

// compare compares a sample of documents, spread over the whole source, with their copies. Documents that were written since are noted, and
// are skipped.
func (s *steps) compare(ctx context.Context) error {
	ids, err := s.sample(ctx)
	if err != nil {
		return err
	}
	call, cancel, err := s.call(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	copies, err := s.Engine.Documents(call, s.Target, ids)
	if err != nil {
		return err
	}
	originals, err := s.Engine.Documents(call, s.Source, ids)
	if err != nil {
		return err
	}
	changed, err := s.retyped(call)
	if err != nil {
		return err
	}
	for _, id := range ids {
		alike, err := equal(originals[id], copies[id], changed)
		if err != nil {
			return err
		}
		if alike {
			continue
		}
		noted, err := s.Rows.Noted(ctx, s.ID, id)
		if err != nil {
			return err
		}
		if !noted {
			return errDiffers("a document differs.")
		}
	}
	return nil
}

func (s *steps) sample(ctx context.Context) (ids []string, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	export, err := s.Engine.ExportIDs(reading, s.Source)
	if err != nil {
		return nil, err
	}
	defer func() { stop(); _ = export.Close() }()
	every := max(1, s.Documents/sampled)
	for n := int64(0); len(ids) < 2*sampled; n++ {
		line, err := export.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if n%every != 0 {
			continue
		}
		id, err := engine.IDOf(line)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, s.Rows.KeepReindex(ctx, s.Reindex, s.lease)
}

// retyped returns the fields whose type changes. The engine may store their values in another form.
func (s *steps) retyped(ctx context.Context) (map[string]bool, error) {
	source, err := s.Engine.Collection(ctx, s.Source)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, c := range Drift(s.Wanted, source) {
		out[c.Field] = true
	}
	return out, nil
}

// equal compares two documents without some fields. nil is a missing document.
func equal(a, b []byte, without map[string]bool) (bool, error) {
	if bytes.Equal(a, b) {
		return true, nil
	}
	if a == nil || b == nil {
		return false, nil
	}
	var docs [2]map[string]any
	for i, text := range [][]byte{a, b} {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // keeps all digits
		if err := d.Decode(&docs[i]); err != nil {
			return false, fmt.Errorf("read document: %w", err)
		}
		for name := range without {
			delete(docs[i], name)
		}
	}
	return reflect.DeepEqual(docs[0], docs[1]), nil
}
