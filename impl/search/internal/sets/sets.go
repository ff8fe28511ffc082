// Package sets manages what modifies searches: synonyms, curations, stopwords and presets. They are grouped in sets, and each set has an
// owner. This service stores the sets. The engine has a copy of what it needs, which is restored if it is lost.
package sets

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fountainai/fountain/impl/search/internal/owner"
	"github.com/fountainai/fountain/internal/auth"
)

// Kind is a kind of set, in the contract's word.
type Kind string

// The kinds. Presets are applied by this service and never sent to the engine.
const (
	Synonyms  Kind = "synonyms"
	Curations Kind = "curations"
	Stopwords Kind = "stopwords"
	Presets   Kind = "presets"
)

// Most is the number of sets that an owner may have.
const Most = 200

// Errors of requests that concern sets. Nothing was changed.
var (
	ErrGone  = errors.New("there is no such set")
	ErrTaken = errors.New("another has a set of this name")
	ErrStale = errors.New("the set has another version")
	ErrMany  = errors.New("the owner has as many sets as it may have")
)

// Set is a set and its owner.
type Set struct {
	owner.Name
	Kind    Kind
	ID      string // unique among all sets
	Owner   string // as for collections
	Version int64
	Body    string   // JSON of the contract's member; empty in lists
	Readers []string // grantees
	Changed time.Time
}

// Access returns what a caller may do with the set: Own, Read or None. A role among the readers means users of the set's own tenant.
func (s *Set) Access(p *auth.Principal) owner.Access {
	if s == nil {
		return owner.None
	}
	c := owner.Collection{Name: s.Name, Owner: s.Owner}
	for _, r := range s.Readers {
		c.Grants = append(c.Grants, owner.Grant{Grantee: r, Access: owner.Read})
	}
	return c.Access(p)
}

// prefix begins the engine names of all sets of this service. Sets of other programs, which lack it, are left alone.
const prefix = "fountain_set_"

// EngineName returns the set's name at the engine. It is unique, whatever the set's own name is.
func (s *Set) EngineName() string { return prefix + s.ID }

// Attached lists the IDs of the sets that a collection uses.
type Attached struct {
	Collection *owner.Collection
	Synonyms   []string
	Curations  []string
	Version    int64
}

// The contents of sets, as the contract defines them and as they are stored.
type (
	synonym struct {
		Words []string `json:"words"`
		Root  string   `json:"root"`
	}
	curation struct {
		Query        string   `json:"query"`
		Match        string   `json:"match"`
		Pinned       []pin    `json:"pinned"`
		Hidden       []string `json:"hidden"`
		ReplaceQuery string   `json:"replaceQuery"`
	}
	pin struct {
		ID       string `json:"id"`
		Position int    `json:"position"`
	}
)

// The same contents in the engine's format.
type (
	synonymRule struct {
		ID       string   `json:"id,omitempty"`
		Synonyms []string `json:"synonyms"`
		Root     string   `json:"root,omitempty"`
	}
	curationRule struct {
		ID           string     `json:"id,omitempty"`
		Rule         match      `json:"rule"`
		Includes     []pin      `json:"includes,omitempty"`
		Excludes     []excluded `json:"excludes,omitempty"`
		ReplaceQuery string     `json:"replace_query,omitempty"`
		// FilterPins prevents a document from being pinned if the filter of the search excludes it.
		FilterPins bool `json:"filter_curated_hits"`
	}
	match struct {
		Query string `json:"query"`
		Match string `json:"match"`
	}
	excluded struct {
		ID string `json:"id"`
	}
)

// rule is one item of a set in the engine's format, without its ID.
type rule struct {
	id   string
	body json.RawMessage
}

// rules returns the items of a set of synonyms or curations. Their IDs are unique among all sets.
func (s *Set) rules() ([]rule, error) {
	var forms []any
	switch s.Kind {
	case Synonyms:
		var list []synonym
		if err := json.Unmarshal([]byte(s.Body), &list); err != nil {
			return nil, fmt.Errorf("read synonyms: %w", err)
		}
		for _, y := range list {
			forms = append(forms, synonymRule{Synonyms: y.Words, Root: y.Root})
		}
	case Curations:
		var list []curation
		if err := json.Unmarshal([]byte(s.Body), &list); err != nil {
			return nil, fmt.Errorf("read curations: %w", err)
		}
		for _, c := range list {
			forms = append(forms, c.rule())
		}
	}
	out := make([]rule, len(forms))
	for i, f := range forms {
		body, err := json.Marshal(f)
		if err != nil {
			return nil, fmt.Errorf("write rule: %w", err)
		}
		out[i] = rule{fmt.Sprintf("%s-%04d", s.EngineName(), i), body}
	}
	return out, nil
}

func (c curation) rule() curationRule {
	r := curationRule{Rule: match{c.Query, c.Match}, Includes: c.Pinned, ReplaceQuery: c.ReplaceQuery, FilterPins: true}
	for _, id := range c.Hidden {
		r.Excludes = append(r.Excludes, excluded{id})
	}
	return r
}

// record returns the set as the engine stores it under its own name: a list of items, or of stopwords.
func (s *Set) record() (json.RawMessage, error) {
	if s.Kind == Stopwords {
		return json.Marshal(map[string]json.RawMessage{"stopwords": json.RawMessage(s.Body)})
	}
	list, err := s.rules()
	if err != nil {
		return nil, err
	}
	items := make([]map[string]json.RawMessage, len(list))
	for i, r := range list {
		if err := json.Unmarshal(r.body, &items[i]); err != nil {
			return nil, fmt.Errorf("write item: %w", err)
		}
		items[i]["id"] = json.RawMessage(`"` + r.id + `"`)
	}
	return json.Marshal(map[string]any{"items": items})
}
