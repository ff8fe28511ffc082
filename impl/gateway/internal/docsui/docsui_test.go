package docsui

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/fountainai/fountain/openapi"
)

func TestAsset_servesEveryName(t *testing.T) {
	for name := range assets {
		content, contentType, ok := Asset(name)
		if !ok || len(content) == 0 || contentType == "" {
			t.Errorf("%q: %d bytes of %q, %v", name, len(content), contentType, ok)
		}
	}
	if _, contentType, _ := Asset(""); contentType != "text/html; charset=utf-8" {
		t.Errorf("the page is %q", contentType)
	}
}

func TestAsset_knowsNoOtherName(t *testing.T) {
	for _, name := range []string{"docsui.go", "../docsui.go", "dist/NOTICE", "page/init.js", "LICENSE", ".", "swagger-ui.css.map"} {
		if _, _, ok := Asset(name); ok {
			t.Errorf("%q is served", name)
		}
	}
}

func TestPage_loadsOnlyWhatIsServed(t *testing.T) {
	page, _, _ := Asset("")
	loads := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllSubmatch(page, -1)
	if len(loads) < 5 {
		t.Fatalf("the page loads %d files", len(loads))
	}
	for _, m := range loads {
		url := string(m[1])
		if name, ok := strings.CutPrefix(url, "/docs/"); ok {
			if _, _, ok := Asset(name); !ok {
				t.Errorf("%s is not served", url)
			}
		} else if !strings.HasPrefix(url, "/openapi/") {
			t.Errorf("%s is of another place", url)
		}
	}
}

// The policy has no 'unsafe-inline': an inline script or style would be dead.
func TestPage_hasNothingInline(t *testing.T) {
	page, _, _ := Asset("")
	inline := regexp.MustCompile(`(?i)<style|style=|\son[a-z]+=|<script>|<script [^>]*>[^<]`)
	if found := inline.Find(page); found != nil {
		t.Errorf("the page has %q", found)
	}
	if strings.Contains(CSP, "unsafe") {
		t.Errorf("the policy is not strict: %s", CSP)
	}
}

// A browser would ask for the file that the comment names.
func TestAsset_namesNoSourceMap(t *testing.T) {
	for name := range assets {
		if content, _, _ := Asset(name); bytes.Contains(content, []byte("sourceMappingURL=")) {
			t.Errorf("%s names a source map", name)
		}
	}
}

func TestInit_listsEveryContract(t *testing.T) {
	script, _, _ := Asset("init.js")
	list := regexp.MustCompile(`(?s)family = \[(.*?)\]`).FindSubmatch(script)
	page, _, _ := Asset("")
	if list == nil {
		t.Fatal("init.js has no list of contracts")
	}
	for _, word := range openapi.Words() {
		if !strings.Contains(string(list[1]), fmt.Sprintf("%q", word)) {
			t.Errorf("init.js does not list %s", word)
		}
		if !strings.Contains(string(page), "/openapi/"+word+".yaml") {
			t.Errorf("the page without script does not list %s", word)
		}
	}
	if n := strings.Count(string(list[1]), `"`) / 2; n != len(openapi.Words()) {
		t.Errorf("init.js lists %d contracts of %d", n, len(openapi.Words()))
	}
	for _, must := range []string{"validatorUrl: null", "persistAuthorization: false", "queryConfigEnabled: false"} {
		if !strings.Contains(string(script), must) {
			t.Errorf("init.js does not say %q", must)
		}
	}
}
