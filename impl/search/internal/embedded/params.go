package embedded

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
)

// defaultCandidates is the documented default of max_candidates and max_filter_by_candidates.
const defaultCandidates = 4

// unsupportedParams are search parameters that are refused by name when they ask for something. Parameters that this
// engine does not know at all are ignored, as Typesense does; so are pure speed hints (use_cache, cache_ttl,
// search_cutoff_ms, enable_lazy_filter, facet_strategy, facet_sample_*, enable_analytics) and switches of features that
// have nothing to act on here (enable_synonyms, enable_overrides and their like).
var unsupportedParams = []string{
	"group_by", "pinned_hits", "hidden_hits", "override_tags", "preset", "stopwords", "vector_query", "voice_query",
	"conversation", "conversation_id", "conversation_model_id", "nl_query", "facet_query", "facet_return_parent",
	"filter_curated_hits", "pre_segmented_query", "personalization_user_id", "personalization_model_id",
	"personalization_type", "remote_embedding_timeout_ms", "rerank_hybrid_matches",
}

// searchParams reads the parameters of one search. The first error wins.
type searchParams struct {
	values url.Values
	err    error
}

func (p *searchParams) text(name string) string {
	list := p.values[name]
	if len(list) == 0 {
		return ""
	}
	return list[len(list)-1]
}

func (p *searchParams) fail(status int, format string, args ...any) {
	if p.err == nil {
		p.err = &schema.Error{Status: status, Text: fmt.Sprintf(format, args...)}
	}
}

// maxNumber bounds every number of a search.
const maxNumber = 1 << 31

func (p *searchParams) number(name string, def int) int {
	v := p.text(name)
	if v == "" {
		return def
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		p.fail(http.StatusBadRequest, "Parameter `%s` must be an unsigned integer.", name)
		return def
	}
	return int(min(n, maxNumber))
}

func (p *searchParams) bool(name string, def bool) bool {
	switch p.text(name) {
	case "true", "1":
		return true
	case "false", "0":
		return false
	}
	return def
}

// perField spreads the values of a list over n fields: one value is for all of them.
func (p *searchParams) perField(name, what string, n int) []string {
	list := names(p.text(name))
	switch {
	case len(list) == 0:
		return nil
	case len(list) == 1:
		for len(list) < n {
			list = append(list, list[0])
		}
	case len(list) != n:
		p.fail(http.StatusBadRequest, "Number of %s in `%s` does not match number of `query_by` fields.", what, name)
		return nil
	}
	return list
}

// refuseUnsupported names the first parameter that asks for something this engine does not have.
func (p *searchParams) refuseUnsupported() {
	for _, name := range unsupportedParams {
		if v := p.text(name); v != "" && v != "false" && v != "0" && p.err == nil {
			p.err = schema.Unsupported(name)
		}
	}
	if v := p.text("infix"); v != "" && p.err == nil && strings.Trim(v, "of, ") != "" {
		p.err = schema.Unsupported("infix")
	}
	if p.text("enable_typos_for_alpha_numerical_tokens") == "false" && p.err == nil {
		p.err = schema.Unsupported("enable_typos_for_alpha_numerical_tokens")
	}
	if mode := p.text("drop_tokens_mode"); strings.HasPrefix(mode, "both_sides") && p.err == nil {
		p.err = schema.Unsupported("drop_tokens_mode: both_sides")
	}
}

// typing reads how words are matched.
func (p *searchParams) typing(plan *index.Plan) {
	plan.MinLen1Typo = p.number("min_len_1typo", 4)
	plan.MinLen2Typo = p.number("min_len_2typo", 7)
	plan.TypoThreshold = p.number("typo_tokens_threshold", 1)
	plan.DropThreshold = p.number("drop_tokens_threshold", 1)
	plan.MaxCandidates = p.number("max_candidates", defaultCandidates)
	plan.FilterCandidates = p.number("max_filter_by_candidates", defaultCandidates)
	plan.Exhaustive = p.bool("exhaustive_search", false)
	plan.NoTyposInNumbers = !p.bool("enable_typos_for_numerical_tokens", true)
	plan.NoExactPriority = !p.bool("prioritize_exact_match", true)
	plan.PositionMatters = p.bool("prioritize_token_position", false)
	switch p.text("text_match_type") {
	case "max_weight":
		plan.MatchType = index.MaxWeight
	case "sum_score":
		plan.MatchType = index.SumScore
	}
	switch p.text("split_join_tokens") {
	case "off":
		plan.SplitJoin = index.Off
	case "always":
		plan.SplitJoin = index.Always
	}
	switch p.text("drop_tokens_mode") {
	case "", "right_to_left":
	case "left_to_right":
		plan.DropLeft = true
	default:
		p.fail(http.StatusBadRequest, "Invalid format for drop tokens mode.")
	}
}

// paging reads which hits are wanted.
func (p *searchParams) paging() (page, perPage, offset int) {
	const most, def = 250, 10
	page = max(p.number("page", 1), 1)
	perPage = p.number("limit", def)
	perPage = p.number("per_page", perPage)
	if perPage > most {
		p.fail(http.StatusUnprocessableEntity, "Only upto %d hits can be fetched per page.", most)
	}
	offset = (page - 1) * min(perPage, most)
	if p.text("offset") != "" {
		offset += p.number("offset", 0)
		page = 0
	}
	if hits := p.number("limit_hits", maxNumber); offset+perPage > hits {
		perPage = max(0, hits-offset)
	}
	return page, perPage, offset
}
