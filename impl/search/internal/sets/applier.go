package sets

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/fountainai/fountain/impl/search/internal/engine"
	"github.com/fountainai/fountain/impl/search/internal/tsclient"
	"github.com/fountainai/fountain/internal/problem"
)

// Rows reads the stored sets.
type Rows interface {
	// AllSets returns all sets of synonyms, curations and stopwords, with their contents.
	AllSets(ctx context.Context) ([]*Set, error)
	// AllAttached returns the collections to which sets are, or were, attached.
	AllAttached(ctx context.Context) ([]Attached, error)
}

// Applier synchronises the engine's copies of the sets with the stored ones. It is safe for concurrent use.
type Applier struct {
	engine *engine.Engine
	rows   Rows
	log    *slog.Logger

	asked atomic.Int64                      // applications requested
	turn  chan struct{}                     // held during an application; guards the fields below
	done  int64                             // the number of requests before the last application started
	err   error                             // its result
	state atomic.Pointer[map[string]Status] // by the ID of the set
	// seen holds, for each record, the version that was put and a digest of the engine's form of it. The engine does not return a record in
	// the form in which it was put, so the digest is compared with its own earlier form. Another digest, or a missing record, means that
	// the engine's copy has drifted.
	seen map[place]mark
}

// place identifies a record at the engine. collection is set for a kind that belongs to a single collection, and empty for the others.
type place struct {
	kind       tsclient.RecordKind
	collection string
	name       string
}

// mark is the form of a record that the engine returned after a version was put. After the first put it may be the form of an older version
// that another process has put in between. sure is therefore set only when a second put of the same version gave the same form.
type mark struct {
	version int64
	digest  [sha256.Size]byte
	sure    bool
}

// wanted is the version and the content that a record should have.
type wanted struct {
	version int64
	body    json.RawMessage
}

// NewApplier returns an Applier that has not read anything from the engine yet.
func NewApplier(e *engine.Engine, rows Rows, log *slog.Logger) *Applier {
	return &Applier{engine: e, rows: rows, log: log, turn: make(chan struct{}, 1), seen: map[place]mark{}}
}

// Apply makes the engine's copies match the stored sets. It is called after each change, and periodically because the engine may have lost
// records. Records that already match are not written, and a record that the engine refuses does not stop the others. One application runs
// at a time, and its result serves all callers that were waiting when it began.
func (a *Applier) Apply(ctx context.Context) error {
	mine := a.asked.Add(1)
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for another application: %w", ctx.Err())
	}
	if a.done >= mine {
		return a.err
	}
	began := a.asked.Load()
	err := a.apply(ctx)
	if ctx.Err() == nil { // otherwise it ended for this caller only
		a.done, a.err = began, err
	}
	return err
}

func (a *Applier) apply(ctx context.Context) error {
	version, embedded, err := a.engine.Version(ctx)
	if err != nil {
		return err
	}
	run := &run{Applier: a, next: map[place]mark{}, there: map[place]bool{}, failed: map[string]error{}}
	if err := run.all(ctx, embedded || named(version)); err != nil {
		return errors.Join(append(run.refused, err)...)
	}
	a.seen = run.next
	a.state.Store(&run.state)
	if run.repaired > 0 {
		a.log.WarnContext(ctx, "the search engine had lost synonyms, curations or stopwords; they are restored", "records", run.repaired)
	}
	return errors.Join(run.refused...)
}

// named reports whether this version of Typesense keeps synonyms and curations in named sets, which it does from version 30 on. Older
// versions keep them per collection.
func named(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n >= 30
}

// run is the state of one application.
type run struct {
	*Applier
	next     map[place]mark
	there    map[place]bool // what the engine has, in any version
	repaired int
	refused  []error           // refusals of the engine: of one record, or for one collection
	failed   map[string]error  // the same by set ID
	state    map[string]Status // of every set that was read
}

// collectRefusal records an error that concerns a single record or collection, and returns nil so that the application continues. It returns the
// error if the engine can't be used at all.
func (r *run) collectRefusal(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil || engine.Passing(err) && !errors.Is(err, problem.BadUpstream) {
		return err
	}
	r.refused = append(r.refused, err)
	return nil
}

// all applies every set. It reads the engine's records before the stored sets. In the other order, a set that another process creates in
// between would look like a deleted one.
func (r *run) all(ctx context.Context, named bool) error {
	kinds := []tsclient.RecordKind{tsclient.StopwordSets}
	if named {
		kinds = append(kinds, tsclient.SynonymSets, tsclient.CurationSets)
	}
	has, err := r.shown(ctx, kinds)
	if err != nil || has == nil {
		return err
	}
	rows, err := r.rows.AllSets(ctx)
	if err != nil {
		return err
	}
	attached, err := r.rows.AllAttached(ctx)
	if err != nil {
		return err
	}
	defer r.tell(rows)
	byID := make(map[string]*Set, len(rows))
	want := map[tsclient.RecordKind]map[string]wanted{}
	for _, s := range rows {
		byID[s.ID] = s
		body, err := s.record()
		if err != nil {
			return err
		}
		k := recordKinds[s.Kind]
		if want[k] == nil {
			want[k] = map[string]wanted{}
		}
		want[k][s.EngineName()] = wanted{s.Version, body}
	}
	if err := r.reclaim(ctx, has); err != nil {
		return err
	}
	for _, k := range kinds {
		if err := r.put(ctx, k, "", has[k], want[k]); err != nil {
			return err
		}
	}
	before := len(r.refused)
	for _, at := range attached {
		refused := r.attach(ctx, at, byID, named)
		if err := r.collectRefusal(ctx, refused); err != nil {
			return err
		}
		for _, id := range slices.Concat(at.Synonyms, at.Curations) {
			r.fails(id, ofCollection(refused))
		}
	}
	if len(r.refused) > before { // such a collection may still name a deleted set
		kinds = []tsclient.RecordKind{tsclient.StopwordSets}
	}
	for _, k := range kinds { // once no collection names them any more
		if err := r.drop(ctx, k, "", has[k], want[k]); err != nil {
			return err
		}
	}
	return nil
}

// shown returns the records that the engine has. It returns nil if there is nothing to do.
func (r *run) shown(ctx context.Context, kinds []tsclient.RecordKind) (map[tsclient.RecordKind]map[string]json.RawMessage, error) {
	has := map[tsclient.RecordKind]map[string]json.RawMessage{}
	for _, k := range kinds {
		list, err := r.engine.Records(ctx, k, "")
		if engine.Denied(err) { // the key lacks the permission, which is fine if there are no sets
			if rows, failed := r.rows.AllSets(ctx); failed != nil || len(rows) == 0 {
				return nil, failed
			}
		}
		if err != nil {
			return nil, err
		}
		has[k] = list
	}
	return has, nil
}

var recordKinds = map[Kind]tsclient.RecordKind{Synonyms: tsclient.SynonymSets, Curations: tsclient.CurationSets, Stopwords: tsclient.StopwordSets}

// attach makes a collection use its sets. A collection that the engine does not have is skipped.
func (r *run) attach(ctx context.Context, at Attached, byID map[string]*Set, named bool) error {
	physical := at.Collection.Engine()
	var err error
	if named {
		err = r.name(ctx, physical, live(at.Synonyms, byID), live(at.Curations, byID))
	} else {
		err = errors.Join(
			r.own(ctx, tsclient.OwnSynonyms, physical, live(at.Synonyms, byID)),
			r.own(ctx, tsclient.OwnOverrides, physical, live(at.Curations, byID)))
	}
	if errors.Is(err, problem.NotFound) {
		return nil
	}
	return err
}

// live returns the sets with these IDs that still exist.
func live(ids []string, byID map[string]*Set) (out []*Set) {
	for _, id := range ids {
		if s := byID[id]; s != nil {
			out = append(out, s)
		}
	}
	return out
}

// name sets the names of the sets that a collection uses. Names that other programs have added are kept.
func (r *run) name(ctx context.Context, physical string, synonyms, curations []*Set) error {
	c, err := r.engine.Collection(ctx, physical)
	if err != nil {
		return err
	}
	y, u := r.beside(c.SynonymSets, synonyms), r.beside(c.CurationSets, curations)
	if slices.Equal(y, c.SynonymSets) && slices.Equal(u, c.CurationSets) {
		return nil
	}
	return r.engine.NameSets(ctx, physical, y, u)
}

// beside returns the names in has that belong to other programs, followed by the names of those sets that exist at the engine.
func (r *run) beside(has []string, sets []*Set) []string {
	out := slices.DeleteFunc(slices.Clone(has), isOurs)
	for _, s := range sets {
		if r.there[place{recordKinds[s.Kind], "", s.EngineName()}] {
			out = append(out, s.EngineName())
		}
	}
	return out
}

func isOurs(name string) bool { return strings.HasPrefix(name, prefix) }

// own writes rules directly to a collection, for engines without named sets.
func (r *run) own(ctx context.Context, kind tsclient.RecordKind, physical string, sets []*Set) error {
	has, err := r.engine.Records(ctx, kind, physical)
	if err != nil {
		return err
	}
	want := map[string]wanted{}
	for _, s := range sets {
		list, err := s.rules()
		if err != nil {
			return err
		}
		for _, one := range list {
			want[one.id] = wanted{s.Version, one.body}
		}
	}
	if err := r.put(ctx, kind, physical, has, want); err != nil {
		return err
	}
	return r.drop(ctx, kind, physical, has, want)
}

// put writes the records that are missing, have another version or have drifted. It records the form that the engine then returns.
func (r *run) put(ctx context.Context, kind tsclient.RecordKind, collection string, has map[string]json.RawMessage, want map[string]wanted) error {
	written := map[string]bool{}
	for name, w := range want {
		at := place{kind, collection, name}
		is, there := has[name]
		before, known := r.seen[at]
		same := known && before.version == w.version
		lost := same && (!there || before.digest != sha256.Sum256(is))
		if known {
			r.next[at] = before
		}
		r.there[at] = there
		if same && !lost && before.sure {
			continue
		}
		if lost {
			r.repaired++
		}
		err := r.engine.PutRecord(ctx, kind, collection, name, w.body)
		if err == nil {
			written[name], r.there[at] = true, true
			continue
		}
		if err := r.collectRefusal(ctx, fmt.Errorf("put %s %s: %w", kind, name, err)); err != nil {
			return err
		}
		r.fails(idOf(name), err)
	}
	if len(written) == 0 {
		return nil
	}
	now, err := r.engine.Records(ctx, kind, collection)
	if err != nil {
		return err
	}
	for name := range written {
		at, version := place{kind, collection, name}, want[name].version
		before, is := r.seen[at], mark{version: version, digest: sha256.Sum256(now[name])}
		is.sure = now[name] != nil && before.version == version && before.digest == is.digest
		r.next[at] = is
	}
	return nil
}

// drop deletes the records of sets that no longer exist.
func (r *run) drop(ctx context.Context, kind tsclient.RecordKind, collection string, has map[string]json.RawMessage, want map[string]wanted) error {
	for name := range has {
		if _, stays := want[name]; stays || !isOurs(name) {
			continue
		}
		err := r.engine.DeleteRecord(ctx, kind, collection, name)
		if err == nil || errors.Is(err, problem.NotFound) {
			continue
		}
		if err := r.collectRefusal(ctx, fmt.Errorf("delete %s %s: %w", kind, name, err)); err != nil {
			return err
		}
	}
	return nil
}
