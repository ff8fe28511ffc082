package embedded

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/filter"
	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/ordering"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/rules"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/settings"
	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// ruleset holds the synonyms and overrides of a collection. It is cached per generation of the settings.
type ruleset struct {
	generation uint64
	schema     *schema.Schema
	synonyms   []rules.Synonym
	overrides  []rules.Override
}

// rules returns the collection's synonyms and overrides, and those of the sets that its schema names.
func (c *Collection) rules(store *settings.Store) (*ruleset, error) {
	generation, s := store.Generation(), c.schema.Load()
	if r := c.ruleset.Load(); r != nil && r.generation == generation && r.schema == s {
		return r, nil
	}
	r := &ruleset{generation: generation, schema: s}
	var err error
	if r.synonyms, err = readRules[rules.Synonym](store, settings.Kind(rules.KindSynonyms, s.Name), rules.KindSynonymSets, s.SynonymSets); err != nil {
		return nil, fmt.Errorf("read synonyms: %w", err)
	}
	for i := range r.synonyms {
		r.synonyms[i].Prepare(s.Separators, s.Symbols)
	}
	if r.overrides, err = readRules[rules.Override](store, settings.Kind(rules.KindOverrides, s.Name), rules.KindCurationSets, s.CurationSets); err != nil {
		return nil, fmt.Errorf("read overrides: %w", err)
	}
	c.ruleset.Store(r)
	return r, nil
}

// readRules reads the rules of one kind, and those of the named sets. A missing set is empty.
func readRules[T any](store *settings.Store, kind, setKind string, sets []string) ([]T, error) {
	var out []T
	for _, record := range store.List(kind) {
		var one T
		if err := json.Unmarshal(record.Body, &one); err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	for _, name := range sets {
		body, ok := store.Get(setKind, name)
		if !ok {
			continue
		}
		var set rules.Set[T]
		if err := json.Unmarshal(body, &set); err != nil {
			return nil, err
		}
		out = append(out, set.Items...)
	}
	return out, nil
}

// withPreset adds the parameters of the named preset; those in values take precedence. A preset that does not exist is ignored (reference,
// section 9), and so is one with several searches.
func (e *Engine) withPreset(values map[string]string) (map[string]string, error) {
	name := values["preset"]
	body, ok := e.settings.Get(rules.KindPresets, name)
	if name == "" || !ok {
		return values, nil
	}
	var preset rules.Preset
	if err := json.Unmarshal(body, &preset); err != nil {
		return nil, fmt.Errorf("read preset: %w", err)
	}
	raw, err := preset.Params()
	if err != nil {
		return nil, err
	}
	out := params.Flat(raw)
	for k, v := range values {
		out[k] = v
	}
	return out, nil
}

// PresetSearches returns the searches of a preset with several searches.
func (e *Engine) PresetSearches(name string) ([]map[string]json.RawMessage, bool) {
	body, ok := e.settings.Get(rules.KindPresets, name)
	if !ok {
		return nil, false
	}
	var preset struct {
		Value struct {
			Searches []map[string]json.RawMessage `json:"searches"`
		} `json:"value"`
	}
	if json.Unmarshal(body, &preset) != nil || preset.Value.Searches == nil {
		return nil, false
	}
	return preset.Value.Searches, true
}

// expand builds the query of the plan. It applies curation first, then stopwords, then synonyms, and then pinned and hidden documents.
func (r *run) expand() error {
	set, err := r.collection.rules(r.engine.settings)
	if err != nil {
		return err
	}
	analyzer := r.schema.Analyzer()
	if len(r.index.Fields) > 0 {
		analyzer = r.index.Fields[0].Field.Analyzer()
	}
	r.q = r.params.Text("q")
	if err := r.curate(set, analyzer); err != nil {
		return err
	}
	q := parseQuery(r.q, analyzer)
	if q, err = r.withoutStopwords(q); err != nil {
		return err
	}
	q.Words = q.Words[:min(len(q.Words), index.MaxWords)] // further words are ignored
	if r.params.Flag("enable_synonyms") && len(q.Words) > 0 && len(q.Phrases) == 0 {
		q.Also = rules.Expand(set.synonyms, q.Words, rules.Options{Prefix: r.params.Flag("synonym_prefix"), Typos: min(r.params.Number("synonym_num_typos"), 2)})
	}
	if q.Inside, err = r.inside(q); err != nil {
		return err
	}
	r.index.Query = q
	return r.pinAndHide()
}

// curate applies the collection's overrides.
func (r *run) curate(set *ruleset, a *text.Analyzer) error {
	if !r.params.Flag("enable_overrides") || !r.params.Flag("enable_curations") || len(set.overrides) == 0 {
		return nil
	}
	tags := append(r.params.Names("override_tags"), r.params.Names("curation_tags")...)
	words := a.Words(r.q)
	s := &rules.Search{Query: r.q, Words: words[:min(len(words), maxCurated)], Filter: r.params.Text("filter_by"), Sort: r.params.Text("sort_by"), Tags: tags, Now: r.engine.Now().Unix()}
	s.All = strings.TrimSpace(r.q) == "*"
	before := s.Sort
	rules.Curate(set.overrides, s, r, a)
	if s.Changed {
		r.q = s.Query
	}
	r.pins, r.hidden, r.metadata, r.filterPins = s.Pins, s.Hidden, s.Metadata, s.FilterPins
	node, err := r.filters(s.Added)
	if err != nil {
		return err
	}
	r.index.Filter = both(r.index.Filter, node)
	if s.Sort != before {
		if r.sort, err = ordering.Parse(s.Sort, r.schema); err != nil {
			return err
		}
	}
	return nil
}

// maxCurated limits how many words of a query are compared with rules. Each of them may be the start of a rule's phrase.
const maxCurated = 1000

// GoodFilter implements rules.Values.
func (r *run) GoodFilter(text string) bool {
	_, err := filter.Parse(text, r.schema, filter.Options{})
	return err == nil
}

// HasValue implements rules.Values.
func (r *run) HasValue(field string, words []string) (string, bool) {
	f, ok := r.schema.Field(field)
	if !ok || !f.Text() || !f.Facet || r.ctx.Err() != nil {
		return "", false
	}
	joined := strings.Join(words, " ")
	clause := &filter.Clause{Field: f, Want: schema.AnyWords{{Text: joined, List: words, Exact: true}}}
	res, err := r.collection.find(r.ctx, index.Plan{
		Schema: &schema.Schema{}, Query: index.Query{All: true}, Filter: &filter.Node{Op: filter.Leaf, Clause: clause},
		Facets: []index.Facet{{Field: f, Max: r.engine.limits.DocumentsPerCollection}}, FilterCandidates: 1,
	})
	if err != nil || len(res.Facets) == 0 {
		return "", false
	}
	for _, c := range res.Facets[0].Counts { // for a list, the documents have other values too
		if slices.Equal(f.Analyzer().Words(c.Value), words) {
			return c.Value, true
		}
	}
	return "", false
}

// withoutStopwords removes the words of a stopword set from the query. A query with nothing else matches nothing, and neither does a phrase
// that contains a stopword (reference, section 9).
func (r *run) withoutStopwords(q index.Query) (index.Query, error) {
	if !r.params.Has("stopwords") {
		return q, nil
	}
	name := r.params.Text("stopwords")
	body, ok := r.engine.settings.Get(rules.KindStopwords, name)
	if !ok {
		return q, &schema.Error{Status: http.StatusNotFound, Text: "Could not find the stopword set named `" + name + "`."}
	}
	var set rules.Stopwords
	if err := json.Unmarshal(body, &set); err != nil {
		return q, fmt.Errorf("read stopwords: %w", err)
	}
	had := len(q.Words) + len(q.Phrases)
	q.Words = set.Without(q.Words)
	for i, ph := range q.Phrases {
		q.Phrases[i] = set.Without(ph)
	}
	q.Phrases = slices.DeleteFunc(q.Phrases, func(ph []string) bool { return len(ph) == 0 })
	if had > 0 && len(q.Words)+len(q.Phrases) == 0 {
		q.None = true
	}
	return q, nil
}

// pinAndHide adds pinned_hits and hidden_hits to the pinned and hidden documents of the overrides, which come first.
func (r *run) pinAndHide() error {
	pins, err := rules.ParsePins(r.params.Text("pinned_hits"))
	if err != nil {
		return err
	}
	r.pins = append(r.pins, pins...)
	r.hidden = append(r.hidden, r.params.Names("hidden_hits")...)
	r.filterPins = r.filterPins || r.params.Flag("filter_curated_hits")
	r.filtered = r.index.Filter != nil
	if len(r.hidden) == 0 {
		return nil
	}
	r.index.Filter = both(r.index.Filter, &filter.Node{Op: filter.Leaf, Clause: idClause(r.hidden, true)})
	return nil
}

// idClause returns the condition that the ID is among ids, or with not that it is not.
func idClause(ids []string, not bool) *filter.Clause {
	want := make(schema.AnyWords, len(ids))
	for i, id := range ids {
		want[i] = schema.Words{Text: id, Exact: true}
	}
	return &filter.Clause{Negate: not, Want: want}
}
