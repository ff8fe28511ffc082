// Package highlight marks the words of a query in a document.
package highlight

import (
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/params"
	"github.com/fountainai/fountain/impl/search/internal/embedded/projection"
	"github.com/fountainai/fountain/impl/search/internal/embedded/schema"
	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Marker highlights the words of a query in documents.
type Marker struct {
	fields     []*schema.Field
	full       []string
	asked      bool // highlight_fields was given: the projection is ignored
	start, end string
	threshold  int
	affix      int
	old        bool // the older list `highlights` is requested too
	objects    bool // fields may lie in objects
	// Inside is the query's word for index.MarkInside.
	Inside string
	// Bytes is the total size of all highlights that were made.
	Bytes int
}

// Marks are the highlights of one hit.
type Marks struct {
	// Tree is the newer format, by field, and List the older one.
	Tree map[string]any
	List []any
}

// New reads the parameters of highlighting. searched are the fields that are highlighted by default.
func New(p params.Params, s *schema.Schema, searched []*schema.Field) *Marker {
	m := &Marker{
		full: p.Names("highlight_full_fields"), start: "<mark>", end: "</mark>", objects: s.Nested,
		threshold: p.Number("snippet_threshold"), affix: p.Number("highlight_affix_num_tokens"), old: p.Flag("enable_highlight_v1"),
	}
	if p.Has("highlight_start_tag") {
		m.start = p.Text("highlight_start_tag")
	}
	if p.Has("highlight_end_tag") {
		m.end = p.Text("highlight_end_tag")
	}
	if list := p.Names("highlight_fields"); len(list) > 0 {
		m.asked = true
		seen := map[*schema.Field]bool{}
		for _, name := range list {
			m.add(name, s, seen)
		}
		return m
	}
	m.fields = searched // a field that is searched twice is in the list twice
	return m
}

// add adds the fields that an item of highlight_fields selects, each once.
func (m *Marker) add(name string, s *schema.Schema, seen map[*schema.Field]bool) {
	if name == "none" {
		return
	}
	prefix, pattern := strings.CutSuffix(name, "*")
	for _, f := range s.Fields {
		if !f.Pattern() && (f.Text() || f.Nests()) && (f.Name == name || pattern && strings.HasPrefix(f.Name, prefix)) && !seen[f] {
			m.fields, seen[f] = append(m.fields, f), true
		}
	}
}

func (m *Marker) wantsFull(name string) bool {
	for _, f := range m.full {
		if f == name || f == "*" || strings.HasSuffix(f, "*") && strings.HasPrefix(name, strings.TrimSuffix(f, "*")) {
			return true
		}
	}
	return false
}

// marked is one text with its highlights.
type marked struct {
	Matched []string `json:"matched_tokens"`
	Snippet string   `json:"snippet"`
	Value   string   `json:"value,omitempty"`
}

// Mark returns the highlights of one document. words are the words that matched, with the number of letters to highlight.
func (m *Marker) Mark(doc schema.Document, words map[string]int, p projection.Projection) Marks {
	a := &Marks{Tree: map[string]any{}, List: []any{}}
	for _, f := range m.fields {
		if !m.asked && !p.Shows(f.Name) {
			continue
		}
		if _, own := doc[f.Name]; f.Nests() || m.objects && !own && strings.Contains(f.Name, ".") {
			m.nested(a, f, doc, words)
			continue
		}
		switch v := doc[f.Name].(type) {
		case string:
			one, ok := m.text(f, v, words)
			if !ok {
				continue
			}
			a.Tree[f.Name] = one
			if m.old {
				entry := map[string]any{"field": f.Name, "matched_tokens": one.Matched, "snippet": one.Snippet}
				if one.Value != "" {
					entry["value"] = one.Value
				}
				a.List = append(a.List, entry)
			}
		case []any:
			m.list(a, f, v, words)
		}
	}
	return *a
}

// Wanted reports whether there can be anything to highlight.
func (m *Marker) Wanted(words map[string]int) bool { return len(words) > 0 && len(m.fields) > 0 }

func (m *Marker) list(a *Marks, f *schema.Field, values []any, words map[string]int) {
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
	a.Tree[f.Name] = all
	if !m.old {
		return
	}
	entry := map[string]any{"field": f.Name, "indices": indices, "matched_tokens": tokens, "snippets": snippets}
	if m.wantsFull(f.Name) {
		entry["values"] = full
	}
	a.List = append(a.List, entry)
}

// span is a part of a text to be highlighted.
type span struct{ word, start, end int }

// text highlights one text. ok reports whether something matched.
func (m *Marker) text(f *schema.Field, s string, words map[string]int) (marked, bool) {
	tokens := f.Analyzer().Tokens(s)
	var spans []span
	for i, t := range tokens {
		n, ok := words[t.Text]
		if !ok || n == index.MarkInside && !strings.Contains(strings.ToLower(s[t.Start:t.End]), m.Inside) {
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
	spans = joined(spans)
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

// joined merges overlapping spans. Pairs of letters overlap.
func joined(spans []span) []span {
	out := spans[:1]
	for _, sp := range spans[1:] {
		if last := &out[len(out)-1]; sp.start < last.end {
			last.end = max(last.end, sp.end)
			continue
		}
		out = append(out, sp)
	}
	return out
}

// snippetWords is the width of the window in which matches are shown together.
const snippetWords = 10

// around chooses the window with the most matches. It returns the byte range from some words before it to some words after it.
func (m *Marker) around(s string, tokens []text.Token, spans []span) (from, to int) {
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

// cut returns s[from:to] with highlights, and the highlighted parts.
func (m *Marker) cut(s string, spans []span, from, to int) (string, []string) {
	var b strings.Builder
	matched, at := []string{}, from
	for _, sp := range spans {
		if sp.start < from || sp.end > to || sp.end <= at {
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
	m.Bytes += b.Len()
	return b.String(), matched
}
