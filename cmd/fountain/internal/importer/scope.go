package importer

import (
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/fountainai/fountain/internal/screenplay"
)

// Scope returns the default scope of a screenplay: its title, or the name of its file, in lower-case letters and digits
// with hyphens between the words.
func Scope(script *screenplay.Script, path string) string {
	if s := slug(screenplay.PlainText(script.TitleValue("Title"))); s != "" {
		return s
	}
	base := filepath.Base(path)
	if s := slug(strings.TrimSuffix(base, filepath.Ext(base))); s != "" {
		return s
	}
	return "untitled"
}

func slug(text string) string {
	var b strings.Builder
	gap := false
	for _, r := range norm.NFD.String(strings.ToLower(text)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r), r == '\'', r == '’': // an accent, or an apostrophe within a word
		default:
			gap = true
		}
		if b.Len() >= 64 {
			break
		}
	}
	return b.String()
}
