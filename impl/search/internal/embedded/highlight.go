package embedded

import (
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// marker shows where the words of a query stand in a document.
type marker struct {
	fields     []*schema.Field
	full       []string
	asked      bool // highlight_fields was given: the projection does not matter
	start, end string
	threshold  int
	affix      int
	old        bool // the older list `highlights` is wanted too
}

func markerOf(p *searchParams, s *schema.Schema, plan *index.Plan) *marker {
	m := &marker{
		full: names(p.text("highlight_full_fields")), start: "<mark>", end: "</mark>",
		threshold: p.number("snippet_threshold", 30), affix: p.number("highlight_affix_num_tokens", 4), old: p.bool("enable_highlight_v1", true),
	}
	if p.values.Has("highlight_start_tag") {
		m.start = p.text("highlight_start_tag")
	}
	if p.values.Has("highlight_end_tag") {
		m.end = p.text("highlight_end_tag")
	}
	if list := names(p.text("highlight_fields")); len(list) > 0 {
		m.asked = true
		for _, name := range list {
			m.add(name, s)
		}
		return m
	}
	seen := map[string]bool{}
	for _, f := range plan.Fields {
		if !seen[f.Field.Name] {
			m.fields = append(m.fields, f.Field)
			seen[f.Field.Name] = true
		}
	}
	return m
}

func (m *marker) add(name string, s *schema.Schema) {
	if name == "none" {
		return
	}
	prefix, pattern := strings.CutSuffix(name, "*")
	for _, f := range s.Fields {
		if !f.Pattern() && f.Text() && (f.Name == name || pattern && strings.HasPrefix(f.Name, prefix)) {
			m.fields = append(m.fields, f)
		}
	}
}

func (m *marker) wantsFull(name string) bool {
	for _, f := range m.full {
		if f == name || f == "*" || strings.HasSuffix(f, "*") && strings.HasPrefix(name, strings.TrimSuffix(f, "*")) {
			return true
		}
	}
	return false
}

// marked is one text with its marks.
type marked struct {
	Matched []string `json:"matched_tokens"`
	Snippet string   `json:"snippet"`
	Value   string   `json:"value,omitempty"`
}

// mark fills the hit's highlights. words are the words that matched, with the number of letters to mark.
func (m *marker) mark(a *hitAnswer, stored []byte, words map[string]int, p projection) error {
	if len(words) == 0 || len(m.fields) == 0 {
		return nil
	}
	doc, err := schema.ParseDocument(stored)
	if err != nil {
		return err
	}
	for _, f := range m.fields {
		if !m.asked && !p.shows(f.Name) {
			continue
		}
		switch v := doc[f.Name].(type) {
		case string:
			one, ok := m.text(f, v, words)
			if !ok {
				continue
			}
			a.Highlight[f.Name] = one
			if m.old {
				entry := map[string]any{"field": f.Name, "matched_tokens": one.Matched, "snippet": one.Snippet}
				if one.Value != "" {
					entry["value"] = one.Value
				}
				a.Highlights = append(a.Highlights, entry)
			}
		case []any:
			m.list(a, f, v, words)
		}
	}
	return nil
}

func (m *marker) list(a *hitAnswer, f *schema.Field, values []any, words map[string]int) {
	all := make([]marked, 0, len(values))
	indices, tokens, snippets, full := []int{}, [][]string{}, []string{}, []string{}
	for i, v := range values {
		s, _ := v.(string)
		one, ok := m.text(f, s, words)
		if !ok {
			one = marked{Matched: []string{}, Snippet: s}
		} else {
			indices, tokens, snippets, full = append(indices, i), append(tokens, one.Matched), append(snippets, one.Snippet), append(full, one.Value)
		}
		all = append(all, one)
	}
	if len(indices) == 0 {
		return
	}
	a.Highlight[f.Name] = all
	if !m.old {
		return
	}
	entry := map[string]any{"field": f.Name, "indices": indices, "matched_tokens": tokens, "snippets": snippets}
	if m.wantsFull(f.Name) {
		entry["values"] = full
	}
	a.Highlights = append(a.Highlights, entry)
}

// span is a part of a text to be marked.
type span struct{ word, start, end int }

// text marks one text; ok says that something matched.
func (m *marker) text(f *schema.Field, s string, words map[string]int) (marked, bool) {
	tokens := f.Analyzer().Tokens(s)
	var spans []span
	for i, t := range tokens {
		n, ok := words[t.Text]
		if !ok {
			continue
		}
		end := t.End
		if n > 0 {
			end = t.Start + f.Analyzer().Letters(s[t.Start:t.End], n)
		}
		spans = append(spans, span{i, t.Start, end})
	}
	if len(spans) == 0 {
		return marked{}, false
	}
	out := marked{}
	if m.wantsFull(f.Name) {
		out.Value, _ = m.cut(s, spans, 0, len(s))
	}
	from, to := 0, len(s)
	if len(tokens) > m.threshold {
		from, to = m.around(s, tokens, spans)
	}
	out.Snippet, out.Matched = m.cut(s, spans, from, to)
	return out, true
}

// snippetWords is the width of the window in which matches are shown together.
const snippetWords = 10

// around chooses the window with most matches and returns the bytes from some words before it to some words after it.
func (m *marker) around(s string, tokens []text.Token, spans []span) (from, to int) {
	first, last, most := 0, 0, 0
	for i := range spans {
		k := i
		distinct := map[string]bool{}
		for j := i; j < len(spans) && spans[j].word-spans[i].word < snippetWords; j++ {
			if w := tokens[spans[j].word].Text; !distinct[w] {
				distinct[w], k = true, j
			}
		}
		if len(distinct) > most {
			first, last, most = i, k, len(distinct)
		}
	}
	a := max(0, spans[first].word-m.affix)
	b := min(len(tokens)-1, spans[last].word+m.affix)
	from, to = tokens[a].Start, tokens[b].End
	if at := strings.LastIndexAny(s[:from], " \n\t"); at >= 0 {
		from = at + 1
	} else {
		from = 0
	}
	if at := strings.IndexAny(s[to:], " \n\t"); at >= 0 {
		to += at
	} else {
		to = len(s)
	}
	return from, to
}

// cut returns s[from:to] with marks and the marked parts.
func (m *marker) cut(s string, spans []span, from, to int) (string, []string) {
	var b strings.Builder
	matched, at := []string{}, from
	for _, sp := range spans {
		if sp.start < from || sp.end > to {
			continue
		}
		b.WriteString(s[at:sp.start])
		b.WriteString(m.start)
		b.WriteString(s[sp.start:sp.end])
		b.WriteString(m.end)
		matched = append(matched, s[sp.start:sp.end])
		at = sp.end
	}
	b.WriteString(s[at:to])
	return b.String(), matched
}
