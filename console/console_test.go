package console

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// modules are the served scripts by their names.
func modules(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, file := range served {
		if path.Ext(name) == ".js" {
			out[name] = string(file.Content)
		}
	}
	require.Greater(t, len(out), 10)
	return out
}

func TestAsset_servesEveryFileOfThePageAndNothingElse(t *testing.T) {
	entries, err := os.ReadDir("page")
	require.NoError(t, err)
	name := regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,62}[a-z0-9]$`) // of the contract
	tags := map[string]string{}
	for _, entry := range entries {
		file, ok := Asset(entry.Name())
		require.Equal(t, entry.Name() != enrolment, ok, entry.Name())
		if !ok {
			continue
		}
		require.Regexp(t, name, entry.Name())
		require.NotEmpty(t, file.Content)
		require.Regexp(t, `^"[A-Za-z0-9_-]{24}"$`, file.ETag)
		require.Empty(t, tags[file.ETag], "another content has another tag")
		tags[file.ETag] = entry.Name()
	}
	for _, name := range []string{"", ".", "page", "../console.go", "page/main.js", "MAIN.JS", "main.js.map", enrolment} {
		_, ok := Asset(name)
		require.False(t, ok, name)
	}
	require.Equal(t, "text/html", EnrolmentPage().MediaType)
}

// The page and its modules load one another, and nothing that is not served here.
func TestPage_loadsOnlyWhatIsServed(t *testing.T) {
	loaded := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(EnrolmentPage().Content), -1) {
		name, ok := strings.CutPrefix(found[1], "/twofactor/v1/assets/")
		require.True(t, ok, found[1])
		loaded[name] = true
	}
	imports := regexp.MustCompile(`(?m)^import .* from "(.*)";$`)
	for of, text := range modules(t) {
		require.Equal(t, strings.Count(text, "import"), len(imports.FindAllString(text, -1)), "%s imports at its beginning alone", of)
		for _, found := range imports.FindAllStringSubmatch(text, -1) {
			name, ok := strings.CutPrefix(found[1], "./")
			require.True(t, ok, "%s imports %s", of, found[1])
			loaded[name] = true
		}
	}
	for name := range served {
		require.Equal(t, name != enrolment, loaded[name], "%s is loaded", name)
	}
	for name := range loaded {
		_, ok := Asset(name)
		require.True(t, ok, "%s is served", name)
	}
}

// What the policy refuses is not in the page, and what it can't refuse neither: no storage that outlives the tab, no markup out of text, no other origin.
func TestPage_keepsNothingAndMakesNoMarkupOfText(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|style=|\son[a-z]+=|<script>|<script [^>]*>[^<]`)
	require.False(t, inline.Match(EnrolmentPage().Content))
	forbidden := regexp.MustCompile(`localStorage|sessionStorage|indexedDB|\bcookie\b *=|\.cookie|innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|https?://|XMLHttpRequest|console\.`)
	for name, text := range modules(t) {
		require.Empty(t, forbidden.FindAllString(text, -1), name)
	}
	require.NotContains(t, CSP, "unsafe")
	for _, part := range strings.Split(CSP, "; ") {
		for _, source := range strings.Fields(part)[1:] {
			require.Contains(t, []string{"'none'", "'self'", "blob:", "'script'"}, source, part)
		}
	}
}

// A file is ASCII, so that it is read the same with whatever encoding is taken for it: media types are sent without one.
func TestPage_isASCII(t *testing.T) {
	for name, file := range served {
		require.Equal(t, -1, slices.IndexFunc(file.Content, func(b byte) bool { return b > 126 }), name)
	}
}

// Every code of the API that the page has words for is one that the API has.
func TestWords_areOfProblemsThatThereAre(t *testing.T) {
	own := regexp.MustCompile(`^(unreachable|no_answer|broken_answer|cancelled|copy_failed|passkey_[a-z]+)$`)
	keys := regexp.MustCompile(`(?m)^  ([a-z_]+): "`).FindAllStringSubmatch(modules(t)["words.js"], -1)
	require.Greater(t, len(keys), 20)
	for _, key := range keys {
		if !own.MatchString(key[1]) {
			require.FileExists(t, path.Join("..", "docs", "problems", key[1]+".md"))
		}
	}
}
