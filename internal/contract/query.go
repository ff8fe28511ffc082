package contract

import (
	"slices"
	"strings"
)

// readOpen is read for documents of others: a semicolon is a character like others, as those who write queries today take it, and pairs without a name
// are passed over. DeclaredQuery writes the first so that everybody reads it alike, and leaves the others out.
func (q *pairs) readOpen(raw string) Rule {
	*q = (*q)[:0]
	if raw == "" {
		return ""
	}
	if strings.Count(raw, "&") >= maxPairs {
		return RuleQueryEmpty
	}
	for one := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(one, "=")
		name, rule := unescape(name)
		if rule != "" {
			return rule
		}
		if value, rule = unescape(value); rule != "" {
			return rule
		}
		if name != "" {
			*q = append(*q, pair{name: name, value: value})
		}
	}
	return ""
}

// DeclaredQuery returns of a query that CheckParameters has found good what the contract declares, in the order and the form in which it was sent: what
// the service behind the gateway gets. The family's own contracts refuse all else, so there it is the query itself.
func (op *Operation) DeclaredQuery(raw string) string {
	if !op.adopted || raw == "" {
		return raw
	}
	var out strings.Builder
	for one := range strings.SplitSeq(raw, "&") {
		escaped, _, _ := strings.Cut(one, "=")
		name, rule := unescape(escaped)
		if rule != "" || name == "" || !op.declaresQuery(name) {
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('&')
		}
		out.WriteString(strings.ReplaceAll(one, ";", "%3B"))
	}
	return out.String()
}

func (op *Operation) declaresQuery(name string) bool {
	return slices.ContainsFunc(op.all(), func(one *Operation) bool {
		return slices.ContainsFunc(one.parameters, func(p *parameter) bool { return p.in == "query" && (p.claims(name) || p.style.free) })
	})
}
