package problempages

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/docs/problems"
	"github.com/fountainai/fountain/internal/problem"
)

func TestLoad_hasAPageForEveryCodeAndNoOther(t *testing.T) {
	pages, err := Load()
	require.NoError(t, err)
	require.Len(t, pages.List, len(problem.Codes()))
	files, err := problems.Files.ReadDir(".")
	require.NoError(t, err)
	require.Len(t, files, len(problem.Codes()))
	for _, code := range problem.Codes() {
		page := pages.Page(string(code))
		require.NotNil(t, page, code)
		require.NotEmpty(t, page.Meaning, code)
		require.NotEmpty(t, page.Remedy, code)
		require.Contains(t, string(page.HTML), "<h1>"+code.Title()+"</h1>", code)
		require.Contains(t, string(pages.HTML), `<a href="`+code.TypeURI()+`">`+string(code)+"</a>")
	}
	require.Nil(t, pages.Page("made_up"))
}

// The pages' CSP allows nothing inline. The texts are also for readers of the repository, whose relative links do not work here.
func TestLoad_makesNothingThatThePolicyRefuses(t *testing.T) {
	pages, err := Load()
	require.NoError(t, err)
	refused := regexp.MustCompile(`(?i)<style|style=|\son[a-z]+=|<script|raw HTML omitted|javascript:`)
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`)
	check := func(name string, html []byte) {
		require.Empty(t, string(refused.Find(html)), name)
		for _, link := range links.FindAllSubmatch(html, -1) {
			require.Regexp(t, `^(/|/problems(/[a-z_]+)?|/docs/((form|page)\.css|favicon-32x32\.png))$`, string(link[1]), name)
		}
	}
	check("list", pages.HTML)
	for _, page := range pages.List {
		check(string(page.Code), page.HTML)
	}
}

func TestLoad_putsWhatStandsBetweenBracketsIntoTheTextAndNotIntoTheMarkup(t *testing.T) {
	pages, err := Load()
	require.NoError(t, err)
	require.Contains(t, string(pages.Page("authentication_required").HTML), "<code>Authorization: Bearer &lt;token&gt;</code>")
	require.Contains(t, string(pages.Page("weak_password").HTML), "<td><code>minLength</code></td>")
}
