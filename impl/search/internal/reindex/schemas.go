package reindex

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/audit"
	"github.com/fountainai/fountain/internal/id"
)

// Wanted is the desired schema of a collection.
type Wanted struct {
	Schema
	Text    string // as it is stored; "" if none was set, so that the actual schema is the desired one
	Version int64
	Reindex string // the reindex that is under way or keeps the old collection; or ""
}

// SchemaRows stores the desired schemas of collections.
type SchemaRows interface {
	// Wanted reads the desired schema. Error: owner.ErrGone.
	Wanted(ctx context.Context, c *owner.Collection) (Wanted, error)
	// SetWanted replaces version over of the desired schema, and returns the new version. e is nil if an earlier schema is put back.
	// Errors: owner.ErrGone, ErrVersion, ErrUnderWay.
	SetWanted(ctx context.Context, c *owner.Collection, text string, over int64, e *audit.Event) (version int64, err error)
	// StartReindex starts a reindex. It uses ID, Target, KeepOld and Wanted of r. Wanted replaces version over of the collection's desired
	// schema. The old collection that an earlier reindex keeps is given up. Errors: owner.ErrGone, ErrUnderWay, ErrVersion.
	StartReindex(ctx context.Context, c *owner.Collection, r Reindex, over int64, e audit.Event) (*Reindex, error)
}

// Schemas brings collections to their desired schemas.
type Schemas struct {
	Engine *engine.Engine
	Rows   SchemaRows
	Wake   func() // called when a reindex has started
}

// Comparison is a desired schema and the differences of the engine's schema from it.
type Comparison struct {
	Wanted
	Changes []Change
}

// ErrAlter reports that the engine can't make the changes in place.
var ErrAlter = errors.New("the changes need a reindex")

// Compare compares the desired schema of a collection with the engine's. Errors: owner.ErrGone, and those of engine.Engine.Collection.
func (s *Schemas) Compare(ctx context.Context, c *owner.Collection) (Comparison, error) {
	w, err := s.Rows.Wanted(ctx, c)
	if err != nil {
		return Comparison{}, err
	}
	actual, err := s.Engine.Collection(ctx, c.Engine())
	if err != nil {
		return Comparison{}, err
	}
	if w.Text == "" {
		w.Schema = SchemaOf(actual)
	}
	return Comparison{Wanted: w, Changes: Drift(w.Schema, actual)}, nil
}

// Plan compares another desired schema with the engine's.
func (s *Schemas) Plan(ctx context.Context, c *owner.Collection, want Schema) (Comparison, error) {
	w, err := s.Rows.Wanted(ctx, c)
	if err != nil {
		return Comparison{}, err
	}
	actual, err := s.Engine.Collection(ctx, c.Engine())
	if err != nil {
		return Comparison{}, err
	}
	w.Schema = want
	return Comparison{Wanted: w, Changes: Drift(want, actual)}, nil
}

// Alter stores the schema of p over its version and changes the collection in place. If the engine refuses the changes, the previous schema
// is put back. An attempt that is killed in between leaves a difference, which Compare reports. Errors: those of SchemaRows.SetWanted,
// ErrAlter, and those of engine.Engine.Alter.
func (s *Schemas) Alter(ctx context.Context, c *owner.Collection, p Comparison, e audit.Event) (version int64, err error) {
	if !Alterable(p.Changes) {
		return 0, ErrAlter
	}
	text, err := p.Schema.Text()
	if err != nil {
		return 0, err
	}
	version, err = s.Rows.SetWanted(ctx, c, text, p.Version, &e)
	if err != nil || len(p.Changes) == 0 {
		return version, err
	}
	var drop []string
	var add []engine.Field
	for _, change := range p.Changes {
		if change.Kind == Unexpected {
			drop = append(drop, change.Field)
		} else {
			add = append(add, *change.Wanted)
		}
	}
	if err := s.Engine.Alter(ctx, c.Engine(), drop, add); err != nil {
		if !final(err) {
			return 0, err
		}
		_, back := s.Rows.SetWanted(context.WithoutCancel(ctx), c, p.Wanted.Text, version, nil)
		return 0, errors.Join(err, back)
	}
	return version, nil
}

// Reindex starts a reindex to the schema of p, over its version. Errors: those of SchemaRows.StartReindex.
func (s *Schemas) Reindex(ctx context.Context, c *owner.Collection, p Comparison, keepOld time.Duration, e audit.Event) (*Reindex, error) {
	name := id.New("rix")
	_, mark, _ := strings.Cut(name, "_")
	r, err := s.Rows.StartReindex(ctx, c, Reindex{ID: name, Target: c.Name.Generation(mark), KeepOld: keepOld, Wanted: p.Schema}, p.Version, e)
	if err != nil {
		return nil, fmt.Errorf("begin reindex: %w", err)
	}
	s.Wake()
	return r, nil
}
