package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/fountainai/fountain/impl/sequence/internal/domain"
	"github.com/fountainai/fountain/impl/sequence/internal/scopefile"
	"github.com/fountainai/fountain/impl/sequence/internal/store"
	"github.com/fountainai/fountain/internal/audit"
	database "github.com/fountainai/fountain/internal/store"
)

// Imported is the outcome of an import.
type Imported struct {
	scopefile.Sum
	New bool // false: the scope was already imported from the same file
}

// Import fills a scope that has had no element with the content of a file, all or nothing. A scope that was imported from the same file before stays unchanged. Errors: *scopefile.Fault,
// *domain.InvalidItems for an id or a formatted number that is given twice, domain.ErrScopeTaken, domain.ErrImporting, domain.ErrImportLost, and errors of reading the file.
func (s *Service) Import(ctx context.Context, scope string, who domain.Actor, file io.Reader) (Imported, error) {
	load := &store.Load{Scope: scope, ID: s.NewID()}
	begun := s.Clock.Now()
	err := s.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return store.BeginLoad(ctx, tx, load, begun) })
	if errors.Is(err, domain.ErrScopeTaken) {
		return s.compare(ctx, scope, file)
	}
	if err != nil {
		return Imported{}, err
	}
	s.Log.InfoContext(ctx, "import began", "scope", scope, "import", load.ID)
	run := &run{Service: s, load: load, file: scopefile.NewReader(file), actor: who.Subject}
	sum, err := run.all(ctx)
	if err == nil {
		err = s.show(ctx, load, who, sum)
	}
	if err != nil {
		s.giveUp(ctx, load)
		return Imported{}, err
	}
	s.Log.InfoContext(ctx, "scope imported", "scope", scope, "import", load.ID, "elements", sum.Elements)
	s.Imported(scope)
	return Imported{Sum: sum, New: true}, nil
}

// compare reads the file for a scope that exists already. It returns domain.ErrScopeTaken unless the scope was imported from the same file.
func (s *Service) compare(ctx context.Context, scope string, file io.Reader) (Imported, error) {
	reader := scopefile.NewReader(file)
	for {
		if _, err := reader.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return Imported{}, err
		}
	}
	origin, err := s.Store.Origin(ctx, scope)
	if err != nil {
		return Imported{}, err
	}
	if origin == nil || origin.SHA256 != reader.Sum().SHA256 {
		return Imported{}, domain.ErrScopeTaken
	}
	return Imported{Sum: reader.Sum()}, nil
}

// show is the last transaction of an import: with its commit the scope becomes visible.
func (s *Service) show(ctx context.Context, load *store.Load, who domain.Actor, sum scopefile.Sum) error {
	return s.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error {
		at := s.Clock.Now().UTC().Truncate(time.Microsecond)
		if err := load.Finish(ctx, tx, domain.Origin{SHA256: sum.SHA256, At: at, By: who.Subject}); err != nil {
			return err
		}
		return audit.Append(ctx, tx, audit.Event{
			At: at, Action: "importScope", Actor: who.Subject, ActorKind: who.Kind, Target: load.Scope, Outcome: audit.OK, RequestID: who.RequestID, Address: who.Address,
			Detail: map[string]string{"sha256": sum.SHA256, "elements": strconv.FormatInt(sum.Elements, 10), "versions": strconv.FormatInt(sum.Versions, 10)},
		})
	})
}

// run is one import that is under way.
type run struct {
	*Service
	load  *store.Load
	file  *scopefile.Reader
	actor string

	element domain.Element // the last element
	part    store.Part     // items that are not written yet
	bytes   int            // of data in part
}

// all loads the file part by part, and returns the verified content of its last line.
func (r *run) all(ctx context.Context) (scopefile.Sum, error) {
	for {
		item, err := r.file.Next()
		if errors.Is(err, io.EOF) {
			return r.file.Sum(), r.flush(ctx)
		}
		if err != nil {
			return scopefile.Sum{}, err
		}
		r.take(item)
		if len(r.part.Versions) >= partVersions || r.bytes >= partBytes {
			if err := r.flush(ctx); err != nil {
				return scopefile.Sum{}, err
			}
		}
	}
}

func (r *run) take(item scopefile.Item) {
	if f := item.Format; f != nil {
		r.part.Formats = append(r.part.Formats, *f)
		return
	}
	if e := item.Element; e != nil {
		e.Scope = r.load.Scope
		r.element = *e
		r.part.Elements = append(r.part.Elements, *e)
		return
	}
	v, e := item.Version, r.element
	r.part.Versions = append(r.part.Versions, store.LoadedVersion{Ref: e.Ref, Version: *v})
	r.bytes += len(v.Data)
	change := domain.Change{Kind: domain.Revised, ElementType: e.ElementType, ID: e.ID, Version: v.Version, Number: e.Number, At: v.CreatedAt, Actor: v.CreatedBy}
	if v.Version == 1 {
		change.Kind = domain.Created
	}
	r.part.Changes = append(r.part.Changes, change)
	if item.Last && e.Status == domain.Omitted {
		r.part.Changes = append(r.part.Changes, domain.Change{Kind: domain.LeftOut, ElementType: e.ElementType, ID: e.ID, Number: e.Number, At: e.UpdatedAt})
	}
}

// flush writes the part that was gathered.
func (r *run) flush(ctx context.Context) error {
	part := r.part
	err := r.DB.Write(ctx, func(ctx context.Context, tx *database.Tx) error { return r.load.Add(ctx, tx, r.Clock.Now(), &part) })
	if err != nil {
		return err
	}
	r.load.Added(&part)
	r.part, r.bytes = store.Part{}, 0
	if r.load.Types() > maxTypes {
		return &scopefile.Fault{Rule: "maxItems", Why: fmt.Sprintf("of the file begins more than %d element types", maxTypes)}
	}
	return nil
}
