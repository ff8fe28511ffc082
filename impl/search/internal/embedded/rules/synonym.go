package rules

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// Synonym is one rule: each of the synonyms stands for every other, or with a root, each of them for the root alone (one way).
type Synonym struct {
	ID       string   `json:"id"`
	Root     string   `json:"root"`
	Synonyms []string `json:"synonyms"`
	Locale   string   `json:"locale,omitempty"`
	Symbols  []string `json:"symbols_to_index,omitempty"`

	root  []string
	lists [][]string
}

// ParseSynonym reads the body of PUT .../synonyms/{id}.
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

// Prepare splits the texts into words, with the symbols that the rule or the collection keeps.
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

// Options say how loosely the words of a query meet those of a rule.
type Options struct {
	// Prefix lets the last word of a query be the beginning of a synonym's.
	Prefix bool
	// Typos is the number of typos allowed in a word.
	Typos int
}

// maxVariants bounds the queries that synonyms make of one.
const maxVariants = 100

// Expand returns the queries that the rules make of the words, each once and without the words themselves. A replacement is made for one
// place at a time and is not replaced again: synonyms do not chain.
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
		if s.Locale != "" && s.Locale != "en" { // a rule of a locale is for fields of that locale
			continue
		}
		if len(s.root) > 0 {
			// The root is compared exactly whatever the options say: recorded so of 29.0 (reference, section 9).
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

// places returns where the words hold the phrase.
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

// maxLetters is the length up to which a word may have typos.
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
