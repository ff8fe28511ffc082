package docsui

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/fountainai/fountain/console"
	"github.com/fountainai/fountain/openapi"
)

var pages = map[string]File{"start": StartPage(), "docs": DocsPage(), "unknown": UnknownPage()}

func TestAsset_servesEveryFileOfThePages(t *testing.T) {
	entries, err := fs.ReadDir(files, "page")
	require.NoError(t, err)
	for _, entry := range entries {
		file, served := Asset(entry.Name())
		page := strings.HasSuffix(entry.Name(), ".html") || entry.Name() == "favicon.ico" // each is an operation of its own
		require.Equal(t, !page, served, entry.Name())
		if !page {
			require.NotEmpty(t, file.Content)
			require.Equal(t, mediaTypes[path.Ext(entry.Name())], file.MediaType, entry.Name())
			require.Regexp(t, `^"[A-Za-z0-9_-]{24}"$`, file.ETag)
		}
	}
	for name := range folders {
		require.NotEmpty(t, served()[name].MediaType, name)
	}
}

func TestAsset_knowsNoOtherName(t *testing.T) {
	for _, name := range []string{"docsui.go", "../docsui.go", "dist/NOTICE", "page/init.js", "LICENSE", ".", "", "swagger-ui.css.map", "index.html", "start.html"} {
		_, served := Asset(name)
		require.False(t, served, name)
	}
}

// The sign-in modules are shared by all pages; a page's own file takes precedence over a shared one of the same name.
func TestAsset_servesTheSignInOfEveryPage(t *testing.T) {
	for _, name := range []string{"signin.js", "session.js", "stepup.js", "form.css"} {
		shared, there := console.Asset(name)
		require.True(t, there, name)
		file, served := Asset(name)
		require.True(t, served, name)
		require.Equal(t, File(shared), file)
	}
	own, _ := Asset("page.css")
	other, _ := console.Asset("page.css")
	require.NotEqual(t, other.ETag, own.ETag)
	for _, name := range []string{"enroll.html", "icon.svg"} {
		_, served := Asset(name)
		require.False(t, served, name)
	}
}

// The imports of the scripts are checked too.
func TestPages_loadOnlyWhatIsServed(t *testing.T) {
	texts := map[string][]byte{"start": StartPage().Content, "docs": DocsPage().Content}
	for name, file := range served() {
		if file.MediaType == "text/javascript" && name != "swagger-ui-bundle.js" {
			texts[name] = file.Content
		}
	}
	loads := 0
	for where, text := range texts {
		for _, m := range regexp.MustCompile(`(?:(?:src|href)=|from |import\()"([^"]*)"`).FindAllSubmatch(text, -1) {
			loads++
			url := string(m[1])
			switch name, asset := strings.CutPrefix(url, "/docs/"); {
			case asset:
				_, known := Asset(name)
				require.True(t, known, "%s loads %s", where, url)
			default:
				require.Regexp(t, `^(/|/docs|/problems|/console|/gateway/v1/services|/openapi/[a-z]+\.yaml|/twofactor/v1/(enroll|assets/[a-z.]+))$`, url, where)
			}
		}
	}
	require.Greater(t, loads, 10)
}

// The policy has no 'unsafe-inline', so inline scripts and styles would not work.
func TestPages_haveNothingInline(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|style=|\son[a-z]+=|<script>|<script [^>]*>[^<]`)
	for name, page := range pages {
		require.Empty(t, string(inline.Find(page.Content)), name)
	}
	require.NotContains(t, CSP, "unsafe")
}

// A browser would request the file that the comment names.
func TestAsset_namesNoSourceMap(t *testing.T) {
	for name, file := range served() {
		require.False(t, bytes.Contains(file.Content, []byte("sourceMappingURL=")), name)
	}
}

func TestPages_nameEveryServiceOfTheFamily(t *testing.T) {
	services, _ := Asset("services.js")
	for _, word := range openapi.Words() {
		require.Contains(t, string(DocsPage().Content), fmt.Sprintf(`href="/openapi/%s.yaml"`, word))
		require.Contains(t, string(services.Content), fmt.Sprintf("[%q,", word))
	}
}

func TestDocs_letNobodysLinkOrServerIn(t *testing.T) {
	script, _ := Asset("init.js")
	for _, must := range []string{"validatorUrl: null", "persistAuthorization: false", "queryConfigEnabled: false"} {
		require.Contains(t, string(script.Content), must)
	}
}
