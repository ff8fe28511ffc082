package rules

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Synonym is a synonym rule. Each synonym stands for every other one. With a root, a query for the root also finds the synonyms, but not the
// other way round.
type Synonym struct {
	ID       string   `json:"id"`
	Root     string   `json:"root"`
	Synonyms []string `json:"synonyms"`
	Locale   string   `json:"locale,omitempty"`
	Symbols  []string `json:"symbols_to_index,omitempty"`

	root  []string
	lists [][]string
}

// ParseSynonym parses the body of PUT .../synonyms/{id}.
func ParseSynonym(id string, body []byte) (Synonym, error) {
	raw, err := object(body)
	if err != nil {
		return Synonym{}, err
	}
	s := Synonym{ID: id}
	list, ok := raw["synonyms"]
	if !ok || list[0] != '[' {
		return s, refuse("Could not find an array of `synonyms`")
	}
	var items []json.RawMessage
	if json.Unmarshal(list, &items) != nil {
		return s, refuse("Could not find an array of `synonyms`")
	}
	for _, item := range items {
		var w string
		if !rawText(item, &w) {
			return s, refuse("Could not find a valid string array of `synonyms`")
		}
		s.Synonyms = append(s.Synonyms, w)
	}
	if v, ok := raw["root"]; ok && !rawText(v, &s.Root) {
		return s, refuse("Key `root` should be a string.")
	}
	if v, ok := raw["locale"]; ok && !rawText(v, &s.Locale) {
		return s, refuse("Synonym `locale` should be a string.`")
	}
	if v, ok := raw["symbols_to_index"]; ok && json.Unmarshal(v, &s.Symbols) != nil {
		return s, refuse("Synonym `symbols_to_index` should be an array of strings.")
	}
	if s.Synonyms == nil {
		s.Synonyms = []string{}
	}
	return s, nil
}

// Prepare splits the texts into words, with the symbols of the rule and the collection.
func (s *Synonym) Prepare(separators, symbols []string) {
	a := text.New(separators, append(slices.Clone(symbols), s.Symbols...))
	s.root = a.Words(s.Root)
	s.lists = nil
	for _, w := range s.Synonyms {
		if words := a.Words(w); len(words) > 0 {
			s.lists = append(s.lists, words)
		}
	}
}

// Options define how words of a query may differ from those of a rule.
type Options struct {
	// Prefix lets the last word of a query be a prefix of a synonym's word.
	Prefix bool
	// Typos is the number of typos allowed in a word.
	Typos int
}

// maxVariants limits the queries that synonyms generate from one.
const maxVariants = 100

// Expand returns the queries that the rules generate from the words, without duplicates and without the words themselves. Each query
// replaces one occurrence, and the replacement is not replaced again: synonyms do not chain.
func Expand(list []Synonym, words []string, o Options) [][]string {
	var out [][]string
	seen := map[string]bool{strings.Join(words, " "): true}
	add := func(at, length int, with []string) {
		q := slices.Concat(words[:at], with, words[at+length:])
		if key := strings.Join(q, " "); !seen[key] && len(out) < maxVariants {
			out, seen[key] = append(out, q), true
		}
	}
	for _, s := range list {
		if s.Locale != "" && s.Locale != "en" { // a rule with a locale applies to fields of that locale
			continue
		}
		if len(s.root) > 0 {
			// The root is compared exactly, whatever the options: this was recorded from 29.0 (reference, section 9).
			for _, at := range places(words, s.root, Options{}) {
				for _, with := range s.lists {
					add(at, len(s.root), with)
				}
			}
			continue
		}
		for i, from := range s.lists {
			for _, at := range places(words, from, o) {
				for j, with := range s.lists {
					if i != j {
						add(at, len(from), with)
					}
				}
			}
		}
	}
	return out
}

// places returns the positions at which the words contain the phrase.
func places(words, phrase []string, o Options) (out []int) {
	for at := 0; at+len(phrase) <= len(words); at++ {
		ok := true
		for i, w := range phrase {
			if !meets(words[at+i], w, o, at+i == len(words)-1) {
				ok = false
				break
			}
		}
		if ok {
			out = append(out, at)
		}
	}
	return out
}

// maxLetters is the maximum length of words that may have typos.
const maxLetters = 100

func meets(asked, word string, o Options, last bool) bool {
	if asked == word {
		return true
	}
	if o.Typos == 0 || utf8.RuneCountInString(asked) > maxLetters {
		return o.Prefix && last && strings.HasPrefix(word, asked)
	}
	_, ok, _ := text.NewMatcher(asked, o.Typos, o.Prefix && last).Match(word)
	return ok
}
