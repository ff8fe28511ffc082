package contract

import (
	"slices"
	"strings"
)

// readOpen is read for adopted documents: a semicolon is an ordinary character, as in today's URL standard, and pairs without a name are skipped.
// DeclaredQuery escapes the semicolons so that every program reads them alike, and omits such pairs.
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

// DeclaredQuery returns the declared part of a query that CheckParameters accepted, in the order and the form in which it was sent. It is the query
// that the service behind the gateway gets. The family's own contracts refuse undeclared parameters, so there it is the query itself.
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
