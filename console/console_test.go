package console

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
		require.Equal(t, path.Ext(entry.Name()) != ".html", ok, entry.Name())
		if !ok {
			continue
		}
		require.Regexp(t, name, entry.Name())
		require.NotEmpty(t, file.Content)
		require.Regexp(t, `^"[A-Za-z0-9_-]{24}"$`, file.ETag)
		require.Empty(t, tags[file.ETag], "another content has another tag")
		tags[file.ETag] = entry.Name()
	}
	for _, name := range []string{"", ".", "page", "../console.go", "page/main.js", "MAIN.JS", "main.js.map", enrolment, authorization, signOut, passwordReset} {
		_, ok := Asset(name)
		require.False(t, ok, name)
	}
	for name, page := range pages() {
		require.Equal(t, "text/html", page.MediaType, name)
	}
}

// pages are the pages by their names.
func pages() map[string]File {
	return map[string]File{enrolment: EnrolmentPage(), authorization: AuthorizationPage(), signOut: SignOutPage(), passwordReset: PasswordResetPage()}
}

// The page and its modules load one another, and nothing that is not served here.
func TestPage_loadsOnlyWhatIsServed(t *testing.T) {
	loaded := map[string]bool{}
	for _, page := range pages() {
		for _, found := range regexp.MustCompile(`<(?:link|script)[^>]* (?:src|href)="([^"]*)"`).FindAllStringSubmatch(string(page.Content), -1) {
			name, ok := strings.CutPrefix(found[1], "/twofactor/v1/assets/")
			require.True(t, ok, found[1])
			loaded[name] = true
		}
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
		require.Equal(t, path.Ext(name) != ".html", loaded[name], "%s is loaded", name)
	}
	for name := range loaded {
		_, ok := Asset(name)
		require.True(t, ok, "%s is served", name)
	}
}

// The console loads its own files and those of all pages, which are there; no name is both.
func TestConsole_loadsOnlyWhatIsServed(t *testing.T) {
	text := string(Page().Content) + string(built["app.js"].Content)
	loads := 0
	for _, found := range regexp.MustCompile(`(?:href|src)="/console/([a-z.]+)"|from ?"\./([a-z]+\.js)"`).FindAllStringSubmatch(text, -1) {
		loads++
		_, ok := PageAsset(found[1] + found[2])
		require.True(t, ok, found[0])
	}
	require.Greater(t, loads, 10)
	for name := range built {
		require.NotContains(t, served, name)
		_, ok := PageAsset(name)
		require.Equal(t, name != consolePage, ok, name)
	}
	for _, name := range []string{consolePage, enrolment, "", "app.tsx", "package.json", "../app/package.json"} {
		_, ok := PageAsset(name)
		require.False(t, ok, name)
	}
}

// The console keeps nothing either, and has nothing inline. Preact could make markup of text where it is told to, and the policy would refuse it.
func TestConsole_keepsNothing(t *testing.T) {
	require.False(t, inline.Match(Page().Content))
	forbidden := regexp.MustCompile(`localStorage|sessionStorage|indexedDB|\.cookie\b|insertAdjacentHTML|document\.write|DOMParser|\beval\b|new Function|XMLHttpRequest|sourceMappingURL`)
	require.Empty(t, forbidden.FindAllString(string(built["app.js"].Content), -1))
	sources, err := filepath.Glob("app/src/*/*.tsx")
	require.NoError(t, err)
	require.Greater(t, len(sources), 5)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		require.NotRegexp(t, `dangerouslySetInnerHTML|innerHTML|style=`, string(text), source)
	}
}

// inline is what a strict policy makes dead.
var inline = regexp.MustCompile(`(?i)<style|style=|\son[a-z]+=|<script>|<script [^>]*>[^<]`)

// What the policy refuses is not in the page, and what it can't refuse neither: no storage that outlives the tab, no markup out of text, no other origin.
func TestPage_keepsNothingAndMakesNoMarkupOfText(t *testing.T) {
	for name, page := range pages() {
		require.False(t, inline.Match(page.Content), name)
	}
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
	for _, files := range []map[string]File{served, built} {
		for name, file := range files {
			require.Equal(t, -1, slices.IndexFunc(file.Content, func(b byte) bool { return b > 126 }), name)
		}
	}
}

// What is read has a contrast of at least 4.5 to 1, and what shows where a field is 3 to 1 (WCAG 2.2, sections 1.4.3 and 1.4.11), light and dark.
func TestStyle_canBeRead(t *testing.T) {
	style, _ := Asset("form.css")
	light, dark, found := strings.Cut(string(style.Content), "prefers-color-scheme: dark")
	require.True(t, found)
	for _, scheme := range []string{light, dark} {
		colour := func(name string) float64 {
			hex := regexp.MustCompile(`--` + name + `: #([0-9a-f]{3,6});`).FindStringSubmatch(scheme)
			require.NotNil(t, hex, name)
			return luminance(t, hex[1])
		}
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "ground", 4.5}, {"ink", "card", 4.5}, {"ink", "note", 4.5}, {"soft", "card", 4.5}, {"soft", "ground", 4.5}, {"accent", "card", 4.5}, {"accent", "ground", 4.5},
			{"on-accent", "accent", 4.5}, {"wrong", "card", 4.5}, {"line", "card", 3},
		} {
			bright, dim := colour(pair.front), colour(pair.back)
			if bright < dim {
				bright, dim = dim, bright
			}
			require.GreaterOrEqual(t, (bright+0.05)/(dim+0.05), pair.least, "%s on %s", pair.front, pair.back)
		}
	}
}

// luminance is the relative luminance of a colour (WCAG 2.2).
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		part, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		require.NoError(t, err)
		c := float64(part) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

// Every code of the API that the page has words for is one that the API has.
func TestWords_areOfProblemsThatThereAre(t *testing.T) {
	own := regexp.MustCompile(`^(unreachable|no_answer|broken_answer|cancelled|codes_not_kept|passwords_differ|not_json|one_place|not_whole|too_large_here|copy_failed|passkey_[a-z]+|invalid_recovery_code|invalid_sent_code|sent_code_[a-z]+)$`)
	problems, _, others := strings.Cut(modules(t)["words.js"], "\nconst typeNames") // names of factors and scopes follow
	require.True(t, others)
	keys := regexp.MustCompile(`(?m)^  ([a-z_]+): "`).FindAllStringSubmatch(problems, -1)
	require.Greater(t, len(keys), 20)
	for _, key := range keys {
		if !own.MatchString(key[1]) {
			require.FileExists(t, path.Join("..", "docs", "problems", key[1]+".md"))
		}
	}
}
