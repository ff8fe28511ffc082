package rules

import (
	"bytes"
	"encoding/json"

	"github.com/fountainai/fountain/impl/search/internal/embedded/text"
)

// maxNameBytes limits the length of a dictionary's name.
const maxNameBytes = 255

// Stemming is a stemming dictionary, as it is stored and returned.
type Stemming struct {
	ID    string      `json:"id"`
	Words []text.Stem `json:"words"`
}

// ParseStemming parses the JSON lines of an import, each an object with a word and its root. Blank lines are skipped.
func ParseStemming(id string, body []byte) (Stemming, error) {
	s := Stemming{ID: id}
	if id == "" || len(id) > maxNameBytes {
		return s, refuse("Parameter `id` must be a non-empty string of at most 255 bytes.")
	}
	for line := range bytes.Lines(body) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		raw, err := object(line)
		if err != nil {
			return s, err
		}
		var stem text.Stem
		for name, into := range map[string]*string{"word": &stem.Word, "root": &stem.Root} {
			if !rawText(raw[name], into) || *into == "" || len(*into) > text.MaxWordBytes {
				return s, refuse("Each line must have `word` and `root`, which are non-empty strings of at most 256 bytes.")
			}
		}
		s.Words = append(s.Words, stem)
	}
	if len(s.Words) == 0 {
		return s, refuse("A stemming dictionary must have words.")
	}
	return s, nil
}

// Dictionary parses a stored dictionary.
func Dictionary(kept json.RawMessage) (*text.Dictionary, error) {
	var s Stemming
	if err := json.Unmarshal(kept, &s); err != nil {
		return nil, err
	}
	return text.NewDictionary(s.Words), nil
}
