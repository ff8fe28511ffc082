package handlers

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/fountainai/fountain/generated/searchapi"
	"github.com/fountainai/fountain/impl/search/internal/sets"
	"github.com/fountainai/fountain/internal/auth"
	"github.com/fountainai/fountain/internal/problem"
)

// prepare fills in a search from its preset, and returns the engine's name of its set of stopwords. The values of the preset are validated
// as if the caller had sent them: a preset can't ask for anything that the caller may not ask for. Problem: validation_failed.
func (core *Core) prepare(ctx context.Context, p *auth.Principal, b *searchapi.DocumentSearch) (stopwords string, err error) {
	if b.Preset != nil {
		found, err := core.named(ctx, p, sets.Presets, *b.Preset, "/preset")
		if err != nil {
			return "", err
		}
		var preset searchapi.SearchPreset
		if err := json.Unmarshal([]byte(found.Body), &preset); err != nil {
			return "", fmt.Errorf("read preset: %w", err)
		}
		fill(b, &preset)
	}
	if len(b.QueryBy) == 0 {
		return "", problem.New(problem.ValidationFailed, "A search must name the fields to search.").WithField("body", "/queryBy", "required", "is required, or a preset that has it")
	}
	if b.Stopwords == nil {
		return "", nil
	}
	found, err := core.named(ctx, p, sets.Stopwords, *b.Stopwords, "/stopwords")
	if err != nil {
		return "", err
	}
	return found.EngineName(), nil
}

// fill takes from a preset what the search does not specify. If both have a filter, both apply.
func fill(b *searchapi.DocumentSearch, preset *searchapi.SearchPreset) {
	if len(b.QueryBy) == 0 && preset.QueryBy != nil {
		b.QueryBy = *preset.QueryBy
	}
	if b.SortBy == nil {
		b.SortBy = preset.SortBy
	}
	if b.FacetBy == nil {
		b.FacetBy = preset.FacetBy
	}
	if b.MaxFacetValues == nil {
		b.MaxFacetValues = preset.MaxFacetValues
	}
	if b.PerPage == nil {
		b.PerPage = preset.PerPage
	}
	switch {
	case preset.Filter == nil:
	case b.Filter == nil:
		b.Filter = preset.Filter
	default:
		b.Filter = &searchapi.Filter{And: &[]searchapi.Filter{*preset.Filter, *b.Filter}}
	}
}
