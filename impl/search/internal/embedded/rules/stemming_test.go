package rules

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzParseStemming: an accepted dictionary is stored and read back unchanged.
func FuzzParseStemming(f *testing.F) {
	f.Add([]byte(`{"word":"people","root":"person"}` + "\n\n" + `{"root":"b","word":"a","x":1}`))
	f.Add([]byte(`{"word":"` + "\xff" + `","root":"\u0000"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := ParseStemming("d", body)
		if err != nil {
			return
		}
		require.LessOrEqual(t, len(s.Words), bytes.Count(body, []byte("\n"))+1)
		kept, err := json.Marshal(s)
		require.NoError(t, err)
		var again Stemming
		require.NoError(t, json.Unmarshal(kept, &again))
		require.Equal(t, s, again)
		_, err = Dictionary(kept)
		require.NoError(t, err)
	})
}

func TestParseStopwords_tellsThemInTheOrderOfTypesensesAnswers(t *testing.T) {
	for body, want := range map[string][]string{
		`{"stopwords":["Germany","France","Italy","United States"]}`: {"states", "united", "france", "germany", "italy"}, // the documentation's
		`{"stopwords":["and","is","the"]}`:                           {"and", "is", "the"},                               // of the tests of the client for Python
	} {
		s, err := ParseStopwords("x", []byte(body))
		require.NoError(t, err)
		require.Equal(t, want, s.Words)
	}
}
