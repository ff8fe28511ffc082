package embedded

import (
	"strings"

	"github.com/fountainai/fountain/impl/search/internal/embedded/index"
	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// parseQuery parses the q parameter: words, "phrases", -exclusions, and * for all documents.
func parseQuery(q string, a *text.Analyzer) index.Query {
	var out index.Query
	star, excluded, emptyPhrase := false, false, false
	for rest := strings.TrimSpace(q); rest != ""; rest = strings.TrimLeft(rest, " \t\r\n") {
		minus := 0
		for minus < len(rest) && rest[minus] == '-' {
			minus++
		}
		body := rest[minus:]
		if phrase, after, ok := quoted(body); ok {
			words := a.Words(phrase)
			switch {
			case len(words) == 0:
				emptyPhrase = emptyPhrase || minus == 0
			case minus > 0:
				out.Excluded, excluded = append(out.Excluded, words), true
			default:
				out.Phrases = append(out.Phrases, words)
			}
			rest = after
			continue
		}
		end := strings.IndexAny(body, " \t\r\n")
		if end < 0 {
			end = len(body)
		}
		word := body[:end]
		rest = body[end:]
		words := a.Words(word)
		switch {
		case minus > 0 && len(words) > 0:
			out.Excluded, excluded = append(out.Excluded, words), true
		case word == "*" && minus == 0:
			star = true
		default:
			out.Words = append(out.Words, words...)
		}
	}
	if len(out.Words) == 0 && len(out.Phrases) == 0 {
		out.None = emptyPhrase && !star && !excluded
		out.All = !out.None
	}
	return out
}

// quoted reads a phrase at the start of s. An unpaired quotation mark does not start a phrase.
func quoted(s string) (phrase, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		return "", "", false
	}
	return strings.Cut(s[1:], `"`)
}
