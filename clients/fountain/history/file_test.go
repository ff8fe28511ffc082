package history_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/fountainai/fountain/clients/fountain/history"
)

func written(t require.TestingT, h *history.History) []byte {
	var out bytes.Buffer
	require.NoError(t, history.Write(&out, h))
	return out.Bytes()
}

func TestReadFile_givesWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := good(t)
		h.SearchLag = 12
		text := written(t, h)
		again, err := history.ReadFile(bytes.NewReader(text))
		require.NoError(t, err)
		require.Equal(t, h, again)
		require.Equal(t, text, written(t, again))
	})
}

// TestReadFile_takesNothingThatIsCutOrChanged truncates a file anywhere, and changes any byte of it.
func TestReadFile_takesNothingThatIsCutOrChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := written(t, good(t))
		at := rapid.IntRange(0, len(text)-2).Draw(t, "at")
		_, err := history.ReadFile(bytes.NewReader(text[:at]))
		require.ErrorIs(t, err, history.ErrDamaged)
		changed := bytes.Clone(text)
		changed[at] ^= byte(1 << rapid.IntRange(0, 4).Draw(t, "bit"))
		_, err = history.ReadFile(bytes.NewReader(changed))
		require.ErrorIs(t, err, history.ErrDamaged)
	})
}

func TestReadFile_takesNothingElse(t *testing.T) {
	for _, text := range []string{
		"", "\n", "{}", `{"end":{"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}`, `{"history":{"format":2}}`, `{"histories":{}}`,
		`{"history":{"format":1}} x`, `{"history":{"format":1,"further":1}}`,
	} {
		_, err := history.ReadFile(strings.NewReader(text))
		require.ErrorIs(t, err, history.ErrDamaged, text)
	}
	text := string(written(t, &history.History{Scope: "hamlet"}))
	_, err := history.ReadFile(strings.NewReader(text + "{}\n"))
	require.ErrorIs(t, err, history.ErrDamaged, "it goes on")
}

func FuzzReadFile(f *testing.F) {
	f.Add([]byte(`{"history":{"format":1}}`))
	f.Add([]byte(`{"history":{"format":1,"scope":"hamlet","own":true}}` + "\n" + `{"append":{"id":"a"}}` + "\n" + `{"end":{"sha256":""}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := history.ReadFile(bytes.NewReader(text))
		if err != nil {
			require.ErrorIs(t, err, history.ErrDamaged)
			return
		}
		history.Check(h) // it must terminate, whatever the history contains
	})
}
